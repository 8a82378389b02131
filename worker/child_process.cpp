#include "worker/child_process.hpp"

#include "common/clock.hpp"
#include "common/log.hpp"
#include "worker/child.hpp"
#include "worker/crash_handler.hpp"
#include "worker/library.hpp"
#include "worker/recorder.hpp"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>

namespace callboard::worker {

namespace {

/// How long the actors' destructors may take once nothing runs any more.
constexpr std::int64_t kCloseMs = 1000;

int wake_fd = -1;
std::atomic<bool> terminated{false};  ///< told to end; being told again changes nothing

void wake_main() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_fd, &one, sizeof one);
}

extern "C" void on_terminate(int) {
  const int saved = errno;
  terminated = true;
  wake_main();
  errno = saved;
}

void handle_signals() {
  wake_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct sigaction action {};
  action.sa_handler = &on_terminate;
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  ::sigaction(SIGTERM, &action, nullptr);
  // Ctrl-C reaches the whole process group; it is the supervisor that answers it.
  action.sa_handler = SIG_IGN;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGPIPE, &action, nullptr);
}

/// Waits for wake_main(), at most so long; -1: for ever.
void wait_main(std::int64_t timeout_ms) {
  pollfd waiting{wake_fd, POLLIN, 0};
  if (::poll(&waiting, 1, static_cast<int>(timeout_ms)) <= 0) return;
  std::uint64_t count = 0;
  [[maybe_unused]] const auto n = ::read(wake_fd, &count, sizeof count);
}

void stay_with_parent(std::uint64_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (static_cast<std::uint64_t>(::getppid()) != parent) ::_exit(kWorkerFailed);
}

/// What the child's own processes must not hold: the lock of the flight recorder above all.
void keep_to_ourselves(const ChildParams& params) {
  ::fcntl(params.flight_fd, F_SETFD, FD_CLOEXEC);
  ::fcntl(params.ready_fd, F_SETFD, FD_CLOEXEC);
}

int serve(const ChildParams& params, const Registry& registry) {
  // Never destroyed: the crash handler needs it to the very end.
  static Recorder& recorder = *new Recorder(params.flight_fd);
  recorder.set_pid(static_cast<std::uint64_t>(::getpid()));
  install_crash_handler(recorder);
  prepare_thread_for_crashes();

  std::atomic<bool> drained{false};
  std::atomic<bool> refused{false};
  ChildOptions options;
  options.brokers = params.options.brokers;
  options.name = params.name;
  options.supervisor = params.options.name;
  options.instance = params.instance;
  options.task_slots = params.task_slots;
  options.loop_warn_ms = params.options.loop_warn_ms;
  ChildEvents events;
  events.on_welcome = [fd = params.ready_fd] {
    [[maybe_unused]] const auto written = ::write(fd, "+", 1);
  };
  events.on_drained = [&drained] {
    drained = true;
    wake_main();
  };
  events.on_refused = [&refused] {
    refused = true;
    wake_main();
  };
  events.on_overstay = [] {
    log::warning("the method of a dedicated actor was killed, and its process with it");
    std::_Exit(kChildReplaced);
  };
  Child child(std::move(options), registry, recorder, std::move(events));
  child.start();
  while (!terminated && !refused) wait_main(-1);
  if (refused) {
    log::error("the broker refuses this worker",
               {{"reason", name_of(child.refusal().code)}, {"text", child.refusal().message}});
  } else {
    child.drain();
    const std::int64_t until_us =
        clock_now().mono_us + params.options.drain_timeout_ms * kMicrosPerMilli;
    while (!drained && !refused) {
      const std::int64_t left_us = until_us - clock_now().mono_us;
      if (left_us <= 0) break;
      wait_main(left_us / kMicrosPerMilli + 1);
    }
    if (!drained) log::warning("calls still run at the end of drain_timeout_ms");
  }
  const Errc why = child.refusal().code;
  const int status = !refused                  ? kWorkerEnded
                     : why == Errc::name_taken ? kWorkerFailed  // its holder may go
                                               : kWorkerRefused;
  if (!child.close(kCloseMs)) std::_Exit(status);  // a method that never ends holds its thread
  return status;
}

}  // namespace

int run_child(const ChildParams& params, const RegisterFunction& register_all) {
  stay_with_parent(params.parent);
  keep_to_ourselves(params);
  ::mallopt(M_ARENA_MAX, 2);  // each further arena costs an idle child memory for nothing
  ::prctl(PR_SET_NAME, params.name.c_str());
  log::set_program(params.name);
  log::set_level(params.options.log_level);
  handle_signals();
  if (!params.cores.empty()) {
    const std::string problem = bind_process(params.cores);
    if (!problem.empty()) log::warning(problem);
  }
  try {
    Registry registry;
    const std::string problem = fill_registry(registry, params.options.load, register_all);
    if (!problem.empty()) {
      std::fprintf(stderr, "callboard worker: %s\n", problem.c_str());
      return kWorkerLibrary;
    }
    return serve(params, registry);
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "callboard worker: %s\n", problem.what());
    return kWorkerFailed;
  }
}

}  // namespace callboard::worker
