#include "worker/executors/lane.hpp"

#include "common/messages.hpp"
#include "worker/context.hpp"
#include "worker/executors/incarnation.hpp"

#include <algorithm>
#include <utility>

namespace callboard::worker {

void Lane::submit(CallQueue& calls, std::uint32_t count) {
  submitted_ += count;
  push(calls);
}

Revoked Lane::revoke(ActiveCall& call, bool running_too) {
  Outcome outcome;
  if (take_back(call, outcome)) {
    host().ended({&outcome, 1}, false);
    return Revoked::returned;
  }
  if (call.state.load(std::memory_order_acquire) != ActiveCall::State::running) {
    return Revoked::unknown;
  }
  if (!running_too) return Revoked::running;
  call.running.cancel_requested.store(true, std::memory_order_relaxed);
  ActiveCall* one = &call;
  cancel({&one, 1});
  return Revoked::stopping;
}

void Lane::go_on(bool hand_back) {
  if (hand_back) take_back_all();
  held_.store(false, std::memory_order_release);
  resume();
}

void Lane::stop(bool now) {
  stopping_.store(true, std::memory_order_seq_cst);
  if (now) {
    // First, so that a call which is unclaimed just now sees it when it is claimed again.
    halted_.store(true, std::memory_order_seq_cst);
    take_back_all();
    std::vector<ActiveCall*> running;
    const auto ask = [&running](ActiveCall& call) {
      if (call.state.load(std::memory_order_acquire) != ActiveCall::State::running) return;
      call.running.cancel_requested.store(true, std::memory_order_relaxed);
      running.push_back(&call);
    };
    if (unfinished() > 0) pool().for_each_of(*this, ask);
    if (!running.empty()) cancel(running);
  }
  if (held_.load(std::memory_order_seq_cst)) go_on(true);
  finish_when_empty();
}

GroupStats Lane::stats() const {
  GroupStats stats;
  const std::uint64_t ended = ended_.load(std::memory_order_relaxed);
  const std::uint64_t begun = begun_.load(std::memory_order_relaxed);
  const std::uint64_t gone = taken_ + begun;
  stats.limit = settings_.limit * settings_.batch_size;
  stats.queued = static_cast<std::uint32_t>(submitted_ > gone ? submitted_ - gone : 0);
  stats.running = static_cast<std::uint32_t>(begun > ended ? begun - ended : 0);
  stats.service_us = service_us_.load(std::memory_order_relaxed);
  stats.held = held_.load(std::memory_order_relaxed);
  return stats;
}

void Lane::open(bool usable) {
  usable_.store(usable, std::memory_order_release);
  opened();
}

Lane::Admission Lane::admit(ActiveCall& call, std::int64_t now_us, Outcome& outcome) {
  if (!call.claim()) return call.drop() ? Admission::gone : Admission::taken;
  count_one(begun_);
  if (!is_ordinary(call, now_us) && !may_begin(call, now_us, outcome)) return Admission::refused;
  if (host().begin(call.job, now_us) == Begin::wait) {
    begun_.fetch_sub(1, std::memory_order_relaxed);
    call.unclaim();
    return Admission::wait;
  }
  call.began_us = now_us;
  prepare_context(call);
  return Admission::run;
}

/// Of such a call nothing else need be asked: it may begin.
inline bool Lane::is_ordinary(const ActiveCall& call, std::int64_t now_us) const {
  const MethodKind kind = call.method->kind;
  const bool runs = kind == MethodKind::plain ||
                    (kind == MethodKind::coroutine && can_run(MethodKind::coroutine));
  return runs && call.job.options.empty() &&
         call.job.deadline_us > now_us && usable_.load(std::memory_order_acquire) && !halted() &&
         !call.running.cancel_requested.load(std::memory_order_relaxed);
}

/// Reads a call's options. False when it will not run: then the outcome says why.
bool Lane::may_begin(ActiveCall& call, std::int64_t now_us, Outcome& outcome) {
  if (halted() || !usable_.load(std::memory_order_acquire)) {
    outcome = Outcome(call.job, Outcome::Fate::returned);
    call.state.store(ActiveCall::State::ended, std::memory_order_release);
    count_one(ended_);
    return false;
  }
  if (call.running.cancel_requested.load(std::memory_order_relaxed)) {
    return refuse(call, Errc::cancelled, "it was cancelled before it began", outcome);
  }
  if (call.job.deadline_us <= now_us) {
    return refuse(call, Errc::expired, "its deadline passed before it began", outcome);
  }
  if (call.method->kind == MethodKind::unknown) {
    const bool task = incarnation().entry.construct == nullptr;
    return refuse(call, task ? Errc::unknown_task : Errc::unknown_method,
                  "this worker has no " + call.method->place, outcome);
  }
  if (!can_run(call.method->kind)) {
    return refuse(call, Errc::invalid_option,
                  call.method->place + " is a coroutine; only an actor of mode async runs those",
                  outcome);
  }
  if (!call.job.options.empty() && !call.options) {
    auto options = std::make_unique<wire::CallOptions>();
    wire::Reader in(call.job.options);
    std::string problem;
    if (!read(in, *options, problem)) {
      return refuse(call, Errc::invalid_option, std::move(problem), outcome);
    }
    call.options = std::move(options);
  }
  return true;
}

/// Always false.
bool Lane::refuse(ActiveCall& call, Errc code, std::string message, Outcome& outcome) {
  outcome = Outcome(call.job, Outcome::Fate::refused);
  outcome.status = code;
  ErrorInfo error;
  error.code = code;
  error.message = std::move(message);
  error.place = incarnation().place(call.method->place);
  outcome.value = Payload(wire::encode(error));
  call.state.store(ActiveCall::State::ended, std::memory_order_release);
  count_one(ended_);
  return false;
}

void Lane::report_held(Outcome& outcome) {
  held_.store(true, std::memory_order_seq_cst);
  settings_.owner->report_held(*this, outcome);
  if (!stopping_.load(std::memory_order_seq_cst)) return;
  halted_.store(true, std::memory_order_seq_cst);  // an actor that ends does not wait for an answer
  held_.store(false, std::memory_order_release);
}

bool Lane::is_retried(const ActiveCall& call, const ErrorInfo& error) const {
  const bool task = incarnation().entry.construct == nullptr;
  if (task || error.code != Errc::task_error) return false;  // tasks keep no order
  const wire::ActorOptions& actor = *incarnation().spec.options;
  std::int32_t retries = actor.max_retries;
  const wire::RetryOn* retry_on = actor.retry_on ? &*actor.retry_on : nullptr;
  if (call.options) {
    if (call.options->max_retries) retries = *call.options->max_retries;
    if (call.options->retry_on) retry_on = &*call.options->retry_on;
  }
  const bool attempts_left = retries < 0 || call.job.attempt <= static_cast<std::uint32_t>(retries);
  return attempts_left && retry_on != nullptr && retry_on->matches(error.type);
}

void Lane::take_back_all() {
  if (unfinished() == 0) return;  // others may have thousands of calls in the pool
  std::vector<std::pair<std::uint64_t, Outcome>> taken;
  pool().for_each_of(*this, [&](ActiveCall& call) {
    Outcome outcome;
    const std::uint64_t number = call.number;
    if (take_back(call, outcome)) taken.emplace_back(number, outcome);
  });
  if (taken.empty()) return;
  std::sort(taken.begin(), taken.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Outcome> outcomes;
  outcomes.reserve(taken.size());
  for (auto& [number, outcome] : taken) outcomes.push_back(std::move(outcome));
  host().ended(outcomes, false);
}

bool Lane::take_back(ActiveCall& call, Outcome& outcome) {
  if (!call.take_back()) return false;
  outcome = Outcome(call.job, Outcome::Fate::returned);
  // It may stand in the queue for long; its bytes can go now.
  call.job.args = Payload();
  ++taken_;
  if (call.taken_back()) {
    CallQueue one;
    one.push_back(call);
    pool().release(one);
  }
  return true;
}

}  // namespace callboard::worker
