#include "worker/core/prefetch.hpp"

#include "common/time.hpp"

#include <algorithm>

namespace callboard::worker {

namespace {

constexpr int kLowerAfter = 5;
/// Below this many calls a round trip (1.5 of them) waiting for it costs less than a tenth.
constexpr double kWorthwhile = 0.15;

}  // namespace

void Prefetch::received(std::int64_t now_us, std::uint32_t calls) {
  if (out() == 0) {
    ended_us_ = now_us;
    measured_us_ = now_us;
    measured_ended_ = ended_;
  }
  received_ += calls;
  if (!probing_ || received_ < probe_credit_) return;
  probing_ = false;
  const std::int64_t sample = std::min(now_us - probe_us_, kRoundTripUsMax);
  // Follow the fastest way at once and slower ones slowly: most of what makes a sample long is
  // that the broker had nothing to send, or sends more than anyone can run.
  round_trip_us_ = sample < round_trip_us_ ? std::max<std::int64_t>(sample, 1)
                                           : round_trip_us_ + (sample - round_trip_us_) / 16;
}

void Prefetch::told(std::int64_t now_us) {
  if (told_ == ended_) return;
  told_ = ended_;
  ended_us_ = now_us;
  if (probing_) return;
  probing_ = true;
  probe_credit_ = told_ + window();
  probe_us_ = now_us;
}

std::uint32_t Prefetch::wanted(std::int64_t elapsed_us) const {
  const double rate = static_cast<double>(ended_ - measured_ended_) / static_cast<double>(elapsed_us);
  const double calls = rate * static_cast<double>(round_trip_us_) * 1.5;
  if (calls < kWorthwhile) return 0;
  return static_cast<std::uint32_t>(std::min<double>(calls + 1, limits::kPrefetchMax));
}

bool Prefetch::adapt(std::int64_t now_us) {
  const std::int64_t elapsed_us = now_us - measured_us_;
  if (elapsed_us < kAdaptUs || (ended_ == measured_ended_ && elapsed_us < kStallUs)) return false;
  const std::uint32_t calls = wanted(elapsed_us);
  measured_us_ = now_us;
  measured_ended_ = ended_;
  if (calls > ahead_ + ahead_ / 4) {
    ahead_ = calls;
    lower_ = 0;
    return true;
  }
  if (calls > ahead_ / 2 || ahead_ == 0) {
    lower_ = 0;
    return false;
  }
  if (++lower_ < kLowerAfter) return false;
  lower_ = 0;
  ahead_ = calls;
  probing_ = false;  // its credit may never be used now
  return true;
}

bool Prefetch::stalled(std::int64_t now_us) const {
  return out() > limit_ && now_us - ended_us_ >= kStallUs;
}

bool Prefetch::recall() {
  const bool changed = ahead_ != 0;
  ahead_ = 0;
  probing_ = false;
  lower_ = 0;
  return changed;
}

std::int64_t Prefetch::next_deadline_us() const {
  if (out() == 0 || (ahead_ == 0 && out() <= limit_)) return kNever;
  return std::max(ended_us_, measured_us_) + kStallUs;
}

}  // namespace callboard::worker
