// Calls of one session and lane start in the order in which they were submitted: for the first time
// in that order over all incarnations, and in each incarnation too, whose state is new.
#include "tests/sim/checker.hpp"

#include <map>
#include <tuple>
#include <utility>

namespace callboard::sim {

namespace {

/// One client's calls of one lane. With ordering = key each key is a lane.
using LaneKey = std::tuple<std::uint32_t, std::uint32_t, std::string, std::int8_t>;

class OrderChecker final : public Checker {
 public:
  OrderChecker() : Checker("order") {}

  void on(const Record& record, Ledger& ledger, Verdict& verdict) override {
    if (record.what != What::begun) return;
    CallFacts* facts = ledger.find(record.call);
    if (facts == nullptr) return;
    const CallSpec& spec = *facts->spec;
    const TargetSpec& target = ledger.specs().targets[spec.target];
    if (target.kind != TargetSpec::Kind::actor) return;  // replicas and workers run side by side
    if (target.options.ordering == wire::Ordering::none) return;
    // Calls of one idempotency key follow each other; delayed ones are the delay checker's.
    if (spec.out_of_line) return;
    const bool keyed = target.options.ordering == wire::Ordering::key;
    if (keyed && spec.options.key.empty()) return;
    const LaneKey lane{spec.client, spec.target, keyed ? spec.options.key : spec.group,
                       spec.options.priority.value_or(0)};
    // One at a time: a retried call comes before everything behind it. Otherwise only first starts
    // have an order.
    const bool one_at_a_time = keyed || limit_of(target, spec.group) == 1;
    const bool again = facts->begins.size() > 1;
    if (!again) check(spec, last_[lane], verdict);
    // What a lost worker had done is done again by its successor, whatever came after it there.
    if (!again || one_at_a_time) check(spec, last_here_[{lane, record.incarnation}], verdict);
  }

  void check(const CallSpec& spec, const CallSpec*& last, Verdict& verdict) {
    if (last != nullptr && spec.index < last->index) {
      return fail(verdict,
                  describe(spec) + " began after " + describe(*last) + " of the same lane");
    }
    last = &spec;
  }

 private:
  static std::uint32_t limit_of(const TargetSpec& target, const std::string& group) {
    for (const auto& [name, limit] : target.options.groups) {
      if (name == group) return limit;
    }
    return target.options.max_concurrency;
  }

  std::map<LaneKey, const CallSpec*> last_;
  std::map<std::pair<LaneKey, std::uint64_t>, const CallSpec*> last_here_;  ///< by incarnation
};

}  // namespace

std::unique_ptr<Checker> make_order_checker() { return std::make_unique<OrderChecker>(); }

}  // namespace callboard::sim
