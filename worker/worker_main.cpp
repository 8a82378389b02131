// The two ways into a worker from a program: options, or a command line.

#include <callboard/worker.hpp>

#include "common/limits.hpp"
#include "common/log.hpp"
#include "worker/child_params.hpp"
#include "worker/child_process.hpp"
#include "worker/library.hpp"
#include "worker/placement.hpp"
#include "worker/supervisor.hpp"

#include <CLI/CLI.hpp>

#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string_view>
#include <utility>

namespace callboard {

namespace {

int complain(const std::string& problem, int status) {
  std::fprintf(stderr, "callboard worker: %s\n", problem.c_str());
  return status;
}

std::string default_name() {
  std::array<char, 128> host{};
  ::gethostname(host.data(), host.size() - 1);
  return std::string(host.data()) + "-" + std::to_string(::getpid());
}

/// One sentence about what makes no sense, or nothing. Fills in the sets of cores.
std::string check(const WorkerOptions& options, std::vector<worker::CoreSet>& cores) {
  if (options.brokers.empty()) return "no broker address was given";
  if (options.processes == 0 || options.processes > worker::kCoreMax) {
    return "processes must lie between 1 and " + std::to_string(worker::kCoreMax);
  }
  if (options.name.size() + 5 > limits::kNameBytesMax) return "the name is too long";
  worker::CoreSet all;
  if (!options.cores.empty()) {
    Result<worker::CoreSet> parsed = worker::parse_cores(options.cores);
    if (!parsed) return "cores: " + parsed.text();
    all = *parsed;
    const worker::CoreSet usable = worker::usable_cores();
    for (const std::uint32_t core : all) {
      if (std::binary_search(usable.begin(), usable.end(), core)) continue;
      return "core " + std::to_string(core) + " cannot be used here; there are " +
             worker::to_string(usable);
    }
  }
  cores = worker::split_cores(all, options.processes);
  return {};
}

/// Tries in a process of its own whether the libraries load: their code has no business in the
/// supervisor, and a child that fails would only be started again. The status of the trial.
int try_libraries(const std::vector<std::string>& libraries) {
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  if (pid < 0) return kWorkerEnded;  // the children will find out
  if (pid == 0) {
    Registry registry;
    const std::string problem = worker::fill_registry(registry, libraries, {});
    if (!problem.empty()) std::fprintf(stderr, "callboard worker: %s\n", problem.c_str());
    std::_Exit(problem.empty() ? kWorkerEnded : kWorkerLibrary);
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status)) return WEXITSTATUS(status);
  return complain("a library crashes while it is loaded (signal " +
                      std::to_string(WTERMSIG(status)) + ")",
                  kWorkerLibrary);
}

int supervise(WorkerOptions options) {
  if (options.name.empty()) options.name = default_name();
  std::vector<worker::CoreSet> cores;
  const std::string problem = check(options, cores);
  if (!problem.empty()) return complain(problem, kWorkerUsage);
  if (!log::set_level(options.log_level)) {
    return complain("there is no log level " + options.log_level, kWorkerUsage);
  }
  log::set_program(options.name);
  ::mallopt(M_ARENA_MAX, 1);  // it has little to remember, and two threads
  if (!options.load.empty()) {
    const int status = try_libraries(options.load);
    if (status != kWorkerEnded) return status;
  }
  worker::Supervisor supervisor(std::move(options), std::move(cores));
  return supervisor.run();
}

}  // namespace

int run_worker(const WorkerOptions& options, const RegisterFunction& register_all) {
  try {
    if (const auto params = worker::take_params()) return worker::run_child(*params, register_all);
    return supervise(options);
  } catch (const Error& problem) {
    return complain(problem.what(),
                    problem.code() == Errc::invalid_option ? kWorkerUsage : kWorkerFailed);
  } catch (const std::exception& problem) {
    return complain(problem.what(), kWorkerFailed);
  }
}

int worker_main(int argc, char** argv, const RegisterFunction& register_all) {
  WorkerOptions options;
  if (std::getenv(worker::kChildVariable) != nullptr) return run_worker(options, register_all);
  CLI::App app("A Callboard worker: holds actors and runs calls.");
  const auto add = [&app](const char* flag, auto& value, const char* help, const char* variable) {
    return app.add_option(flag, value, help)->envname(variable)->capture_default_str();
  };
  add("--broker", options.brokers, "where the broker listens, and its standbys", "CALLBOARD_BROKER")
      ->delimiter(',');
  add("--name", options.name, "unique at the broker; empty: made of host and process",
      "CALLBOARD_WORKER_NAME");
  add("--processes", options.processes, "child processes", "CALLBOARD_WORKER_PROCESSES");
  add("--cores", options.cores, "cores that the children are bound to, as in 0-3,8, or all",
      "CALLBOARD_WORKER_CORES");
  add("--load", options.load, "shared libraries that hold user classes and tasks",
      "CALLBOARD_WORKER_LOAD")
      ->delimiter(',');
  add("--task-slots", options.task_slots, "tasks that one child runs at once; 0: one a core",
      "CALLBOARD_WORKER_TASK_SLOTS");
  add("--loop-warn-ms", options.loop_warn_ms,
      "a method that holds an event loop this long is named in a warning",
      "CALLBOARD_WORKER_LOOP_WARN_MS");
  add("--drain-timeout-ms", options.drain_timeout_ms,
      "how long running calls may go on after SIGTERM", "CALLBOARD_WORKER_DRAIN_TIMEOUT_MS");
  add("--runtime-dir", options.runtime_dir, "where the children's flight recorders lie",
      "CALLBOARD_RUNTIME_DIR");
  add("--log-level", options.log_level, "debug, info, warning, error or off",
      "CALLBOARD_LOG_LEVEL");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& problem) {
    const int status = app.exit(problem);
    return status == 0 ? 0 : kWorkerUsage;
  }
  return run_worker(options, register_all);
}

}  // namespace callboard
