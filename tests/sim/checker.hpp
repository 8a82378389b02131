// A checker: one promise of the contract, watched over one run.
//
// Checkers know the specs and what was observed from outside, never what the broker holds inside.
// Each record reaches the ledger first, then every checker. Thread safety: none.
#pragma once

#include "tests/sim/ledger.hpp"
#include "tests/sim/store_model.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace callboard::sim {

/// The first broken promise of a run.
class Verdict {
 public:
  void fail(std::string_view checker, const std::string& text) {
    if (failed_) return;
    failed_ = true;
    text_ = std::string(checker) + ": " + text;
  }
  bool failed() const { return failed_; }
  const std::string& text() const { return text_; }

 private:
  bool failed_ = false;
  std::string text_;
};

class Checker {
 public:
  explicit Checker(std::string_view name) : name_(name) {}
  virtual ~Checker() = default;

  /// Something was observed; the ledger knows it already.
  virtual void on(const Record& record, Ledger& ledger, Verdict& verdict) = 0;
  /// Everything has healed and come to rest.
  virtual void at_end(Ledger& ledger, const StoreModel& store, Verdict& verdict) {
    (void)ledger, (void)store, (void)verdict;
  }
  std::string_view name() const { return name_; }

 protected:
  void fail(Verdict& verdict, const std::string& text) const { verdict.fail(name_, text); }

 private:
  std::string_view name_;
};

std::unique_ptr<Checker> make_attempts_checker();
std::unique_ptr<Checker> make_concurrency_checker();
std::unique_ptr<Checker> make_deadline_checker();
std::unique_ptr<Checker> make_dedupe_checker(std::int64_t dedupe_ttl_ms);
std::unique_ptr<Checker> make_delay_checker();
std::unique_ptr<Checker> make_dependency_checker();
std::unique_ptr<Checker> make_incarnation_checker();
std::unique_ptr<Checker> make_liveness_checker();
std::unique_ptr<Checker> make_order_checker();
std::unique_ptr<Checker> make_outcome_checker(bool lost_time = false);
std::unique_ptr<Checker> make_pending_checker();
std::unique_ptr<Checker> make_refusal_checker();
std::unique_ptr<Checker> make_schedule_checker(bool lossless);
std::unique_ptr<Checker> make_stability_checker();
std::unique_ptr<Checker> make_baseline_checker();

/// All of them. `lossless`: no fault keeps the store from taking what is due; with `lost_time`
/// those of promises that hold although the store forgets what was acknowledged.
std::vector<std::unique_ptr<Checker>> make_checkers(std::int64_t dedupe_ttl_ms, bool lossless,
                                                    bool lost_time);

/// "call 0000...: " and what its client asked for.
std::string describe(const CallSpec& spec);

}  // namespace callboard::sim
