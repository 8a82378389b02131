// Creating actors and deployments.
#include "broker/core/core.hpp"

#include <algorithm>

namespace callboard::broker {

namespace {

std::string queue_name(const wire::ActorOptions& options, ActorId id) {
  if (options.name.empty()) return "~" + to_string(id);
  if (options.name_space.empty() || options.name_space == "default") return options.name;
  return options.name_space + "/" + options.name;
}

}  // namespace

Errc Core::create_problem(const wire::Create& message, const std::string& name,
                          std::string& text) const {
  const wire::ActorOptions& options = message.options;
  if (!options.name.empty() && (!good_name(options.name) ||
                                (!options.name_space.empty() && !good_name(options.name_space)) ||
                                options.name_space == "task")) {
    text = "not a name for an actor: " + name;
    return Errc::invalid_option;
  }
  if (options.groups.size() >= limits::kGroupsMax) {
    text = "too many concurrency groups";
    return Errc::invalid_option;
  }
  if (store_full_ && options.durability == wire::Durability::durable) {
    text = "Redis nears its memory limit";
    return Errc::store_full;
  }
  const Queue* const existing = queues_.find(name);
  if (existing == nullptr) {
    // While no worker is here, nobody can say what is unknown: the calls wait.
    if (classes_known_.contains(message.class_name) || workers_.empty()) return Errc::ok;
    text = "no worker has offered the class " + std::string(message.class_name);
    return Errc::unknown_class;
  }
  const Queue& there = *existing;
  const bool same_kind = (options.replicas > 0) == (there.kind == QueueKind::deployment);
  if (!options.get_if_exists) {
    text = "an actor is named " + name;
  } else if (there.class_name() != message.class_name || !same_kind) {
    text = name + " is of class " + there.class_name();
  } else if (there.state != QueueState::open) {
    text = name + " is being stopped; try again when it is gone";
  } else {
    return Errc::ok;
  }
  return Errc::name_taken;
}

QueuePtr Core::create_queue(Session& session, const wire::Create& message,
                                          const std::string& name) {
  const wire::ActorOptions& options = message.options;
  const ActorId id{session.id, message.seq};
  const bool named = !options.name.empty();
  QueuePtr queue = new_queue(name, std::string(message.class_name), options);
  queue->kind = options.replicas > 0 ? QueueKind::deployment : QueueKind::actor;
  queue->id = id;
  queue->constructor_args = message.args.bytes;
  const bool detached = options.lifetime ? *options.lifetime == wire::Lifetime::detached : named;
  if (!detached) {
    queue->owner = session.id;
    session.own(*queue);
  }
  if (const auto counter = name_counters_.find(name); counter != name_counters_.end()) {
    queue->next_number = counter->second;
    name_counters_.erase(counter);
  }
  queue->next_number = std::max(queue->next_number, numbers_begin());
  const auto known = classes_known_.find(message.class_name);
  if (known != classes_known_.end()) resolve_concurrency(*queue, known->second);
  queues_.add(queue);
  const std::uint32_t replicas = std::max<std::uint32_t>(options.replicas, 1);
  for (std::uint32_t i = 0; i < replicas; ++i) make_instance(queue, i);
  // All that is to be known of one without a name stands in the record of the actor.
  if (named) store_queue(*queue);
  else open_->set(open_->key(KeyKind::set, "queues"), queue->name(), "");
  if (named) open_->set(open_->key(KeyKind::hash, "names"), name, to_string(id));
  for (Instance* instance : queue->instances) place(*instance);
  // Whoever was placed has stored it, with what is to be known of its place.
  const bool stored = std::any_of(queue->instances.begin(), queue->instances.end(),
                                  [](const Instance* instance) { return instance->worker; });
  if (!stored) store_actor(*queue);
  return queue;
}

void Core::on_create(Session& session, const wire::Create& message, const std::string& problem) {
  if (!number_is_new(session, message.seq, message.handle)) return;
  if (message.handle >= limits::kHandlesMax) return;
  Handle& handle = fresh_handle(session, message.handle);
  const std::string name = queue_name(message.options, ActorId{session.id, message.seq});
  std::string text = problem;
  handle.code = problem.empty() ? create_problem(message, name, text) : Errc::invalid_option;
  if (!text.empty()) handle.more().text = std::move(text);
  session.durable_batch = open_batch();  // a creation is always stored
  mark(session);
  if (handle.code == Errc::ok) {
    Queue* const existing = queues_.find(name);
    hold(session, handle,
         existing != nullptr ? QueuePtr(existing) : create_queue(session, message, name));
    bind_methods(handle, message.methods);
  }
  answer_open(session, message.handle, handle, message.class_name);
}

}  // namespace callboard::broker
