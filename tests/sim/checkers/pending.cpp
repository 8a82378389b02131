// max_pending is exact: no queue ever holds more, and a refusal for want of room is true. A client
// that refuses by itself repeats what it was told.
#include "tests/sim/checker.hpp"

#include <map>
#include <set>
#include <utility>

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
    note_try(record, ledger);
    if (record.what != What::refused || record.code != Errc::queue_full) return;
    const CallFacts* facts = ledger.find(record.call);
    if (facts == nullptr) return;
    if (record.value == 1) check_own(record, *facts->spec, ledger, verdict);
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
  /// What one client knows of a queue.
  struct Tries {
    std::int64_t full_until_us = 0;      ///< as it was told last
    std::set<std::uint32_t> unanswered;  ///< calls that it submitted to the broker, by index
  };

  void note_try(const Record& record, Ledger& ledger) {
    const CallFacts* facts = record.call ? ledger.find(record.call) : nullptr;
    if (facts == nullptr || record.call.session == SessionId{0}) return;
    Tries& tries = tries_[{facts->spec->client, facts->spec->target}];
    switch (record.what) {
      case What::told_full:
        tries.full_until_us = record.at_us + static_cast<std::int64_t>(record.value);
        break;
      case What::submitted:
        tries.unanswered.insert(facts->spec->index);
        break;
      case What::accepted:
      case What::refused:
      case What::resolved:
        tries.unanswered.erase(facts->spec->index);
        break;
      default:
        break;
    }
  }

  /// A client may refuse a call itself for as long as it was told to wait, and then while it tries
  /// others.
  void check_own(const Record& record, const CallSpec& spec, const Ledger& ledger,
                 Verdict& verdict) {
    const Tries& tries = tries_[{spec.client, spec.target}];
    if (record.at_us >= tries.full_until_us && tries.unanswered.empty()) {
      return fail(verdict, "refused by its client, but nobody said that the queue is full now: " +
                               describe(spec));
    }
    const wire::CallOptions& options = spec.options;
    const auto waits = options.when_full.value_or(
        ledger.specs().targets[spec.target].options.when_full);
    if (waits == wire::WhenFull::block || spec.delay_us != 0 || spec.once != nullptr) {
      fail(verdict, "refused by its client, but a full queue does not refuse it: " +
                        describe(spec));
    }
  }

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
  std::map<std::pair<std::uint32_t, std::uint32_t>, Tries> tries_;  ///< by client and target
  std::map<std::uint32_t, std::uint64_t> delayed_;  ///< of those, the delayed ones
};

}  // namespace

std::unique_ptr<Checker> make_pending_checker() { return std::make_unique<PendingChecker>(); }

}  // namespace callboard::sim
