// Verbs about queues.
#include "broker/core/admin.hpp"
#include "broker/core/records.hpp"

#include <algorithm>
#include <utility>

namespace callboard::broker {

namespace {

/// Calls that one purge ends at most; the caller asks again until none is left.
constexpr std::size_t kPurgeMax = 2000;
constexpr std::size_t kLanesShown = 100;
constexpr std::size_t kMethodsShown = 200;

void write_item(MapWriter& out, const Queue& queue) {
  out.text("queue", queue.name())
      .text("kind", name_of(queue.kind))
      .text("class", queue.class_name())
      .text("state", name_of(queue.state))
      .flag("paused", queue.paused)
      .number("depth", queue.count)
      .number("stored_only", queue.absent)
      .number("running", queue.leased)
      .number("delayed", queue.delayed)
      .number("bytes", queue.bytes)
      .number("blocked", queue.rare().parked.size())
      .number("accepted", queue.accepted_total)
      .number("ended", queue.ended_total)
      .number("failed", queue.failed_total);
}

std::string lane_item(const Queue& queue, const Lane& lane) {
  MapWriter out;
  out.text("group", queue.group_name(lane.group))
      .number("priority", lane.priority)
      .number("length", lane.length)
      .number("watermark", lane.watermark);
  if (lane.next_is_stored()) {
    const StoredRun& run = lane.stored->runs.begin()->second;
    out.text("head", to_string(CallId{run.session->id, run.seq})).text("head_state", "stored");
  } else if (lane.head == nullptr) {
    out.nil("head").nil("head_state");
  } else {
    out.text("head", to_string(lane.head->id())).text("head_state", name_of(lane.head->state));
  }
  return out.finish();
}

AdminResult no_queue(const std::string& name) {
  return AdminResult::failed(Errc::unknown_actor, "no queue is named " + name);
}

AdminResult set_paused(Core& core, const AdminRequest& request, bool paused) {
  Queue* queue = find_queue(core, request.queue);
  if (queue == nullptr) return no_queue(request.queue);
  if (queue->paused != paused) {
    queue->paused = paused;
    core.store_queue(*queue);
    if (!paused) core.wake(*queue);
    core.log(0, queue->name() + (paused ? " was paused" : " goes on after a pause"));
  }
  MapWriter out;
  write_item(out, *queue);
  return {.code = Errc::ok, .value = out.finish(), .after_commit = true};
}

/// Calls of the queue that no worker holds, at most `max`.
std::vector<CallSlab::Ref> unsent_calls(Core& core, Queue& queue, std::size_t max) {
  std::vector<CallSlab::Ref> found;
  const auto add = [&](Call* call) {
    const bool unsent = call->state == CallState::waiting || call->state == CallState::ready;
    if (call->queue == &queue && unsent && found.size() < max)
      found.push_back(CallSlab::ref(*call));
  };
  for (Lane& lane : queue.lanes) {
    for (Call* call = lane.head; call != nullptr && found.size() < max; call = call->next)
      add(call);
  }
  for (Call* stub : core.stubs_of(queue, max - found.size())) add(stub);
  for (const auto& [key, state] : queue.rare().keys) {
    for (Call* call : state.waiting) add(call);
  }
  // What may be overtaken waits outside of the lanes until it may go; look only when such are left.
  if (found.empty() && (queue.count > queue.leased || queue.delayed > 0)) {
    for (auto& [id, session] : core.sessions_) {
      session->calls.each([&](std::uint64_t, Call* call) { add(call); });
    }
  }
  return found;
}

}  // namespace

std::string_view name_of(QueueState state) {
  switch (state) {
    case QueueState::open:
      return "open";
    case QueueState::closing:
      return "closing";
    case QueueState::dead:
      return "dead";
  }
  return "unknown";
}

AdminResult queue_ls(Core& core, const AdminRequest& request) {
  ListWriter items;
  const Queue* last = nullptr;
  const bool all = core.queues_.each_after(request.after, [&](const QueuePtr& queue) {
    if (items.size() >= request.limit) return false;
    MapWriter item;
    write_item(item, *queue);
    items.add(item.finish());
    last = queue.get();
    return true;
  });
  return page(items, all || last == nullptr ? std::string() : last->name());
}

AdminResult queue_inspect(Core& core, const AdminRequest& request) {
  const Queue* queue = find_queue(core, request.queue);
  if (queue == nullptr) return no_queue(request.queue);
  ListWriter lanes;
  for (const Lane& lane : queue->lanes) {
    if (lanes.size() < kLanesShown) lanes.add(lane_item(*queue, lane));
  }
  ListWriter groups;
  for (std::size_t i = 0; i < queue->groups(); ++i) {
    MapWriter item;
    item.text("group", queue->group_name(i)).number("max_concurrency", queue->max_concurrency(i));
    groups.add(item.finish());
  }
  ListWriter methods;
  for (const auto& method : queue->methods->names) {
    if (methods.size() < kMethodsShown) methods.add_text(method);
  }
  const auto dead = core.dead_.find(queue->name());
  MapWriter out;
  write_item(out, *queue);
  out.text_or_nil("actor", queue->id ? to_string(queue->id) : "")
      .text_or_nil("reason", queue->rare().reason_text)
      .number("next_number", queue->next_number)
      .number("max_pending", queue->max_pending())
      .number("max_pending_bytes", queue->max_pending_bytes())
      .number("max_retries", queue->options().max_retries)
      .text("durability",
            queue->options().durability == wire::Durability::durable ? "durable" : "memory")
      .text("ordering", queue->options().ordering == wire::Ordering::actor ? "actor"
                        : queue->options().ordering == wire::Ordering::key ? "key"
                                                                         : "none")
      .number("handles", queue->handles)
      .number("keys", queue->rare().keys.size())
      .number("dead", dead == core.dead_.end() ? 0u : dead->second.calls.size())
      .number("instances", queue->instances.size())
      .raw("lanes", lanes.finish())
      .raw("groups", groups.finish())
      .raw("methods", methods.finish());
  return {.value = out.finish()};
}

AdminResult queue_explain(Core& core, const AdminRequest& request) {
  const Queue* queue = find_queue(core, request.queue);
  if (queue == nullptr) return no_queue(request.queue);
  return {.value = explanation("queue", queue->name(), explain(core, *queue))};
}

AdminResult queue_pause(Core& core, const AdminRequest& request) {
  return set_paused(core, request, true);
}

AdminResult queue_resume(Core& core, const AdminRequest& request) {
  return set_paused(core, request, false);
}

AdminResult queue_purge(Core& core, const AdminRequest& request) {
  Queue* queue = find_queue(core, request.queue);
  if (queue == nullptr) return no_queue(request.queue);
  const QueuePtr keep(queue);
  std::size_t purged = 0;
  const bool paused = std::exchange(queue->paused, true);  // or an end would send what is behind it
  for (const CallSlab::Ref& ref : unsent_calls(core, *queue, kPurgeMax)) {
    Call* call = ref.get();  // the end of one may have ended another that waited for it
    if (call == nullptr || call->state == CallState::ended) continue;
    core.end_with(*call, Errc::cancelled, queue->name() + " was purged");
    ++purged;
  }
  queue->paused = paused;
  if (queue->state == QueueState::open) core.wake(*queue);
  MapWriter out;
  out.text("queue", queue->name())
      .number("purged", purged)
      .number("left", queue->count > queue->leased ? queue->count - queue->leased : 0u)
      .number("running", queue->leased);
  return {.code = Errc::ok, .value = out.finish(), .after_commit = true};
}

}  // namespace callboard::broker
