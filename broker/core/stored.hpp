// Calls that wait and are not in memory: only the store has them. A lane keeps them as runs of
// neighbours.
//
//   lane:  [calls in memory] [run] [calls in memory] [run] ... [calls that came last]
//            head                                              tail
//
// Whatever is asked of a single one of them makes a stub of it, which has all of a call but its
// arguments and options; those are read back before it is sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

namespace callboard::broker {

struct Queue;
struct Session;

/// Neighbours of one lane and one session: their numbers, and those of the session, rise by one.
struct StoredRun {
  std::uint64_t number = 0;  ///< of the first
  std::uint64_t seq = 0;     ///< of the first
  std::uint64_t count = 0;
  std::uint64_t bytes = 0;    ///< what all of them count against max_pending_bytes
  std::int64_t since_us = 0;  ///< when the first came
  Queue* queue = nullptr;
  Session* session = nullptr;
  std::uint16_t method = 0;
  std::uint8_t group = 0;
  std::int8_t priority = 0;
  bool no_result = false;

  std::uint64_t end() const { return number + count; }
  /// What `n` of them count.
  std::uint64_t share(std::uint64_t n) const { return n == count ? bytes : bytes / count * n; }
  /// `next` goes on where this one ends.
  bool leads_to(const StoredRun& next) const {
    return next.number == end() && next.seq == seq + count && next.session == session &&
           next.method == method && next.no_result == no_result;
  }
};

/// Memory that a run takes here, in its lane's table and in its session's, about.
inline constexpr std::size_t kStoredRunBytes = 208;

/// What a lane has in the store only.
struct StoredCalls {
  std::map<std::uint64_t, StoredRun> runs;  ///< by the number of their first
  std::uint64_t read = 0;                   ///< the question that is under way; 0: none
};

}  // namespace callboard::broker
