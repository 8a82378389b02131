#include "worker/executors/actor_executor.hpp"

#include "common/limits.hpp"

#include <algorithm>
#include <system_error>
#include <utility>

namespace callboard::worker {

namespace {

/// With fewer spare calls than this, those that were freed since are asked for.
constexpr std::size_t kSpareMin = 4;
constexpr std::size_t kLaneBytes = 192;  ///< what a serial lane uses, about

std::unique_ptr<Lane> make_lane(wire::Mode mode, const LaneSettings& settings) {
  switch (mode) {
    case wire::Mode::async: return make_async_lane(settings);
    case wire::Mode::batched: return make_batch_lane(settings);
    default: break;
  }
  return settings.limit == 1 ? make_serial_lane(settings) : make_threaded_lane(settings);
}

/// What `automatic` means for a class.
wire::Mode natural_mode(const ClassEntry& entry) {
  if (entry.has(MethodKind::coroutine)) return wire::Mode::async;
  return entry.has(MethodKind::batched) ? wire::Mode::batched : wire::Mode::serial;
}

ActorExecutor::Plan plan_of(const ClassEntry& entry, const wire::ActorOptions& options) {
  using wire::Mode;
  Mode mode = options.mode == Mode::automatic ? natural_mode(entry) : options.mode;
  std::uint32_t limit = options.max_concurrency;
  if (limit == 0) limit = mode == Mode::async ? limits::kAsyncConcurrencyDefault : 1;
  if (mode == Mode::serial && limit > 1) {
    // Nobody said serial: then more than one at once is what was asked for.
    if (options.mode == Mode::automatic) mode = Mode::threaded;
    else limit = 1;
  }
  // A serial actor may have coroutines: one at a time on a loop is as serial as on a thread.
  if (mode == Mode::serial && entry.has(MethodKind::coroutine)) mode = Mode::async;

  ActorExecutor::Plan plan;
  plan.groups.push_back({mode, limit});
  for (const auto& [name, group_limit] : options.groups) {
    plan.groups.push_back({mode, std::max(group_limit, 1u)});
  }
  return plan;
}

/// Calls of serial lanes are used again for those of other actors: nothing of them stays behind.
bool may_share_calls(const ActorExecutor::Plan& plan) {
  const auto serial = [](const ActorExecutor::Plan::Group& group) {
    return group.mode == wire::Mode::serial && group.limit == 1;
  };
  return !plan.coroutines_apart && std::all_of(plan.groups.begin(), plan.groups.end(), serial);
}

}  // namespace

ActorExecutor::ActorExecutor(const Environment& environment, const ClassEntry& entry,
                             ActorSpec spec, const Plan& plan)
    : incarnation_(environment, entry, std::move(spec)),
      coroutines_apart_(plan.coroutines_apart),
      own_pool_(environment.calls && may_share_calls(plan) ? nullptr : CallPool::create()) {
  pool_ = own_pool_ ? own_pool_.get() : environment.calls.get();
  LaneSettings settings;
  settings.owner = this;
  settings.pool = pool_;
  settings.incarnation = &incarnation_;
  const wire::ActorOptions& options = *incarnation_.spec.options;
  for (const Plan::Group& group : plan.groups) {
    const bool batched = group.mode == wire::Mode::batched;
    settings.limit = group.limit;
    settings.batch_size = 1;
    settings.batch_wait_us = 0;
    if (batched) {
      settings.batch_size =
          options.max_batch_size == 0 ? limits::kBatchSizeDefault : options.max_batch_size;
      settings.batch_wait_us = options.batch_wait_us;
    }
    lanes_.push_back(make_lane(group.mode, settings));
  }
  if (coroutines_apart_) {
    settings.limit = plan.groups.front().limit;
    lanes_.push_back(make_async_lane(settings));
  }
  lanes_left_ = lanes_.size();
  first_lane_ = lanes_.front().get();
}

ActorExecutor::~ActorExecutor() {
  if (started_) {
    if (!stopping_) stop(true);
    if (!broken_) gone_.acquire();
  }
  // All of them first: a thread that ends last may still be telling the other lanes.
  for (const auto& lane : lanes_) lane->join();
}

void ActorExecutor::start(Payload args, std::uint32_t ticket) {
  start_lanes([this, args = std::move(args), ticket] { construct(args, ticket); });
  if (!broken_) return;
  ErrorInfo error;
  error.code = Errc::constructor_failed;
  error.message = "this process can have no more threads";
  error.place = incarnation_.place("constructor of " + incarnation_.entry.name);
  incarnation_.host.started(incarnation_.spec.slot, std::move(error));
}

void ActorExecutor::start_without_object() {
  start_lanes([this] { open(true); });
}

void ActorExecutor::start_lanes(std::function<void()> first) {
  started_ = true;
  // Lane 0 last: its first act opens all the others.
  for (std::size_t i = lanes_.size(); i > 0; --i) {
    try {
      lanes_[i - 1]->start(i == 1 ? std::move(first) : nullptr);
    } catch (const std::system_error&) {
      // The lanes that have started are opened and stopped like others; the rest was never there.
      broken_ = true;
      lanes_.erase(lanes_.begin(), lanes_.begin() + static_cast<std::ptrdiff_t>(i));
      lanes_left_ = lanes_.size();
      first_lane_ = nullptr;
      for (const auto& lane : lanes_) lane->open(false);
      return;
    }
  }
}

void ActorExecutor::construct(const Payload& args, std::uint32_t ticket) {
  ErrorInfo error = incarnation_.construct(args.view(), ticket);
  const bool usable = error.code == Errc::ok;
  incarnation_.host.started(incarnation_.spec.slot, std::move(error));
  open(usable);
}

void ActorExecutor::open(bool usable) {
  for (const auto& lane : lanes_) lane->open(usable);
}

void ActorExecutor::add_methods(std::span<const std::string> names) {
  for (const std::string& name : names) table_.push_back(target_of(name));
}

const Method& ActorExecutor::unknown(std::string name) {
  Method& method = unknown_.emplace_back();
  const bool task = incarnation_.entry.construct == nullptr;
  method.kind = MethodKind::unknown;
  method.place = task ? name : incarnation_.entry.name + "." + name;
  method.name = std::move(name);
  return method;
}

/// What a number stands for that the table does not have.
ActorExecutor::Target ActorExecutor::nameless() {
  if (nameless_ == nullptr) nameless_ = &unknown("method of that number");
  return {nameless_, 0};
}

ActorExecutor::Target ActorExecutor::target_of(const std::string& method) {
  Target target;
  target.method = incarnation_.entry.find(method);
  if (target.method == nullptr) target.method = &unknown(method);
  std::string_view group = target.method->group;
  for (const auto& [name, its_group] : incarnation_.spec.options->method_groups) {
    if (name == method) group = its_group;
  }
  target.lane = lane_of_group(group);
  if (coroutines_apart_ && target.method->kind == MethodKind::coroutine) {
    target.lane = lanes_.size() - 1;
  }
  return target;
}

/// A group that the actor was not given is the default group.
std::size_t ActorExecutor::lane_of_group(std::string_view group) const {
  const auto& groups = incarnation_.spec.options->groups;
  if (group.empty()) return 0;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (groups[i].first == group) return i + 1;
  }
  return 0;
}

/// The lane of a call with options: it may name another group than its method has.
std::size_t ActorExecutor::lane_of(ActiveCall& call, std::size_t method_lane) const {
  if (incarnation_.spec.options->groups.empty()) return method_lane;
  auto options = std::make_unique<wire::CallOptions>();
  wire::Reader in(call.job.options);
  std::string problem;
  if (!read(in, *options, problem)) return method_lane;  // refused when it is its turn
  call.options = std::move(options);
  return call.options->group.empty() ? method_lane : lane_of_group(call.options->group);
}

void ActorExecutor::submit(std::span<Job> jobs) {
  if (broken_ || stopping_) return turn_away(jobs);
  if (jobs.size() > 1 || pool_->spare() < kSpareMin) pool_->refresh();
  std::size_t lane = 0;
  Lane* run_lane = first_lane_;
  CallQueue run;  // consecutive calls of one lane
  std::uint32_t count = 0;
  for (Job& job : jobs) {
    ActiveCall& call = pool_->acquire();
    call.job.take_over(job);
    pool_->note(call);
    call.arguments = call.job.args.view().data();
    const Target target = call.job.method < table_.size() ? table_[call.job.method] : nameless();
    call.method = target.method;
    call.incarnation = &incarnation_;
    call.number = ++submitted_;
    const std::size_t its_lane =
        call.job.options.empty() ? target.lane : lane_of(call, target.lane);
    if (its_lane != lane) {
      if (count > 0) run_lane->submit(run, std::exchange(count, 0));
      lane = its_lane;
      run_lane = lanes_[lane].get();
    }
    call.lane = run_lane;
    call.state.store(ActiveCall::State::queued, std::memory_order_release);
    run.push_back(call);
    ++count;
  }
  if (count > 0) run_lane->submit(run, count);
}

void ActorExecutor::expect() {
  prefetch_to_read(table_.data(), 1);
  prefetch_to_read(&incarnation_.host, 1);
  prefetch_to_write(first_lane_, kLaneBytes);
}

void ActorExecutor::turn_away(std::span<Job> jobs) {
  std::vector<Outcome> outcomes;
  for (const Job& job : jobs) outcomes.emplace_back(job, Outcome::Fate::returned);
  if (!outcomes.empty()) incarnation_.host.ended(outcomes, false);
}

Revoked ActorExecutor::revoke(std::uint64_t lease, bool running_too) {
  ActiveCall* const found = pool_->find(lease);
  if (found == nullptr || found->incarnation != &incarnation_) return Revoked::unknown;
  return found->lane->revoke(*found, running_too);
}

void ActorExecutor::report_held(Lane& lane, Outcome& outcome) {
  // Both under the lock: go_on() answers outcomes in the order in which the host got them.
  const std::lock_guard lock(held_mutex_);
  held_.push_back(&lane);
  incarnation_.host.ended({&outcome, 1}, false);
}

void ActorExecutor::go_on(bool hand_back) {
  Lane* lane = nullptr;
  {
    const std::lock_guard lock(held_mutex_);
    if (held_.empty()) return;
    lane = held_.front();
    held_.pop_front();
  }
  lane->go_on(hand_back);
}

void ActorExecutor::try_again() {
  for (const auto& lane : lanes_) lane->try_again();
}

void ActorExecutor::stop(bool now) {
  const bool again = std::exchange(stopping_, true);
  for (const auto& lane : lanes_) lane->stop(now);
  // Without a first lane there is nobody to say it.
  const bool nobody = !started_ || broken_;
  if (nobody && !again) incarnation_.host.stopped(incarnation_.spec.slot);
}

void ActorExecutor::drained() {
  if (--lanes_left_ > 0) return;
  for (const auto& lane : lanes_) lane->retire();
}

void ActorExecutor::last_rites() {
  for (std::size_t i = 1; i < lanes_.size(); ++i) lanes_[i]->join();
  incarnation_.destroy();
  for (const auto& lane : lanes_) lane->close();
  incarnation_.host.stopped(incarnation_.spec.slot);
  gone_.release();
}

void ActorExecutor::stats(std::vector<GroupStats>& out) const {
  out.clear();
  const std::size_t groups = lanes_.size() - (coroutines_apart_ ? 1 : 0);
  for (std::size_t i = 0; i < groups; ++i) out.push_back(lanes_[i]->stats());
  if (!coroutines_apart_) return;
  const GroupStats apart = lanes_.back()->stats();
  out.front().queued += apart.queued;
  out.front().running += apart.running;
}

std::unique_ptr<Executor> make_actor_executor(const Environment& environment,
                                              const ClassEntry& entry, ActorSpec spec) {
  if (!spec.options) spec.options = std::make_shared<const wire::ActorOptions>();
  const ActorExecutor::Plan plan = plan_of(entry, *spec.options);
  return std::make_unique<ActorExecutor>(environment, entry, std::move(spec), plan);
}

std::unique_ptr<Executor> make_task_executor(const Environment& environment,
                                             const Registry& registry, std::uint32_t task_slots,
                                             ExecutorHost& host) {
  ActorExecutor::Plan plan;
  plan.groups.push_back({wire::Mode::threaded, std::max(task_slots, 1u)});
  plan.coroutines_apart = registry.tasks().has(MethodKind::coroutine);
  ActorSpec spec;
  spec.host = &host;
  spec.options = std::make_shared<const wire::ActorOptions>();
  auto executor =
      std::make_unique<ActorExecutor>(environment, registry.tasks(), std::move(spec), plan);
  executor->start_without_object();
  return executor;
}

}  // namespace callboard::worker
