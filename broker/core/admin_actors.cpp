// Verbs about actors and deployments.
#include "broker/core/admin.hpp"
#include "broker/core/records.hpp"

#include <algorithm>

namespace callboard::broker {

namespace {

/// Queues that one page looks at, whatever it shows of them.
constexpr std::size_t kLookedAtMax = 20'000;

std::int64_t age_ms(const Core& core, std::int64_t since_us) {
  return since_us == 0 ? 0
                       : std::max<std::int64_t>(core.now_.mono_us - since_us, 0) / kMicrosPerMilli;
}

std::string_view mode_name(wire::Mode mode) {
  switch (mode) {
    case wire::Mode::automatic:
      return "automatic";
    case wire::Mode::serial:
      return "serial";
    case wire::Mode::threaded:
      return "threaded";
    case wire::Mode::async:
      return "async";
    case wire::Mode::batched:
      return "batched";
  }
  return "unknown";
}

std::string instance_item(const Core& core, const Instance& instance) {
  ListWriter groups;
  for (std::size_t i = 0; i < instance.groups.size(); ++i) {
    MapWriter group;
    group.text("group", instance.queue->group_name(i))
        .number("window", instance.groups[i].window)
        .number("out", instance.groups[i].out);
    groups.add(group.finish());
  }
  MapWriter out;
  out.number("replica", instance.replica)
      .text("state", name_of(instance.state))
      .text_or_nil("worker", instance.worker == nullptr ? "" : instance.worker->name)
      .number("pid", instance.worker == nullptr ? 0u : instance.worker->pid)
      .number("slot", instance.slot)
      .number("incarnation", instance.incarnation)
      .number("restarts", instance.restarts)
      .number("since_ms", age_ms(core, instance.since_us))
      .number("out", instance.out)
      .raw("groups", groups.finish());
  return out.finish();
}

std::uint32_t alive(const Queue& queue) {
  return static_cast<std::uint32_t>(std::count_if(
      queue.instances.begin(), queue.instances.end(),
      [](const Instance* instance) { return instance->state == InstanceState::alive; }));
}

void write_actor(MapWriter& out, const Queue& queue) {
  const Instance* instance = queue.instances.empty() ? nullptr : queue.instances.front();
  out.text("actor", queue.name())
      .text("id", to_string(queue.id))
      .text("class", queue.class_name())
      .text("state", instance == nullptr ? "dead" : name_of(instance->state))
      .text_or_nil("worker",
                   instance == nullptr || instance->worker == nullptr ? "" : instance->worker->name)
      .number("restarts", instance == nullptr ? 0u : instance->restarts)
      .text("lifetime", queue.owner == SessionId{} ? "detached" : "owned")
      .number("depth", queue.count)
      .number("running", queue.leased);
}

void write_deployment(MapWriter& out, const Queue& queue) {
  out.text("deployment", queue.name())
      .text("id", to_string(queue.id))
      .text("class", queue.class_name())
      .number("replicas", queue.instances.size())
      .number("alive", alive(queue))
      .number("depth", queue.count)
      .number("running", queue.leased);
}

void write_details(MapWriter& out, const Core& core, const Queue& queue) {
  std::string owner;
  if (queue.owner != SessionId{}) {
    const auto session = core.sessions_.find(queue.owner);
    owner = hex(value_of(queue.owner));
    if (session != core.sessions_.end() && !session->second->name.empty()) {
      owner += " (" + session->second->name + ")";
    }
  }
  out.text("mode", mode_name(queue.options().mode))
      .number("max_concurrency", queue.max_concurrency(0))
      .number("max_restarts", queue.options().max_restarts)
      .number("max_retries", queue.options().max_retries)
      .flag("dedicated", queue.options().dedicated)
      .flag("paused", queue.paused)
      .text_or_nil("owner", owner)
      .number("accepted", queue.accepted_total)
      .number("ended", queue.ended_total)
      .number("failed", queue.failed_total);
}

template <class Write>
AdminResult list(Core& core, const AdminRequest& request, QueueKind kind, Write write) {
  ListWriter items;
  const Queue* last = nullptr;
  std::size_t looked_at = 0;
  const bool all = core.queues_.each_after(request.after, [&](const QueuePtr& queue) {
    if (items.size() >= request.limit || looked_at >= kLookedAtMax) return false;
    ++looked_at;
    last = queue.get();
    if (queue->kind != kind) return true;
    MapWriter item;
    write(item, *queue);
    items.add(item.finish());
    return true;
  });
  return page(items, all || last == nullptr ? std::string() : last->name());
}

}  // namespace

AdminResult actor_ls(Core& core, const AdminRequest& request) {
  return list(core, request, QueueKind::actor, write_actor);
}

AdminResult deployment_ls(Core& core, const AdminRequest& request) {
  return list(core, request, QueueKind::deployment, write_deployment);
}

AdminResult actor_inspect(Core& core, const AdminRequest& request) {
  const Queue* queue = find_queue(core, request.actor);
  if (queue == nullptr || queue->kind != QueueKind::actor) {
    return AdminResult::failed(Errc::unknown_actor, "no actor is named " + request.actor);
  }
  MapWriter out;
  write_actor(out, *queue);
  write_details(out, core, *queue);
  if (queue->instances.empty())
    out.nil("instance");
  else
    out.raw("instance", instance_item(core, *queue->instances.front()));
  return {.value = out.finish()};
}

AdminResult deployment_inspect(Core& core, const AdminRequest& request) {
  const Queue* queue = find_queue(core, request.deployment);
  if (queue == nullptr || queue->kind != QueueKind::deployment) {
    return AdminResult::failed(Errc::unknown_actor, "no deployment is named " + request.deployment);
  }
  ListWriter replicas;
  for (const Instance* instance : queue->instances) {
    if (replicas.size() < request.limit) replicas.add(instance_item(core, *instance));
  }
  MapWriter out;
  write_deployment(out, *queue);
  write_details(out, core, *queue);
  out.raw("instances", replicas.finish());
  return {.value = out.finish()};
}

AdminResult actor_kill(Core& core, const AdminRequest& request) {
  Queue* queue = find_queue(core, request.actor);
  if (queue == nullptr || queue->kind == QueueKind::task) {
    return AdminResult::failed(Errc::unknown_actor, "no actor is named " + request.actor);
  }
  MapWriter out;
  out.text("actor", queue->name()).text("id", to_string(queue->id)).number("failed", queue->count);
  core.kill_queue(*queue, Errc::actor_died, queue->name() + " was killed");
  return {.code = Errc::ok, .value = out.finish(), .after_commit = true};
}

}  // namespace callboard::broker
