// Actors: where they are placed, how they start, die, start again and end.
#include "broker/core/core.hpp"

#include "common/check.hpp"

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

void Core::resolve_concurrency(Queue& queue, wire::Mode class_mode) {
  wire::Mode& mode = queue.options.mode;
  std::uint32_t& bound = queue.groups[0].max_concurrency;
  if (mode == wire::Mode::automatic) {
    mode = class_mode == wire::Mode::serial && bound > 1 ? wire::Mode::threaded : class_mode;
  }
  if (bound == 0) bound = mode == wire::Mode::async ? limits::kAsyncConcurrencyDefault : 1;
  queue.options.max_concurrency = bound;
}

Instance& Core::make_instance(const std::shared_ptr<Queue>& queue, std::uint32_t replica) {
  auto& place = instances_[{queue->id, replica}];
  place = std::make_unique<Instance>();
  place->id = queue->id;
  place->incarnation = (options_.epoch << 32) | ++incarnations_;
  place->replica = replica;
  place->queue = queue;
  place->since_us = now_.mono_us;
  queue->instances.push_back(place.get());
  return *place;
}

// --- placement ---------------------------------------------------------------------------------

Worker* Core::choose_worker(const Instance& instance) {
  const Queue& queue = *instance.queue;
  const auto offers = offers_.find(queue.class_name);
  if (offers == offers_.end()) return nullptr;
  Worker* best = nullptr;
  for (const auto& [name, worker] : offers->second) {
    if (worker->peer == nullptr || worker->dedicated || worker->leaving) continue;
    if (queue.options.dedicated && worker->actors > 0) continue;
    // Replicas sit in different processes: that is what they are for.
    const bool has_sibling = std::any_of(queue.instances.begin(), queue.instances.end(),
                                         [&, w = worker](const Instance* other) {
                                           return other != &instance && other->worker == w;
                                         });
    if (has_sibling) continue;
    if (best == nullptr || worker->actors < best->actors) best = worker;
  }
  return best;
}

void Core::place(Instance& instance) {
  if (instance.state != InstanceState::unplaced) return;
  Worker* worker = instance.not_before_us > now_.mono_us ? nullptr : choose_worker(instance);
  if (worker != nullptr) return start(instance, *worker);
  if (instance.not_before_us > now_.mono_us) {
    timers_.push(Timer{.due_us = instance.not_before_us,
                       .kind = Timer::Kind::place,
                       .call = {},
                       .actor = instance.queue->id,
                       .replica = instance.replica});
    return;
  }
  if (instance.waits_for_place) return;
  instance.waits_for_place = true;
  unplaced_.push_back(&instance);
}

void Core::place_waiting() {
  std::vector<Instance*> waiting;
  waiting.swap(unplaced_);
  for (Instance* instance : waiting) {
    instance->waits_for_place = false;
    place(*instance);
  }
}

void Core::start(Instance& instance, Worker& worker) {
  Queue& queue = *instance.queue;
  const auto offer = worker.classes.find(queue.class_name);
  CALLBOARD_CHECK(offer != worker.classes.end());
  resolve_concurrency(queue, offer->second.mode);
  instance.worker = &worker;
  instance.slot = worker.next_slot++;
  instance.state = InstanceState::starting;
  instance.since_us = now_.mono_us;
  instance.methods_told = 0;
  instance.out = 0;
  instance.recalling = false;
  instance.groups.assign(queue.groups.size(), GroupWindow());
  worker.slots[instance.slot] = &instance;
  ++worker.actors;
  if (queue.options.dedicated) worker.dedicated = true;
  wire::Start message;
  message.slot = instance.slot;
  message.actor = instance.id;
  message.incarnation = instance.incarnation;
  message.class_name = queue.class_name;
  message.name = queue.name;
  message.args.bytes = queue.constructor_args;
  message.options = queue.options;
  // The incarnation is on record before it lives.
  store_actor(queue);
  wire::FrameWriter out = to(*worker.peer, open_batch());
  wire::write(out, message);
  instance.deferred_batch = open_batch();
}

void Core::detach(Instance& instance) {
  Worker* worker = instance.worker;
  if (worker == nullptr) return;
  worker->slots.erase(instance.slot);
  if (worker->actors > 0) --worker->actors;
  if (instance.queue && instance.queue->options.dedicated) worker->dedicated = false;
  instance.worker = nullptr;
  instance.out = 0;
  instance.recalling = false;
  for (GroupWindow& group : instance.groups) group = GroupWindow();
}

// --- what workers say of them ------------------------------------------------------------------

void Core::on_started(Worker& worker, const wire::Started& message) {
  const auto found = worker.slots.find(message.slot);
  if (found == worker.slots.end()) return;
  Instance& instance = *found->second;
  if (instance.state != InstanceState::starting) return;
  const std::shared_ptr<Queue> queue = instance.queue;
  if (message.code == Errc::ok) {
    instance.state = InstanceState::alive;
    instance.since_us = now_.mono_us;
    instance.failures = 0;
    std::string info;
    wire::Writer out(info);
    out.map(3);
    out.str("actor");
    out.str(queue->name);
    out.str("state");
    out.str("alive");
    out.str("worker");
    out.str(worker.name);
    announce("actor", std::move(info));
    if (queue->state == QueueState::open) return wake(*queue);
    return finish_closing(*queue);
  }
  const ErrorInfo error = wire::decode_error(message.error, message.code);
  log(1, "the constructor of " + queue->name + " (" + queue->class_name +
             ") failed: " + error.message);
  detach(instance);
  ++instance.failures;
  instance.state = InstanceState::unplaced;
  instance.incarnation = (options_.epoch << 32) | ++incarnations_;
  const bool ever_lived = instance.restarts > 0;
  if (queue->kind == QueueKind::deployment && ever_lived) {
    instance.not_before_us =
        now_.mono_us +
        std::min<std::int64_t>(limits::kBackoffMinMs << std::min(instance.failures, 8u),
                               limits::kBackoffMaxMs) *
            kMicrosPerMilli;
    return place(instance);
  }
  kill_queue(*queue, Errc::constructor_failed,
             "the constructor of " + queue->class_name +
                 " failed: " + (error.type.empty() ? "" : error.type + ": ") + error.message);
}

void Core::on_stopped(Worker& worker, const wire::Stopped& message) {
  const auto found = worker.slots.find(message.slot);
  if (found == worker.slots.end()) return;
  Instance& instance = *found->second;
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
      lease_lost(*lease.call, true, true, false, "its actor was stopped");
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

void Core::on_child_died(Peer& peer, const wire::ChildDied& message) {
  const auto found = workers_.find(message.worker);
  if (found == workers_.end() || found->second->number != message.instance) return;
  std::string why = "process " + std::to_string(message.pid) + " of worker " + message.worker;
  why += message.signal != 0 ? " was ended by signal " + std::to_string(message.signal)
                             : " ended with status " + std::to_string(message.exit_status);
  (void)peer;
  worker_lost(*found->second, &message, why);
}

void Core::worker_lost(Worker& worker, const wire::ChildDied* report, std::string_view why,
                       bool planned) {
  log(1, "worker " + worker.name + " is gone: " + std::string(why));
  ++counters_.workers_lost;
  std::string info;
  wire::Writer out(info);
  out.map(3);
  out.str("worker");
  out.str(worker.name);
  out.str("state");
  out.str("gone");
  out.str("why");
  out.str(why);
  announce("worker", std::move(info));

  if (worker.peer != nullptr) {
    // If it still lives it is fenced: it must say hello again and gives up what it holds.
    worker.peer->worker = nullptr;
    forget_peer(*worker.peer);
    worker.peer = nullptr;
  }
  for (const auto& [name, offer] : worker.classes) {
    const auto offers = offers_.find(name);
    offers->second.erase(worker.name);
    if (offers->second.empty()) offers_.erase(offers);
  }
  for (const std::string& task : worker.tasks) {
    std::erase(task_queue(task)->instances, worker.task_slot.get());
  }
  open_->erase(open_->key(KeyKind::sorted_set, "workers"), worker.name);

  // Its calls: those it had begun are charged or uncertain, the others go back.
  std::vector<std::pair<std::uint64_t, Lease>> leases;
  worker.leases.each([&](std::uint64_t no, const Lease& lease) { leases.emplace_back(no, lease); });
  std::sort(leases.begin(), leases.end(), [](auto& a, auto& b) { return a.first > b.first; });
  std::vector<std::shared_ptr<Queue>> touched;
  const std::size_t begun_count = report == nullptr ? 0 : report->begun.size();
  for (const auto& [no, lease] : leases) {
    Call& call = *lease.call;
    close_lease(worker, no, lease);
    bool begun = report == nullptr;
    if (report != nullptr) {
      begun = std::any_of(report->begun.begin(), report->begun.end(),
                          [&](const wire::HeldCall& held) { return held.call == call.id; });
    }
    const bool blamed = report != nullptr && report->signal != 0 && begun &&
                        (report->blamed ? report->blamed == call.id : begun_count == 1);
    if (call.state == CallState::ended) {
      call.lease = 0;
      key_done(call);
      drop_if_done(call);
    } else {
      lease_lost(call, begun, report != nullptr, blamed, why);
    }
  }
  // Results that it kept for us are gone with it; nothing is left to confirm.
  std::vector<Instance*> held;
  for (auto& [slot, instance] : worker.slots) held.push_back(instance);
  for (Instance* instance : held) {
    const bool moves = planned && instance->state != InstanceState::stopping &&
                       instance->queue->state != QueueState::dead;
    if (moves) {
      start_again(*instance);
    } else {
      instance_lost(*instance, why);
    }
  }
  std::erase(confirm_, &worker);
  lease_floor_ = std::max(lease_floor_, worker.next_lease);
  workers_by_serial_.erase(worker.serial);
  workers_.erase(workers_.find(worker.name));
  place_waiting();
  for (auto& [name, queue] : queues_) {
    if (queue->kind == QueueKind::task) touched.push_back(queue);
  }
  for (const auto& queue : touched) wake(*queue);
}

void Core::lease_lost(Call& call, bool begun, bool known, bool blamed, std::string_view why) {
  call.lease = 0;
  if (!begun) {
    if (call.extra && !call.extra->cancels.empty()) {
      if (call.attempts > 0) --call.attempts;
      return end_with(call, Errc::cancelled, "cancelled before it began");
    }
    return put_back(call);
  }
  CallExtra& extra = call.more();
  if (blamed) {
    ++extra.crashes;
    if (extra.crashes >= options_.poison_limit && call.max_retries != 0) {
      return end_with(call, Errc::poisoned,
                      "it took down " + std::to_string(extra.crashes) +
                          " workers; the last: " + std::string(why));
    }
  } else {
    ++extra.redeliveries;
  }
  if (!extra.cancels.empty()) return end_with(call, Errc::cancelled, "cancelled while it ran");
  const bool may_again = call.max_retries < 0 || call.attempts <= call.max_retries;
  if (call.max_retries == 0) {
    const bool actor = call.queue->kind == QueueKind::actor;
    return end_with(call, Errc::maybe_executed,
                    std::string(known ? "it was running when " : "it may have run: ") +
                        std::string(why) + (actor ? "; the actor's state is lost" : ""));
  }
  if (!may_again) {
    return end_with(call, Errc::maybe_executed,
                    "its " + std::to_string(call.attempts) +
                        " attempts are spent; the last: " + std::string(why));
  }
  ++counters_.redelivered;
  retry(call, blamed ? backoff_ms(call, extra.crashes) : 0);
}

// --- ends --------------------------------------------------------------------------------------

void Core::instance_lost(Instance& instance, std::string_view why) {
  const std::shared_ptr<Queue> queue = instance.queue;
  const bool was_stopping = instance.state == InstanceState::stopping;
  detach(instance);
  if (was_stopping || queue->state == QueueState::dead) {
    instance.state = InstanceState::dead;
    return remove_queue_if_gone(*queue);
  }
  const bool again = queue->kind == QueueKind::deployment || queue->options.max_restarts < 0 ||
                     instance.restarts < static_cast<std::uint32_t>(queue->options.max_restarts);
  if (!again) {
    instance.state = InstanceState::dead;
    return kill_queue(*queue, Errc::actor_died, queue->name + " died: " + std::string(why));
  }
  ++instance.restarts;
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

void Core::kill_queue(Queue& queue, Errc code, std::string text) {
  if (queue.state == QueueState::dead) return;
  const std::shared_ptr<Queue> keep = queues_.at(queue.name);
  CALLBOARD_CHECK(keep.get() == &queue);
  queue.state = QueueState::dead;
  queue.reason = code;
  queue.reason_text = text;
  log(code == Errc::constructor_failed ? 1 : 0, queue.name + " ends: " + text);
  std::erase(dirty_queues_, &queue);
  queue.counters_dirty = false;
  if (!queue.name.starts_with('~')) {
    name_counters_[queue.name] = queue.next_number;
    open_->set(open_->key(KeyKind::hash, queue_key(queue.name, "")), "next",
               std::to_string(queue.next_number));
    open_->erase(open_->key(KeyKind::hash, "names"), queue.name);
  }
  open_->erase(open_->key(KeyKind::hash, "actors"), to_string(queue.id));
  actors_.erase(queue.id);
  if (const auto owner = sessions_.find(queue.owner); owner != sessions_.end()) {
    owner->second->owned.erase(queue.id);
  }
  // Everything accepted and not ended fails, in the order of acceptance.
  std::vector<Call*> unfinished;
  for (Lane& lane : queue.lanes) {
    for (Call* call = lane.head; call != nullptr; call = call->next) unfinished.push_back(call);
  }
  for (auto& [key, state] : queue.keys) {
    for (Call* call : state.waiting) unfinished.push_back(call);
  }
  for (Instance* instance : queue.instances) {
    if (instance->worker == nullptr) continue;
    instance->worker->leases.each([&](std::uint64_t, const Lease& lease) {
      if (lease.instance == instance) unfinished.push_back(lease.call);
    });
  }
  if (queue.options.ordering != wire::Ordering::actor || queue.count > unfinished.size()) {
    for (auto& [id, session] : sessions_) {  // calls that wait outside of the lanes
      session->calls.each([&](std::uint64_t, Call* call) {
        if (call->queue == &queue) unfinished.push_back(call);
      });
    }
  }
  std::sort(unfinished.begin(), unfinished.end(),
            [](const Call* a, const Call* b) { return a->number < b->number; });
  unfinished.erase(std::unique(unfinished.begin(), unfinished.end()), unfinished.end());
  std::vector<CallSlab::Ref> refs;
  for (Call* call : unfinished) refs.push_back(CallSlab::ref(*call));
  for (const CallSlab::Ref& ref : refs) {
    Call* call = ref.get();
    if (call == nullptr || call->state == CallState::ended) continue;
    if (call->state != CallState::leased) {
      end_with(*call, code, text);
    } else if (call->instance != nullptr && call->instance->worker != nullptr) {
      // Only its worker knows whether it has begun: it says so, or hands it back.
      call->more().killed = true;
      revoke(*call, true);
    } else {
      end_with(*call, call->max_retries == 0 ? Errc::maybe_executed : code, text);
    }
  }
  while (!queue.parked.empty()) {
    const ParkedSession parked = queue.parked.front();
    queue.parked.pop_front();
    const auto found = sessions_.find(parked.session);
    Handle* handle = found == sessions_.end() ? nullptr : found->second->handle(parked.handle);
    if (handle == nullptr || !handle->parked || found->second->peer == nullptr) continue;
    handle->parked = false;  // they offer their calls again and are told why not
    wire::FrameWriter out = to(*found->second->peer, 0);
    wire::write(out, wire::Room{parked.handle, UINT32_MAX});
  }
  for (Instance* instance : queue.instances) {
    if (instance->state == InstanceState::stopping || instance->state == InstanceState::dead)
      continue;
    if (instance->state == InstanceState::recovering)
      instance->state = InstanceState::dead;
    else
      stop_instance(*instance, true);
  }
  std::string info;
  wire::Writer out(info);
  out.map(3);
  out.str("actor");
  out.str(queue.name);
  out.str("state");
  out.str("dead");
  out.str("why");
  out.str(text);
  announce("actor", std::move(info));
  remove_queue_if_gone(queue);
}

void Core::close_queue(Queue& queue) {
  if (queue.state != QueueState::open) return;
  queue.state = QueueState::closing;
  finish_closing(queue);
}

void Core::finish_closing(Queue& queue) {
  if (queue.state != QueueState::closing) return;
  // Accepted calls finish first; results that wait to be taken do not count.
  if (queue.leased > 0 || queue.open_calls > 0) return;
  kill_queue(queue, Errc::actor_died, "its owner let go of it");
}

void Core::remove_queue_if_gone(Queue& queue) {
  if (queue.state != QueueState::dead) return;
  for (const Instance* instance : queue.instances) {
    if (instance->state != InstanceState::dead) return;
  }
  // No instance can run any more: the name is free.
  const auto found = queues_.find(queue.name);
  const bool named_here = found != queues_.end() && found->second.get() == &queue;
  if (named_here) {
    dying_.push_back(found->second);
    queues_.erase(found);
    for (Instance* instance : queue.instances) {
      std::erase(unplaced_, instance);
      instances_.erase({queue.id, instance->replica});
    }
    queue.instances.clear();
  }
  if (queue.objects > 0) return;
  if (!queues_.contains(queue.name)) erase_queue(queue);
  std::erase_if(dying_, [&](const auto& dying) { return dying.get() == &queue; });
}

void Core::on_kill(Session& session, Peer& peer, const wire::Kill& message) {
  wire::AdminAnswer answer;
  answer.request = message.request;
  std::string text;
  wire::Writer out(text);
  Handle* handle = session.handle(message.handle);
  if (handle == nullptr || !handle->queue || handle->queue->kind == QueueKind::task) {
    answer.code = Errc::unknown_actor;
    out.str("no such actor");
  } else if (handle->queue->state == QueueState::dead) {
    out.nil();
  } else {
    kill_queue(*handle->queue, Errc::actor_died, handle->queue->name + " was killed");
    out.nil();
  }
  answer.info = text;
  wire::FrameWriter to_peer = to(peer, last_batch());
  wire::write(to_peer, answer);
}

}  // namespace callboard::broker
