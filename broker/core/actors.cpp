// What workers say of their actors: how instances start, stop and start again.
#include "broker/core/core.hpp"

#include <algorithm>

namespace callboard::broker {

std::string_view name_of(InstanceState state) {
  switch (state) {
    case InstanceState::unplaced:
      return "unplaced";
    case InstanceState::starting:
      return "starting";
    case InstanceState::alive:
      return "alive";
    case InstanceState::stopping:
      return "stopping";
    case InstanceState::recovering:
      return "recovering";
    case InstanceState::dead:
      return "dead";
  }
  return "dead";
}

void Core::on_started(Worker& worker, const wire::Started& message) {
  Instance* const found = worker.at_slot(message.slot);
  if (found == nullptr) return;
  Instance& instance = *found;
  // One that was taken over may have been in its constructor still, though it counts as alive.
  const bool taken_over = instance.state == InstanceState::alive && message.code != Errc::ok;
  if (instance.state != InstanceState::starting && !taken_over) return;
  const QueuePtr queue(instance.queue);
  if (message.code == Errc::ok) {
    instance.state = InstanceState::alive;
    instance.since_us = now_.mono_us;
    instance.failures = 0;
    announce_state("actor", queue->name(), "alive", "worker", worker.name);
    if (queue->state == QueueState::open) return wake(*queue);
    return finish_closing(*queue);
  }
  if (message.code == Errc::stopping) {
    // The worker ends, and our START crossed its word: nothing was constructed, nobody is to blame.
    worker.leaving = true;
    return start_again(instance);
  }
  const ErrorInfo error = wire::decode_error(message.error, message.code);
  log(1, "the constructor of " + queue->name() + " (" + queue->class_name() +
             ") failed: " + error.message);
  detach(instance);
  ++instance.failures;
  instance.state = InstanceState::unplaced;
  instance.incarnation = (options_.epoch << 32) | ++incarnations_;
  if (may_live_again(instance)) {
    instance.not_before_us =
        now_.mono_us +
        std::min<std::int64_t>(limits::kBackoffMinMs << std::min(instance.failures, 8u),
                               limits::kBackoffMaxMs) *
            kMicrosPerMilli;
    return place(instance);
  }
  kill_queue(*queue, Errc::constructor_failed,
             "the constructor of " + queue->class_name() +
                 " failed: " + (error.type.empty() ? "" : error.type + ": ") + error.message);
}

/// Replicas that lived are tried again, but not for ever while none of them can serve the calls.
bool Core::may_live_again(const Instance& failed) {
  const Queue& queue = *failed.queue;
  if (queue.kind != QueueKind::deployment || failed.restarts == 0) return false;
  if (failed.failures < limits::kBadStartsMax) return true;
  return std::any_of(queue.instances.begin(), queue.instances.end(), [](const Instance* replica) {
    return replica->state == InstanceState::alive || replica->state == InstanceState::starting ||
           replica->state == InstanceState::recovering;
  });
}

void Core::on_stopped(Worker& worker, const wire::Stopped& message) {
  Instance* const found = worker.at_slot(message.slot);
  if (found == nullptr) return;
  Instance& instance = *found;
  std::vector<std::pair<std::uint64_t, Lease>> leases;
  worker.leases.each([&](std::uint64_t no, const Lease& lease) {
    if (lease.instance == &instance) leases.emplace_back(no, lease);
  });
  for (const auto& [no, lease] : leases) {
    close_lease(worker, no, lease);
    if (lease.call->state == CallState::ended) {
      confirm_lease(*lease.call, false);
      drop_if_done(*lease.call);
    } else {
      // A worker that ends on purpose hands back what it has not begun, and says how the rest ended
      // before it says this: what is left was sent when it no longer listened.
      const bool begun = instance.state == InstanceState::stopping;
      lease_lost(*lease.call, {.begun = begun, .known = true, .why = "its actor was stopped"});
    }
  }
  if (instance.state == InstanceState::stopping) {
    detach(instance);
    instance.state = InstanceState::dead;
    remove_queue_if_gone(*instance.queue);
    place_waiting();
    return;
  }
  // The worker ends on purpose: the actor moves, and no restart is charged.
  worker.leaving = true;
  start_again(instance);
}

void Core::instance_lost(Instance& instance, std::string_view why) {
  const QueuePtr queue(instance.queue);
  const bool was_stopping = instance.state == InstanceState::stopping;
  const bool was_starting = instance.state == InstanceState::starting;
  detach(instance);
  if (was_stopping || queue->state == QueueState::dead) {
    instance.state = InstanceState::dead;
    return remove_queue_if_gone(*queue);
  }
  const bool again = queue->kind == QueueKind::deployment || queue->options().max_restarts < 0 ||
                     instance.restarts < static_cast<std::uint32_t>(queue->options().max_restarts);
  if (!again) {
    instance.state = InstanceState::dead;
    return kill_queue(*queue, Errc::actor_died, queue->name() + " died: " + std::string(why));
  }
  // A replica that never lived has no state to lose: its constructor may be at fault, see
  // on_started().
  const bool lived = instance.restarts > 0 || !was_starting;
  if (lived || queue->kind != QueueKind::deployment) ++instance.restarts;
  instance.incarnation = (options_.epoch << 32) | ++incarnations_;
  instance.state = InstanceState::unplaced;
  instance.since_us = now_.mono_us;
  ++instance.failures;
  const std::int64_t backoff =
      instance.failures <= 1
          ? 0
          : std::min<std::int64_t>(limits::kBackoffMinMs << std::min(instance.failures - 2, 8u),
                                   limits::kBackoffMaxMs);
  instance.not_before_us = now_.mono_us + backoff * kMicrosPerMilli;
  store_actor(*queue);
  place(instance);
}

/// Begins a new incarnation elsewhere without charging a restart: the last one never lived (its
/// START was lost), or its worker ends on purpose.
void Core::start_again(Instance& instance) {
  detach(instance);
  instance.incarnation = (options_.epoch << 32) | ++incarnations_;
  instance.state = InstanceState::unplaced;
  instance.since_us = now_.mono_us;
  store_actor(*instance.queue);
  place(instance);
}

void Core::stop_instance(Instance& instance, bool now) {
  if (instance.worker == nullptr) {
    instance.state = InstanceState::dead;
    if (instance.waits_for_place) {
      instance.waits_for_place = false;
      std::erase(unplaced_, &instance);
    }
    return;
  }
  instance.state = InstanceState::stopping;
  if (instance.worker->peer == nullptr) return;  // told when it says hello again
  wire::FrameWriter out = to(*instance.worker->peer, instance.deferred_batch);
  wire::write(out, wire::Stop{instance.slot, now});
}

}  // namespace callboard::broker
