#include "common/busy_poll.hpp"

#include "common/clock.hpp"
#include "common/log.hpp"

#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>
#include <system_error>
#include <utility>

namespace callboard {

namespace {

constexpr std::int64_t kSpinUs = 200;
constexpr std::int64_t kSpinMaxUs = 10'000;
/// After so many waits one is tried while it is not worthwhile, and those that follow until the
/// score is used up (4 if nothing comes, 16 if it comes late): whoever is waited for may do the
/// same, and take less time from then on.
constexpr std::uint32_t kTryEvery = 256;
constexpr std::uint32_t kScoreMax = 32;
constexpr std::uint32_t kLate = 2;
constexpr std::uint32_t kInVain = 8;
/// More than a few calls' worth: there is enough to do to fall asleep in between.
constexpr std::size_t kManyBytes = 4096;
/// Other threads of ours give the processor back sooner; one that computes, after a few
/// milliseconds.
constexpr std::int64_t kCrowdedUs = 1'000;
constexpr std::int64_t kPauseMinUs = 10'000;
constexpr std::int64_t kPauseMaxUs = 10'000'000;
/// Whoever is crowded out so long after the first look since the last time is so by chance.
constexpr std::int64_t kCalmUs = 1'000'000;

std::int64_t spin_from_environment() {
  const char* const set = std::getenv("CALLBOARD_BUSY_POLL_US");
  if (set == nullptr) return kSpinUs;
  const std::string_view text = set;
  std::int64_t us = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), us);
  if (problem == std::errc() && end == text.data() + text.size() && us >= 0 && us <= kSpinMaxUs) {
    return us;
  }
  log::warning("CALLBOARD_BUSY_POLL_US is no number of microseconds up to 10000: 200");
  return kSpinUs;
}

}  // namespace

std::int64_t BusyPoll::default_spin_us() {
  static const std::int64_t set = spin_from_environment();
  return set;
}

int BusyPoll::poll(std::span<pollfd> items, int timeout_ms) {
  const auto look = [items](int ms) {
    return ::poll(items.data(), static_cast<nfds_t>(items.size()), ms);
  };
  if (timeout_ms == 0 || spin_us_ == 0) return look(timeout_ms);
  const std::int64_t began_us = steady_us();
  if (!is_worthwhile(began_us)) return look(timeout_ms);
  std::int64_t now_us = began_us;
  // Both times are cut off at whole microseconds: it may be one less that has passed.
  const auto rest = [&] {
    const std::int64_t passed_ms = (now_us - began_us - 1) / kMicrosPerMilli;
    return timeout_ms < 0 ? timeout_ms
                          : static_cast<int>(std::max<std::int64_t>(timeout_ms - passed_ms, 0));
  };
  std::int64_t until_us = began_us + spin_us_;
  if (timeout_ms > 0) until_us = std::min(until_us, began_us + timeout_ms * kMicrosPerMilli + 1);
  while (now_us < until_us) {
    const bool first = now_us == began_us;
    const int ready = look(0);
    if (ready != 0) {
      if (!first) succeeded(now_us - began_us);  // it would not have slept
      return ready;
    }
    ::sched_yield();
    const std::int64_t gave_way_us = now_us;
    now_us = steady_us();
    if (now_us - gave_way_us < kCrowdedUs) continue;
    was_crowded_out(now_us);
    return look(rest());
  }
  was_in_vain();
  return look(rest());
}

bool BusyPoll::is_worthwhile(std::int64_t now_us) {
  const bool many = std::exchange(received_, 0) > kManyBytes;
  if (many || now_us < resume_us_) return false;
  if (score_ == 0) {
    if (++waits_ < kTryEvery) return false;
    waits_ = 0;
    score_ = kScoreMax;
  }
  if (calm_since_us_ == kNever) calm_since_us_ = now_us;
  return true;
}

void BusyPoll::succeeded(std::int64_t after_us) {
  if (after_us > soon_us_) return lose(kLate);
  score_ = std::min(score_ + 1, kScoreMax);
}

void BusyPoll::was_in_vain() { lose(kInVain); }

void BusyPoll::was_crowded_out(std::int64_t now_us) {
  const bool by_chance = calm_since_us_ != kNever && now_us - calm_since_us_ > kCalmUs;
  calm_since_us_ = kNever;
  pause_us_ = by_chance ? kPauseMinUs : std::clamp(2 * pause_us_, kPauseMinUs, kPauseMaxUs);
  resume_us_ = now_us + pause_us_;
  score_ = 0;
}

}  // namespace callboard
