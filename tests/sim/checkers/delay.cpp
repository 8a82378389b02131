// A delayed call never begins before it is due, and has its place among the calls of its lane that
// were accepted before it was due and after: until then it holds up nobody.
#include "tests/sim/checker.hpp"
#include "tests/sim/process.hpp"

#include <map>
#include <tuple>

namespace callboard::sim {

namespace {

/// One lane of one queue, whoever made the calls.
using SharedLane = std::tuple<std::uint32_t, std::string, std::int8_t>;

class DelayChecker final : public Checker {
 public:
  DelayChecker() : Checker("delay") {}

  void on(const Record& record, Ledger& ledger, Verdict& verdict) override {
    if (record.what != What::begun) return;
    const CallFacts* facts = ledger.find(record.call);
    if (facts == nullptr || facts->begins.size() > 1) return;
    const CallSpec& spec = *facts->spec;
    // The next broker run may have another wall clock.
    const std::int64_t skew = ledger.broker_deaths() == 0 ? 0 : kSkewUs;
    if (spec.delay_us != 0 && record.at_us < facts->arrived_us + spec.delay_us - skew) {
      return fail(verdict, "begun " +
                               std::to_string(facts->arrived_us + spec.delay_us - record.at_us) +
                               " us before it was due: " + describe(spec));
    }
    const TargetSpec& target = ledger.specs().targets[spec.target];
    const bool in_order =
        target.kind == TargetSpec::Kind::actor && target.options.ordering == wire::Ordering::actor;
    if (!in_order || (spec.delay_us == 0 && spec.out_of_line)) return;
    // When a parked call was accepted in the end cannot be seen from outside.
    if (target.options.max_pending != 0 && may_wait(spec, target)) return;
    if (spec.delay_us != 0 && (spec.once != nullptr || !spec.takes.empty())) return;
    Lane& lane = lanes_[{spec.target, spec.group, spec.options.priority.value_or(0)}];
    if (spec.delay_us == 0) {
      check_prompt(*facts, lane, ledger, verdict);
      lane.prompt.push_back(&spec);
    } else {
      check_delayed(*facts, lane, ledger, verdict);
      lane.delayed.push_back(&spec);
    }
  }

 private:
  /// What began already, in order.
  struct Lane {
    std::vector<const CallSpec*> prompt, delayed;
  };
  static constexpr std::int64_t kSkewUs = kWallSkewMs * 1'000 + 3'000;

  static bool may_wait(const CallSpec& spec, const TargetSpec& target) {
    return spec.options.when_full.value_or(target.options.when_full) == wire::WhenFull::block;
  }

  /// A delayed call that was not due when this one was accepted comes behind it.
  void check_prompt(const CallFacts& facts, const Lane& lane, const Ledger& ledger,
                    Verdict& verdict) const {
    if (facts.accepted_us < 0) return;
    for (const CallSpec* other : lane.delayed) {
      const CallFacts& before = ledger.facts(*other);
      if (before.arrived_us + other->delay_us - kSkewUs <= facts.accepted_us) continue;
      return fail(verdict, describe(*facts.spec) + " was accepted before " + describe(*other) +
                               " was due, and began after it");
    }
  }
  /// A call that came after this one was due comes behind it.
  void check_delayed(const CallFacts& facts, const Lane& lane, const Ledger& ledger,
                     Verdict& verdict) const {
    if (facts.accepted_us < 0) return;
    for (const CallSpec* other : lane.prompt) {
      const std::int64_t due_us = facts.accepted_us + facts.spec->delay_us;
      if (ledger.facts(*other).arrived_us <= due_us + kSkewUs) continue;
      return fail(verdict, describe(*other) + " came after " + describe(*facts.spec) +
                               " was due, and began before it");
    }
  }

  std::map<SharedLane, Lane> lanes_;
};

}  // namespace

std::unique_ptr<Checker> make_delay_checker() { return std::make_unique<DelayChecker>(); }

}  // namespace callboard::sim
