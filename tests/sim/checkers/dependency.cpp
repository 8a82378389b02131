// A call starts only after everything that it depends on has ended well.
#include "tests/sim/checker.hpp"

namespace callboard::sim {

namespace {

class DependencyChecker final : public Checker {
 public:
  DependencyChecker() : Checker("dependency") {}

  void on(const Record& record, Ledger& ledger, Verdict& verdict) override {
    if (record.what != What::begun) return;
    const CallFacts* facts = ledger.find(record.call);
    if (facts == nullptr) return;
    for (const CallSpec* other : facts->spec->takes) check(*facts, *other, ledger, verdict);
  }

 private:
  static bool ended_well(const CallSpec& call, const Ledger& ledger) {
    for (const std::uint64_t number : ledger.facts(call).begins) {
      const Execution& execution = *ledger.execution(number);
      if (execution.ended_us >= 0 && execution.code == Errc::ok) return true;
    }
    return false;
  }

  void check(const CallFacts& facts, const CallSpec& other, Ledger& ledger, Verdict& verdict) {
    if (ended_well(other, ledger)) return;
    if (other.once != nullptr) {  // another call of its key may have run for it
      for (const CallSpec* twin : other.once->calls) {
        if (twin->same_payload(other) && ended_well(*twin, ledger)) return;
      }
    }
    fail(verdict, describe(*facts.spec) + " began before its dependency ended: " +
                      describe(other));
  }
};

}  // namespace

std::unique_ptr<Checker> make_dependency_checker() {
  return std::make_unique<DependencyChecker>();
}

}  // namespace callboard::sim
