#include "worker/crash_handler.hpp"

#include <signal.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <memory>

namespace callboard::worker {

namespace {

constexpr std::array kSignals{SIGSEGV, SIGABRT, SIGFPE, SIGBUS, SIGILL};
/// The handler itself needs little; a sanitizer's handler, to which it hands over, needs more.
constexpr std::size_t kStackBytes = 64 * 1024;

std::atomic<Recorder*> recorder_in_use{nullptr};
std::array<struct sigaction, kSignals.size()> handlers_before;

void on_crash(int signal, siginfo_t* info, void*) {
  const int saved = errno;
  if (Recorder* recorder = recorder_in_use.load()) recorder->blame(running_slot, signal);
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    if (kSignals[i] == signal) ::sigaction(signal, &handlers_before[i], nullptr);
  }
  // A fault happens again when the handler returns; a signal that was sent must be sent again.
  if (info->si_code <= 0) ::raise(signal);
  errno = saved;
}

/// A thread's stack for signal handlers, for as long as the thread lives.
struct AlternateStack {
  std::unique_ptr<std::byte[]> memory;

  ~AlternateStack() {
    if (!memory) return;
    stack_t off{};
    off.ss_flags = SS_DISABLE;
    ::sigaltstack(&off, nullptr);
  }
};
thread_local AlternateStack alternate_stack;

}  // namespace

void install_crash_handler(Recorder& recorder) {
  recorder_in_use = &recorder;
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    struct sigaction action {};
    action.sa_sigaction = &on_crash;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    ::sigemptyset(&action.sa_mask);
    ::sigaction(kSignals[i], &action, &handlers_before[i]);
  }
  detail::handles_crashes = true;
}

void detail::give_stack() {
  if (alternate_stack.memory) return;
  stack_t now{};
  if (::sigaltstack(nullptr, &now) != 0 || (now.ss_flags & SS_DISABLE) == 0) return;  // has one
  // for_overwrite: the pages are touched only by a crash.
  alternate_stack.memory = std::make_unique_for_overwrite<std::byte[]>(kStackBytes);
  stack_t stack{};
  stack.ss_sp = alternate_stack.memory.get();
  stack.ss_size = kStackBytes;
  ::sigaltstack(&stack, nullptr);
}

}  // namespace callboard::worker
