// Starts this program again as a worker child.
//
// Thread safety: the calling thread becomes the one whose end takes the children along
// (PR_SET_PDEATHSIG), so it must live as long as the supervisor: the main thread.
#pragma once

#include "worker/child_params.hpp"

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

namespace callboard::worker {

/// A running child and our ends of its pipes.
struct Spawned {
  pid_t pid = 0;
  int stderr_fd = -1;  ///< non-blocking
  int ready_fd = -1;   ///< non-blocking; one byte comes when the broker has welcomed it
};

/// The command line of this process.
std::vector<std::string> own_arguments();

/// Forks and runs /proc/self/exe, which stays this program even when its file was replaced.
/// `params.ready_fd` and `.parent` are filled in here. Throws std::runtime_error with the reason.
Spawned spawn_child(ChildParams params, const std::vector<std::string>& arguments);

/// The last bytes of what a child wrote to stderr, while whole lines are passed on to our own.
class StderrTail {
 public:
  /// Takes what is there. False when the pipe is closed.
  bool read_from(int fd);
  /// Passes on a last line without an end, and gives the tail.
  std::string finish();

 private:
  void pass_on(std::string_view text);

  std::string tail_;
  std::string line_;  ///< what has no end yet
};

}  // namespace callboard::worker
