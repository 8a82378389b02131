// One child process: started so that it cannot outlive its parent, ended, and how it ended.
//
// Thread safety: none. spawn_child() forks, so it is for single-threaded programs (the keeper);
// spawn_program() may be called from any program.
#pragma once

#include <callboard/error.hpp>

#include <string>
#include <utility>
#include <vector>

#include <sys/types.h>

namespace callboard::embedded {

/// Descriptors that the new process gets: (here, there).
using Descriptors = std::vector<std::pair<int, int>>;

struct SpawnRequest {
  std::vector<std::string> command;      ///< path of the program, arguments
  std::vector<std::string> environment;  ///< NAME=value over what the caller has
  Descriptors descriptors;               ///< beside 0, 1, 2, which are inherited
};

/// Forks and executes in a process group of its own. The child is killed when the calling process
/// dies, whatever kills that.
Result<pid_t> spawn_child(const SpawnRequest& request);

/// Executes in a session of its own. Safe in a program with threads. The new process outlives the
/// caller, unless it watches it.
Result<pid_t> spawn_program(const SpawnRequest& request);

/// "exit status 1" or "signal 9 (Killed)".
std::string describe_status(int wait_status);

/// Every process that has this one as its parent.
std::vector<pid_t> children_of_this_process();

}  // namespace callboard::embedded
