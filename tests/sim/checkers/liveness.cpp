// Once the world has healed, every call whose owner still waits gets its one answer.
#include "tests/sim/checker.hpp"

namespace callboard::sim {

namespace {

class LivenessChecker final : public Checker {
 public:
  LivenessChecker() : Checker("liveness") {}

  void on(const Record&, Ledger&, Verdict&) override {}

  void at_end(Ledger& ledger, const StoreModel&, Verdict& verdict) override {
    std::size_t open = 0;
    const CallSpec* first = nullptr;
    for (const CallFacts& facts : ledger.calls()) {
      if (facts.over() || facts.released_us >= 0 || facts.spec->options.no_result) continue;
      if (ledger.gone(facts.spec->client)) continue;
      ++open;
      if (first == nullptr) first = facts.spec;
    }
    if (open == 0) return;
    const CallFacts& facts = ledger.facts(*first);
    fail(verdict,
         std::to_string(open) + " calls never got an answer; the first one was " +
             (facts.accepted_us < 0 ? "not even accepted" : "accepted") + ", begun " +
             std::to_string(facts.begins.size()) + " times, and " +
             (facts.told_us < 0 ? "no result left the broker" : "a result left the broker") + ": " +
             describe(*first));
  }
};

}  // namespace

std::unique_ptr<Checker> make_liveness_checker() { return std::make_unique<LivenessChecker>(); }

}  // namespace callboard::sim
