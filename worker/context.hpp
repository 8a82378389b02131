// Which call the calling thread works for: what this_call() answers from, and what the crash
// handler names.
//
// A plain method has a RunningScope around it. A coroutine has one around every piece of it that
// runs: its executor (executors/call_executor.hpp) opens a scope for each handler, so interleaved
// coroutines of one thread never see each other's call.
//
// Thread safety: scopes belong to their thread.
#pragma once

#include "worker/crash_handler.hpp"

#include <callboard/context.hpp>

#include <cstdint>
#include <utility>

namespace callboard::worker {

struct ActiveCall;

/// Completes ActiveCall::running for a call that begins now.
void prepare_context(ActiveCall& call);

/// RunningCall::on_block: another thread takes over what else this one would have run.
void tell_threads(bool begins);

class RunningScope {
 public:
  explicit RunningScope(ActiveCall& call);
  /// For a constructor: `ticket` is its slot in the flight recorder.
  RunningScope(callboard::detail::RunningCall& running, std::uint32_t ticket)
      : scope_(&running), slot_before_(std::exchange(running_slot, ticket)) {}
  ~RunningScope() { running_slot = slot_before_; }
  RunningScope(const RunningScope&) = delete;
  RunningScope& operator=(const RunningScope&) = delete;

 private:
  callboard::detail::CallScope scope_;
  std::uint32_t slot_before_;
};

}  // namespace callboard::worker
