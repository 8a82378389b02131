// Dispatch: which call goes to which instance, and when.
#include "broker/core/core.hpp"

#include "common/check.hpp"
#include "common/prefetch.hpp"

#include <algorithm>

namespace callboard::broker {

/// Of several instances the one with the fewest calls; from which on turns, so that all have some.
Instance* Core::least_busy(Queue& queue, std::uint8_t group) {
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
  if (best != nullptr) {
    queue.turn =
        static_cast<std::size_t>(std::find(queue.instances.begin(), queue.instances.end(), best) -
                                 queue.instances.begin() + 1);
  }
  return best;
}

inline Instance* Core::free_instance(Queue& queue, std::uint8_t group) {
  if (queue.instances.size() != 1) return least_busy(queue, group);
  Instance* const only = queue.instances.front();
  const bool free = only->room(only->queue ? group : std::uint8_t{0});
  return free && only->worker->peer != nullptr ? only : nullptr;
}

inline bool Core::may_send(const Queue& queue) {
  if (queue.paused) return false;
  const bool task = queue.kind == QueueKind::task;
  // A task that no worker runs now still takes its turn when the next one joins.
  if (queue.instances.empty() && !task) return false;
  // Behind calls of which nobody knows yet whether they have begun, order has to wait.
  if (queue.orphans > 0 && !task) return false;
  return queue.strangers == 0;  // one of them may have the key of what would be sent
}

void Core::send_ready(Queue& queue) {
  if (queue.lanes.size() == 1) {
    Lane& only = queue.lanes.front();
    if (!only.may_go() || !may_send(queue)) return;
    while (only.may_go() && send_head(queue, only)) {
    }
    return;
  }
  if (!may_send(queue)) return;
  std::size_t i = 0;
  while (i < queue.lanes.size()) {
    const std::size_t first = i;
    const std::uint8_t group = queue.lanes[i].group;
    while (i < queue.lanes.size() && queue.lanes[i].group == group) ++i;
    while (Lane* const lane = first_of_lanes(queue, first)) {
      if (!send_head(queue, *lane)) break;
    }
  }
}

/// Calls that have waited in a long lane are in no cache any more: asks for what those behind this
/// one need.
[[gnu::always_inline]] inline void Core::expect_send(const Call& call) {
  const Call* const next = call.next;
  if (next == nullptr) return;
  prefetch_to_read(next->data, 2 * kCacheLine);
  prefetch_to_write(next->next, sizeof(Call));
}

/// False when there is no room for it.
bool Core::send_head(Queue& queue, Lane& lane) {
  Instance* const instance = free_instance(queue, lane.group);
  if (instance != nullptr) {
    expect_send(*lane.head);
    send(*lane.head, lane, *instance);
    return true;
  }
  if (queue.kind == QueueKind::task && !queue.in_ready_tasks) {
    queue.in_ready_tasks = true;
    ready_tasks_.push_back(&queue);
  }
  return false;
}

/// Of the lanes of one group, which stand together from `first` on: the one whose turn it is. It
/// has the highest priority, to which waiting adds, so that no lane starves.
Lane* Core::first_of_lanes(Queue& queue, std::size_t first) const {
  Lane* best = nullptr;
  std::int64_t best_level = 0;
  const std::int64_t step_us = options_.priority_ageing_ms * kMicrosPerMilli;
  const std::uint8_t group = queue.lanes[first].group;
  for (std::size_t i = first; i < queue.lanes.size() && queue.lanes[i].group == group; ++i) {
    Lane& lane = queue.lanes[i];
    if (!lane.may_go()) continue;
    const std::int64_t level = lane.priority * step_us + (now_.mono_us - lane.head->since_us);
    if (best != nullptr && level <= best_level) continue;
    best = &lane;
    best_level = level;
  }
  return best;
}

/// A task slot has room: task queues that found none take turns.
void Core::wake_tasks(Instance& slot) {
  for (std::size_t n = ready_tasks_.size(); n > 0 && slot.room(0); --n) {
    Queue* queue = ready_tasks_.front();
    ready_tasks_.pop_front();
    queue->in_ready_tasks = false;
    wake(*queue);
  }
}

void Core::tell_methods(Instance& instance) {
  wire::MethodTable table;
  table.slot = instance.slot;
  table.names.assign(
      instance.queue->methods->names.begin() + static_cast<std::ptrdiff_t>(instance.methods_told),
      instance.queue->methods->names.end());
  instance.methods_told = instance.queue->methods->names.size();
  wire::FrameWriter out = to(*instance.worker->peer, 0);
  wire::write(out, table);
}

std::uint32_t Core::task_number(const Worker& worker, const std::string& function) {
  const auto& tasks = worker.tasks;
  const auto found = std::find(tasks.begin(), tasks.end(), function);
  return static_cast<std::uint32_t>(found - tasks.begin());
}

void Core::send(Call& call, Lane& lane, Instance& instance) {
  Queue& queue = *call.queue;
  Worker& worker = *instance.worker;
  const bool news = instance.queue && instance.methods_told != queue.methods->names.size();
  if (news) tell_methods(instance);
  lane.remove(call);
  call.state = CallState::leased;
  call.since_us = now_.mono_us;
  call.set_instance(&instance);
  call.set_lease(worker.next_lease++);
  ++call.attempts;
  const std::uint8_t window = instance.queue ? call.group : std::uint8_t{0};
  ++instance.groups[window].out;
  ++instance.out;
  ++queue.leased;
  ++counters_.sent;
  if (call.durable) {
    // The start is on record before the call leaves: in order by the lane's watermark.
    if (queue.leaves_in_order() && call.number > lane.watermark && !call.sent_record) {
      lane.watermark = call.number;
      lane.watermark_dirty = true;
      mark(queue);
    } else {
      call.sent_record = true;
      store_sent(call, true, instance.queue ? nullptr : &worker);
    }
    instance.deferred_batch = open_batch();
  } else {
    instance.deferred_batch = std::max(instance.deferred_batch, queue.skipped_batch);
  }
  // Results that it takes are seen by its method: they are on record first, too.
  const bool takes = call.extra && !call.extra->holds.empty();
  if (takes && last_batch() != 0) instance.deferred_batch = last_batch();
  Lease& lease = worker.leases.add(call.lease());
  lease.call = &call;
  lease.instance = &instance;
  lease.group = window;
  lease.batch = instance.deferred_batch;
  const bool takes_results = call.extra && !call.extra->options.refs.empty();
  if (takes_results) splice(call, spliced_);
  const wire::Run run{
      .lease = call.lease(),
      .slot = instance.slot,
      .method = instance.queue ? call.method : task_number(worker, queue.class_name()),
      .call = {call.session->id, call.seq},
      .attempt = call.attempts,
      .deadline_ms = call.deadline_wall_ms == 0
                         ? 0
                         : std::max<std::int64_t>(call.deadline_wall_ms - now_.wall_ms, 1),
      .args = takes_results ? wire::Body{spliced_, Blob()}
                            : wire::Body{call.value(), call.extra ? call.extra->part : Blob()},
      .options = call.options(),
  };
  // Behind an earlier call that still waits for its commit, even one of level memory must wait.
  tell(*worker.peer, instance.deferred_batch, run, run.args.size() + run.options.size());
}

/// The arguments with the results that it takes in their places.
void Core::splice(const Call& call, std::string& args) const {
  args.clear();
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
      if (held->id() == ref->call) source = held;
    }
    if (source == nullptr)
      out.nil();
    else
      out.raw(source->value());
  }
}

}  // namespace callboard::broker
