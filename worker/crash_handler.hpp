// Names the call at fault when a worker child crashes: on SIGSEGV, SIGABRT, SIGFPE, SIGBUS and
// SIGILL it writes the call that the crashing thread is running into the flight recorder, then lets
// the signal do what it would have done.
//
// Thread safety: install once, before threads run calls. The rest is per thread.
#pragma once

#include "worker/recorder.hpp"

#include <atomic>
#include <cstdint>

namespace callboard::worker {

/// The recorder's slot of the call whose code this thread is in; kNoSlot between calls. Whoever
/// switches calls on a thread (begin, end, resuming a coroutine) sets it.
inline thread_local std::uint32_t running_slot = kNoSlot;

namespace detail {

inline std::atomic<bool> handles_crashes{false};
inline thread_local bool prepared_for_crashes = false;
void give_stack();

}  // namespace detail

/// REQUIRES: `recorder` lives as long as the process.
void install_crash_handler(Recorder& recorder);

/// Gives the calling thread a stack for the handler, so that even a stack overflow is blamed.
/// Does nothing the second time, nor where no handler was installed.
inline void prepare_thread_for_crashes() {
  if (detail::prepared_for_crashes || !detail::handles_crashes.load(std::memory_order_relaxed)) {
    return;
  }
  detail::prepared_for_crashes = true;
  detail::give_stack();
}

}  // namespace callboard::worker
