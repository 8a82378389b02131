// Schedules: when their calls are due, and how they are made.
//
// That a call was made and when the next one is due are one commit, and a durable call leaves only
// when it is committed: whatever dies, and whoever takes over, no due time has two calls. A wall
// clock that is put back, or the slower clock of another broker, repeats nothing: the next due time
// is always later than the last, also after a pause and in a schedule that takes another's place.
#include "broker/core/core.hpp"
#include "broker/core/records.hpp"
#include "common/fields.hpp"

#include <algorithm>
#include <deque>
#include <utility>

namespace callboard::broker {

namespace {

constexpr std::string_view kScheduleHeader = "callboard-schedule";
constexpr std::string_view kDueHeader = "callboard-due-ms";

/// The last `most` due times in [first, now].
std::deque<std::int64_t> due_times(const Schedule& schedule, std::int64_t now, std::size_t most) {
  std::deque<std::int64_t> found;
  // Backwards in growing steps: after a year away nobody counts every second of it.
  for (std::int64_t back = 3600;; back *= 8) {
    const std::int64_t from = std::max(schedule.next_s - 1, now - back);
    found.clear();
    for (auto at = schedule.cron.next(*schedule.zone, from); at && *at <= now;
         at = schedule.cron.next(*schedule.zone, *at)) {
      found.push_back(*at);
      if (found.size() > most) found.pop_front();
    }
    if (found.size() >= most || from == schedule.next_s - 1) return found;
  }
}

}  // namespace

std::string_view name_of(CatchUp catch_up) {
  switch (catch_up) {
    case CatchUp::skip:
      return "skip";
    case CatchUp::one:
      return "one";
    case CatchUp::all:
      return "all";
  }
  return "one";
}

std::string schedule_record(const Schedule& schedule) {
  std::string out;
  wire::Writer w(out);
  w.array(19);
  w.uint(kRecordVersion);
  w.str(schedule.cron_text);
  w.str(schedule.zone_name);
  w.uint(static_cast<std::uint64_t>(schedule.kind));
  w.str(schedule.target);
  w.str(schedule.method);
  w.bin(schedule.options);
  w.bin(schedule.args);
  w.uint(static_cast<std::uint64_t>(schedule.catch_up));
  w.uint(schedule.catch_up_max);
  w.boolean(schedule.paused);
  w.integer(schedule.created_wall_ms);
  w.integer(schedule.next_s);
  w.integer(schedule.last_s);
  w.uint(value_of(schedule.last_call.session));
  w.uint(schedule.last_call.seq);
  w.uint(schedule.made);
  w.uint(schedule.failed);
  w.str(schedule.problem);
  return out;
}

bool read_schedule_record(std::string_view record, Schedule& schedule) {
  wire::Reader in(record);
  std::uint32_t n = 0;
  std::uint64_t version = 0;
  std::string_view options, args;
  const bool good =
      in.array(n) && n >= 19 && in.uint(version) && version == kRecordVersion &&
      in.str(schedule.cron_text) && in.str(schedule.zone_name) && in.uint_max(schedule.kind, 2) &&
      in.str(schedule.target) && in.str(schedule.method) && in.bin(options) && in.bin(args) &&
      in.uint_max(schedule.catch_up, 2) && in.uint_max(schedule.catch_up_max, UINT32_MAX) &&
      in.boolean(schedule.paused) && in.integer(schedule.created_wall_ms) &&
      in.integer(schedule.next_s) && in.integer(schedule.last_s) &&
      wire::read_id(in, schedule.last_call) && in.uint(schedule.made) &&
      in.uint(schedule.failed) && in.str(schedule.problem);
  schedule.options = options;
  schedule.args = args;
  return good;
}

/// Reads what the texts of a schedule say. A non-empty answer says what is wrong with them.
std::string Core::understand(Schedule& schedule) {
  Result<Cron> cron = Cron::parse(schedule.cron_text);
  if (!cron) return cron.text();
  schedule.cron = *cron;
  auto& zone = zones_[schedule.zone_name];
  if (zone == nullptr && schedule.zone_name == "UTC") zone = std::make_shared<const TimeZone>();
  if (zone == nullptr) {
    const bool good = good_zone_name(schedule.zone_name) && read_zone_;
    const std::string bytes = good ? read_zone_(schedule.zone_name) : std::string();
    if (bytes.empty()) {
      zones_.erase(schedule.zone_name);
      return "the broker's host knows no time zone " + schedule.zone_name +
             " (the package tzdata has them)";
    }
    Result<TimeZone> parsed = TimeZone::parse(bytes);
    if (!parsed) {
      zones_.erase(schedule.zone_name);
      return schedule.zone_name + ": " + parsed.text();
    }
    zone = std::make_shared<const TimeZone>(std::move(*parsed));
  }
  schedule.zone = zone;
  return {};
}

/// From now on; what was due before is left out, and what was done is not done again.
void Core::plan(Schedule& schedule) {
  schedules_due_.erase({schedule.next_s, schedule.name});
  const std::int64_t after = std::max(now_.wall_ms / 1000, schedule.last_s);
  const auto next = schedule.cron.next(*schedule.zone, after);
  schedule.next_s = next.value_or(0);
  wait_for(schedule);
}

void Core::wait_for(const Schedule& schedule) {
  if (schedule.next_s == 0 || schedule.paused || !schedule.broken.empty()) return;
  schedules_due_.emplace(schedule.next_s, schedule.name);
}

void Core::store_schedule(const Schedule& schedule) {
  open_->set(open_->key(KeyKind::hash, "schedules"), schedule.name, schedule_record(schedule));
}

void Core::remove_schedule(const std::string& name) {
  const auto found = schedules_.find(name);
  if (found == schedules_.end()) return;
  schedules_due_.erase({found->second.next_s, name});
  schedules_.erase(found);
  open_->erase(open_->key(KeyKind::hash, "schedules"), name);
}

/// The queue that the schedule's calls go to; none: `problem` says why.
QueuePtr Core::schedule_target(const Schedule& schedule, std::string& problem) {
  wire::Open open;
  open.kind = schedule.kind;
  open.name = schedule.target;
  const CallId id = call_id_from(schedule.target);
  open.actor = ActorId{id.session, id.seq};
  Handle handle;
  find_target(open, handle);
  if (!handle.queue) {
    problem = handle.rare().text;
  } else if (handle.queue->state != QueueState::open) {
    problem = handle.queue->name() + " is gone";
    handle.queue.reset();
  }
  return handle.queue;
}

std::string Core::make_scheduled_call(Schedule& schedule, std::int64_t due_s) {
  std::string problem;
  const QueuePtr queue = schedule_target(schedule, problem);
  if (!queue) return problem;
  if (queue->full(schedule.args.size())) return queue->name() + " is full";
  if (store_full_) return "Redis nears its memory limit";
  if (open_bytes() > options_.store_batch_bytes_max) {
    return "Redis is away and too much waits for it";
  }
  wire::CallOptions options;
  wire::Reader in(schedule.options);
  if (!wire::read(in, options, problem)) return problem;
  if (!options.group.empty() && queue->group_named(options.group) == 0) {
    return "no concurrency group is named " + options.group;
  }
  options.no_result = true;
  options.durability = wire::Durability::durable;
  options.headers = with_header(options.headers, kScheduleHeader, schedule.name);
  options.headers = with_header(options.headers, kDueHeader, std::to_string(due_s * 1000));
  std::string encoded;
  wire::Writer out(encoded);
  wire::write(out, options);
  const int method = queue->kind == QueueKind::task ? 0 : queue->intern_method(schedule.method);
  if (method < 0) return queue->name() + " has too many methods";
  Session& session = own_session();
  const CallId id{session.id, ++session.accepted_through};
  Call& call =
      make_call(session, *queue, id, encoded, wire::Body{schedule.args, Blob()}, &options);
  call.method = static_cast<std::uint16_t>(method);
  call.group = options.group.empty() ? queue->methods->groups[call.method]
                                     : queue->group_named(options.group);
  schedule.last_call = id;
  ++schedule.made;
  accept(call);
  return {};
}

void Core::schedule_due(Schedule& schedule) {
  const std::int64_t now_s = now_.wall_ms / 1000;
  const std::size_t most = schedule.catch_up == CatchUp::all ? schedule.catch_up_max : 1;
  for (const std::int64_t due : due_times(schedule, now_s, most)) {
    const bool late = now_.wall_ms - due * 1000 > limits::kScheduleGraceMs;
    if (schedule.catch_up == CatchUp::skip && late) {
      log(1, "schedule " + schedule.name + ": what was due while no broker served is left out");
      continue;
    }
    schedule.last_s = due;
    std::string problem = make_scheduled_call(schedule, due);
    if (problem.empty()) continue;
    log(1, "schedule " + schedule.name + ": no call was made: " + problem);
    ++schedule.failed;
    schedule.problem = std::move(problem);
  }
  plan(schedule);
  if (schedule.next_s == 0) log(0, "schedule " + schedule.name + " has no further time");
  store_schedule(schedule);
}

void Core::run_schedules() {
  while (!schedules_due_.empty() && schedules_due_.begin()->first * 1000 <= now_.wall_ms) {
    schedule_due(schedules_.at(schedules_due_.begin()->second));
  }
}

std::string Core::restore_schedule(const std::string& name, const std::string& record) {
  Schedule schedule;
  schedule.name = name;
  if (!read_schedule_record(record, schedule)) return "schedule " + name + " cannot be read";
  // One that this host does not understand is kept: another one may.
  schedule.broken = understand(schedule);
  if (!schedule.broken.empty()) log(2, "schedule " + name + " stands still: " + schedule.broken);
  wait_for(schedule);
  schedules_.emplace(name, std::move(schedule));
  return {};
}

}  // namespace callboard::broker
