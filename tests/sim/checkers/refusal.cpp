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
      if (!leaves_a_hole(record.code)) return;
      lane.refused.push_back(&spec);
      if (lane.last_begun != nullptr) check(lane, *lane.last_begun, spec, verdict);
      return;
    }
    if (lane.last_begun == nullptr || lane.last_begun->index < spec.index) lane.last_begun = &spec;
    for (const CallSpec* other : lane.refused) check(lane, spec, *other, verdict);
  }

 private:
  struct Lane {
    std::vector<const CallSpec*> refused;
    const CallSpec* last_begun = nullptr;  ///< the one that was submitted last
    /// How many calls had been submitted whenever the application said that it has seen a refusal.
    std::vector<std::uint32_t> resumes;
  };

  /// Between a refused call and a later one that runs, the application must have resumed.
  void check(const Lane& lane, const CallSpec& begun, const CallSpec& refused,
             Verdict& verdict) const {
    if (begun.index < refused.index) return;
    for (const std::uint32_t submitted : lane.resumes) {
      if (refused.index < submitted && submitted <= begun.index) return;
    }
    fail(verdict, describe(begun) + " began, although it was submitted before the refusal of " +
                      describe(refused) + " was known");
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
