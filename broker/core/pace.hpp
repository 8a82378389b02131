// How fast a full queue empties, and so when a refused call may be tried again.
//
// Measured from refusal to refusal: a queue that refuses nothing pays nothing for it.
// Thread safety: none.
#pragma once

#include <cstdint>

namespace callboard::broker {

class Pace {
 public:
  /// Milliseconds after which `room` more calls are likely to have ended, between 1 and
  /// kRetryAfterMaxMs; kRetryAfterMs while the pace is not known. `ended` counts the calls of the
  /// queue that have ended so far.
  std::uint64_t retry_after_ms(std::int64_t now_us, std::uint64_t ended, std::uint64_t room);

 private:
  std::int64_t asked_us_ = INT64_MIN / 2;  ///< when a call was refused last
  std::int64_t since_us_ = 0;              ///< where the present measurement begins
  std::uint64_t ended_ = 0;                ///< calls ended by then
  double us_per_call_ = 0;                 ///< 0: not known
};

}  // namespace callboard::broker
