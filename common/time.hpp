// Time as the cores see it: numbers that come from outside.
#pragma once

#include <cstdint>

namespace callboard {

/// What the clocks of one process say at one moment. Cores get it with every step and never ask.
struct Instant {
  std::int64_t mono_us = 0;  ///< steady clock, microseconds; never goes back
  std::int64_t wall_ms = 0;  ///< system clock, milliseconds since 1970; may jump
};

inline constexpr std::int64_t kMicrosPerMilli = 1000;
inline constexpr std::int64_t kNever = INT64_MAX;

/// Rounded up, so that what is waited for so long is over. REQUIRES: not negative
constexpr std::int64_t millis_up(std::int64_t us) {
  return (us + kMicrosPerMilli - 1) / kMicrosPerMilli;
}

}  // namespace callboard
