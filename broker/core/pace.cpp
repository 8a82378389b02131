#include "broker/core/pace.hpp"

#include "common/limits.hpp"

#include <algorithm>

namespace callboard::broker {

namespace {

constexpr std::int64_t kWindowUs = 50'000;   ///< a shorter time says little
constexpr std::int64_t kCalmUs = 2'000'000;  ///< without refusals: what was measured is out of date

}  // namespace

std::uint64_t Pace::retry_after_ms(std::int64_t now_us, std::uint64_t ended, std::uint64_t room) {
  if (now_us - asked_us_ > kCalmUs) {
    since_us_ = now_us;
    ended_ = ended;
    us_per_call_ = 0;
  }
  asked_us_ = now_us;
  const std::int64_t elapsed_us = now_us - since_us_;
  if (elapsed_us >= kWindowUs && ended > ended_) {
    us_per_call_ = static_cast<double>(elapsed_us) / static_cast<double>(ended - ended_);
    since_us_ = now_us;
    ended_ = ended;
  } else if (elapsed_us >= kWindowUs) {
    us_per_call_ = std::max(us_per_call_, static_cast<double>(elapsed_us));
  }
  if (us_per_call_ == 0) return limits::kRetryAfterMs;
  const double wait_ms = us_per_call_ * static_cast<double>(room) / 1000;
  return static_cast<std::uint64_t>(
      std::clamp(wait_ms, 1.0, static_cast<double>(limits::kRetryAfterMaxMs)));
}

}  // namespace callboard::broker
