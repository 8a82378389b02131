// The file of one child's flight recorder, as its supervisor sees it.
//
// The supervisor makes it, locks it, and the child inherits the open file and with it the lock: as
// long as either of them lives, nobody else can lock it. Whoever can is therefore sure that both
// are dead, and may speak for the child. So after a kill -9 of the supervisor (which takes its
// children along) the next one on the host finds the file, tells the broker, and deletes it.
//
// Thread safety: none.
#pragma once

#include "worker/recorder.hpp"

#include <callboard/error.hpp>
#include <callboard/ids.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace callboard::worker {

/// Whose page it is. All texts are cut to the length that the page has room for.
struct FlightOwner {
  std::string worker;      ///< name of the child
  std::string supervisor;  ///< name of its supervisor
  std::string broker;      ///< where they connect to; only that broker is told
  std::uint64_t instance = 0;
};

/// One call as it was found in a page.
struct FoundCall {
  RecordedCall call;
  bool ended = false;
};

/// What a page says.
struct FlightReport {
  FlightOwner owner;
  std::uint64_t pid = 0;
  std::vector<FoundCall> calls;  ///< begun and not confirmed, in no order
  CallId blamed;                 ///< what the crash handler named; none when it named nothing
  int signal = 0;                ///< which signal the crash handler saw; 0 when it did not run
};

/// An open page. Movable; destroying it gives up our share of the lock and leaves the file.
class FlightFile {
 public:
  FlightFile() = default;
  ~FlightFile();
  FlightFile(FlightFile&& other) noexcept;
  FlightFile& operator=(FlightFile&& other) noexcept;

  /// Makes and locks the file for a new child. Throws std::runtime_error with the reason.
  static FlightFile create(const std::string& directory, const FlightOwner& owner);

  /// Close-on-exec: who spawns the child gives it a duplicate.
  int fd() const { return fd_; }
  const std::string& path() const { return path_; }

  /// What it says. The file is not trusted: what does not make sense is an error.
  /// REQUIRES: the child is dead; otherwise the answer is out of date at once.
  Result<FlightReport> read() const;
  /// Deletes the file and gives up the lock.
  void remove();

 private:
  friend std::vector<FlightFile> orphans(const std::string&, std::string_view, std::int64_t);
  FlightFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  int fd_ = -1;
  std::string path_;
};

/// A page for whose broker no supervisor came within this time is deleted.
inline constexpr std::int64_t kOrphanSecondsMax = 24 * 3600;

/// Locks and opens the pages of `broker` whose child and supervisor are both dead. Deletes other
/// brokers' pages that are as dead and older than `seconds_max`.
std::vector<FlightFile> orphans(const std::string& directory, std::string_view broker,
                                std::int64_t seconds_max = kOrphanSecondsMax);

/// Where pages lie: `wanted`; or $CALLBOARD_RUNTIME_DIR; or a directory of this user in memory.
/// Makes it (mode 0700) when it is not there; refuses one that belongs to somebody else.
/// Throws std::runtime_error with the reason.
std::string runtime_directory(const std::string& wanted);

}  // namespace callboard::worker
