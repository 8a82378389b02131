// Short steps that every call takes, inlined where it takes them. Included by core.hpp only.
#pragma once

#include "broker/core/core.hpp"

#include <algorithm>

namespace callboard::broker {

// --- what may be told when -----------------------------------------------------------------------

inline Effects& Core::path(std::uint64_t batch) {
  if (batch <= committed_) return *effects_;
  return in_flight_ && batch == flight_no_ ? flight_effects_ : open_effects_;
}

template <class Message>
inline void Core::tell(const Peer& peer, std::uint64_t batch, const Message& message,
                       std::size_t bytes) {
  if (bytes + wire::kPutNumbersBytes > Effects::kGatheredBytesMax) {
    wire::FrameWriter out = to(peer, batch);
    return write(out, message);
  }
  Effects& effects = path(batch);
  Effects::Gathered* gathered = effects.gathered_for(peer.id);
  if (gathered == nullptr) gathered = gather(effects, peer.id);
  gathered->placed(put(gathered->place(), message));
}

inline std::uint32_t Core::journal_keys(Queue& queue, std::uint64_t commit_no) {
  journal_.gather(now_, commit_no);
  if (!journal_.knows(queue.journal_ticket)) queue.journal_ticket = journal_.queue(queue.name());
  return queue.journal_ticket.queue;
}

inline void Core::erase_call(const Call& call) {
  journal_.erase_call(journal_keys(*call.queue, open_batch()), call.number);
}

// --- ways in -------------------------------------------------------------------------------------

/// Most calls find room, where nobody ever waited for it.
inline bool Core::park_or_refuse(Session& session, Handle& handle, const wire::Submit& message,
                                 const wire::CallOptions* options) {
  const Queue& queue = *handle.queue;
  const bool plain = options == nullptr && !handle.extra && !handle.parked && !queue.extra;
  if (plain && !queue.full(message.args.size())) return false;
  return park_or_refuse_rare(session, handle, message, options);
}

inline void Core::line_up_call(Call& call) {
  Queue& queue = *call.queue;
  call.number = queue.next_number++;
  call.counted = true;
  ++queue.count;
  queue.bytes += call.stored_bytes;
  if (!call.durable) return;
  mark(queue);
  store_call(call);
}

// --- lanes and instances -------------------------------------------------------------------------

inline void Core::wake(Queue& queue) {
  send_ready(queue);
  if (queue.absent > 0) read_ahead(queue);
}

inline void Core::wake_instance(Instance& instance) {
  if (instance.queue) return wake(*instance.queue);
  wake_tasks(instance);
}

inline void Core::leave_lane(Call& call) {
  if (call.in_list) call.queue->lane(call.group, call.priority).remove(call);
}

inline void Core::key_done(Call& call) {
  if (call.keyed) give_up_key(call);
}

inline void Core::settle_orphan(Call& call) {
  if (!call.orphan) return;
  call.orphan = false;
  if (call.queue->orphans > 0) --call.queue->orphans;
}

[[gnu::always_inline]] inline void Core::close_lease(Worker& worker, std::uint64_t lease_no,
                                                     const Lease& lease) {
  Instance& instance = *lease.instance;
  Call& call = *lease.call;
  call.set_instance(nullptr);
  call.holder = worker.serial;
  worker.leases.erase(lease_no);
  if (lease.group < instance.groups.size() && instance.groups[lease.group].out > 0) {
    --instance.groups[lease.group].out;
  }
  if (instance.out > 0) --instance.out;
  if (instance.out == 0) instance.recalling = false;
  if (call.queue->leased > 0) --call.queue->leased;
}

// --- ends ----------------------------------------------------------------------------------------

inline Call* Core::find_call(Session& session, std::uint64_t seq) {
  if (Call** call = session.calls.find(seq)) return *call;
  return session.stored_calls == 0 ? nullptr : find_stored(session, seq);
}

[[gnu::always_inline]] inline void Core::uncount(Call& call) {
  if (call.delayed) return forget_delayed(call);
  if (!call.counted) return;
  Queue& queue = *call.queue;
  call.counted = false;
  --queue.count;
  queue.bytes -= std::min<std::uint64_t>(queue.bytes, call.stored_bytes);
  if (call.durable) {
    erase_call(call);
    if (call.sent_record) erase_sent(call);
  }
  if (queue.extra && !queue.extra->parked.empty()) grant_room(queue);
}

[[gnu::always_inline]] inline void Core::forget(Worker& worker, std::uint64_t lease,
                                                bool deferred) {
  (deferred ? worker.forget_deferred : worker.forget_now).push_back(lease);
  if (worker.confirming) return;
  worker.confirming = true;
  confirm_.push_back(&worker);
}

inline Worker* Core::holder_of(const Call& call) {
  if (holder_ != nullptr && holder_->serial == call.holder) return holder_;
  const auto found = workers_by_serial_.find(call.holder);
  if (found == workers_by_serial_.end()) return nullptr;
  holder_ = found->second;
  return holder_;
}

[[gnu::always_inline]] inline void Core::confirm_lease(Call& call, bool deferred) {
  // While the lease is out there is nothing to confirm: its Done will come and be confirmed then.
  if (call.lease() == 0 || call.instance() != nullptr) return;
  const std::uint64_t lease = call.lease();
  call.set_lease(0);
  Worker* const holder = holder_of(call);
  if (holder != nullptr) forget(*holder, lease, deferred);
}

inline void Core::drop_if_done(Call& call) {
  if (call.state == CallState::ended && call.taken) drop(call);
}

}  // namespace callboard::broker
