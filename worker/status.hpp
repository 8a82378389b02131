// What a worker child says of itself once a second: an encoded map for the STATUS message.
//
//   "rss_bytes"    resident memory of the process
//   "time_ms"      wall clock of the process
//   "cpu_us"       processor time that it has used
//   "actors"       actors that it holds
//   "running"      calls that run
//   "queued"       calls that were sent ahead and have not begun
//   "unconfirmed"  calls that ended and whose results the broker has not confirmed
//   "longest_ms"   how long the oldest running call has run
//   "stalls"       the last methods that kept an event loop from turning, newest first:
//                  [{"actor": name, "method": "Class.method", "ms": longest time}]
//
// Thread safety: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

namespace callboard::worker {

/// What the process knows of its calls.
struct StatusReport {
  std::uint64_t actors = 0;
  std::uint64_t running = 0;
  std::uint64_t queued = 0;
  std::uint64_t unconfirmed = 0;
  std::int64_t longest_ms = 0;
};

class StatusWriter {
 public:
  /// A method has kept the loop of `actor` from turning for so long (so far).
  void stalled(const std::string& actor, const std::string& method, std::int64_t ms);
  /// The map, with what the process costs now.
  std::string encode(const StatusReport& report) const;

  static constexpr std::size_t kStallsMax = 8;

 private:
  struct Entry {
    std::string actor;
    std::string method;
    std::int64_t ms = 0;
  };
  std::deque<Entry> stalls_;  ///< newest first, one for each actor and method
};

}  // namespace callboard::worker
