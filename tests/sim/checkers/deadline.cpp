// A call is not begun once its worker's clock says that its deadline has passed, and never more
// than one lease after the deadline that the broker was told.
#include "tests/sim/checker.hpp"
#include "tests/sim/process.hpp"

#include <map>

namespace callboard::sim {

namespace {

class DeadlineChecker final : public Checker {
 public:
  DeadlineChecker() : Checker("deadline") {}

  void on(const Record& record, Ledger& ledger, Verdict& verdict) override {
    if (record.what == What::run_arrived) {
      due_[{record.call, record.attempt}] = static_cast<std::int64_t>(record.value);
      return;
    }
    if (record.what == What::deadline_came) {
      told_[record.call] = static_cast<std::int64_t>(record.value);
      return;
    }
    if (record.what != What::begun) return;
    const CallFacts* facts = ledger.find(record.call);
    if (facts == nullptr || facts->spec->deadline_us == kNever) return;
    const auto due = due_.find({record.call, record.attempt});
    if (due == due_.end() || due->second == 0) {
      return fail(verdict, "sent to its worker without its deadline: " + describe(*facts->spec));
    }
    const auto told = told_.find(record.call);
    if (told != told_.end() && record.at_us > told->second + kLeaseUs) {
      return fail(verdict, "begun " + std::to_string(record.at_us - told->second) +
                               " us after the deadline that the broker knew: " +
                               describe(*facts->spec));
    }
    if (record.at_us >= due->second) {
      return fail(verdict, "begun " + std::to_string(record.at_us - due->second) +
                               " us after its deadline: " + describe(*facts->spec));
    }
  }

 private:
  /// The lease of a worker as brokers set it by default, the clocks of two broker runs, roundings.
  static constexpr std::int64_t kLeaseUs = 2'000'000 + kWallSkewMs * 1'000 + 3'000;

  std::map<CallId, std::int64_t> told_;
  std::map<std::pair<CallId, std::uint32_t>, std::int64_t> due_;
};

}  // namespace

std::unique_ptr<Checker> make_deadline_checker() { return std::make_unique<DeadlineChecker>(); }

}  // namespace callboard::sim
