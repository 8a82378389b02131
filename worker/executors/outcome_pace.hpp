// How long the outcomes of coroutines wait for others before the host is told of them.
//
// Where many run, others end soon, and each time the host is told is a wake-up and a frame for all
// on the way to the client. A coroutine that took long does not mind a little more; but however
// many there are, the host looks by itself once in kOutcomeDelayUs.
//
// Thread safety: none.
#pragma once

#include "worker/executor.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace callboard::worker {

class OutcomePace {
 public:
  /// Whether outcomes that are there now are to be told now, while so many coroutines still run and
  /// one takes so long. True once in that time; then they count as told.
  bool tells(std::int64_t now_us, std::size_t running, std::int64_t service_us) {
    const std::int64_t pause_us = gather_us(running, service_us);
    if (now_us - told_us_ < pause_us) return false;
    told_us_ = now_us;
    next_us_ = now_us + pause_us;
    return true;
  }
  /// When those that come after that are to be told; then, if they are few.
  std::int64_t next_us() const { return next_us_; }

 private:
  static constexpr std::size_t kBusy = 32;
  static constexpr std::int64_t kBusyUs = 200;
  /// With so many, half of the time that one takes.
  static constexpr std::size_t kCrowd = 256;

  static std::int64_t gather_us(std::size_t running, std::int64_t service_us) {
    if (running < kBusy) return 0;
    if (running < kCrowd) return kBusyUs;
    return std::clamp(service_us / 2, kBusyUs, kOutcomeDelayUs);
  }

  std::int64_t next_us_ = 0;
  std::int64_t told_us_ = 0;
};

}  // namespace callboard::worker
