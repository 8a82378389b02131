// Verbs about calls.
#include "broker/core/admin.hpp"

#include <algorithm>
#include <charconv>

namespace callboard::broker {

namespace {

/// Steps that a page takes to find where the one before ended, when that call is gone.
constexpr std::size_t kStepsMax = 100'000;

std::int64_t since_ms(const Core& core, const Call& call) {
  return std::max<std::int64_t>(core.now_.mono_us - call.since_us, 0) / kMicrosPerMilli;
}

std::string_view method_of(const Call& call) {
  const auto& methods = call.queue->methods->names;
  return call.method < methods.size() ? std::string_view(methods[call.method]) : std::string_view();
}

void write_item(MapWriter& out, const Core& core, const Call& call) {
  const bool held = call.state == CallState::leased && call.instance() != nullptr &&
                    call.instance()->worker != nullptr;
  out.text("call", to_string(call.id()))
      .text("queue", call.queue->name())
      .number("number", call.number)
      .text("method", method_of(call))
      .text("state", name_of(call.state))
      .number("since_ms", since_ms(core, call))
      .number("priority", call.priority)
      .number("attempts", call.attempts)
      .text_or_nil("worker", held ? call.instance()->worker->name : "");
}

/// Of a call that only the store has.
void write_item(MapWriter& out, const Core& core, const StoredRun& run, std::uint64_t number) {
  const auto& methods = run.queue->methods->names;
  out.text("call", to_string(CallId{run.session->id, run.seq + (number - run.number)}))
      .text("queue", run.queue->name())
      .number("number", number)
      .text("method", run.method < methods.size() ? methods[run.method] : "")
      .text("state", "stored")
      .number("since_ms",
              std::max<std::int64_t>(core.now_.mono_us - run.since_us, 0) / kMicrosPerMilli)
      .number("priority", run.priority)
      .number("attempts", 0u)
      .nil("worker");
}

/// Calls that workers hold of this queue, in the order of their numbers.
std::vector<const Call*> leased_calls(const Queue& queue) {
  std::vector<const Call*> found;
  for (const Instance* instance : queue.instances) {
    if (instance->worker == nullptr || instance->out == 0) continue;
    instance->worker->leases.each([&](std::uint64_t, const Lease& lease) {
      const bool here = lease.instance == instance && lease.call->queue == &queue;
      if (here && lease.call->state == CallState::leased) found.push_back(lease.call);
    });
  }
  std::sort(found.begin(), found.end(),
            [](const Call* a, const Call* b) { return a->number < b->number; });
  return found;
}

/// Where a page ended: the lane's index (-1: among the leased ones) and the call's number and id.
struct Mark {
  std::int64_t lane = -1;
  std::uint64_t number = 0;
  std::string call;
};

std::string print(const Mark& mark) {
  return std::to_string(mark.lane) + " " + std::to_string(mark.number) + " " + mark.call;
}

bool parse(const std::string& text, Mark& mark) {
  const auto first = text.find(' ');
  const auto second = text.find(' ', first + 1);
  if (first == std::string::npos || second == std::string::npos) return false;
  const auto number = [](const std::string& digits, auto& value) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc{} && end == digits.data() + digits.size();
  };
  mark.call = text.substr(second + 1);
  return number(text.substr(0, first), mark.lane) &&
         number(text.substr(first + 1, second - first - 1), mark.number);
}

/// The first call of the lane behind the mark. False when that would take too many steps.
bool behind(Core& core, const Lane& lane, const Mark& mark, const Call*& next) {
  const CallId id = call_id_from(mark.call);
  const auto session = core.sessions_.find(id.session);
  Call** const found =
      session == core.sessions_.end() ? nullptr : session->second->calls.find(id.seq);
  const Call* last = found == nullptr ? nullptr : *found;
  if (last != nullptr && last->in_list && last->number == mark.number) {
    next = last->next;
    return true;
  }
  std::size_t steps = 0;
  for (next = lane.head; next != nullptr && next->number <= mark.number; next = next->next) {
    if (++steps > kStepsMax) return false;
  }
  return true;
}

AdminResult no_call(const std::string& id) {
  return AdminResult::failed(Errc::unknown_call,
                             "no call " + id +
                                 " is known here: it has ended and its result was "
                                 "taken, or it was never accepted");
}

}  // namespace

std::string_view name_of(CallState state) {
  switch (state) {
    case CallState::free:
      return "free";
    case CallState::waiting:
      return "waiting";
    case CallState::ready:
      return "ready";
    case CallState::leased:
      return "leased";
    case CallState::ended:
      return "ended";
  }
  return "unknown";
}

AdminResult call_ls(Core& core, const AdminRequest& request) {
  Queue* queue = find_queue(core, request.queue);
  if (queue == nullptr) {
    return AdminResult::failed(Errc::unknown_actor, "no queue is named " + request.queue);
  }
  Mark mark;
  if (!request.after.empty() && !parse(request.after, mark)) {
    return AdminResult::failed(Errc::invalid_option, "after is not from an answer of call.ls");
  }
  ListWriter items;
  Mark last = mark;
  // What only the store has of a lane in front of `until`. False: the page is full.
  const auto add_stored = [&](const Lane& lane, std::size_t index, std::uint64_t until) {
    if (lane.stored == nullptr) return true;
    const std::uint64_t after = last.lane == static_cast<std::int64_t>(index) ? last.number : 0;
    auto at = lane.stored->runs.upper_bound(after);
    if (at != lane.stored->runs.begin()) --at;
    for (; at != lane.stored->runs.end() && at->first < until; ++at) {
      const StoredRun& run = at->second;
      for (std::uint64_t no = std::max(run.number, after + 1); no < run.end(); ++no) {
        if (items.size() == request.limit) return false;
        MapWriter item;
        write_item(item, core, run, no);
        items.add(item.finish());
        last = {.lane = static_cast<std::int64_t>(index),
                .number = no,
                .call = to_string(CallId{run.session->id, run.seq + (no - run.number)})};
      }
    }
    return true;
  };
  const auto add = [&](const Call& call, std::int64_t lane) {
    MapWriter item;
    write_item(item, core, call);
    items.add(item.finish());
    last = {.lane = lane, .number = call.number, .call = to_string(call.id())};
  };
  if (mark.lane < 0) {
    for (const Call* call : leased_calls(*queue)) {
      if (call->number <= mark.number) continue;
      if (items.size() == request.limit) return page(items, print(last));
      add(*call, -1);
    }
  }
  for (std::size_t i = mark.lane < 0 ? 0 : static_cast<std::size_t>(mark.lane);
       i < queue->lanes.size(); ++i) {
    const Lane& lane = queue->lanes[i];
    const Call* call = lane.head;
    const bool resumes = mark.lane == static_cast<std::int64_t>(i);
    if (resumes && !behind(core, lane, mark, call)) {
      return AdminResult::failed(Errc::stopping, "the queue has moved on; list it from the start");
    }
    for (; call != nullptr; call = call->next) {
      if (!add_stored(lane, i, call->number)) return page(items, print(last));
      if (items.size() == request.limit) return page(items, print(last));
      add(*call, static_cast<std::int64_t>(i));
    }
    if (!add_stored(lane, i, UINT64_MAX)) return page(items, print(last));
  }
  return page(items, {});
}

AdminResult call_inspect(Core& core, const AdminRequest& request) {
  const Call* call = core.find_call(call_id_from(request.call));
  if (call == nullptr) return no_call(request.call);
  MapWriter out;
  write_item(out, core, *call);
  const CallExtra* extra = call->extra.get();
  ListWriter dependencies;
  if (extra != nullptr) {
    for (const auto& ref : extra->options.refs) dependencies.add_text(to_string(ref.call));
    for (const CallId id : extra->options.after) dependencies.add_text(to_string(id));
  }
  out.text("group", call->queue->group_name(call->group))
      .text_or_nil("key", extra != nullptr && call->keyed ? extra->options.key : "")
      .text("durability", call->durable ? "durable" : "memory")
      .number("bytes", call->stored_bytes)
      .number("max_retries", call->max_retries)
      .number("crashes", extra != nullptr ? extra->crashes : 0u)
      .number("errors", extra != nullptr ? extra->errors : 0u)
      .number("redeliveries", extra != nullptr ? extra->redeliveries : 0u)
      .raw("dependencies", dependencies.finish())
      .text_or_nil("parent", extra != nullptr && extra->options.parent
                                 ? to_string(extra->options.parent)
                                 : "")
      .text("session", hex(value_of(call->session->id)))
      .text_or_nil("client", call->session->name);
  if (call->deadline_wall_ms == 0)
    out.nil("deadline_ms");
  else
    out.number("deadline_ms", call->deadline_wall_ms - core.now_.wall_ms);
  if (call->state != CallState::ended) {
    out.nil("status").nil("error");
  } else {
    out.text("status", name_of(call->status));
    const bool failed = call->status != Errc::ok;
    out.text_or_nil("error", failed ? wire::decode_error(call->value(), call->status).message : "");
  }
  return {.value = out.finish()};
}

AdminResult call_explain(Core& core, const AdminRequest& request) {
  const Call* call = core.find_call(call_id_from(request.call));
  if (call == nullptr) return no_call(request.call);
  return {.value = explanation("call", to_string(call->id()), explain(core, *call))};
}

}  // namespace callboard::broker
