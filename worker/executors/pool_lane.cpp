#include "worker/executors/pool_lane.hpp"

#include "common/clock.hpp"
#include "worker/executors/lane_thread.hpp"

#include <chrono>
#include <system_error>
#include <utility>

namespace callboard::worker {

PoolLane::~PoolLane() { PoolLane::join(); }

void PoolLane::join() {
  std::vector<std::thread> threads;
  {
    const std::lock_guard lock(mutex_);
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
}

void PoolLane::start(std::function<void()> first) {
  std::unique_lock lock(mutex_);
  make_thread(lock, std::move(first));
}

void PoolLane::push(CallQueue& calls) {
  std::unique_lock lock(mutex_);
  queue_.append(calls);
  if (open_) get_help(lock);
}

void PoolLane::opened() {
  {
    const std::lock_guard lock(mutex_);
    open_ = true;
  }
  wake_.notify_all();
}

void PoolLane::try_again() {
  {
    const std::lock_guard lock(mutex_);
    waits_ = false;
  }
  wake_.notify_all();
}

void PoolLane::resume() { wake_.notify_all(); }

void PoolLane::finish_when_empty() {
  {
    const std::lock_guard lock(mutex_);
    finishing_ = true;
  }
  wake_.notify_all();
}

void PoolLane::retire() {
  {
    const std::lock_guard lock(mutex_);
    retired_ = true;
  }
  wake_.notify_all();
}

bool PoolLane::can_run(MethodKind kind) const { return kind != MethodKind::coroutine; }

/// REQUIRES: `lock` is held; it is given up meanwhile.
void PoolLane::make_thread(std::unique_lock<std::mutex>& lock, std::function<void()> first) {
  ++alive_;
  lock.unlock();
  try {
    std::thread thread([this, first = std::move(first)] { run(first); });
    lock.lock();
    threads_.push_back(std::move(thread));
  } catch (const std::system_error&) {
    lock.lock();
    if (--alive_ == 0) throw;  // otherwise those that are there do the work
  }
}

/// Makes sure that somebody will take what is in the queue.
void PoolLane::get_help(std::unique_lock<std::mutex>& lock) {
  if (queue_.empty()) return;
  if (idle_ > 0) {
    wake_.notify_one();
  } else if (alive_ < settings().limit) {
    make_thread(lock, nullptr);
  }
}

void PoolLane::run(const std::function<void()>& first) {
  prepare_lane_thread(incarnation().entry.name);
  if (first) first();
  Turn turn;
  std::unique_lock lock(mutex_);
  for (;;) {
    if (take(turn, steady_us())) {
      get_help(lock);
      lock.unlock();
      hand_over(turn, true);
      run_turn(turn);
      lock.lock();
    } else if (!turn.outcomes.empty() || !turn.finished.empty()) {
      lock.unlock();
      hand_over(turn, false);
      lock.lock();
    } else if (open_ && finishing_ && queue_.empty()) {
      break;
    } else {
      wait(lock);
    }
  }
  const bool last = --alive_ == 0;
  lock.unlock();
  if (last) settings().owner->drained();
  if (!first) return;
  lock.lock();
  wake_.wait(lock, [this] { return retired_; });
  lock.unlock();
  settings().owner->last_rites();
}

bool PoolLane::may_take() const { return open_ && (halted() || !waits_); }

/// Claims what this thread runs next. False when there is nothing, or it has to wait.
bool PoolLane::take(Turn& turn, std::int64_t now_us) {
  if (!may_take() || (due_us(queue_) > now_us && !finishing_)) return false;
  while (ActiveCall* call = queue_.front()) {
    if (!turn.calls.empty() && !joins(*call, turn.calls)) break;
    queue_.pop_front();
    Outcome outcome;
    const Admission admission = admit(*call, now_us, outcome);
    if (admission == Admission::run) {
      turn.calls.push_back(call);
    } else if (admission == Admission::wait) {
      queue_.push_front(*call);
      waits_ = true;
      break;
    } else if (admission != Admission::taken) {
      if (admission == Admission::refused) turn.outcomes.push_back(std::move(outcome));
      turn.finished.push_back(*call);
    }
  }
  return !turn.calls.empty();
}

void PoolLane::wait(std::unique_lock<std::mutex>& lock) {
  ++idle_;
  const std::int64_t due = may_take() ? due_us(queue_) : kNever;
  if (due == kNever) {
    wake_.wait(lock);
  } else {
    wake_.wait_for(lock, std::chrono::microseconds(due - steady_us()));
  }
  --idle_;
}

void PoolLane::run_turn(Turn& turn) {
  turn.invocations.clear();
  turn.invocations.resize(turn.calls.size());
  run_taken(turn.calls, turn.invocations);
  const std::int64_t now = steady_us();
  for (std::size_t i = 0; i < turn.calls.size(); ++i) {
    ActiveCall& call = *turn.calls[i];
    Outcome outcome(call.job, Outcome::Fate::ended);
    conclude(call, turn.invocations[i].error.get(), false, now, outcome);
    complete(call, turn.invocations[i], outcome);
    turn.outcomes.push_back(std::move(outcome));
    turn.finished.push_back(call);
  }
  turn.calls.clear();
}

void PoolLane::hand_over(Turn& turn, bool more_soon) {
  if (!turn.finished.empty()) pool().release(turn.finished);
  if (!turn.outcomes.empty()) host().ended(turn.outcomes, more_soon);
  turn.outcomes.clear();
}

}  // namespace callboard::worker
