// The real clocks, for adapters and apps. Cores must not include this.
#pragma once

#include "common/time.hpp"

#include <chrono>
#include <cstdint>

namespace callboard {

/// Microseconds of the steady clock, as Instant::mono_us.
inline std::int64_t steady_us() {
  using namespace std::chrono;
  return duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count();
}

inline Instant clock_now() {
  using namespace std::chrono;
  return {steady_us(), duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count()};
}

}  // namespace callboard
