// Waiting for messages that are likely to come soon: looks again and again for a moment, and sleeps
// only then.
//
// To fall asleep and be woken costs more than most answers take, for the processor as for whoever
// waits. So a thread that nearly always got what it waited for soon keeps looking, and gives its
// processor to others in between; one that does not tries it now and then. Where many messages come
// at a time nothing is gained by it; and where others have so much to do that they keep the
// processor, it sleeps, as sleepers are preferred to those who give way. decisions/0032 has the
// figures.
//
// Thread safety: none.
#pragma once

#include "common/time.hpp"

#include <poll.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace callboard {

class BusyPoll {
 public:
  /// What comes within `soon_us` was worth a look; after `spin_us` it gives up (0: it never looks).
  explicit BusyPoll(std::int64_t soon_us, std::int64_t spin_us = default_spin_us())
      : soon_us_(soon_us), spin_us_(spin_us) {}

  /// As ::poll(), and as soon.
  int poll(std::span<pollfd> items, int timeout_ms);
  /// So many bytes of frames came, without the values that are parts of their own.
  void received(std::size_t bytes) { received_ += bytes; }

  // --- what poll() goes by; for tests -----------------------------------------------------------
  /// Whether to look for a while now. What comes of it is told to one of the others.
  bool is_worthwhile(std::int64_t now_us);
  void succeeded(std::int64_t after_us);
  void was_in_vain();
  /// Others kept the processor when they were given it.
  void was_crowded_out(std::int64_t now_us);

 private:
  void lose(std::uint32_t points) { score_ -= std::min(score_, points); }
  /// What CALLBOARD_BUSY_POLL_US says, or 200.
  static std::int64_t default_spin_us();

  const std::int64_t soon_us_;
  const std::int64_t spin_us_;
  std::size_t received_ = 0;
  std::uint32_t score_ = 0;      ///< 0: not worthwhile
  std::uint32_t waits_ = 0;      ///< since it was tried last, while it is not
  std::int64_t pause_us_ = 0;    ///< how long it was left off when it was last crowded out
  std::int64_t resume_us_ = 0;   ///< when it may be tried again
  std::int64_t calm_since_us_ = kNever;  ///< of the first look since it was crowded out
};

}  // namespace callboard
