// Verbs about schedules.
#include "broker/core/admin.hpp"

#include <algorithm>
#include <utility>

namespace callboard::broker {

namespace {

constexpr std::uint32_t kCatchUpDefault = 100;

std::string_view state_of(const Schedule& schedule) {
  if (!schedule.broken.empty()) return "broken";
  if (schedule.paused) return "paused";
  return schedule.next_s == 0 ? "ended" : "active";
}

void write_time(MapWriter& out, std::string_view key, std::int64_t seconds) {
  if (seconds == 0)
    out.nil(key);
  else
    out.number(key, seconds * 1000);
}

void write_item(MapWriter& out, const Schedule& schedule) {
  out.text("schedule", schedule.name)
      .text("cron", schedule.cron_text)
      .text("zone", schedule.zone_name)
      .text("kind", schedule.kind == wire::TargetKind::task ? "task" : "actor")
      .text("target", schedule.target)
      .text_or_nil("method", schedule.method)
      .text("catch_up", name_of(schedule.catch_up))
      .text("state", state_of(schedule));
  write_time(out, "next_ms", schedule.paused ? 0 : schedule.next_s);
  write_time(out, "last_ms", schedule.last_s);
  out.number("made", schedule.made).number("failed", schedule.failed);
}

AdminResult whole(const Schedule& schedule) {
  MapWriter out;
  write_item(out, schedule);
  out.number("catch_up_max", schedule.catch_up_max)
      .number("created_ms", schedule.created_wall_ms)
      .text_or_nil("last_call", schedule.last_call ? to_string(schedule.last_call) : "")
      .text_or_nil("problem", schedule.broken.empty() ? schedule.problem : schedule.broken)
      .number("bytes", schedule.args.size());
  return {.code = Errc::ok, .value = out.finish(), .after_commit = true};
}

AdminResult wrong(std::string text) {
  return AdminResult::failed(Errc::invalid_option, std::move(text));
}

AdminResult no_schedule(const std::string& name) {
  return AdminResult::failed(Errc::unknown_actor, "no schedule is named " + name);
}

Schedule* find_schedule(Core& core, const std::string& name) {
  const auto found = core.schedules_.find(name);
  return found == core.schedules_.end() ? nullptr : &found->second;
}

/// Options that make no sense for a call that nobody waits for and that is made many times.
std::string options_problem(std::string_view encoded) {
  if (encoded.empty()) return {};
  wire::CallOptions options;
  std::string problem;
  wire::Reader in(encoded);
  if (!wire::read(in, options, problem)) return problem;
  if (!options.refs.empty() || !options.after.empty() || options.parent) {
    return "a scheduled call depends on no other";
  }
  if (options.delay_ms || options.at_ms) return "a scheduled call has no delay of its own";
  if (!options.idempotency_key.empty()) return "an idempotency key would make all calls one";
  if (options.durability == wire::Durability::memory) return "scheduled calls are durable";
  return {};
}

std::string fill(const AdminRequest& request, Schedule& schedule) {
  schedule.name = request.schedule;
  schedule.cron_text = request.cron;
  schedule.zone_name = request.zone.empty() ? "UTC" : request.zone;
  schedule.method = request.method;
  schedule.options = request.options.empty() ? std::string("\x80") : request.options;
  schedule.args = request.args.empty() ? std::string("\x90") : request.args;
  schedule.catch_up_max = request.catch_up_max == 0 ? kCatchUpDefault : request.catch_up_max;
  if (!good_name(schedule.name)) return "not a schedule's name: " + schedule.name;
  if (!request.task.empty()) {
    schedule.kind = wire::TargetKind::task;
    schedule.target = request.task;
    if (!schedule.method.empty() || !request.target.empty()) return "a task alone is the target";
  } else {
    schedule.target = request.target;
    schedule.kind = call_id_from(request.target) ? wire::TargetKind::actor : wire::TargetKind::name;
    if (schedule.target.empty() || schedule.method.empty()) {
      return "a task is needed, or a target and a method";
    }
  }
  if (request.catch_up.empty() || request.catch_up == "one")
    schedule.catch_up = CatchUp::one;
  else if (request.catch_up == "skip")
    schedule.catch_up = CatchUp::skip;
  else if (request.catch_up == "all")
    schedule.catch_up = CatchUp::all;
  else
    return "catch_up is skip, one or all";
  if (schedule.catch_up_max > limits::kCatchUpMax) {
    return "catch_up_max is at most " + std::to_string(limits::kCatchUpMax);
  }
  return options_problem(request.options);
}

AdminResult set_paused_schedule(Core& core, const AdminRequest& request, bool paused) {
  Schedule* schedule = find_schedule(core, request.schedule);
  if (schedule == nullptr) return no_schedule(request.schedule);
  if (schedule->paused == paused) return whole(*schedule);
  schedule->paused = paused;
  if (schedule->broken.empty()) core.plan(*schedule);
  core.store_schedule(*schedule);
  return whole(*schedule);
}

}  // namespace

AdminResult schedule_create(Core& core, const AdminRequest& request) {
  Schedule schedule;
  std::string problem = fill(request, schedule);
  if (problem.empty()) problem = core.understand(schedule);
  if (!problem.empty()) return wrong(std::move(problem));
  if (schedule.args.size() > limits::kScheduleBytesMax) {
    return AdminResult::failed(Errc::too_large, "the arguments take more than " +
                                                    std::to_string(limits::kScheduleBytesMax) +
                                                    " bytes");
  }
  if (const Schedule* there = find_schedule(core, schedule.name)) {
    if (there->same_as(schedule)) return whole(*there);  // asked again after a lost answer, say
    if (!request.replace) {
      return AdminResult::failed(Errc::name_taken, "there is another schedule " + schedule.name);
    }
    schedule.last_s = there->last_s;  // what was due then has had its call
  } else if (core.schedules_.size() >= limits::kSchedulesMax) {
    return AdminResult::failed(Errc::too_large, "there are " +
                                                    std::to_string(limits::kSchedulesMax) +
                                                    " schedules");
  }
  if (!core.schedule_target(schedule, problem)) {
    const bool task = schedule.kind == wire::TargetKind::task;
    return AdminResult::failed(task ? Errc::unknown_task : Errc::unknown_actor, problem);
  }
  if (!schedule.cron.next(*schedule.zone, core.now_.wall_ms / 1000)) {
    return wrong("\"" + schedule.cron_text + "\" never comes");
  }
  schedule.created_wall_ms = core.now_.wall_ms;
  core.remove_schedule(schedule.name);
  Schedule& kept = core.schedules_.emplace(schedule.name, std::move(schedule)).first->second;
  core.plan(kept);
  core.store_schedule(kept);
  return whole(kept);
}

AdminResult schedule_ls(Core& core, const AdminRequest& request) {
  ListWriter items;
  std::string_view last;
  auto at = core.schedules_.upper_bound(request.after);
  for (; at != core.schedules_.end() && items.size() < request.limit; ++at) {
    MapWriter item;
    write_item(item, at->second);
    items.add(item.finish());
    last = at->first;
  }
  return page(items, at == core.schedules_.end() ? std::string_view() : last);
}

AdminResult schedule_inspect(Core& core, const AdminRequest& request) {
  const Schedule* schedule = find_schedule(core, request.schedule);
  if (schedule == nullptr) return no_schedule(request.schedule);
  AdminResult result = whole(*schedule);
  result.after_commit = false;
  return result;
}

AdminResult schedule_remove(Core& core, const AdminRequest& request) {
  const Schedule* schedule = find_schedule(core, request.schedule);
  if (schedule == nullptr) return no_schedule(request.schedule);
  AdminResult result = whole(*schedule);
  core.remove_schedule(request.schedule);
  return result;
}

AdminResult schedule_pause(Core& core, const AdminRequest& request) {
  return set_paused_schedule(core, request, true);
}

AdminResult schedule_resume(Core& core, const AdminRequest& request) {
  return set_paused_schedule(core, request, false);
}

}  // namespace callboard::broker
