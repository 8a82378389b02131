// A worker: processes that hold actors and run calls of the classes in a Registry.
//
//   int main(int argc, char** argv) {
//     return callboard::worker_main(argc, argv, [](callboard::Registry& registry) {
//       registry.add<Counter>().add<resize_task>();
//     });
//   }
//
// The process that calls this is the supervisor: it runs the same program again for each child,
// binds it to its cores, starts it again when it dies, and tells the broker how it died and what it
// had begun. The children find out by themselves what they are, in these same two functions; so
// what main() does before them is done in every child too.
#pragma once

#include <callboard/registry.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace callboard {

struct WorkerOptions {
  /// Where the broker listens, and its standbys: "tcp://host:port" or "ipc://path".
  std::vector<std::string> brokers = {"tcp://127.0.0.1:7700"};
  /// Unique at the broker; its children are NAME-0, NAME-1, ... Empty: made of host and process id.
  std::string name = {};
  /// Child processes.
  std::uint32_t processes = 1;
  /// Cores that the children share between them, as in "0-3,8" or "all". Empty: not bound.
  std::string cores = {};
  /// Shared libraries that hold classes and task functions (CALLBOARD_LIBRARY).
  std::vector<std::string> load = {};
  /// Tasks that one child runs at once. 0: as many as it has cores.
  std::uint32_t task_slots = 0;
  /// A method that keeps an event loop from turning this long is named in a warning.
  std::int64_t loop_warn_ms = 100;
  /// How long calls that run may go on after SIGTERM or SIGINT.
  std::int64_t drain_timeout_ms = 4000;
  /// Where the children's flight recorders lie. Empty: $CALLBOARD_RUNTIME_DIR, else a directory of
  /// this user in memory. The next supervisor there reads what a killed one left.
  std::string runtime_dir = {};
  /// "debug", "info", "warning", "error" or "off".
  std::string log_level = "info";
};

using RegisterFunction = std::function<void(Registry&)>;

/// Exit statuses of a worker.
enum WorkerExit : int {
  kWorkerEnded = 0,    ///< by SIGTERM or SIGINT
  kWorkerUsage = 2,    ///< options that make no sense; one line on stderr says which
  kWorkerLibrary = 3,  ///< a library that does not load, or classes that cannot be registered
  kWorkerRefused = 4,  ///< the broker speaks no common version of the protocol
  kWorkerFailed = 1,   ///< anything else; one line on stderr says what
};

/// Runs a worker until SIGTERM or SIGINT; a second one does not wait for running calls. Gives the
/// exit status; never throws. `register_all` may be empty when libraries are loaded.
/// REQUIRES: called from main(), before other threads exist.
int run_worker(const WorkerOptions& options, const RegisterFunction& register_all = {});

/// The same with the flags of `callboard worker` (see --help) and CALLBOARD_* variables.
int worker_main(int argc, char** argv, const RegisterFunction& register_all);

}  // namespace callboard
