// How a flight recorder's page is laid out: the format of a file that another build may have
// written, so every field is a plain integer and a change of layout changes kFlightMagic.
//
// The writer stores a slot's fields first and its state last; a reader that comes after the writer
// was killed sees them in that order, because a killed thread's stores have all happened up to one
// point of its program.
#pragma once

#include "common/limits.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace callboard::worker {

inline constexpr std::uint64_t kFlightMagic = 0x3130746867696c46;  // "Flight01"
inline constexpr std::size_t kFlightTextBytes = 1024;

enum class SlotState : std::uint32_t { free = 0, begun = 1, ended = 2 };

struct FlightSlot {
  std::atomic<std::uint32_t> state;  ///< SlotState
  std::uint32_t attempt;             ///< 0 for a constructor
  std::uint64_t call_session;
  std::uint64_t call_seq;
  std::uint64_t actor_session;
  std::uint64_t actor_seq;           ///< 0 for a task
  std::uint64_t incarnation;
  std::uint64_t lease;               ///< 0 for a constructor
  std::atomic<std::int64_t> began_us;  ///< steady clock of the host
};

struct FlightPage {
  std::uint64_t magic;
  std::uint64_t instance;
  std::uint64_t pid;
  std::uint64_t blamed_session;
  std::uint64_t blamed_seq;
  std::atomic<std::uint32_t> blamed_signal;  ///< 0: the crash handler did not run
  std::uint32_t slots;
  char worker[limits::kNameBytesMax + 1];
  char supervisor[limits::kNameBytesMax + 1];
  char broker[kFlightTextBytes];
  alignas(4096) FlightSlot slot[limits::kRecorderSlots];  ///< slot n is slot[n - 1]
};

static_assert(std::atomic<std::uint32_t>::is_always_lock_free &&
              std::atomic<std::int64_t>::is_always_lock_free);
static_assert(std::is_standard_layout_v<FlightPage> && sizeof(FlightSlot) == 64);

}  // namespace callboard::worker
