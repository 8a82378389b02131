#include "worker/context.hpp"

#include "worker/executors/active_call.hpp"
#include "worker/executors/incarnation.hpp"
#include "worker/executors/lane_threads.hpp"

namespace callboard::worker {

void tell_threads(bool begins) {
  if (LaneThreads* threads = LaneThreads::here()) threads->blocks(begins);
}

RunningScope::RunningScope(ActiveCall& call) : RunningScope(call.running, call.job.ticket) {}

}  // namespace callboard::worker
