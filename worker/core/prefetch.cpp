#include "worker/core/prefetch.hpp"

#include "worker/executor.hpp"

#include <algorithm>

namespace callboard::worker {

namespace {

constexpr int kLowerAfter = 5;
/// Waiting is worth nothing to avoid where it takes less than this part of the work.
constexpr std::int64_t kWorthwhile = 8;

}  // namespace

/// Calls come and nobody is at work.
void Prefetch::begin(std::int64_t now_us, std::uint32_t calls) {
  const std::int64_t idle_us = now_us - told_us_;
  rarely_called_ = idle_us >= kStallUs;
  if (rarely_called_) {  // idle time is no part of a rate
    measured_us_ = now_us;
    measured_ended_ = ended_;
    starved_ = false;
  } else if (calls >= window() && idle_us * kWorthwhile > told_us_ - began_us_) {
    starved_ = true;
  }
  began_us_ = told_us_ = now_us;
}

void Prefetch::end_probe(std::int64_t now_us) {
  probing_ = false;
  // Follow the fastest way at once and slower ones slowly: most of what makes a sample long is
  // that the broker had nothing to send, or has sent more than anyone can run.
  const std::int64_t sample = std::clamp<std::int64_t>(now_us - probe_us_, 1, kAheadUs / 2);
  round_trip_us_ += sample < round_trip_us_ ? sample - round_trip_us_
                                            : (sample - round_trip_us_) / 16;
}

/// Follows long waits soon and short ones slowly: turns that come in between tell of few.
void Prefetch::waited(std::int64_t us) {
  us = std::clamp<std::int64_t>(us, 0, kOutcomeDelayUs);
  gather_us_ += (us - gather_us_) / (us > gather_us_ ? 2 : 16);
}

/// What is done in kAheadUs at this rate (calls in a microsecond).
std::uint32_t Prefetch::most(double rate) const {
  const double calls = rate * static_cast<double>(kAheadUs) + 0.5;
  return static_cast<std::uint32_t>(std::min<double>(calls, limits::kPrefetchMax));
}

bool Prefetch::measure(std::int64_t now_us) {
  const std::int64_t elapsed_us = now_us - measured_us_;
  const auto ended = static_cast<double>(ended_ - measured_ended_);
  const double rate = ended / static_cast<double>(elapsed_us);
  const double under_way = rate * static_cast<double>(2 * round_trip_us_ + gather_us_);
  auto wanted = static_cast<std::uint32_t>(under_way * kWorthwhile >= 1 ? under_way + 1 : 0);
  if (starved_) wanted = std::max(wanted, std::max(1u, 2 * ahead_));
  const std::uint32_t bound = most(rate);
  wanted = std::min(wanted, bound);
  measured_us_ = now_us;
  measured_ended_ = ended_;
  starved_ = false;
  if (wanted > ahead_ + ahead_ / 4) {
    ahead_ = wanted;
    lower_ = 0;
    return true;
  }
  if (2 * bound >= ahead_) {
    lower_ = 0;
    return false;
  }
  if (++lower_ < kLowerAfter) return false;
  lower_ = 0;
  ahead_ = bound;
  probing_ = false;  // its credit may never be used now
  return true;
}

bool Prefetch::recall() {
  const bool changed = ahead_ != 0;
  ahead_ = 0;
  probing_ = false;
  lower_ = 0;
  return changed;
}

}  // namespace callboard::worker
