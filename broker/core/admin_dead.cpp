// Verbs about the dead set.
#include "broker/core/admin.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace callboard::broker {

namespace {

/// Calls that one redrive or purge handles at most; the caller asks again until none is left.
constexpr std::size_t kAtOnceMax = 1000;

void write_item(MapWriter& out, const Core& core, const std::string& queue, const DeadCall& dead) {
  out.text("call", to_string(dead.id))
      .text("queue", queue)
      .text("method", dead.method)
      .text("error", name_of(dead.code))
      .text("message", dead.message)
      .number("attempts", dead.attempts)
      .number("crashes", dead.crashes)
      .number("age_ms", std::max<std::int64_t>(core.now_.wall_ms - dead.died_wall_ms, 0));
}

/// The queue whose dead set holds the call, and where; none when it is in no dead set.
std::pair<const std::string*, std::size_t> find_dead(Core& core, const std::string& text) {
  const CallId id = call_id_from(text);
  for (auto& [queue, set] : core.dead_) {
    for (std::size_t i = 0; i < set.calls.size(); ++i) {
      if (set.calls[i].id == id) return {&queue, i};
    }
  }
  return {nullptr, 0};
}

AdminResult not_dead(const std::string& call) {
  return AdminResult::failed(Errc::unknown_call, "no call " + call + " is in a dead set");
}

std::string real_name(Core& core, const std::string& asked) {
  const Queue* queue = find_queue(core, asked);
  return queue == nullptr ? asked : queue->name();
}

/// What a verb is about: one call, or those of one queue.
struct Chosen {
  std::string queue;
  std::vector<CallId> calls;
};

AdminResult choose(Core& core, const AdminRequest& request, Chosen& chosen) {
  if (!request.call.empty()) {
    const auto [queue, index] = find_dead(core, request.call);
    if (queue == nullptr) return not_dead(request.call);
    chosen = {*queue, {call_id_from(request.call)}};
    return {};
  }
  if (request.queue.empty()) {
    return AdminResult::failed(Errc::invalid_option, "a call or a queue is needed");
  }
  chosen.queue = real_name(core, request.queue);
  const auto found = core.dead_.find(chosen.queue);
  if (found == core.dead_.end()) return {};
  for (const DeadCall& dead : found->second.calls) {
    if (chosen.calls.size() == kAtOnceMax) break;
    chosen.calls.push_back(dead.id);
  }
  return {};
}

std::size_t index_of(const DeadSet& set, CallId id) {
  const auto at = std::find_if(set.calls.begin(), set.calls.end(),
                               [&](const DeadCall& dead) { return dead.id == id; });
  return static_cast<std::size_t>(at - set.calls.begin());
}

}  // namespace

AdminResult dead_ls(Core& core, const AdminRequest& request) {
  // A page goes on behind "QUEUE CALL", where the one before ended.
  const std::string only = request.queue.empty() ? "" : real_name(core, request.queue);
  const auto space = request.after.rfind(' ');
  const std::string after_queue = request.after.substr(0, space);
  const CallId after_call =
      space == std::string::npos ? CallId{} : call_id_from(request.after.substr(space + 1));
  ListWriter items;
  std::string last;
  for (auto at = core.dead_.lower_bound(request.after.empty() ? only : after_queue);
       at != core.dead_.end(); ++at) {
    const auto& [queue, set] = *at;
    if (!only.empty() && queue != only) break;
    std::size_t i = 0;
    if (queue == after_queue && after_call) i = index_of(set, after_call) + 1;
    for (; i < set.calls.size(); ++i) {
      if (items.size() == request.limit) return page(items, last);
      MapWriter item;
      write_item(item, core, queue, set.calls[i]);
      items.add(item.finish());
      last = queue + " " + to_string(set.calls[i].id);
    }
  }
  return page(items, {});
}

AdminResult dead_show(Core& core, const AdminRequest& request) {
  const auto [queue, index] = find_dead(core, request.call);
  if (queue == nullptr) return not_dead(request.call);
  const DeadCall& dead = core.dead_.at(*queue).calls[index];
  MapWriter out;
  write_item(out, core, *queue, dead);
  out.number("number", dead.number)
      .number("errors", dead.errors)
      .number("redeliveries", dead.redeliveries)
      .number("died_ms", dead.died_wall_ms)
      .text_or_nil("worker", dead.worker)
      .number("signal", dead.signal)
      .number("exit_status", dead.exit_status)
      .text_or_nil("stderr_tail", dead.stderr_tail)
      .number("bytes", dead.args.size())
      .text("durability", dead.durable ? "durable" : "memory");
  return {.value = out.finish()};
}

AdminResult dead_redrive(Core& core, const AdminRequest& request) {
  Chosen chosen;
  if (AdminResult wrong = choose(core, request, chosen); wrong.code != Errc::ok) return wrong;
  ListWriter made;
  std::string problem;
  for (const CallId id : chosen.calls) {
    DeadSet& set = core.dead_[chosen.queue];
    const std::size_t index = index_of(set, id);
    if (index == set.calls.size()) continue;
    CallId call;
    problem = core.redrive(DeadCall(set.calls[index]), chosen.queue, call);
    if (!problem.empty()) break;
    core.remove_dead(chosen.queue, core.dead_[chosen.queue],
                     index_of(core.dead_[chosen.queue], id));
    MapWriter item;
    item.text("call", to_string(call)).text("of", to_string(id));
    made.add(item.finish());
  }
  if (made.size() == 0 && !problem.empty()) {
    return AdminResult::failed(Errc::queue_full, "not redriven: " + problem);
  }
  const auto left = core.dead_.find(chosen.queue);
  MapWriter out;
  out.text("queue", chosen.queue)
      .raw("redriven", made.finish())
      .number("left", left == core.dead_.end() ? 0u : left->second.calls.size())
      .text_or_nil("problem", problem);
  return {.code = Errc::ok, .value = out.finish(), .after_commit = true};
}

AdminResult dead_purge(Core& core, const AdminRequest& request) {
  Chosen chosen;
  if (AdminResult wrong = choose(core, request, chosen); wrong.code != Errc::ok) return wrong;
  std::size_t left = 0;
  if (const auto found = core.dead_.find(chosen.queue); found != core.dead_.end()) {
    for (const CallId id : chosen.calls) {
      core.remove_dead(chosen.queue, found->second, index_of(found->second, id));
    }
    left = found->second.calls.size();
    if (left == 0) core.dead_.erase(found);
  }
  MapWriter out;
  out.text("queue", chosen.queue).number("purged", chosen.calls.size()).number("left", left);
  return {.code = Errc::ok, .value = out.finish(), .after_commit = true};
}

}  // namespace callboard::broker
