// What a call or a queue waits for, in words.
#include "broker/core/admin.hpp"

#include <algorithm>

namespace callboard::broker {

namespace {

constexpr std::size_t kDependenciesShown = 5;
constexpr std::size_t kLanesShown = 8;

std::string duration(std::int64_t us) {
  const auto ms = std::max<std::int64_t>(us, 0) / kMicrosPerMilli;
  if (ms < 10'000) return std::to_string(ms) + " ms";
  if (ms < 600'000) return std::to_string(ms / 1000) + " s";
  return std::to_string(ms / 60'000) + " min";
}

std::string plural(std::uint64_t n, const std::string& noun) {
  return std::to_string(n) + " " + noun + (n == 1 ? "" : "s");
}

std::string named(const Worker& worker) {
  return worker.name + " (pid " + std::to_string(worker.pid) + " on " + worker.host + ")";
}

/// Dependencies of the call that have not ended.
void explain_dependencies(Core& core, const Call& call, std::vector<Reason>& out) {
  std::vector<CallId> ids = call.extra->options.after;
  for (const auto& ref : call.extra->options.refs) ids.push_back(ref.call);
  std::string names;
  std::size_t open = 0;
  for (const CallId id : ids) {
    const Call* other = core.find_call(id);
    if (other == nullptr || other->state == CallState::ended) continue;
    if (++open > kDependenciesShown) continue;
    names += (names.empty() ? "" : ", ") + to_string(id) + " of " + other->queue->name() + " (" +
             std::string(name_of(other->state)) + ")";
  }
  if (open > kDependenciesShown) {
    names += " and " + std::to_string(open - kDependenciesShown) + " more";
  }
  out.push_back({"dependency", "it waits for the result of " +
                                   plural(call.extra->unresolved, "call") +
                                   (names.empty() ? "" : ": " + names)});
}

void explain_backoff(const Core& core, const Call& call, std::vector<Reason>& out) {
  const auto left = duration(call.not_before_us() - core.now_.mono_us);
  std::string why;
  if (call.extra && call.extra->errors > 0) {
    const auto error = wire::decode_error(call.extra->last_error, Errc::task_error);
    why = "; attempt " + std::to_string(call.attempts) + " failed with " +
          (error.type.empty() ? std::string(name_of(error.code)) : error.type) + ": " +
          error.message;
  }
  out.push_back({call.attempts > 0 ? "backoff" : "delay",
                 call.attempts > 0 ? "it is tried again in " + left + why
                                   : "it was delayed and is due in " + left});
}

std::string place_problem(const Core& core, const Instance& instance) {
  const Queue& queue = *instance.queue;
  if (instance.not_before_us > core.now_.mono_us) {
    return "it starts again in " + duration(instance.not_before_us - core.now_.mono_us) +
           " after " + plural(instance.failures, "bad start");
  }
  const auto offers = core.offers_.find(queue.class_name());
  if (offers == core.offers_.end() || offers->second.empty()) {
    return "no connected worker offers the class " + queue.class_name();
  }
  if (queue.options().dedicated) return "it needs a worker process of its own and none is free";
  if (queue.kind == QueueKind::deployment) {
    return "every worker process that offers " + queue.class_name() + " holds a replica already";
  }
  return "no worker that offers " + queue.class_name() + " can take it now";
}

/// Why one instance takes no call of the group now; an empty text when it does.
std::string instance_problem(const Core& core, const Instance& instance, std::uint8_t group) {
  const auto since = duration(core.now_.mono_us - instance.since_us);
  switch (instance.state) {
    case InstanceState::unplaced:
      return "is not placed: " + place_problem(core, instance);
    case InstanceState::starting:
      return "is being started on " + named(*instance.worker) + " for " + since;
    case InstanceState::stopping:
      return "is being stopped";
    case InstanceState::recovering:
      return "waits for the worker that held it before the broker restarted";
    case InstanceState::dead:
      return "is dead";
    case InstanceState::alive:
      break;
  }
  const Worker& worker = *instance.worker;
  if (worker.peer == nullptr) return "is on " + named(worker) + ", which is not connected now";
  if (instance.recalling) return "hands back what was sent ahead before a retry";
  if (group >= instance.groups.size()) return "has no room for this concurrency group";
  const auto& window = instance.groups[group];
  if (window.out < window.window) return {};
  if (window.window == 0) return "on " + named(worker) + " takes no calls now";
  return "on " + named(worker) + " has " + plural(window.out, "call") + " and takes no more than " +
         std::to_string(window.window);
}

/// Why nobody takes a call that may go.
void explain_instances(const Core& core, const Queue& queue, std::uint8_t group,
                       std::vector<Reason>& out) {
  if (queue.instances.empty()) {
    out.push_back({"no_worker", queue.kind == QueueKind::task
                                    ? "no connected worker offers the task " + queue.class_name()
                                    : queue.name() + " has no instance"});
    return;
  }
  std::string first;
  std::size_t closed = 0;
  for (const Instance* instance : queue.instances) {
    // A task slot has one window for all functions.
    auto why = instance_problem(core, *instance, instance->queue ? group : std::uint8_t{0});
    if (why.empty()) continue;
    if (closed++ == 0) first = std::move(why);
  }
  if (closed < queue.instances.size()) return;
  const std::string who = queue.kind == QueueKind::deployment ? "replica 0 of " + queue.name()
                          : queue.kind == QueueKind::task     ? "a task slot"
                                                              : queue.name();
  const bool busy = queue.instances.front()->state == InstanceState::alive;
  out.push_back(
      {busy ? "busy" : "not_alive",
       who + " " + first +
           (closed > 1 ? "; the other " + std::to_string(closed - 1) + " do not either" : "")});
}

void explain_surroundings(const Core& core, const Queue& queue, std::vector<Reason>& out) {
  if (queue.paused) {
    out.push_back({"paused", queue.name() + " is paused; `callboard queue resume " + queue.name() +
                                 "` lets it go on"});
  }
  if (queue.state == QueueState::dead) {
    out.push_back({"dead", queue.name() + " is dead: " + queue.rare().reason_text});
  }
  if (!core.store_up_) {
    out.push_back({"store", "the store is away, and no durable call starts without it: " +
                                core.store_problem_});
  }
}

/// A call that is not yet with a worker, without a look at those before it.
void explain_unsent(Core& core, const Call& call, std::vector<Reason>& out) {
  if (call.extra && call.extra->unresolved > 0) {
    explain_dependencies(core, call, out);
  } else if (call.not_before_us() > core.now_.mono_us) {
    explain_backoff(core, call, out);
  } else if (call.keyed && !call.in_list) {
    out.push_back({"key", "another call with the key \"" + call.extra->options.key +
                              "\" comes first or runs"});
  } else if (call.stub) {
    out.push_back({"stored", "it is not in the broker's memory and is being read back"});
  } else if (call.orphan) {
    out.push_back({"recovery", "a worker may still hold it from before the broker restarted"});
  } else {
    explain_instances(core, *call.queue, call.group, out);
  }
}

void explain_leased(const Core& core, const Call& call, std::vector<Reason>& out) {
  const auto since = duration(core.now_.mono_us - call.since_us);
  const Worker* worker = call.instance() == nullptr ? nullptr : call.instance()->worker;
  const auto attempt = "attempt " + std::to_string(call.attempts);
  if (worker == nullptr) {
    out.push_back(
        {"running", attempt + " was sent " + since + " ago; its worker is not known yet"});
    return;
  }
  out.push_back({"running", attempt + " was sent to " + named(*worker) + " " + since +
                                " ago and has not ended"});
  if (worker->peer == nullptr) {
    out.push_back({"worker_away", "the worker is not connected; it was heard " +
                                      duration(core.listened_us_ - worker->heard_us) + " ago"});
  }
  const auto& groups = call.instance()->groups;
  if (call.instance()->queue && call.group < groups.size() && groups[call.group].out > 1 &&
      call.queue->serial()) {
    out.push_back({"serial", "the actor runs one call at a time and has " +
                                 plural(groups[call.group].out, "call") + " of them"});
  }
}

void explain_ended(const Core& core, const Call& call, std::vector<Reason>& out) {
  const auto since = duration(core.now_.mono_us - call.since_us);
  out.push_back({"ended", "it ended " + since + " ago with " + std::string(name_of(call.status))});
  if (!call.taken) {
    out.push_back({"untaken", call.session->peer != nullptr
                                  ? "its owner has not taken the result yet"
                                  : "its owner is not connected and has not taken the result"});
  } else if (call.extra && call.extra->holders > 0) {
    out.push_back({"held", plural(call.extra->holders, "call") + " will use its result"});
  }
}

}  // namespace

std::vector<Reason> explain(Core& core, const Call& call) {
  std::vector<Reason> out;
  if (call.state == CallState::ended) {
    explain_ended(core, call, out);
    return out;
  }
  if (call.state == CallState::leased) {
    explain_leased(core, call, out);
    return out;
  }
  explain_surroundings(core, *call.queue, out);
  if (call.in_list && call.prev != nullptr) {
    const Lane& lane = call.queue->lane(call.group, call.priority);
    const Call& head = *lane.head;
    out.push_back({"behind", "it is number " + std::to_string(call.number) + " of " +
                                 call.queue->name() + "; number " + std::to_string(head.number) +
                                 " (call " + to_string(head.id()) + ") is the first of " +
                                 plural(lane.length, "call") + " in its lane"});
    std::vector<Reason> of_head;
    explain_unsent(core, head, of_head);
    for (auto& reason : of_head) {
      out.push_back({reason.code, "about the first: " + reason.text});
    }
    return out;
  }
  explain_unsent(core, call, out);
  if (out.empty()) out.push_back({"ready", "it is ready and is being sent"});
  return out;
}

std::vector<Reason> explain(Core& core, const Queue& queue) {
  std::vector<Reason> out;
  if (queue.count == 0 && queue.rare().parked.empty()) {
    out.push_back({"empty", queue.name() + " is empty: nothing waits"});
  } else {
    out.push_back({"depth", queue.name() + " holds " + plural(queue.count, "call") + ", " +
                                std::to_string(queue.leased) + " of them with workers"});
  }
  explain_surroundings(core, queue, out);
  if (queue.absent > 0) {
    out.push_back({"in_store", plural(queue.absent, "call") +
                                   " of them wait outside of the broker's memory"});
  }
  std::size_t lanes = 0;
  for (const Lane& lane : queue.lanes) {
    if (lane.next_is_stored() && ++lanes <= kLanesShown) {
      out.push_back({"stored", "the first call in line, number " +
                                   std::to_string(lane.stored->runs.begin()->first) +
                                   ", is not in the broker's memory and is being read back"});
      continue;
    }
    if (lane.head == nullptr || ++lanes > kLanesShown) continue;
    std::vector<Reason> of_head;
    explain_unsent(core, *lane.head, of_head);
    for (auto& reason : of_head) {
      out.push_back({reason.code, "the first call in line, number " +
                                      std::to_string(lane.head->number) + ": " + reason.text});
    }
  }
  if (lanes == 0 && queue.count > queue.leased) {
    out.push_back({"waiting", plural(queue.count - queue.leased, "call") +
                                  " wait for other calls, for a delay or for a retry"});
  }
  if (!queue.rare().parked.empty()) {
    const auto clients = plural(queue.rare().parked.size(), "client");
    out.push_back({"full", "room is awaited by " + clients + ": " +
                               std::to_string(queue.count) + " of " +
                               std::to_string(queue.max_pending()) + " calls, " +
                               std::to_string(queue.bytes) + " of " +
                               std::to_string(queue.max_pending_bytes()) + " bytes"});
  }
  return out;
}

std::string explanation(std::string_view kind, std::string_view name,
                        const std::vector<Reason>& reasons) {
  std::string text;
  ListWriter list;
  for (const Reason& reason : reasons) {
    text += (text.empty() ? "" : "; ") + reason.text;
    MapWriter item;
    item.text("code", reason.code).text("text", reason.text);
    list.add(item.finish());
  }
  MapWriter out;
  out.text(kind, name).text("text", text).raw("reasons", list.finish());
  return out.finish();
}

}  // namespace callboard::broker
