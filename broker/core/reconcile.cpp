// What a worker that says hello still holds, and what the broker makes of it: leases that both
// sides know of go on, what only one side knows of is settled at once.
#include "broker/core/core.hpp"

#include <algorithm>

namespace callboard::broker {

/// An actor that both sides know of is the worker's again.
void Core::take_over(Worker& worker, Instance& instance, std::uint32_t slot, bool here) {
  instance.worker = &worker;
  instance.slot = slot;
  instance.methods_told = 0;
  instance.recalling = false;
  instance.groups.resize(instance.queue->groups());
  if (!here) ++worker.actors;
  worker.set_slot(instance.slot, instance);
  if (instance.state != InstanceState::stopping) {
    instance.state = InstanceState::alive;
    instance.failures = 0;
  } else {
    wire::FrameWriter out = to(*worker.peer, 0);
    wire::write(out, wire::Stop{instance.slot, true});
  }
}

/// The worker may still tell of calls of an actor that it no longer holds, and the actor's queue
/// may be gone by then: their leases are kept with the task slot, which lives as long as the
/// worker.
void Core::outlive(Worker& worker, const Instance& instance) {
  Instance& slot = *worker.task_slot;
  worker.leases.each([&](std::uint64_t, Lease& lease) {
    if (lease.instance != &instance) return;
    lease.instance = &slot;
    lease.group = 0;
    if (lease.call->instance() == &instance) lease.call->set_instance(&slot);
    ++slot.groups[0].out;
    ++slot.out;
  });
}

/// Actors: what it holds and we still want is taken over; the rest is stopped.
void Core::settle_actors(Worker& worker, const wire::Hello& hello) {
  std::map<std::pair<ActorId, std::uint64_t>, std::uint32_t> held;
  for (const auto& actor : hello.held_actors) {
    held[{actor.id, actor.incarnation}] = actor.slot;
    worker.next_slot = std::max(worker.next_slot, actor.slot + 1);
  }
  std::vector<std::pair<QueuePtr, Instance*>> missing;
  const auto settle = [&](const QueuePtr& queue, Instance& instance) {
    const auto found = held.find({queue->id, instance.incarnation});
    const bool here = instance.worker == &worker;
    if (found != held.end() && (here || instance.state == InstanceState::recovering)) {
      take_over(worker, instance, found->second, here);
      held.erase(found);
    } else if (here && instance.state != InstanceState::unplaced) {
      missing.emplace_back(queue, &instance);
    }
  };
  queues_.each([&settle](const QueuePtr& queue) {
    if (queue->kind == QueueKind::task) return;
    for (Instance* instance : queue->instances) settle(queue, *instance);
  });
  if (!missing.empty()) record_kept_results(worker);
  // Losing one may end its queue, and with it other instances.
  for (const auto& [queue, lost] : missing) {
    Instance& instance = *lost;
    if (instance.worker != &worker) continue;
    outlive(worker, instance);
    if (instance.state == InstanceState::starting) {
      start_again(instance);
    } else {
      instance_lost(instance, "its worker no longer holds it");
    }
  }
  for (const auto& [actor, slot] : held) {
    wire::FrameWriter out = to(*worker.peer, 0);
    wire::write(out, wire::Stop{slot, true});
  }
}

/// Calls: what it lists stays leased to it; what it does not list was never begun.
void Core::settle_calls(Worker& worker, const wire::Hello& hello) {
  part_with_strangers(worker);
  worker.kept.clear();
  std::map<std::uint64_t, const wire::HeldCall*> listed;
  for (const auto& call : hello.held_calls) {
    listed[call.lease] = &call;
    worker.next_lease = std::max(worker.next_lease, call.lease + 1);
  }
  std::vector<std::pair<std::uint64_t, Lease>> leases;
  worker.leases.each([&](std::uint64_t no, const Lease& lease) { leases.emplace_back(no, lease); });
  std::sort(leases.begin(), leases.end(), [](auto& a, auto& b) { return a.first > b.first; });
  for (const auto& [no, lease] : leases) {
    if (listed.contains(no)) {
      listed.erase(no);
      // It is not known whether an earlier REVOKE arrived.
      const CallExtra* extra = lease.call->extra.get();
      const bool unwanted =
          extra != nullptr && (extra->killed || extra->expire || !extra->cancels.empty());
      if (unwanted && lease.call->state == CallState::leased) revoke(*lease.call, true);
      continue;
    }
    on_returned(worker, wire::Returned{no});
  }
  for (const auto& [no, held] : listed) settle_unleased(worker, no, *held);
  for (const auto& [no, held] : listed) {
    if (held->ended && worker.leases.find(no) == nullptr) answer_held_lane(worker, *held);
  }
}

Instance* Core::instance_of(const Worker& worker, const wire::HeldCall& held) {
  if (!held.actor) return worker.task_slot.get();
  Instance* found = nullptr;
  worker.slots.each([&](std::uint64_t, Instance* instance) {
    const bool same = instance->id() == held.actor && instance->incarnation == held.incarnation;
    if (same) found = instance;
  });
  return found;
}

/// A result that was heard before, on another connection or by an earlier run: its lane may be held
/// and its answer lost. What was sent ahead comes back before anything is sent again, or it would
/// begin before a retry that stands in front of it.
void Core::answer_held_lane(Worker& worker, const wire::HeldCall& held) {
  Instance* const instance = instance_of(worker, held);
  if (instance == nullptr || !instance->queue) return;
  bool may_hold = false;
  for (std::size_t group = 0; group < instance->queue->groups(); ++group) {
    may_hold = may_hold || instance->queue->max_concurrency(group) == 1;
  }
  if (!may_hold) return;
  if (instance->out > 0) instance->recalling = true;
  // What is sent from now on goes behind the answer, or it would be given back, and what follows it
  // begin first.
  instance->deferred_batch = std::max(instance->deferred_batch, last_batch());
  wire::FrameWriter out = to(*worker.peer, instance->deferred_batch);
  wire::write(out, wire::GoOn{instance->slot, true});
}

/// The stranger has ended, or its worker is gone.
void Core::part_with(Worker& worker, std::uint64_t lease) {
  const auto found = worker.strangers.find(lease);
  if (found == worker.strangers.end()) return;
  Queue* const queue = queues_.actor(found->second.actor);
  worker.strangers.erase(found);
  if (queue == nullptr || queue->strangers == 0) return;
  if (--queue->strangers == 0) wake(*queue);
}

void Core::part_with_strangers(Worker& worker) {
  while (!worker.strangers.empty()) part_with(worker, worker.strangers.begin()->first);
}

/// A call that the worker holds and that is not leased to it: an earlier broker run sent it.
void Core::settle_unleased(Worker& worker, std::uint64_t no, const wire::HeldCall& held) {
  Call* call = find_call(held.call);
  Instance* const instance = instance_of(worker, held);
  if (call != nullptr && !options_.went_back.empty()) believe_worker(worker, *call, held);
  if (call != nullptr && call->state == CallState::ended && call->lease() == no &&
      call->holder == worker.serial) {
    worker.kept.insert(no);
    return;  // its result was told early and is not recorded: the worker keeps it
  }
  if (call != nullptr && call->orphan && held.attempt < call->attempts) {
    return forget(worker, no, last_batch() != 0);  // its result was heard: a later one was sent
  }
  if (call == nullptr || !call->orphan || instance == nullptr) {
    // Unknown, recorded, or given to another since. If its record is still on the way to the
    // store, so is the word to forget.
    const bool ended = call != nullptr && call->state == CallState::ended;
    const bool unknown = call == nullptr || ended;
    const bool stranger = unknown && instance != nullptr && held.actor && !held.ended;
    if (stranger) {
      worker.strangers[no] = {held.call, held.actor};
      Queue& queue = *instance->queue;
      if (queue.options().ordering == wire::Ordering::key) ++queue.strangers;
    }
    if (ended && call->durable && !call->recorded && !call->taken) record_result(*call);
    if (call != nullptr && call->orphan && call->state == CallState::leased) {
      // It has begun in an incarnation that we have given up since.
      settle_orphan(*call);
      lease_lost(*call, {true, true, false, "its actor was replaced meanwhile", nullptr});
    }
    // That it has ended is still to be heard: it is forgotten then.
    if (!stranger) forget(worker, no, last_batch() != 0);
    return;
  }
  settle_orphan(*call);
  call->set_lease(no);
  call->set_instance(instance);
  call->attempts = std::max<std::uint16_t>(call->attempts, 1);
  worker.leases.insert(no, Lease{call, instance, call->group});
  if (call->group < instance->groups.size()) ++instance->groups[call->group].out;
  ++instance->out;
  ++call->queue->leased;
}

/// A store that went back may not know that a call was sent; the worker that has begun it does.
void Core::believe_worker(const Worker& worker, Call& call, const wire::HeldCall& held) {
  const bool waits = call.state == CallState::ready || call.stub;
  if (!waits || !call.in_list || call.attempts > 0) return;
  if (call.stub) want_back(call);
  leave_lane(call);
  call.state = CallState::leased;
  call.attempts = static_cast<std::uint16_t>(std::clamp(held.attempt, 1u, 30'000u));
  call.orphan = true;
  ++call.queue->orphans;
  call.sent_record = call.durable;
  if (call.durable) store_sent(call, true, held.actor ? nullptr : &worker);
}

/// Orphans of actors that this worker has taken over and does not list were never begun.
void Core::settle_orphans() {
  for (const CallSlab::Ref& ref : orphans_) {
    Call* call = ref.get();
    if (call == nullptr || !call->orphan || call->queue->kind == QueueKind::task) continue;
    const auto& holders = call->queue->instances;
    const bool all_here = std::all_of(holders.begin(), holders.end(), [](const Instance* holder) {
      return holder->worker != nullptr && holder->state != InstanceState::recovering;
    });
    if (holders.empty() || !all_here) continue;
    settle_orphan(*call);
    lease_lost(*call, {});
  }
}

void Core::settle_held(Worker& worker, const wire::Hello& hello) {
  worker.settling = true;
  settle_actors(worker, hello);
  settle_calls(worker, hello);
  settle_orphans();
  settle_tasks(worker.number, nullptr, {});
  worker.settling = false;
  std::vector<Instance*> held;
  worker.slots.each([&held](std::uint64_t, Instance* instance) { held.push_back(instance); });
  for (Instance* instance : held) wake_instance(*instance);
}

}  // namespace callboard::broker
