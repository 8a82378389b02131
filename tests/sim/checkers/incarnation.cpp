// Incarnations: their numbers rise, and an older one begins nothing once a newer one has, unless
// the store went back. None is ever constructed twice.
#include "tests/sim/checker.hpp"

#include <map>
#include <set>

namespace callboard::sim {

namespace {

class IncarnationChecker final : public Checker {
 public:
  IncarnationChecker() : Checker("incarnation") {}

  void on(const Record& record, Ledger& ledger, Verdict& verdict) override {
    // An older copy of the store may bring back an incarnation that its worker still holds.
    if (record.what == What::fault && record.text.starts_with("store went back")) newest_.clear();
    if (record.what == What::constructing) return constructing(record, ledger, verdict);
    if (record.what == What::destroyed) ended_.emplace(record.actor, record.incarnation);
    if (record.what != What::begun || !record.actor) return;
    if (ended_.contains({record.actor, record.incarnation})) {
      return fail(verdict, "a call begins in an incarnation that is over: " + describe(record));
    }
    const TargetSpec* target = ledger.specs().find(record.actor);
    if (target == nullptr || target->kind != TargetSpec::Kind::actor) return;
    if (record.incarnation < newest_[record.actor]) {
      fail(verdict, "a call begins in an incarnation that was replaced: " + describe(record));
    }
  }

 private:
  void constructing(const Record& record, const Ledger& ledger, Verdict& verdict) {
    if (!seen_.emplace(record.actor, record.incarnation).second) {
      return fail(verdict, "one incarnation is constructed twice: " + describe(record));
    }
    const TargetSpec* target = ledger.specs().find(record.actor);
    if (target == nullptr || target->kind != TargetSpec::Kind::actor) return;
    std::uint64_t& newest = newest_[record.actor];
    if (record.incarnation <= newest) {
      return fail(verdict, "incarnations do not rise: " + describe(record));
    }
    newest = record.incarnation;
    const std::int32_t restarts = target->options.max_restarts;
    const std::uint64_t lives = ++lives_[record.actor];
    if (restarts >= 0 && lives > static_cast<std::uint64_t>(restarts) + 1 && ledger.faults() == 0) {
      fail(verdict, "restarted more often than max_restarts allows: " + describe(record));
    }
  }

  std::set<std::pair<ActorId, std::uint64_t>> seen_, ended_;
  std::map<ActorId, std::uint64_t> newest_, lives_;
};

}  // namespace

std::unique_ptr<Checker> make_incarnation_checker() {
  return std::make_unique<IncarnationChecker>();
}

}  // namespace callboard::sim
