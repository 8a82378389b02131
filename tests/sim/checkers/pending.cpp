// max_pending is exact: no queue ever holds more, and a refusal for want of room is true.
#include "tests/sim/checker.hpp"

#include <map>

namespace callboard::sim {

namespace {

class PendingChecker final : public Checker {
 public:
  PendingChecker() : Checker("pending") {}

  void on(const Record& record, Ledger& ledger, Verdict& verdict) override {
    if (record.what == What::queue_length) return check_length(record, ledger, verdict);
    if (record.what == What::arrived) {
      const CallFacts* facts = ledger.find(record.call);
      if (facts == nullptr) return;
      ++seen_[facts->spec->target];
      if (facts->spec->out_of_line) ++delayed_[facts->spec->target];
      return;
    }
    if (record.what != What::refused || record.code != Errc::queue_full) return;
    const CallFacts* facts = ledger.find(record.call);
    if (facts == nullptr) return;
    const TargetSpec& target = ledger.specs().targets[facts->spec->target];
    if (target.options.max_pending == 0) {
      return fail(verdict, "refused as full without a bound: " + describe(*facts->spec));
    }
    // Fewer calls than the bound have ever come.
    if (seen_[facts->spec->target] <= target.options.max_pending) {
      fail(verdict, "refused as full, but only " + std::to_string(seen_[facts->spec->target]) +
                        " calls have ever come: " + describe(*facts->spec));
    }
  }

 private:
  void check_length(const Record& record, const Ledger& ledger, Verdict& verdict) {
    for (const TargetSpec& target : ledger.specs().targets) {
      if (target.queue_name() != record.text || target.options.max_pending == 0) continue;
      // What was accepted with a delay takes its place when it is due, whether there is room or
      // not.
      const auto delayed = delayed_.find(target.index);
      const std::uint64_t late = delayed == delayed_.end() ? 0 : delayed->second;
      if (record.value > target.options.max_pending + late) {
        fail(verdict, "queue " + record.text + " holds " + std::to_string(record.value) +
                          " calls, " + std::to_string(target.options.max_pending) + " are allowed");
      }
    }
  }

  std::map<std::uint32_t, std::uint64_t> seen_;  ///< target -> calls that came to the broker
  std::map<std::uint32_t, std::uint64_t> delayed_;  ///< of those, the delayed ones
};

}  // namespace

std::unique_ptr<Checker> make_pending_checker() { return std::make_unique<PendingChecker>(); }

}  // namespace callboard::sim
