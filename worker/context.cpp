#include "worker/context.hpp"

#include "worker/executors/active_call.hpp"
#include "worker/executors/incarnation.hpp"
#include "worker/executors/lane_threads.hpp"

namespace callboard::worker {

namespace {

/// Most calls reuse the memory of one that asked for the same.
void assign(std::string& text, std::string_view value) {
  if (text != value) text.assign(value);
}

}  // namespace

void tell_threads(bool begins) {
  if (LaneThreads* threads = LaneThreads::here()) threads->blocks(begins);
}

void prepare_context(ActiveCall& call) {
  const Incarnation& incarnation = *call.incarnation;
  callboard::detail::RunningCall& running = call.running;
  running.id = call.job.call;
  const bool other_actor = running.actor != incarnation.spec.actor;
  running.actor = incarnation.spec.actor;
  running.attempt = call.job.attempt;
  running.incarnation = incarnation.spec.incarnation;
  running.deadline_us = call.job.deadline_us;
  running.client = incarnation.environment.client;
  running.blocking_allowed = true;
  running.on_block = &tell_threads;
  if (call.described != call.method || other_actor) {
    const std::string& name = incarnation.spec.name;
    assign(running.queue, name.empty() ? call.method->name : name);
    if (call.described != call.method) assign(running.method, call.method->name);
    call.described = call.method;
  }
  if (call.options) assign(running.headers, call.options->headers);
  else if (!running.headers.empty()) running.headers.clear();
}

RunningScope::RunningScope(ActiveCall& call) : RunningScope(call.running, call.job.ticket) {}

}  // namespace callboard::worker
