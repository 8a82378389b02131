// How many calls of one concurrency group the broker may have out at this worker: what may run at
// once, plus what is sent ahead so that short methods do not wait for the round trip to the broker.
//
// Two observations make the number grow, and one bounds it:
// - the rate at which calls end here, times the way of a credit (from telling the broker that a
//   call ended to the arrival of the call that uses its place), says how many are under way; where
//   ends are told together, the way begins with the first of them;
// - a frame that fills the whole window and finds nobody at work came too late;
// - never more is sent ahead than is done in kAheadUs, so what lies here while another worker is
//   idle is little, and none of it is a long call.
//
// Thread safety: none. Invariant: window() changes only in adapt(), recall() and set_limit().
#pragma once

#include "common/limits.hpp"
#include "common/time.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace callboard::worker {

class Prefetch {
 public:
  /// `limit`: calls that run at once; `start`: calls sent ahead until something was measured.
  Prefetch(std::uint32_t limit, std::uint32_t start) : limit_(limit), ahead_(start) {}

  std::uint32_t window() const { return limit_ + ahead_; }
  std::uint32_t out() const { return static_cast<std::uint32_t>(received_ - ended_); }

  /// A turn brought calls.
  void received(std::int64_t now_us, std::uint32_t calls) {
    if (out() == 0) begin(now_us, calls);
    received_ += calls;
    if (probing_ && received_ >= probe_credit_) end_probe(now_us);
  }
  /// Calls ended or were handed back, and are about to be told. `when_us`: the first of them ended
  /// then; 0 where that says nothing.
  void ended(std::uint32_t calls, std::int64_t when_us = 0) {
    ended_ += calls;
    if (untold_since_us_ == 0) untold_since_us_ = when_us;
  }
  /// What ended since the last time has been written.
  void told(std::int64_t now_us) {
    if (told_ == ended_) return;
    told_ = ended_;
    told_us_ = now_us;
    if (untold_since_us_ != 0) waited(now_us - std::exchange(untold_since_us_, 0));
    if (probing_) return;
    probing_ = true;
    probe_credit_ = told_ + window();
    probe_us_ = now_us;
  }
  /// A new connection: the way of a credit that is under way says nothing.
  void reconnected() { probing_ = false; }

  /// Measures again when it is time. True when window() changed and the broker must be told.
  bool adapt(std::int64_t now_us) {
    const std::int64_t elapsed_us = now_us - measured_us_;
    if (elapsed_us < kAdaptUs || (ended_ == measured_ended_ && elapsed_us < kStallUs)) return false;
    return measure(now_us);
  }
  /// Nothing ended for a while although calls were sent ahead: they should go to somebody else.
  bool stalled(std::int64_t now_us) const {
    return out() > limit_ && now_us - told_us_ >= kStallUs;
  }
  /// No call is sent ahead until something is measured again. True when window() changed.
  bool recall();
  void set_limit(std::uint32_t limit) { limit_ = limit; }

  /// Nothing had ended for kStallUs when the calls came that are out, or were last.
  bool is_rarely_called() const { return rarely_called_; }
  /// When adapt() or stalled() should be asked next; kNever while nothing is out ahead.
  std::int64_t next_deadline_us() const {
    if (out() == 0 || (ahead_ == 0 && out() <= limit_)) return kNever;
    return std::max(told_us_, measured_us_) + kStallUs;
  }

  static constexpr std::int64_t kAdaptUs = 2'000;    ///< shortest measurement
  static constexpr std::int64_t kStallUs = 20'000;   ///< longer than this is idle, or a long call
  static constexpr std::int64_t kAheadUs = 8'000;

 private:
  void begin(std::int64_t now_us, std::uint32_t calls);
  void end_probe(std::int64_t now_us);
  bool measure(std::int64_t now_us);
  void waited(std::int64_t us);
  std::uint32_t most(double rate) const;

  std::uint32_t limit_;
  std::uint32_t ahead_;
  std::uint64_t received_ = 0;
  std::uint64_t ended_ = 0;
  std::uint64_t told_ = 0;             ///< of ended_, what the broker was told
  std::int64_t began_us_ = 0;          ///< when calls came to an idle group
  std::int64_t told_us_ = 0;           ///< when something was last told, or began_us_
  bool starved_ = false;               ///< in the running measurement
  bool probing_ = false;
  bool rarely_called_ = false;
  std::uint64_t probe_credit_ = 0;     ///< the call that uses the credit whose way is timed
  std::int64_t probe_us_ = 0;
  std::int64_t round_trip_us_ = 300;
  std::int64_t untold_since_us_ = 0;   ///< when the first call ended that is not told; 0: none is
  std::int64_t gather_us_ = 0;         ///< how long such a call waits
  std::int64_t measured_us_ = 0;       ///< when the running measurement began
  std::uint64_t measured_ended_ = 0;
  int lower_ = 0;                      ///< measurements in a row that wanted much less
};

}  // namespace callboard::worker
