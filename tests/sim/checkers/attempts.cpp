// At most once, at least once within its budget: which executions there may be.
#include "tests/sim/checker.hpp"

#include "common/messages.hpp"

namespace callboard::sim {

namespace {

class AttemptsChecker final : public Checker {
 public:
  AttemptsChecker() : Checker("attempts") {}

  void on(const Record& record, Ledger& ledger, Verdict& verdict) override {
    if (record.what != What::begun) return;
    CallFacts* facts = ledger.find(record.call);
    if (facts == nullptr) {
      return fail(verdict, "a call that nobody submitted has begun: " + to_string(record.call));
    }
    const CallSpec& spec = *facts->spec;
    const std::size_t begins = facts->begins.size();
    if (spec.max_retries == 0 && begins > 1) {
      return fail(verdict, "begun twice, although at most once: " + describe(spec));
    }
    if (spec.max_retries > 0 && begins > static_cast<std::size_t>(spec.max_retries) + 1) {
      return fail(verdict, "begun " + std::to_string(begins) + " times: " + describe(spec));
    }
    if (facts->refused_us >= 0) {
      return fail(verdict, "begun, although it was refused: " + describe(spec));
    }
    constexpr auto kNotBegun =
        static_cast<std::uint64_t>(wire::CancelAnswer::cancelled_before_start);
    if (facts->cancel_answer == kNotBegun) {
      return fail(verdict,
                  "begun, although a cancel was told that it never will: " + describe(spec));
    }
    // These two say that nobody knows; all others that it is over.
    const bool open = facts->code == Errc::lost || facts->code == Errc::maybe_executed;
    if (facts->resolved_us >= 0 && !open) {
      return fail(verdict, "begun after its outcome (" +
                               std::string(callboard::name_of(facts->code)) +
                               ") was known: " + describe(spec));
    }
    for (std::size_t i = 0; i + 1 < begins; ++i) {
      if (ledger.execution(facts->begins[i])->attempt == record.attempt) {
        return fail(verdict, "attempt " + std::to_string(record.attempt) +
                                 " was begun twice: " + describe(spec));
      }
    }
  }

  void at_end(Ledger& ledger, const StoreModel&, Verdict& verdict) override {
    // Nobody waits for fire-and-forget calls, so their executions are all there is to see.
    for (CallFacts& facts : ledger.calls()) {
      const CallSpec& spec = *facts.spec;
      if (!spec.options.no_result || facts.accepted_us < 0 || facts.refused_us >= 0) continue;
      if (!facts.begins.empty() || may_never_begin(facts, ledger)) continue;
      fail(verdict, "accepted and never begun, without a reason: " + describe(spec));
    }
  }

 private:
  static bool may_never_begin(const CallFacts& facts, const Ledger& ledger) {
    const CallSpec& spec = *facts.spec;
    const TargetSpec& target = ledger.specs().targets[spec.target];
    if (facts.cancel_asked || spec.deadline_us != kNever || target.killed) return true;
    if (!spec.takes.empty() || spec.once != nullptr) return true;
    if (!spec.durable && ledger.broker_deaths() > 0) return true;
    if (target.constructor_throws) return true;
    // An actor without restarts dies with its worker, a call that was sent with it may be lost.
    return ledger.faults() > 0 && (target.options.max_restarts == 0 || spec.max_retries == 0);
  }
};

}  // namespace

std::unique_ptr<Checker> make_attempts_checker() { return std::make_unique<AttemptsChecker>(); }

}  // namespace callboard::sim
