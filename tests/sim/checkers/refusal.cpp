// A refusal leaves no hole: until the client has seen it, later calls of that queue are refused
// too.
#include "tests/sim/checker.hpp"

#include <map>

namespace callboard::sim {

namespace {

class RefusalChecker final : public Checker {
 public:
  RefusalChecker() : Checker("refusal") {}

  void on(const Record& record, Ledger& ledger, Verdict& verdict) override {
    if (record.what == What::resumed) {
      const auto target = static_cast<std::uint32_t>(record.value >> 32);
      const auto client = static_cast<std::uint32_t>(record.attempt);
      lanes_[{client, target}].resumes.push_back(static_cast<std::uint32_t>(record.value));
      return;
    }
    if (record.what != What::refused && record.what != What::begun) return;
    const CallFacts* facts = ledger.find(record.call);
    if (facts == nullptr) return;
    const CallSpec& spec = *facts->spec;
    Lane& lane = lanes_[{spec.client, spec.target}];
    if (record.what == What::refused) {
      if (record.value == 1) return;  // seen when it was made: nothing was submitted in between
      if (!leaves_a_hole(record.code)) return;
      lane.refused.push_back(&spec);
      for (auto at = lane.begun.upper_bound(spec.index); at != lane.begun.end(); ++at) {
        check(lane, *at->second, spec, ledger, verdict);
      }
      return;
    }
    lane.begun.emplace(spec.index, &spec);
    for (const CallSpec* other : lane.refused) check(lane, spec, *other, ledger, verdict);
  }

 private:
  struct Lane {
    std::vector<const CallSpec*> refused;
    std::map<std::uint32_t, const CallSpec*> begun;  ///< by CallSpec::index
    /// How many calls had been submitted whenever the application said that it has seen a refusal.
    std::vector<std::uint32_t> resumes;
  };

  /// Between a refused call and a later one that runs, the application must have resumed.
  void check(const Lane& lane, const CallSpec& begun, const CallSpec& refused,
             const Ledger& ledger, Verdict& verdict) const {
    if (begun.index < refused.index) return;
    if (overtakes(begun, refused, ledger)) return;
    for (const std::uint32_t submitted : lane.resumes) {
      if (refused.index < submitted && submitted <= begun.index) return;
    }
    fail(verdict, describe(begun) + " began, although it was submitted before the refusal of " +
                      describe(refused) + " was known");
  }
  /// Where no order is kept between the two, a call of level memory begins while an earlier durable
  /// one waits for its commit. Should that broker die, the next one may refuse the durable one.
  static bool overtakes(const CallSpec& begun, const CallSpec& refused, const Ledger& ledger) {
    if (begun.durable || !refused.durable || ledger.broker_deaths() == 0) return false;
    const TargetSpec& target = ledger.specs().targets[begun.target];
    if (target.kind == TargetSpec::Kind::task) return true;
    if (target.options.ordering == wire::Ordering::none) return true;
    return begun.group != refused.group || begun.options.key != refused.options.key ||
           begun.options.priority.value_or(0) != refused.options.priority.value_or(0);
  }

  /// Refusals of one call for its own sake (a bad option, say) say nothing about the lane.
  static bool leaves_a_hole(Errc code) {
    return code == Errc::queue_full || code == Errc::refused_before ||
           code == Errc::store_unavailable || code == Errc::store_full;
  }

  std::map<std::pair<std::uint32_t, std::uint32_t>, Lane> lanes_;
};

}  // namespace

std::unique_ptr<Checker> make_refusal_checker() { return std::make_unique<RefusalChecker>(); }

}  // namespace callboard::sim
