// No due time of a schedule has two calls, whatever dies; its one call begins no more often than it
// may; and where every time counts, none between the first and the last is left out.
#include "tests/sim/checker.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

namespace callboard::sim {

namespace {

class ScheduleChecker final : public Checker {
 public:
  explicit ScheduleChecker(bool lossless) : Checker("schedule"), lossless_(lossless) {}

  void on(const Record& record, Ledger& ledger, Verdict& verdict) override {
    if (record.what != What::ticked) return;
    const auto spec = ledger.specs().ticks.find(record.text);
    if (spec == ledger.specs().ticks.end()) {
      return fail(verdict, "a call of a schedule that nobody made: " + record.text);
    }
    if (record.value % 1000 != 0) {
      return fail(verdict, record.text + " made a call for " + std::to_string(record.value) +
                               " ms, which is no second");
    }
    Due& due = times_[record.text][record.value];
    const std::string what =
        record.text + ", due at " + std::to_string(record.value) + " ms, as " +
        to_string(record.call);
    if (due.begins > 0 && due.call != record.call) {
      return fail(verdict, what + ", has another call, " + to_string(due.call));
    }
    due.call = record.call;
    ++due.begins;
    const std::int32_t most = spec->second.max_retries;
    if (most >= 0 && due.begins > static_cast<std::uint32_t>(most) + 1) {
      return fail(verdict, what + ", began " + std::to_string(due.begins) + " times, with " +
                               std::to_string(most) + " retries");
    }
    if (!attempts_.insert({record.call, record.attempt}).second) {
      fail(verdict, what + ", began twice with attempt " + std::to_string(record.attempt));
    }
  }

  void at_end(Ledger& ledger, const StoreModel&, Verdict& verdict) override {
    for (const auto& [name, times] : times_) {
      const TickSpec& spec = ledger.specs().ticks.at(name);
      // Without retries a call may be lost with its worker, begun or not.
      if (!lossless_ || !spec.every || spec.max_retries >= 0) continue;
      const std::uint64_t last = times.rbegin()->first;
      for (std::uint64_t at = times.begin()->first; at < last; at += 1000) {
        if (times.contains(at)) continue;
        return fail(verdict, name + " was due at " + std::to_string(at) + " ms, and nothing began");
      }
    }
  }

 private:
  struct Due {
    CallId call;
    std::uint32_t begins = 0;
  };

  const bool lossless_;  ///< the store always takes what is due
  std::map<std::string, std::map<std::uint64_t, Due>> times_;
  std::set<std::pair<CallId, std::uint32_t>> attempts_;
};

}  // namespace

std::unique_ptr<Checker> make_schedule_checker(bool lossless) {
  return std::make_unique<ScheduleChecker>(lossless);
}

}  // namespace callboard::sim
