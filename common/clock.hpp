// The real clocks, for adapters and apps. Cores must not include this.
#pragma once

#include "common/time.hpp"

#include <chrono>

namespace callboard {

inline Instant clock_now() {
  using namespace std::chrono;
  return {duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count(),
          duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count()};
}

}  // namespace callboard
