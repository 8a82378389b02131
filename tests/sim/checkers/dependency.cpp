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
    for (const wire::Ref& ref : facts->spec->options.refs) check(*facts, ref.call, ledger, verdict);
    for (const CallId id : facts->spec->options.after) check(*facts, id, ledger, verdict);
  }

 private:
  void check(const CallFacts& facts, CallId id, Ledger& ledger, Verdict& verdict) {
    const CallFacts* other = ledger.find(id);
    if (other == nullptr) {
      return fail(verdict, "begun, although it depends on nothing known: " + describe(*facts.spec));
    }
    for (const std::uint64_t number : other->begins) {
      const Execution& execution = *ledger.execution(number);
      if (execution.ended_us >= 0 && execution.code == Errc::ok) return;
    }
    fail(verdict, describe(*facts.spec) + " began before its dependency ended: " +
                      describe(*other->spec));
  }
};

}  // namespace

std::unique_ptr<Checker> make_dependency_checker() {
  return std::make_unique<DependencyChecker>();
}

}  // namespace callboard::sim
