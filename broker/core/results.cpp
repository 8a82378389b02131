// Ends of calls: the one way to an outcome, what the owner is told, what is kept and for how long.
#include "broker/core/core.hpp"

#include "common/check.hpp"
#include "common/prefetch.hpp"

#include <algorithm>
#include <utility>

namespace callboard::broker {

Call* Core::find_call(CallId id) {
  const auto found = sessions_.find(id.session);
  if (found == sessions_.end()) return nullptr;
  return find_call(*found->second, id.seq);
}

Call* Core::find_stored(Session& session, std::uint64_t seq) {
  StoredRun* const run = stored_run(session, seq);
  return run == nullptr ? nullptr : &make_stub(*run, run->number + (seq - run->seq), true);
}

void Core::end_with(Call& call, Errc status, std::string message, std::string causes) {
  ErrorInfo error;
  error.code = status;
  error.message = std::move(message);
  error.causes = std::move(causes);
  error.place = call.queue->name();
  if (call.method < call.queue->methods->names.size() && call.queue->kind != QueueKind::task) {
    error.place += "." + call.queue->methods->names[call.method];
  }
  const std::string bytes = wire::encode(error);
  end_call(call, status, wire::Body{bytes, Blob()}, false);
}

[[gnu::always_inline]] inline void Core::deliver(Call& call, bool by_method) {
  Session& session = *call.session;
  if (session.released || call.no_result) call.taken = true;
  const bool needed_by_others =
      call.extra && (call.extra->holders > 0 || !call.extra->dependents.empty());
  if (!call.taken) session.unreleased_bytes += call.value().size();
  if (!call.durable) {
    uncount(call);
    confirm_lease(call, false);
    // The failure of a durable dependency is not known before it is committed.
    const std::uint64_t batch = call.status == Errc::dependency_failed ? last_batch() : 0;
    if (!call.taken) tell_owner(call, batch);
    return;
  }
  if (call.taken && !needed_by_others) {
    uncount(call);
    confirm_lease(call, true);
    return;
  }
  // Early: nothing can ever run it again, so the owner may know before the store does.
  const bool early = by_method && call.max_retries == 0 && !call.idempotent && !needed_by_others &&
                     session.peer != nullptr;
  if (early) {
    tell_owner(call, 0);
    // Most are taken within a moment: what waits here stays short, and in the caches.
    while (!unsettled_.empty() && unsettled_.front().call.get() == nullptr) unsettled_.pop_front();
    unsettled_.push_back(
        {now_.mono_us + options_.settle_ms * kMicrosPerMilli, CallSlab::ref(call)});
    return;
  }
  record_result(call);
  if (!call.taken) tell_owner(call, open_batch());
}

void Core::end_call(Call& call, Errc status, const wire::Body& value, bool by_method) {
  CALLBOARD_CHECK(call.state != CallState::ended && call.state != CallState::free);
  Queue& queue = *call.queue;
  // It may have held up others: whatever the reason for its end, they go on.
  const bool wakes = (call.in_list || call.keyed) && queue.state != QueueState::dead;
  const bool skipped = call.durable && call.state != CallState::leased;
  leave_lane(call);
  settle_orphan(call);
  call.state = CallState::ended;
  call.status = status;
  call.since_us = now_.mono_us;
  ++queue.ended_total;
  --queue.open_calls;
  if (status == Errc::ok) {
    ++counters_.ended_ok;
  } else {
    ++queue.failed_total;
    ++counters_.ended_error;
  }
  if (call.stub) {
    call.stub = false;
    --queue.absent;
  }
  // The result takes the place of the arguments.
  if (call.extra) part_bytes_ -= call.extra->part.size();
  if (value.part) {
    call.with_part().part = value.part;
    call.options_bytes = call.value_bytes = 0;
    slab_.take_room(call);
  } else {
    if (call.extra) call.extra->part = Blob();
    slab_.fill(call, {}, value.bytes);
  }
  // While a lease is out, the key stays busy: the method may still run.
  if (call.instance() == nullptr) key_done(call);
  if (call.extra) release_holds(call);
  const bool has_dependents = call.extra && !call.extra->dependents.empty();
  deliver(call, by_method);
  // Until this is on record, a broker that comes after us would still let the call begin.
  if (skipped) queue.skipped_batch = last_batch();
  if (call.idempotent) key_ended(call);
  if (call.extra && !call.extra->cancels.empty()) answer_cancels(call);
  if (has_dependents) {
    ending_.push_back(&call);
    if (!telling_dependents_) {
      telling_dependents_ = true;
      while (!ending_.empty()) {
        Call* ended = ending_.back();
        ending_.pop_back();
        end_dependents(*ended);
      }
      telling_dependents_ = false;
    }
  } else {
    drop_if_done(call);
  }
  if (queue.state == QueueState::closing) closing_.emplace_back(&queue);
  if (wakes) wake(queue);
}

void Core::tell_owner(Call& call, std::uint64_t batch) {
  Session& session = *call.session;
  if (session.peer == nullptr) return;
  call.told = true;
  const wire::CallResult result{.seq = call.seq,
                                .status = call.status,
                                .value = {call.value(), call.extra ? call.extra->part : Blob()}};
  tell(*session.peer, batch, result, result.value.size());
}

void Core::record_result(Call& call) {
  if (call.recorded) return;
  call.recorded = true;
  call.session->has_record = true;
  mark(*call.session);
  store_result(call);
  uncount(call);
  confirm_lease(call, true);
}

void Core::drop(Call& call) {
  if (call.extra && (call.extra->holders > 0 || !call.extra->dependents.empty())) return;
  if (call.instance() != nullptr) return;  // its lease is out
  if (call.counted || call.delayed) uncount(call);
  if (call.lease() != 0) confirm_lease(call, call.durable);
  if (call.recorded) {
    open_->erase(open_->key(KeyKind::hash, "results:" + hex(value_of(call.session->id))),
                 std::to_string(call.seq));
  }
  call.session->calls.erase(call.seq);
  Queue& queue = *call.queue;
  slab_.free(call);
  --queue.objects;
  if (queue.state == QueueState::dead) remove_queue_if_gone(queue);
}

/// Asks for what the results behind this one change: of many actors, few are in the caches.
inline void Core::expect_taken(Session& session, std::uint64_t seq) {
  constexpr std::uint64_t kAhead = 4;
  if (Call** const far = session.calls.find(seq + 2 * kAhead)) {
    prefetch_to_write(*far, sizeof(Call));
  }
  Call** const near = session.calls.find(seq + kAhead);
  if (near == nullptr) return;
  const Queue& queue = *(*near)->queue;
  prefetch_to_write(&queue.state, 1);
  prefetch_to_write(&queue.objects, 1);
}

void Core::on_taken(Session& session, const wire::Taken& message) {
  for (const auto& [first, count] : message.seqs) {
    // A range may name numbers that are long gone; it costs no more than what is there.
    const std::uint64_t here = session.calls.size() + session.stored_calls;
    if (count > here * 4 + 65'536) continue;
    for (std::uint64_t seq = first; seq < first + count; ++seq) {
      Call* const found = find_call(session, seq);
      expect_taken(session, seq);
      if (found == nullptr) {
        give_up(session, seq);
        continue;
      }
      Call& call = *found;
      if (call.taken) continue;
      if (call.state != CallState::ended) {
        call.no_result = true;  // the owner lost interest; the call itself goes on
        continue;
      }
      call.taken = true;
      session.unreleased_bytes -=
          std::min<std::uint64_t>(session.unreleased_bytes, call.value().size());
      const bool kept = call.extra && call.extra->holders > 0;
      if (kept && call.durable) {
        if (call.recorded)
          store_result(call);  // "taken" must outlive this broker
        else
          record_result(call);
      }
      drop_if_done(call);
    }
  }
}

void Core::settle() {
  while (!unsettled_.empty() && unsettled_.front().due_us <= now_.mono_us) {
    Call* call = unsettled_.front().call.get();
    unsettled_.pop_front();
    if (call != nullptr && call->state == CallState::ended && !call->taken) record_result(*call);
  }
}

}  // namespace callboard::broker
