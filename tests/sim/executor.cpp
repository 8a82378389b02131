#include "tests/sim/executor.hpp"

#include "common/messages.hpp"

#include <callboard/codec.hpp>

#include <algorithm>
#include <utility>

namespace callboard::sim {

using worker::Begin;
using worker::Job;
using worker::Outcome;
using worker::Revoked;

std::string encode_result(std::uint64_t execution, std::size_t padding) {
  std::string bytes;
  wire::Writer out(bytes);
  out.array(2);
  out.uint(execution);
  out.bin(std::string(padding, static_cast<char>('a' + execution % 26)));
  return bytes;
}

std::uint64_t execution_of(std::string_view result) {
  wire::Reader in(result);
  std::uint32_t n = 0;
  std::uint64_t execution = 0;
  std::string_view padding;
  if (!in.array(n) || n != 2 || !in.uint(execution) || !in.bin(padding) || !in.at_end()) return 0;
  const auto letter = static_cast<char>('a' + execution % 26);
  const bool whole = padding.find_first_not_of(letter) == std::string_view::npos;
  return whole ? execution : 0;
}

SimExecutor::SimExecutor(ExecutorSite& site, worker::ActorSpec spec, wire::Mode class_mode,
                         Random random)
    : site_(site), spec_(std::move(spec)), random_(random) {
  const wire::ActorOptions& options = *spec_.options;
  const wire::Mode mode = options.mode == wire::Mode::automatic ? class_mode : options.mode;
  std::uint32_t limit = options.max_concurrency;
  if (limit == 0) limit = mode == wire::Mode::async ? limits::kAsyncConcurrencyDefault : 1;
  groups_.push_back({"", limit, 0, {}, false, false});
  for (const auto& [name, group_limit] : options.groups) {
    groups_.push_back({name, group_limit, 0, {}, false, false});
  }
  constructed_ = spec_.slot == 0;
}

void SimExecutor::start(worker::Payload, std::uint32_t) {
  site_.constructing(spec_);
  const TargetSpec* target = site_.target_of(spec_);
  const bool throws = target == nullptr || target->constructor_throws;
  site_.later(target == nullptr ? 0 : target->constructor_us, [this, throws] {
    broken_ = throws;
    constructed_ = true;
    ErrorInfo error;
    error.code = throws ? Errc::constructor_failed : Errc::ok;
    if (throws) error.message = "planned";
    site_.started(spec_.slot, std::move(error));
    for (std::size_t i = 0; i < groups_.size(); ++i) pump(i);
    finish_when_empty();
  });
}

void SimExecutor::add_methods(std::span<const std::string> names) {
  methods_.insert(methods_.end(), names.begin(), names.end());
}

void SimExecutor::submit(std::span<Job> jobs) {
  for (Job& job : jobs) {
    const std::size_t group = group_of(job);
    groups_[group].queued.push_back(std::move(job));
    job = Job{};
  }
  for (std::size_t i = 0; i < groups_.size(); ++i) pump(i);
}

std::size_t SimExecutor::group_of(const Job& job) const {
  if (groups_.size() == 1) return 0;
  std::string name;
  wire::Reader in(job.options);
  wire::CallOptions options;
  std::string problem;
  if (!job.options.empty() && wire::read(in, options, problem)) name = options.group;
  if (name.empty() && job.method < methods_.size()) {
    for (const auto& [method, group] : spec_.options->method_groups) {
      if (method == methods_[job.method]) name = group;
    }
  }
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    if (groups_[i].name == name) return i;
  }
  return 0;
}

void SimExecutor::pump(std::size_t index) {
  Group& group = groups_[index];
  if (!constructed_) return;
  if (broken_) return give_back_all(group);
  while (!group.held && !group.waiting && group.running < group.limit && !group.queued.empty()) {
    Job& next = group.queued.front();
    if (next.deadline_us <= site_.clock_us()) {
      const Job job = std::move(next);
      group.queued.pop_front();
      refuse(job, Errc::expired, "its deadline passed before it began");
      continue;
    }
    if (spec_.slot != 0 && next.method >= methods_.size()) {
      const Job job = std::move(next);
      group.queued.pop_front();
      refuse(job, Errc::unknown_method, "no such method");
      continue;
    }
    if (site_.begin(next, site_.clock_us()) == Begin::wait) {
      group.waiting = true;
      return;
    }
    Job job = std::move(next);
    group.queued.pop_front();
    begin(index, std::move(job));
  }
}

void SimExecutor::begin(std::size_t group, Job job) {
  const std::uint64_t lease = job.lease;
  Running run;
  run.group = group;
  run.number = next_number_++;
  run.began_us = site_.clock_us();
  if (!site_.entered(job, spec_, run.execution, run.plan)) return;  // the process died in it
  run.job = std::move(job);
  const std::int64_t service = run.plan->service_us;
  const std::uint64_t number = run.number;
  ++groups_[group].running;
  running_[lease] = std::move(run);
  site_.later(service, [this, lease, number] { served(lease, number); });
}

void SimExecutor::served(std::uint64_t lease, std::uint64_t number) {
  const auto found = running_.find(lease);
  if (found == running_.end() || found->second.number != number) return;  // it was cut short
  const Running& run = found->second;
  if (run.plan->callee &&
      site_.call_inside(run.job, spec_, [this, lease, number] { end(lease, number); })) {
    return;
  }
  end(lease, number);
}

void SimExecutor::end(std::uint64_t lease, std::uint64_t number) {
  const auto found = running_.find(lease);
  if (found == running_.end() || found->second.number != number) return;  // it was cut short
  Running run = std::move(found->second);
  running_.erase(found);
  Group& group = groups_[run.group];
  --group.running;
  Outcome outcome(run.job, Outcome::Fate::ended);
  outcome.began_us = run.began_us;
  outcome.ended_us = site_.clock_us();
  if (run.stopping) {
    ErrorInfo error;
    error.code = outcome.status = Errc::cancelled;
    outcome.value = worker::Payload(wire::encode(error));
  } else if (run.job.attempt <= run.plan->failing_attempts) {
    ErrorInfo error;
    error.code = outcome.status = Errc::task_error;
    error.type = run.plan->error_type;
    error.message = "execution " + std::to_string(run.execution);
    outcome.value = worker::Payload(wire::encode(error));
    outcome.held = group.limit == 1 && spec_.slot != 0 && may_be_retried(run.job, error.type);
  } else {
    const std::size_t padding = random_.chance(0.01) ? 20'000 : random_.below(40);
    outcome.value = worker::Payload(encode_result(run.execution, padding));
  }
  if (outcome.held) {
    group.held = true;
    held_.push_back(run.group);
  }
  site_.left(run.job, spec_, run.execution, outcome.status);
  report(std::move(outcome));
  pump(run.group);
  finish_when_empty();
}

bool SimExecutor::may_be_retried(const Job& job, const std::string& error_type) const {
  std::int32_t max_retries = spec_.options->max_retries;
  std::optional<wire::RetryOn> retry_on = spec_.options->retry_on;
  wire::CallOptions options;
  std::string problem;
  wire::Reader in(job.options);
  if (!job.options.empty() && wire::read(in, options, problem)) {
    max_retries = options.max_retries.value_or(max_retries);
    if (options.retry_on) retry_on = options.retry_on;
  }
  if (!retry_on || !retry_on->matches(error_type)) return false;
  return max_retries < 0 || job.attempt <= static_cast<std::uint32_t>(max_retries);
}

void SimExecutor::refuse(const Job& job, Errc code, std::string message) {
  Outcome outcome(job, Outcome::Fate::refused);
  outcome.status = code;
  ErrorInfo error;
  error.code = code;
  error.message = std::move(message);
  outcome.value = worker::Payload(wire::encode(error));
  report(std::move(outcome));
}

void SimExecutor::give_back(const Job& job) { report(Outcome(job, Outcome::Fate::returned)); }

void SimExecutor::give_back_all(Group& group) {
  std::deque<Job> jobs = std::move(group.queued);
  group.queued.clear();
  for (const Job& job : jobs) give_back(job);
}

void SimExecutor::report(Outcome outcome) { site_.ended(std::span(&outcome, 1), false); }

Revoked SimExecutor::revoke(std::uint64_t lease, bool running_too) {
  const auto found = running_.find(lease);
  if (found != running_.end()) {
    if (!running_too) return Revoked::running;
    Running& run = found->second;
    if (!run.stopping && random_.chance(0.5)) {  // half of the methods look at the request
      run.stopping = true;
      const std::uint64_t number = run.number;
      site_.later(random_.between(0, 2'000), [this, lease, number] { end(lease, number); });
    }
    return Revoked::stopping;
  }
  for (Group& group : groups_) {
    for (auto job = group.queued.begin(); job != group.queued.end(); ++job) {
      if (job->lease != lease) continue;
      const Job gone = std::move(*job);
      group.queued.erase(job);
      give_back(gone);
      finish_when_empty();
      return Revoked::returned;
    }
  }
  return Revoked::unknown;
}

void SimExecutor::go_on(bool hand_back) {
  if (held_.empty()) return;
  const std::size_t index = held_.front();
  held_.pop_front();
  groups_[index].held = false;
  if (hand_back) give_back_all(groups_[index]);
  pump(index);
  finish_when_empty();
}

void SimExecutor::try_again() {
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    groups_[i].waiting = false;
    pump(i);
  }
}

void SimExecutor::stop(bool now) {
  stopping_ = true;
  for (Group& group : groups_) {
    if (now || group.held) give_back_all(group);
  }
  if (now) {
    for (auto& [lease, run] : running_) {
      if (run.stopping || !random_.chance(0.5)) continue;
      run.stopping = true;
      site_.later(0, [this, lease = lease, number = run.number] { end(lease, number); });
    }
  }
  finish_when_empty();
}

void SimExecutor::finish_when_empty() {
  if (!stopping_ || stopped_ || !constructed_ || !running_.empty()) return;
  for (const Group& group : groups_) {
    if (!group.queued.empty()) return;
  }
  stopped_ = true;
  site_.destroyed(spec_);
  site_.stopped(spec_.slot);  // may destroy this executor
}

void SimExecutor::stats(std::vector<worker::GroupStats>& out) const {
  for (const Group& group : groups_) {
    worker::GroupStats stats;
    stats.limit = group.limit;
    stats.queued = static_cast<std::uint32_t>(group.queued.size());
    stats.running = group.running;
    stats.service_us = 0;
    stats.held = group.held;
    out.push_back(stats);
  }
}

}  // namespace callboard::sim
