#include "tests/sim/worker_process.hpp"

#include "tests/sim/call_notes.hpp"
#include "tests/sim/planner_process.hpp"

#include <algorithm>
#include <utility>

namespace callboard::sim {

using worker::Begin;
using worker::Job;
using worker::Outcome;

worker::WorkerOffer WorkerProcess::offer(const std::string& name, const std::string& supervisor,
                                         std::uint32_t task_slots, std::uint32_t recorder_slots,
                                         Random& random) {
  worker::WorkerOffer offer;
  offer.name = name;
  offer.supervisor = supervisor;
  offer.host = "sim";
  offer.pid = random.below(30'000) + 2;
  offer.instance = random.next() | 1;
  offer.task_slots = task_slots;
  offer.recorder_slots = recorder_slots;
  const std::vector<std::string>& methods = kMethods;
  const std::vector<std::string> signatures(methods.size(), "int(int)");
  offer.classes.push_back({kSerialClass, wire::Mode::serial, methods, signatures});
  offer.classes.push_back({kAsyncClass, wire::Mode::async, methods, signatures});
  for (int i = 0; i < kTaskFunctions; ++i) offer.tasks.push_back("task" + std::to_string(i));
  offer.tasks.push_back(kTickTask);
  return offer;
}

WorkerProcess::WorkerProcess(Context& context, Observer& observer, const std::string& name,
                             const std::string& supervisor, std::uint32_t task_slots,
                             std::uint32_t recorder_slots, std::function<void(CallId)> on_poison,
                             std::function<void()> on_exit)
    : LinkProcess(context, observer, name),
      offer_(offer(name, supervisor, task_slots, recorder_slots, random_)),
      on_poison_(std::move(on_poison)),
      on_exit_(std::move(on_exit)),
      method_calls_(context, process_, random_.fork(), session_options(random_, name)),
      session_(offer_, *this, link_) {
  worker::ActorSpec tasks;
  wire::ActorOptions options;
  options.max_concurrency = task_slots;
  tasks.options = std::make_shared<const wire::ActorOptions>(options);
  executors_[0] = std::make_unique<SimExecutor>(*this, tasks, wire::Mode::threaded, random_.fork());
  actors_[0] = tasks;
  Record record;
  record.what = What::worker_born;
  record.process = process_.id();
  context_.note(process_.name(), std::move(record));
  link_.add(method_calls_.session(), wire::Side::client);
  link_.add(session_, wire::Side::worker);
  LinkProcess::start();
}

void WorkerProcess::die() {
  LinkProcess::die();
  Record record;
  record.what = What::worker_died;
  record.process = process_.id();
  context_.note(process_.name(), std::move(record));
  method_calls_.gone(true);
}

void WorkerProcess::leave() {
  close();
  method_calls_.gone(false);
}

WorkerRemains WorkerProcess::remains() const {
  WorkerRemains remains{offer_.name, offer_.instance, offer_.pid, {}};
  for (const auto& [ticket, call] : recorder_) remains.recorded.push_back(call);
  return remains;
}

TargetSpec* WorkerProcess::target_in(std::string_view constructor_args) {
  wire::Reader in(constructor_args);
  std::uint32_t n = 0;
  std::uint64_t index = 0;
  if (!in.array(n) || n != 1 || !in.uint(index) || index >= context_.specs.targets.size()) {
    context_.verdict.fail("arguments", "a constructor got other arguments than were given");
    return nullptr;
  }
  return &context_.specs.targets[index];
}

Record WorkerProcess::record_of(What what, const worker::ActorSpec& spec) const {
  Record record;
  record.what = what;
  record.process = process_.id();
  record.actor = spec.actor;
  record.incarnation = spec.incarnation;
  return record;
}

// --- commanded by the session
// ----------------------------------------------------------------------

void WorkerProcess::start(const wire::Start& start) {
  worker::ActorSpec spec;
  spec.slot = start.slot;
  spec.actor = start.actor;
  spec.incarnation = start.incarnation;
  spec.name = start.name;
  spec.options = std::make_shared<const wire::ActorOptions>(start.options);
  const auto known =
      std::find_if(offer_.classes.begin(), offer_.classes.end(),
                   [&](const auto& offer) { return offer.name == start.class_name; });
  if (known == offer_.classes.end()) {
    ErrorInfo error;
    error.code = Errc::unknown_class;
    mail_.push_back(StartedMail{start.slot, std::move(error), {}});
    mail_.push_back(StoppedMail{start.slot});
    return turn_soon();
  }
  if (TargetSpec* target = target_in(start.args.bytes)) {
    if (!target->id) target->id = start.actor;
    context_.specs.by_actor[start.actor] = target;
  }
  actors_[start.slot] = spec;
  auto& place = executors_[start.slot];
  CALLBOARD_CHECK(place == nullptr);
  place = std::make_unique<SimExecutor>(*this, spec, known->mode, random_.fork());
  constructors_waiting_.push_back(start.slot);
  construct_waiting();
}

void WorkerProcess::construct_waiting() {
  if (process_.now().mono_us >= lease_until_us_) return;
  while (!constructors_waiting_.empty()) {
    const auto found = executors_.find(constructors_waiting_.front());
    constructors_waiting_.pop_front();
    if (found != executors_.end()) found->second->start(worker::Payload(), 0);
  }
}

void WorkerProcess::add_methods(std::uint32_t slot, std::span<const std::string> names) {
  if (slot == 0) return;  // tasks are known by what they are called with
  const auto found = executors_.find(slot);
  if (found != executors_.end()) found->second->add_methods(names);
}

void WorkerProcess::submit(std::span<Job> jobs) {
  for (Job& job : jobs) {
    const auto found = executors_.find(job.slot);
    if (found != executors_.end()) {
      found->second->submit({&job, 1});
      continue;
    }
    mail_.push_back(Outcome(job, Outcome::Fate::returned));
    turn_soon();
  }
}

worker::Revoked WorkerProcess::revoke(std::uint32_t slot, std::uint64_t lease, bool running_too) {
  const auto found = executors_.find(slot);
  if (found == executors_.end()) return worker::Revoked::unknown;
  return found->second->revoke(lease, running_too);
}

void WorkerProcess::go_on(std::uint32_t slot, bool hand_back) {
  context_.coverage.hit(hand_back ? "situation: lane handed back" : "situation: lane goes on");
  const auto found = executors_.find(slot);
  if (found != executors_.end()) found->second->go_on(hand_back);
}

void WorkerProcess::stop(std::uint32_t slot, bool now) {
  const auto found = executors_.find(slot);
  const auto waits = std::find(constructors_waiting_.begin(), constructors_waiting_.end(), slot);
  if (waits != constructors_waiting_.end()) {  // it is not constructed any more
    context_.coverage.hit("situation: stopped before its constructor");
    constructors_waiting_.erase(waits);
    retired_.push_back(std::move(found->second));
    executors_.erase(found);
    mail_.push_back(StoppedMail{slot});
    return turn_soon();
  }
  if (found != executors_.end()) return found->second->stop(now);
  mail_.push_back(StoppedMail{slot});
  turn_soon();
}

void WorkerProcess::release(std::span<const std::uint32_t> tickets) {
  for (const std::uint32_t ticket : tickets) {
    if (recorder_.erase(ticket) == 0) {
      context_.verdict.fail("recorder", "a slot that is free was released on " + process_.name());
    }
  }
  if (waiting_) try_again_soon();
}

void WorkerProcess::set_lease(std::int64_t until_us) {
  lease_until_us_ = until_us;
  if (!constructors_waiting_.empty()) construct_waiting();
  if (waiting_) try_again_soon();
}

void WorkerProcess::try_again_soon() {
  if (trying_again_) return;
  trying_again_ = true;
  process_.later(1, [this] {
    trying_again_ = false;
    waiting_ = false;
    for (auto& [slot, executor] : executors_) executor->try_again();
  });
}

// --- asked and told by the executors
// -----------------------------------------------------------------

Begin WorkerProcess::begin(Job& job, std::int64_t now_us) {
  if (!process_.alive()) return Begin::wait;  // the call before this one took it down
  if (now_us >= lease_until_us_) {
    context_.coverage.hit("situation: nothing begins, the lease is over");
    waiting_ = true;
    return Begin::wait;
  }
  if (recorder_.size() >= offer_.recorder_slots) {
    context_.coverage.hit("situation: nothing begins, the recorder is full");
    waiting_ = true;
    return Begin::wait;
  }
  const worker::ActorSpec& spec = actors_.at(job.slot);
  job.ticket = next_ticket_++;
  wire::HeldCall& slot = recorder_[job.ticket];
  slot.lease = job.lease;
  slot.call = job.call;
  slot.attempt = job.attempt;
  slot.actor = spec.actor;
  slot.incarnation = spec.incarnation;
  return Begin::run;
}

bool WorkerProcess::entered(const Job& job, const worker::ActorSpec& spec, std::uint64_t& execution,
                            const Plan*& plan) {
  const CallSpec* call = context_.specs.find(job.call);
  if (call == nullptr && ticked(job, spec, plan)) return true;
  if (call == nullptr) {
    context_.verdict.fail("arguments",
                          "a call that nobody submitted began: " + to_string(job.call));
    return false;
  }
  check_arguments(job, *call);
  execution = context_.next_execution++;
  plan = &call->plan;
  Record record = record_of(What::begun, spec);
  record.call = job.call;
  record.attempt = job.attempt;
  record.value = execution;
  context_.note(process_.name(), std::move(record));
  if (job.attempt <= plan->killing_attempts) {
    on_poison_(job.call);
    return false;
  }
  return true;
}

/// A call that the broker made because a schedule was due.
bool WorkerProcess::ticked(const Job& job, const worker::ActorSpec& spec, const Plan*& plan) {
  static const Plan quick = [] {
    Plan made;
    made.service_us = 300;
    return made;
  }();
  wire::CallOptions options;
  std::string problem;
  wire::Reader in(job.options);
  if (!wire::read(in, options, problem) || options.headers.empty()) return false;
  Record record = record_of(What::ticked, spec);
  wire::Reader headers(options.headers);
  std::uint32_t n = 0;
  headers.map(n);
  for (std::string_view key, value; n > 0 && headers.str(key) && headers.str(value); --n) {
    if (key == "callboard-schedule") record.text = value;
    if (key == "callboard-due-ms") record.value = std::stoull(std::string(value));
  }
  if (record.text.empty()) return false;
  record.call = job.call;
  record.attempt = job.attempt;
  context_.note(process_.name(), std::move(record));
  plan = &quick;
  return true;
}

void WorkerProcess::check_arguments(const Job& job, const CallSpec& spec) {
  wire::Reader in(job.args.view());
  std::uint32_t n = 0;
  std::string_view token;
  const std::size_t wanted = 1 + spec.arguments.size();
  if (!in.array(n) || n != wanted || !in.bin(token) || token != spec.token) {
    return context_.verdict.fail("arguments",
                                 "other bytes arrived than were sent: " + describe(spec));
  }
  for (const CallSpec* other : spec.arguments) {
    std::string_view value;
    if (!in.raw(value) || execution_of(value) == 0) {
      return context_.verdict.fail("arguments", "an argument is no result: " + describe(spec));
    }
    Record record;
    record.what = What::spliced;
    record.process = process_.id();
    record.call = other->id;
    record.value = execution_of(value);
    context_.note(process_.name(), std::move(record));
  }
}

void WorkerProcess::left(const Job& job, const worker::ActorSpec& spec, std::uint64_t execution,
                         Errc code) {
  const auto slot = recorder_.find(job.ticket);
  if (slot != recorder_.end()) slot->second.ended = true;
  if (execution == 0) return;  // of a schedule's call only the beginning is looked at
  Record record = record_of(What::ended, spec);
  record.call = job.call;
  record.attempt = job.attempt;
  record.value = execution;
  record.code = code;
  context_.note(process_.name(), std::move(record));
}

bool WorkerProcess::call_inside(const Job& job, const worker::ActorSpec& spec,
                                std::function<void()> done) {
  const bool blocking = spec.options->mode != wire::Mode::async;
  const bool waits = method_calls_.make(job, blocking, std::move(done));
  turn_soon();
  return waits;
}

void WorkerProcess::ended(std::span<Outcome> outcomes, bool) {
  for (Outcome& outcome : outcomes) {
    if (outcome.fate == Outcome::Fate::returned) context_.coverage.hit("situation: call returned");
    if (outcome.fate == Outcome::Fate::refused) {
      context_.coverage.hit("situation: worker refused, " +
                            std::string(callboard::name_of(outcome.status)));
    }
    if (outcome.held) context_.coverage.hit("situation: lane held after an error");
    mail_.push_back(std::move(outcome));
  }
  turn_soon();
}

void WorkerProcess::started(std::uint32_t slot, ErrorInfo error) {
  Record record = record_of(What::constructed, actors_.at(slot));
  record.code = error.code;
  context_.note(process_.name(), std::move(record));
  StartedMail mail{slot, std::move(error), {}};
  std::vector<worker::GroupStats> stats;
  executors_.at(slot)->stats(stats);
  for (const worker::GroupStats& group : stats) mail.limits.push_back(group.limit);
  mail_.push_back(std::move(mail));
  turn_soon();
}

void WorkerProcess::stopped(std::uint32_t slot) {
  const auto found = executors_.find(slot);
  retired_.push_back(std::move(found->second));
  executors_.erase(found);
  mail_.push_back(StoppedMail{slot});
  turn_soon();
}

void WorkerProcess::later(std::int64_t delay_us, std::function<void()> action) {
  process_.later(delay_us, std::move(action));
}

void WorkerProcess::constructing(const worker::ActorSpec& spec) {
  context_.note(process_.name(), record_of(What::constructing, spec));
}

void WorkerProcess::destroyed(const worker::ActorSpec& spec) {
  context_.note(process_.name(), record_of(What::destroyed, spec));
}

const TargetSpec* WorkerProcess::target_of(const worker::ActorSpec& spec) {
  return context_.specs.find(spec.actor);
}

void WorkerProcess::before_tick() {
  if (session_.ended() && !exiting_) {
    exiting_ = true;
    process_.later(1, [this] { on_exit_(); });
    return;
  }
  method_calls_.see_all();
  while (!mail_.empty()) {
    Mail mail = std::move(mail_.front());
    mail_.pop_front();
    if (auto* outcome = std::get_if<Outcome>(&mail)) {
      session_.outcomes(std::span(outcome, 1));
    } else if (auto* started = std::get_if<StartedMail>(&mail)) {
      session_.started(started->slot, started->error, started->limits);
    } else {
      session_.stopped(std::get<StoppedMail>(mail).slot);
    }
  }
}

}  // namespace callboard::sim
