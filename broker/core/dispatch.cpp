// Lanes and dispatch: which call goes to which instance, when; and what comes back.
#include "broker/core/core.hpp"

#include "common/check.hpp"

#include <algorithm>

namespace callboard::broker {

namespace {

/// Calls of one queue may leave out of the order of their numbers.
bool leaves_in_order(const Queue& queue) { return queue.options.ordering == wire::Ordering::actor; }

}  // namespace

// --- lanes -------------------------------------------------------------------------------------

bool Core::ready(const Call& call) const { return call.state == CallState::ready; }

void Core::enter(Call& call) {
  Queue& queue = *call.queue;
  const bool open_dependencies = call.extra && call.extra->unresolved > 0;
  const bool may_go = !open_dependencies && call.not_before_us <= now_.mono_us;
  call.state = may_go ? CallState::ready : CallState::waiting;
  if (call.not_before_us > now_.mono_us && !open_dependencies) {
    at(call.not_before_us, Timer::Kind::call_due, call);
  }
  if (call.in_list) return;
  if (call.keyed) {
    // One call of a key is in the lane or out; the rest wait in the key's own line.
    KeyState& key = queue.keys[call.extra->options.key];
    const bool mine = key.busy && !key.waiting.empty() && key.waiting.front() == &call;
    if (!mine) {
      const auto at =
          std::lower_bound(key.waiting.begin(), key.waiting.end(), &call,
                           [](const Call* a, const Call* b) { return a->number < b->number; });
      if (std::find(key.waiting.begin(), key.waiting.end(), &call) == key.waiting.end()) {
        key.waiting.insert(at, &call);
      }
      if (key.waiting.front() != &call || key.busy) return;
      key.busy = true;
    }
    if (!may_go) return;
  } else if (!leaves_in_order(queue) && !may_go) {
    return;  // it may be overtaken while it waits
  }
  queue.lane(call.group, call.priority).insert(call);
}

void Core::leave_lane(Call& call) {
  if (call.in_list) call.queue->lane(call.group, call.priority).remove(call);
}

void Core::key_done(Call& call) {
  if (!call.keyed) return;
  const auto found = call.queue->keys.find(call.extra->options.key);
  if (found == call.queue->keys.end()) return;
  KeyState& key = found->second;
  const bool was_first = !key.waiting.empty() && key.waiting.front() == &call;
  std::erase(key.waiting, &call);
  if (!was_first) return;
  key.busy = false;
  if (key.waiting.empty()) {
    call.queue->keys.erase(found);
    return;
  }
  key.busy = true;
  Call& next = *key.waiting.front();
  if (next.state != CallState::leased && next.state != CallState::ended) enter(next);
}

// --- sending -----------------------------------------------------------------------------------

Instance* Core::free_instance(Queue& queue, std::uint8_t group) {
  const std::size_t n = queue.instances.size();
  Instance* best = nullptr;
  for (std::size_t i = 0; i < n; ++i) {
    Instance* instance = queue.instances[(queue.turn + i) % n];
    // A task slot has one window for all functions.
    const std::uint8_t window = instance->queue ? group : std::uint8_t{0};
    if (!instance->room(window) || instance->worker->peer == nullptr) continue;
    if (best == nullptr || instance->out < best->out) best = instance;
    if (best->out == 0) break;
  }
  if (best != nullptr && n > 1) {
    queue.turn =
        static_cast<std::size_t>(std::find(queue.instances.begin(), queue.instances.end(), best) -
                                 queue.instances.begin() + 1);
  }
  return best;
}

void Core::wake(Queue& queue) {
  if (queue.paused) return;
  // A task that no worker runs now still takes its turn when the next one joins.
  if (queue.instances.empty() && queue.kind != QueueKind::task) return;
  std::size_t i = 0;
  while (i < queue.lanes.size()) {
    const std::uint8_t group = queue.lanes[i].group;
    // Lanes of one group stand together, the highest priority first.
    Lane* best = nullptr;
    for (; i < queue.lanes.size() && queue.lanes[i].group == group; ++i) {
      Lane& lane = queue.lanes[i];
      if (best == nullptr && lane.head != nullptr && ready(*lane.head)) best = &lane;
    }
    while (best != nullptr) {
      Instance* instance = free_instance(queue, group);
      if (instance == nullptr) {
        if (queue.kind == QueueKind::task && !queue.in_ready_tasks) {
          queue.in_ready_tasks = true;
          ready_tasks_.push_back(&queue);
        }
        break;
      }
      send(*best->head, *instance);
      if (best->head != nullptr && ready(*best->head)) continue;
      best = nullptr;
      for (Lane& lane : queue.lanes) {
        if (lane.group == group && lane.head != nullptr && ready(*lane.head)) {
          best = &lane;
          break;
        }
      }
    }
  }
}

void Core::wake_instance(Instance& instance) {
  if (instance.queue) return wake(*instance.queue);
  // A task slot has room: task queues that found none take turns.
  for (std::size_t n = ready_tasks_.size(); n > 0 && instance.room(0); --n) {
    Queue* queue = ready_tasks_.front();
    ready_tasks_.pop_front();
    queue->in_ready_tasks = false;
    wake(*queue);
  }
}

void Core::tell_methods(Instance& instance) {
  if (!instance.queue || instance.methods_told == instance.queue->methods.size()) return;
  wire::MethodTable table;
  table.slot = instance.slot;
  table.names.assign(
      instance.queue->methods.begin() + static_cast<std::ptrdiff_t>(instance.methods_told),
      instance.queue->methods.end());
  instance.methods_told = instance.queue->methods.size();
  wire::FrameWriter out = to(*instance.worker->peer, 0);
  wire::write(out, table);
}

void Core::send(Call& call, Instance& instance) {
  Queue& queue = *call.queue;
  Worker& worker = *instance.worker;
  tell_methods(instance);
  Lane& lane = queue.lane(call.group, call.priority);
  lane.remove(call);
  call.state = CallState::leased;
  call.since_us = now_.mono_us;
  call.instance = &instance;
  call.lease = worker.next_lease++;
  ++call.attempts;
  const std::uint8_t window = instance.queue ? call.group : std::uint8_t{0};
  worker.leases.insert(call.lease, Lease{&call, &instance, window});
  ++instance.groups[window].out;
  ++instance.out;
  ++queue.leased;
  ++counters_.sent;
  if (call.durable) {
    // The start is on record before the call leaves: in order by the lane's watermark.
    if (leaves_in_order(queue) && call.number > lane.watermark && !call.sent_record) {
      lane.watermark = call.number;
      lane.watermark_dirty = true;
      mark(queue);
    } else {
      call.sent_record = true;
      store_sent(call, true);
    }
    instance.deferred_batch = open_batch();
  }
  // Results that it takes are seen by its method: they are on record first, too.
  const bool takes = call.extra && !call.extra->holds.empty();
  if (takes && last_batch() != 0) instance.deferred_batch = last_batch();
  wire::Run run;
  run.lease = call.lease;
  run.slot = instance.slot;
  run.method = call.method;
  if (!instance.queue) {
    const auto& tasks = worker.tasks;
    run.method = static_cast<std::uint32_t>(
        std::find(tasks.begin(), tasks.end(), queue.class_name) - tasks.begin());
  }
  run.call = call.id;
  run.attempt = call.attempts;
  if (call.deadline_wall_ms != 0) {
    run.deadline_ms = std::max<std::int64_t>(call.deadline_wall_ms - now_.wall_ms, 1);
  }
  run.options = call.options();
  std::string spliced;
  if (call.extra && !call.extra->options.refs.empty()) {
    splice(call, spliced);
    run.args.bytes = spliced;
  } else {
    run.args.bytes = call.value();
    if (call.extra) run.args.part = call.extra->part;
  }
  // Behind an earlier call that still waits for its commit, even one of level memory must wait.
  wire::FrameWriter out = to(*worker.peer, instance.deferred_batch);
  wire::write(out, run);
}

void Core::splice(const Call& call, std::string& args) const {
  wire::Writer out(args);
  wire::Reader in(call.value());
  std::uint32_t n = 0;
  in.array(n);
  out.array(n);
  const auto& refs = call.extra->options.refs;
  for (std::uint32_t i = 0; i < n; ++i) {
    const auto ref = std::find_if(refs.begin(), refs.end(), [&](auto& r) { return r.index == i; });
    std::string_view bytes;
    if (ref == refs.end()) {
      if (in.bin(bytes))
        out.raw(bytes);
      else
        out.nil();
      continue;
    }
    in.skip();
    const Call* source = nullptr;
    for (const Call* held : call.extra->holds) {
      if (held->id == ref->call) source = held;
    }
    if (source == nullptr)
      out.nil();
    else
      out.raw(source->value());
  }
}

// --- what comes back ---------------------------------------------------------------------------

void Core::close_lease(Worker& worker, std::uint64_t lease_no, const Lease& lease) {
  Instance& instance = *lease.instance;
  lease.call->instance = nullptr;
  lease.call->holder = worker.serial;
  worker.leases.erase(lease_no);
  if (lease.group < instance.groups.size() && instance.groups[lease.group].out > 0) {
    --instance.groups[lease.group].out;
  }
  if (instance.out > 0) --instance.out;
  if (instance.out == 0) instance.recalling = false;
  if (lease.call->queue->leased > 0) --lease.call->queue->leased;
}

void Core::on_done(Worker& worker, const wire::Done& message) {
  const Lease* found = worker.leases.find(message.lease);
  if (found == nullptr) {
    // Not ours any more: an older epoch's, or confirmed already. The worker need not keep it.
    ++counters_.fenced_results;
    return forget(worker, message.lease, false);
  }
  const Lease lease = *found;
  Call& call = *lease.call;
  Instance& instance = *lease.instance;
  close_lease(worker, message.lease, lease);
  bool hand_back = false;
  if (call.state == CallState::ended) {
    // Its outcome was decided while it ran (deadline, kill): the late result changes nothing.
    key_done(call);
    confirm_lease(call, false);
    drop_if_done(call);
  } else {
    std::string error_type;
    if (message.status == Errc::task_error) {
      error_type = wire::decode_error(message.value.bytes, message.status).type;
    }
    if (may_retry(call, message.status, error_type)) {
      CallExtra& extra = call.more();
      ++extra.errors;
      ++counters_.retried;
      hand_back = message.held;
      extra.last_error = message.value.bytes;
      confirm_lease(call, call.durable);
      retry(call, backoff_ms(call, extra.errors));
    } else if (message.status == Errc::expired && call.attempts > 1) {
      end_with(call, Errc::deadline_exceeded, "its deadline passed between two attempts");
    } else {
      // That it expired is the worker's verdict, not a method's: it is not told early.
      end_call(call, message.status, message.value, message.status != Errc::expired);
    }
  }
  if (message.held) {
    if (hand_back && instance.out > 0) instance.recalling = true;
    // Behind what was sent to the slot and still waits for its commit: that is handed back too.
    wire::FrameWriter out = to(*worker.peer, instance.deferred_batch);
    wire::write(out, wire::GoOn{instance.slot, hand_back});
  }
  wake_instance(instance);
  if (instance.queue && instance.queue->state != QueueState::open) finish_closing(*instance.queue);
}

bool Core::may_retry(const Call& call, Errc status, std::string_view error_type) const {
  if (status != Errc::task_error) return false;
  if (call.max_retries >= 0 && call.attempts > call.max_retries) return false;
  if (call.extra && !call.extra->cancels.empty()) return false;
  const std::optional<wire::RetryOn>& own =
      call.extra ? call.extra->options.retry_on : std::nullopt;
  const std::optional<wire::RetryOn>& rule = own ? own : call.queue->options.retry_on;
  return rule && rule->matches(error_type);
}

std::int64_t Core::backoff_ms(const Call& call, int failures) {
  std::int64_t low = limits::kBackoffMinMs;
  std::int64_t high = limits::kBackoffMaxMs;
  if (call.queue->options.backoff_ms) std::tie(low, high) = *call.queue->options.backoff_ms;
  if (call.extra && call.extra->options.backoff_ms) {
    std::tie(low, high) = *call.extra->options.backoff_ms;
  }
  // Exponential with full jitter between the minimum and the bound of this failure.
  std::int64_t bound = low;
  for (int i = 1; i < failures && bound < high; ++i) bound *= 2;
  bound = std::max(std::min(bound, high), low);
  if (bound <= low) return low;
  return low + static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(bound - low + 1));
}

void Core::retry(Call& call, std::int64_t backoff) {
  if (call.queue->state == QueueState::dead) {
    return end_with(call, call.queue->reason, call.queue->reason_text);
  }
  call.lease = 0;
  call.state = CallState::waiting;
  call.since_us = now_.mono_us;
  call.not_before_us = backoff > 0 ? now_.mono_us + backoff * kMicrosPerMilli : 0;
  if (call.durable) {
    call.sent_record = true;
    store_sent(call, false);
    mark(*call.queue);
  }
  Queue& queue = *call.queue;
  enter(call);
  // The slots of tasks ask only the queues that found no room; any of them may take this one.
  if (queue.kind == QueueKind::task) wake(queue);
}

void Core::put_back(Call& call) {
  if (call.attempts > 0) --call.attempts;  // it was not begun: not an attempt
  retry(call, 0);
}

void Core::on_returned(Worker& worker, const wire::Returned& message) {
  const Lease* found = worker.leases.find(message.lease);
  if (found == nullptr) return;
  const Lease lease = *found;
  Call& call = *lease.call;
  close_lease(worker, message.lease, lease);
  ++counters_.returned;
  call.lease = 0;  // never begun: the worker keeps nothing of it
  if (call.state == CallState::ended) {
    key_done(call);
    drop_if_done(call);
  } else if (call.extra && !call.extra->cancels.empty()) {
    if (call.attempts > 0) --call.attempts;
    end_with(call, Errc::cancelled, "cancelled before it began");
  } else if (call.extra && call.extra->deadlock) {
    end_with(call, Errc::deadlock, "it would wait behind the call that waits for it");
  } else if (call.extra && call.extra->expire) {
    if (call.attempts > 1) {
      end_with(call, Errc::deadline_exceeded, "its deadline passed between two attempts");
    } else {
      end_with(call, Errc::expired, "its deadline passed before it began");
    }
  } else {
    put_back(call);
  }
  wake_instance(*lease.instance);
  if (lease.instance->queue && lease.instance->queue->state != QueueState::open) {
    finish_closing(*lease.instance->queue);
  }
}

void Core::on_window(Worker& worker, const wire::Window& message) {
  Instance* instance = nullptr;
  if (message.slot == 0) {
    instance = worker.task_slot.get();
  } else if (const auto found = worker.slots.find(message.slot); found != worker.slots.end()) {
    instance = found->second;
  }
  if (instance == nullptr || message.group >= limits::kGroupsMax) return;
  if (message.group >= instance->groups.size()) instance->groups.resize(message.group + 1);
  instance->groups[message.group].window =
      std::min<std::uint32_t>(message.calls, limits::kConcurrencyMax + limits::kPrefetchMax);
  wake_instance(*instance);
}

}  // namespace callboard::broker
