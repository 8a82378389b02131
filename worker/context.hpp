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
#include "worker/executors/active_call.hpp"
#include "worker/executors/incarnation.hpp"

#include <callboard/context.hpp>

#include <cstdint>
#include <string_view>
#include <utility>

namespace callboard::worker {

/// RunningCall::on_block: another thread takes over what else this one would have run.
void tell_threads(bool begins);

/// Completes ActiveCall::running for a call that begins now.
inline void prepare_context(ActiveCall& call) {
  const Incarnation& incarnation = *call.incarnation;
  const ActorSpec& spec = incarnation.spec;
  callboard::detail::RunningCall& running = call.running;
  running.actor = spec.actor;
  running.incarnation = spec.incarnation;
  running.client = incarnation.environment.client;
  running.on_block = &tell_threads;
  running.method = call.method->name;
  running.queue = spec.name.empty() ? running.method : std::string_view(spec.name);
  running.id = call.job.call;
  running.attempt = call.job.attempt;
  running.deadline_us = call.job.deadline_us;
  running.blocking_allowed = true;
  if (call.options) running.headers = call.options->headers;
  else if (!running.headers.empty()) running.headers.clear();
}

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
