// The real clocks, for adapters and apps. Cores must not include this.
#pragma once

#include "common/time.hpp"

#include <chrono>
#include <cstdint>
#include <ctime>

namespace callboard {

/// Microseconds of the steady clock, as Instant::mono_us.
inline std::int64_t steady_us() {
  using namespace std::chrono;
  return duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count();
}

/// The same plus a time, without overflow.
inline std::int64_t steady_us_after(std::int64_t more_us) {
  const std::int64_t now = steady_us();
  return more_us > INT64_MAX - now ? INT64_MAX : now + more_us;
}

/// steady_us(), late by some milliseconds, and cheaper.
inline std::int64_t steady_us_coarse() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return now.tv_sec * std::int64_t{1'000'000} + now.tv_nsec / 1000;
}

inline Instant clock_now() {
  using namespace std::chrono;
  return {steady_us(), duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count()};
}

}  // namespace callboard
