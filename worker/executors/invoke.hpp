// Running one method: arguments in, result or error out, exceptions caught.
//
// Thread safety: the functions share nothing; each call is run by one thread at a time.
#pragma once

#include "common/limits.hpp"
#include "worker/executors/active_call.hpp"
#include "worker/executors/incarnation.hpp"

#include <callboard/registry.hpp>

#include <span>
#include <vector>

namespace callboard::worker {

/// Gives an invocation the arguments of `call`, which outlives it. REQUIRES: it is as new; its
/// `result` may have a buffer.
inline void prepare(const ActiveCall& call, Invocation& invocation) {
  invocation.args = call.job.args.view();
  if (call.job.args.part) invocation.owner = call.job.args.part.owner();
  invocation.core = call.incarnation->environment.core;
}

/// Calls a method on this thread. REQUIRES: it is not a coroutine; the invocation is as new.
void invoke(ActiveCall& call, Invocation& invocation);

/// Calls a batched method once for all calls. REQUIRES: all have that method. this_call() inside it
/// is the first of them.
void invoke_batch(std::span<ActiveCall*> calls, std::vector<Invocation>& invocations);

/// What is being thrown, as task_error with type, message and causes. REQUIRES: in a catch block.
ErrorInfo describe_exception();

/// Notes what is being thrown as the error of this call: cancelled when it was asked to stop and
/// says so, task_error otherwise. REQUIRES: in a catch block.
void fail(const ActiveCall& call, Invocation& invocation);

/// What complete() does with errors, and with results that leave as parts.
void complete_with_owner(const ActiveCall& call, Invocation& invocation, Outcome& outcome);

/// Result or error goes into the outcome, the error with the place where it came from. The
/// invocation is as new then, but for buffers.
[[gnu::always_inline]] inline void complete(const ActiveCall& call, Invocation& invocation,
                                            Outcome& outcome) {
  if (invocation.error || invocation.owner || invocation.placed_owner ||
      invocation.result.size() >= limits::kPartBytesMin) {
    return complete_with_owner(call, invocation, outcome);
  }
  if (outcome.value.part) outcome.value.part = Blob();
  outcome.value.text.assign(invocation.result);
  invocation.result.clear();
}

}  // namespace callboard::worker
