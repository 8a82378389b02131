// Cancel, deadlines and blocking waits: ends that come from outside of the method.
#include "broker/core/core.hpp"

#include <algorithm>

namespace callboard::broker {

using wire::CancelAnswer;

void Core::tell_cancel(SessionId id, CallId call, CancelAnswer answer) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end() || found->second->peer == nullptr) return;
  // An answer is a promise: it is told after what makes it true is committed.
  wire::FrameWriter out = to(*found->second->peer, last_batch());
  wire::write(out, wire::CancelAnswered{call, answer});
}

void Core::answer_cancels(Call& call) {
  CancelAnswer answer = CancelAnswer::too_late;
  if (call.status == Errc::cancelled) {
    answer = call.attempts == 0         ? CancelAnswer::cancelled_before_start
             : call.instance() != nullptr ? CancelAnswer::stopping
                                        : CancelAnswer::cancelled_between_attempts;
    if (call.lease() != 0) answer = CancelAnswer::stopping;  // the method was stopped and said so
  }
  for (const SessionId session : call.extra->cancels) tell_cancel(session, call.id(), answer);
  call.extra->cancels.clear();
}

/// What a call that is asked back ends as when it has not begun.
Errc Core::unbegun_end(const Call& call) {
  if (!call.extra || !call.extra->cancels.empty()) return Errc::cancelled;
  if (call.extra->deadlock) return Errc::deadlock;
  if (call.extra->expire) return Errc::expired;
  return call.extra->killed ? call.queue->reason : Errc::cancelled;
}

void Core::revoke(Call& call, bool running_too) {
  Instance* instance = call.instance();
  if (instance == nullptr || instance->worker == nullptr || instance->worker->peer == nullptr)
    return;
  // At once, even ahead of a RUN that still waits for its commit: that one will then not begin.
  wire::FrameWriter out = to(*instance->worker->peer, 0);
  wire::write(out, wire::Revoke{call.lease(), running_too, unbegun_end(call)});
}

void Core::on_cancel(Session& session, const wire::Cancel& message) {
  Call* call = find_call(message.call);
  if (call == nullptr) {
    const auto owner = sessions_.find(message.call.session);
    const bool was_here =
        owner != sessions_.end() && message.call.seq <= owner->second->accepted_through;
    return tell_cancel(session.id, message.call,
                       was_here ? CancelAnswer::too_late : CancelAnswer::unknown);
  }
  if (call->state == CallState::ended) {
    CancelAnswer answer = CancelAnswer::too_late;
    if (call->status == Errc::cancelled) {  // asked again: the same answer
      answer = call->attempts == 0 ? CancelAnswer::cancelled_before_start
                                   : CancelAnswer::cancelled_between_attempts;
    }
    return tell_cancel(session.id, call->id(), answer);
  }
  call->more().cancels.push_back(session.id);
  Queue& queue = *call->queue;
  if (call->state != CallState::leased) {
    end_with(*call, Errc::cancelled,
             call->attempts == 0 ? "cancelled before it began" : "cancelled between two attempts");
    return wake(queue);
  }
  if (!message.force) return revoke(*call, true);
  if (!queue.options().dedicated) {
    // Force kills the process: only where no other call can be hit.
    call->extra->cancels.pop_back();
    return tell_cancel(session.id, call->id(), CancelAnswer::needs_consent);
  }
  Instance* instance = call->instance();
  call->extra->cancels.pop_back();
  end_with(*call, Errc::cancelled, "its process was killed");
  tell_cancel(session.id, message.call, CancelAnswer::killed);
  if (instance != nullptr && instance->worker != nullptr && instance->worker->peer != nullptr) {
    wire::FrameWriter out = to(*instance->worker->peer, last_batch());
    wire::write(out, wire::Stop{instance->slot, true});
  }
}

void Core::on_revoke_answer(Worker& worker, const wire::RevokeAnswer& message) {
  const Lease* lease = worker.leases.find(message.lease);
  if (lease == nullptr) return;
  Call& call = *lease->call;
  if (call.state == CallState::ended || !call.extra) return;
  // Not begun: RETURNED follows and settles it; nothing may be told before that is committed.
  if (message.answer == CancelAnswer::cancelled_before_start) return;
  if (call.extra->killed && message.answer != CancelAnswer::too_late) {
    // It runs, and nobody can say how far it got.
    const std::string& why = call.queue->rare().reason_text;
    if (call.max_retries != 0) return end_with(call, call.queue->reason, why);
    return end_with(call, Errc::maybe_executed, why + " while it ran");
  }
  if (call.extra->expire) {
    if (message.answer == CancelAnswer::too_late) return;  // DONE follows
    // It began and its time is over: the owner need not wait; the lane stays held until it ends.
    return end_with(call, Errc::deadline_exceeded, "its deadline passed while it ran");
  }
  call.extra->deadlock = false;  // it had begun: its waiter is served after all
  for (const SessionId session : call.extra->cancels) {
    tell_cancel(session, call.id(), message.answer);
  }
  if (message.answer == CancelAnswer::too_late) call.extra->cancels.clear();
}

void Core::deadline_passed(Call& call) {
  if (call.state == CallState::leased) {
    call.more().expire = true;
    if (call.instance() == nullptr) return;  // an orphan: its worker or the end of recovery decides
    return revoke(call, true);
  }
  Queue& queue = *call.queue;
  end_overdue(call, call.attempts > 0);
  wake(queue);
}

/// Its deadline passed while it did not run; `tried`: it has run before.
void Core::end_overdue(Call& call, bool tried) {
  if (tried) {
    end_with(call, Errc::deadline_exceeded, "its deadline passed between two attempts");
  } else {
    end_with(call, Errc::expired, "its deadline passed before it began");
  }
}

/// The queue of the actor that is busy with the call; null when none is, or nobody knows.
const Queue* Core::queue_that_runs(CallId id) {
  if (const Call* call = find_call(id)) {
    return call->state == CallState::leased ? call->queue : nullptr;
  }
  for (const auto& [name, worker] : workers_) {
    const auto& strangers = worker->strangers;
    const auto stranger = std::find_if(strangers.begin(), strangers.end(),
                                       [&](const auto& each) { return each.second.call == id; });
    if (stranger == strangers.end()) continue;
    return queues_.actor(stranger->second.actor);
  }
  return nullptr;
}

void Core::on_waiting(Session& session, const wire::Waiting& message) {
  if (!message.begins || message.self.session == SessionId{}) return;
  (void)session;
  Call* other = find_call(message.other);
  if (other == nullptr || other->state == CallState::ended || !other->queue->serial()) return;
  // Does the wait need an actor that its own chain of callers occupies?
  constexpr int kChainMax = 256;
  CallId at = message.self;
  for (int i = 0; i < kChainMax && at; ++i) {
    if (queue_that_runs(at) == other->queue) {
      if (other->state != CallState::leased) {
        end_with(*other, Errc::deadlock, "it would wait behind the call that waits for it");
        return;
      }
      other->more().deadlock = true;
      return revoke(*other, false);
    }
    const Call* ancestor = find_call(at);
    at = ancestor != nullptr && ancestor->extra ? ancestor->extra->options.parent : CallId{};
  }
}

}  // namespace callboard::broker
