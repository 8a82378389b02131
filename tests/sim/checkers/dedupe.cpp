// One execution for each idempotency key, until its window after the end of the call is over; and a
// key is in conflict only with a call of another payload that has it.
#include "tests/sim/checker.hpp"
#include "tests/sim/process.hpp"

#include <algorithm>

namespace callboard::sim {

namespace {

class DedupeChecker final : public Checker {
 public:
  explicit DedupeChecker(std::int64_t ttl_ms) : Checker("dedupe"), ttl_us_(ttl_ms * 1000) {}

  void on(const Record& record, Ledger& ledger, Verdict& verdict) override {
    if (record.what != What::begun && record.what != What::refused) return;
    const CallFacts* facts = ledger.find(record.call);
    if (facts == nullptr || facts->spec->once == nullptr) return;
    if (record.what == What::begun) return check_begun(record, *facts->spec, ledger, verdict);
    if (record.code == Errc::idempotency_conflict) check_conflict(*facts, ledger, verdict);
  }

 private:
  void check_begun(const Record& record, const CallSpec& spec, const Ledger& ledger,
                   Verdict& verdict) const {
    for (const CallSpec* other : spec.once->calls) {
      const CallFacts& facts = ledger.facts(*other);
      if (other == &spec || facts.begins.empty()) continue;
      if (!other->durable && ledger.broker_deaths() > 0) continue;  // nobody remembers it
      const std::int64_t over_us = end_of(facts, ledger) + ttl_us_ - kSkewUs;
      if (record.at_us >= over_us) continue;
      return fail(verdict, "another execution within the window of a key: " + describe(spec) +
                               " after " + describe(*other));
    }
  }

  /// When it had certainly not ended for the broker yet, at the latest.
  static std::int64_t end_of(const CallFacts& facts, const Ledger& ledger) {
    const Execution& last = *ledger.execution(facts.begins.back());
    // The broker may have heard of the end of its worker long before it could tell the outcome.
    if (last.died) return last.begun_us;
    // The broker may have given it up while it ran on, cut off.
    if (last.ended_us < 0 || (facts.told_us >= 0 && facts.told_us < last.ended_us)) {
      return std::max(last.begun_us, facts.told_us);
    }
    return last.ended_us;
  }

  /// Somebody must have it: a call of another payload that began, or may still begin.
  void check_conflict(const CallFacts& facts, const Ledger& ledger, Verdict& verdict) const {
    for (const CallSpec* other : facts.spec->once->calls) {
      if (other->same_payload(*facts.spec)) continue;
      const CallFacts& holder = ledger.facts(*other);
      if (holder.arrived_us < 0 || holder.refused_us >= 0) continue;
      // A broker that died before its RUN left had noted it: for the next one it may have run.
      const bool freed = holder.attempts_sent == 0 && holder.told_us >= 0 &&
                         holder.told_us < facts.arrived_us &&
                         holder.told_code != Errc::maybe_executed;
      if (!freed) return;
    }
    fail(verdict, "nobody has its key with another payload: " + describe(*facts.spec));
  }

  static constexpr std::int64_t kSkewUs = kWallSkewMs * 1'000 + 3'000;
  std::int64_t ttl_us_;
};

}  // namespace

std::unique_ptr<Checker> make_dedupe_checker(std::int64_t dedupe_ttl_ms) {
  return std::make_unique<DedupeChecker>(dedupe_ttl_ms);
}

}  // namespace callboard::sim
