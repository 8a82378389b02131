// Where actors live: workers are chosen, instances placed and started.
#include "broker/core/core.hpp"

#include "common/check.hpp"

#include <algorithm>

namespace callboard::broker {

void Core::resolve_concurrency(Queue& queue, wire::Mode class_mode) {
  wire::Mode mode = queue.options().mode;
  std::uint32_t bound = queue.options().max_concurrency;
  if (mode == wire::Mode::automatic) {
    mode = class_mode == wire::Mode::serial && bound > 1 ? wire::Mode::threaded : class_mode;
  }
  if (bound == 0) bound = mode == wire::Mode::async ? limits::kAsyncConcurrencyDefault : 1;
  if (mode == queue.options().mode && bound == queue.options().max_concurrency) return;
  wire::ActorOptions options = queue.options();
  options.mode = mode;
  options.max_concurrency = bound;
  set_making(queue, queue.class_name(), std::move(options));
}

QueuePtr Core::new_queue(std::string name, std::string class_name, wire::ActorOptions options) {
  QueuePtr queue = QueuePtr::make();
  const ActorId unnamed = QueueTable::unnamed_id(name);
  if (unnamed) queue->id = unnamed;
  else queue->given_name = std::make_unique<const std::string>(std::move(name));
  queue->methods = no_methods_;
  set_making(*queue, std::move(class_name), std::move(options));
  return queue;
}

void Core::set_making(Queue& queue, std::string class_name, wire::ActorOptions options) {
  options.name.clear();  // the queue has it
  options.name_space.clear();
  QueueMaking making{std::move(class_name), std::move(options)};
  const auto or_else = [](std::uint64_t own, std::uint64_t usual) { return own > 0 ? own : usual; };
  making.max_pending = or_else(making.options.max_pending, options_.max_pending);
  making.max_pending_bytes =
      or_else(making.options.max_pending_bytes, options_.max_pending_bytes);
  queue.making = makings_.share(std::move(making));
}

Instance& Core::make_instance(const QueuePtr& queue, std::uint32_t replica) {
  Instance* made = &queue->first;
  if (!queue->instances.empty()) {
    made = queue->more().replicas.emplace_back(std::make_unique<Instance>()).get();
  }
  made->incarnation = (options_.epoch << 32) | ++incarnations_;
  made->replica = replica;
  made->queue = queue.get();
  made->since_us = now_.mono_us;
  queue->instances.push_back(made);
  return *made;
}

Worker* Core::choose_worker(const Instance& instance) {
  const Queue& queue = *instance.queue;
  const auto offers = offers_.find(queue.class_name());
  if (offers == offers_.end()) return nullptr;
  Worker* best = nullptr;
  for (const auto& [name, worker] : offers->second) {
    if (worker->peer == nullptr || worker->dedicated || worker->leaving) continue;
    if (queue.options().dedicated && worker->actors > 0) continue;
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
  const auto offer = worker.classes.find(queue.class_name());
  CALLBOARD_CHECK(offer != worker.classes.end());
  resolve_concurrency(queue, offer->second.mode);
  instance.worker = &worker;
  instance.slot = worker.next_slot++;
  instance.state = InstanceState::starting;
  instance.since_us = now_.mono_us;
  instance.methods_told = 0;
  instance.out = 0;
  instance.recalling = false;
  instance.groups.assign(queue.groups(), GroupWindow());
  worker.set_slot(instance.slot, instance);
  ++worker.actors;
  if (queue.options().dedicated) worker.dedicated = true;
  wire::Start message;
  message.slot = instance.slot;
  message.actor = queue.id;
  message.incarnation = instance.incarnation;
  message.class_name = queue.class_name();
  const std::string name = queue.name();
  message.name = name;
  message.args.bytes = queue.constructor_args.view();
  message.options = queue.options();
  // The incarnation is on record before it lives.
  store_actor(queue);
  wire::FrameWriter out = to(*worker.peer, open_batch());
  wire::write(out, message);
  instance.deferred_batch = open_batch();
}

void Core::detach(Instance& instance) {
  Worker* worker = instance.worker;
  if (worker == nullptr) return;
  if (worker->slots.contains(instance.slot)) worker->slots.erase(instance.slot);
  if (worker->actors > 0) --worker->actors;
  if (instance.queue && instance.queue->options().dedicated) worker->dedicated = false;
  instance.worker = nullptr;
  instance.out = 0;
  instance.recalling = false;
  for (GroupWindow& group : instance.groups) group = GroupWindow();
}

}  // namespace callboard::broker
