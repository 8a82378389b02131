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

void describe_context(ActiveCall& call) {
  const Incarnation& incarnation = *call.incarnation;
  callboard::detail::RunningCall& running = call.running;
  running.actor = incarnation.spec.actor;
  running.incarnation = incarnation.spec.incarnation;
  running.client = incarnation.environment.client;
  running.on_block = &tell_threads;
  const std::string& name = incarnation.spec.name;
  assign(running.queue, name.empty() ? call.method->name : name);
  assign(running.method, call.method->name);
  call.described = call.method;
}

RunningScope::RunningScope(ActiveCall& call) : RunningScope(call.running, call.job.ticket) {}

}  // namespace callboard::worker
