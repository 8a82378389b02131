// How `callboard` ends: the exit status for scripts, and which error leads to which.
//
// docs/cli.md has the same table. Thread safety: pure functions.
#pragma once

#include <callboard/error.hpp>

#include <stdexcept>
#include <string>

namespace callboard::cli {

enum class ExitCode : int {
  ok = 0,
  failed = 1,          ///< the call failed, or a check found a problem
  usage = 2,           ///< the command line, a setting or an argument makes no sense
  cannot_connect = 3,  ///< no broker answers
  not_found = 4,       ///< no such queue, actor, worker, call, class, method or task
  refused = 5,         ///< the broker did not take it: full, not permitted, name taken
  timed_out = 6,       ///< a deadline passed, or waiting ended
  cancelled = 7,       ///< the call was cancelled
  internal = 70,       ///< a bug of ours
  interrupted = 130,   ///< Ctrl-C
};

ExitCode exit_code_of(Errc code);

/// Ends the program with an exit code of its own and one line for a person.
class Failure : public std::runtime_error {
 public:
  Failure(ExitCode code, const std::string& line) : std::runtime_error(line), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

/// Throws the Failure of a missing or senseless argument.
[[noreturn]] void fail_usage(const std::string& line);

}  // namespace callboard::cli
