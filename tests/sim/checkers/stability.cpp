// A result, once visible to anyone, never changes: neither for its owner nor for a dependent.
#include "tests/sim/checker.hpp"

#include <map>

namespace callboard::sim {

namespace {

class StabilityChecker final : public Checker {
 public:
  StabilityChecker() : Checker("stability") {}

  void on(const Record& record, Ledger& ledger, Verdict& verdict) override {
    if (record.what == What::told_result) {
      const CallFacts* facts = ledger.find(record.call);
      if (facts == nullptr || facts->told_digest == record.value) return;
      // Unknown is not a result: an owner that has one keeps it (recovery rule 2).
      if (record.code == Errc::maybe_executed) return;
      return fail(verdict, "the broker told " + std::string(callboard::name_of(facts->told_code)) +
                               ", then " + std::string(callboard::name_of(record.code)) +
                               (facts->told_code == record.code ? " with another value: " : ": ") +
                               describe(*facts->spec));
    }
    if (record.what == What::spliced) {
      // `value` is the execution whose result arrived as an argument, `call` the one it is from.
      const auto [seen, is_new] = spliced_.try_emplace(record.call, record.value);
      if (!is_new && seen->second != record.value) {
        return fail(verdict, "two dependents got different results of call " +
                                 to_string(record.call));
      }
      compare(record.call, ledger, verdict);
    }
    if (record.what == What::resolved) compare(record.call, ledger, verdict);
  }

 private:
  void compare(CallId call, Ledger& ledger, Verdict& verdict) {
    const auto seen = spliced_.find(call);
    const CallFacts* facts = ledger.find(call);
    if (seen == spliced_.end() || facts == nullptr || facts->resolved_us < 0) return;
    if (facts->code == Errc::ok && facts->execution == seen->second) return;
    if (facts->code == Errc::disconnected) return;
    // Level memory: with its broker, what is known of it is gone, and the owner is told just that.
    const bool unknown = facts->code == Errc::lost || facts->code == Errc::maybe_executed;
    if (unknown && !facts->spec->durable && ledger.broker_deaths() > 0) return;
    // A session that has expired knows nothing of its calls any more (recovery rule 1).
    if (unknown && ledger.session_refused(facts->spec->client)) return;
    fail(verdict, "a dependent got another result than the owner: " + describe(*facts->spec));
  }

  std::map<CallId, std::uint64_t> spliced_;
};

}  // namespace

std::unique_ptr<Checker> make_stability_checker() { return std::make_unique<StabilityChecker>(); }

}  // namespace callboard::sim
