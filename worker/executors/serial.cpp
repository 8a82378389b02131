// The serial lane: a thread comes when there is something to do, takes everything that is queued
// with one lock, and then runs it call by call without any.
//
// A lane that is held, or told to wait, keeps what it has taken: whatever I/O wants back it takes
// from the calls themselves (active_call.hpp), not from a queue.

#include "worker/executors/invoke.hpp"
#include "worker/executors/lane.hpp"
#include "worker/executors/lane_thread.hpp"
#include "worker/executors/lane_threads.hpp"

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

namespace callboard::worker {

namespace {

/// Work comes first: that is where its threads ask for its memory.
class SerialLane final : private LaneThreads::Work, public Lane {
 public:
  explicit SerialLane(const LaneSettings& settings) : Lane(settings) {}
  ~SerialLane() override { SerialLane::join(); }

  void start(std::function<void()> first) override {
    if (incarnation().entry.own_thread) {
      const auto prepare = [this] { prepare_lane_thread(incarnation().entry.name); };
      own_ = std::make_unique<LaneThreads>(prepare, 1);
    }
    const std::lock_guard lock(mutex_);
    first_ = std::move(first);
    has_first_ = first_ != nullptr;
    starting_ = true;
    try {
      call_thread();
    } catch (...) {
      starting_ = false;
      throw;
    }
  }
  void try_again() override {
    const std::lock_guard lock(mutex_);
    ++tries_;
    call_thread();
  }
  void retire() override { set(retired_); }
  void join() override {
    std::unique_lock lock(mutex_);
    over_.wait(lock, [this] { return done_ || !starting_; });
  }

 protected:
  void push(CallQueue& calls) override {
    LaneThreads::Wakeup wakeup;  // once the lock is free that the thread takes first
    const std::lock_guard lock(mutex_);
    inbox_.append(calls);
    wakeup = call_thread();
  }
  void opened() override { set(open_); }
  void resume() override {
    const std::lock_guard lock(mutex_);
    call_thread();
  }
  void cancel(std::span<ActiveCall*>) override {}
  void finish_when_empty() override { set(finishing_); }
  bool can_run(MethodKind kind) const override { return kind != MethodKind::coroutine; }

 private:
  static constexpr std::uint64_t kNotWaiting = UINT64_MAX;
  /// Outcomes of short calls are told together, but not later than this after the first.
  static constexpr std::int64_t kGatherUs = 200;
  /// A lane gives way to others after this long.
  static constexpr std::int64_t kTurnUs = 500;

  LaneThreads& threads() const { return own_ ? *own_ : *incarnation().environment.threads; }

  void set(bool& flag) {
    const std::lock_guard lock(mutex_);
    flag = true;
    call_thread();
  }

  /// REQUIRES: the lock. Sees to it that a thread comes if there is something to do.
  LaneThreads::Wakeup call_thread() {
    if (active_ || !starting_ || !has_work()) return {};
    LaneThreads::Wakeup wakeup = threads().ready(*this);
    active_ = true;
    return wakeup;
  }
  bool has_work() const {
    if (first_) return true;
    if (drained_) return has_first_ && retired_ && !done_;
    if (!open_) return false;
    const bool empty = taken_.empty() && inbox_.empty();
    return empty ? finishing_ : halted() || (!held() && waits_since_ != tries_);
  }

  /// One turn on a thread: until there is nothing to do, or others want the thread.
  void run(LaneThreads::Turn& turn) override {
    const std::int64_t began_us = turn.now_us;
    if (first_) {
      std::exchange(first_, nullptr)();
      turn.now_us = steady_now_us();
    }
    while (take(turn)) {
      if (run_taken(turn, began_us)) continue;
      pool().release(finished_);
      tell_announced();
      threads().ready(*this);
      return;
    }
  }

  /// What the lane's thread does beside calls is done; takes the calls that wait. False when the
  /// thread is to leave: nothing of the lane may be touched any more.
  bool take(LaneThreads::Turn& turn) {
    if (!finished_.empty()) pool().release(finished_);
    tell_announced();
    std::unique_lock lock(mutex_);
    if (has_work()) waits_since_ = kNotWaiting;
    for (;;) {
      if (!has_work()) {
        active_ = false;
        return false;
      }
      if (drained_) return end(lock, turn);
      taken_.append(inbox_);
      if (!taken_.empty() || !finishing_) return true;
      drained_ = true;
      lock.unlock();
      settings().owner->drained();
      lock.lock();
      if (!has_first_) return leave();
    }
  }
  bool end(std::unique_lock<std::mutex>& lock, LaneThreads::Turn& turn) {
    lock.unlock();
    settings().owner->last_rites();
    turn.now_us = steady_now_us();
    lock.lock();
    return leave();
  }
  bool leave() {
    done_ = true;
    over_.notify_all();
    return false;
  }

  /// Where other lanes wait for a thread, the one that comes next tells; the host looks by itself
  /// if that takes long.
  void tell_announced() {
    if (std::exchange(announced_, false) && !threads().crowded()) host().ended({}, false);
  }

  /// False when the lane should give way.
  bool run_taken(LaneThreads::Turn& turn, std::int64_t began_us) {
    std::int64_t& now = turn.now_us;
    std::int64_t told_us = now;
    Outcome outcome;  // what it is swapped for has a buffer for the next value
    Invocation invocation;
    while (ActiveCall* call = taken_.pop_front()) {
      taken_.prefetch();
      const std::uint64_t tries = tries_.load(std::memory_order_acquire);
      const Admission admission = admit(*call, now, outcome);
      if (admission == Admission::wait) {
        taken_.push_front(*call);
        waits_since_ = tries;
        return true;
      }
      if (admission == Admission::taken) continue;
      finished_.push_back(*call);
      if (admission == Admission::gone) continue;
      if (admission == Admission::run) now = run_call(*call, invocation, outcome);
      const bool more_soon = !taken_.empty() || threads().crowded();
      announced_ = !outcome.held && more_soon && now - told_us < kGatherUs;
      if (!announced_) told_us = now;
      const bool stop_here = outcome.held;
      report(outcome, announced_);
      if (stop_here) return true;
      if (now - began_us > kTurnUs && threads().crowded()) return false;
    }
    return true;
  }

  /// Returns the time afterwards. The invocation is as new before and after it.
  std::int64_t run_call(ActiveCall& call, Invocation& invocation, Outcome& outcome) {
    outcome.begin(call.job, Outcome::Fate::ended);
    invoke(call, invocation);
    const std::int64_t now = steady_now_us();
    conclude(call, invocation.error.get(), true, now, outcome);
    complete(call, invocation, outcome);
    return now;
  }

  std::unique_ptr<LaneThreads> own_;  ///< where the class asks for a thread of its own

  // The thread's own.
  CallQueue taken_;
  CallQueue finished_;
  bool announced_ = false;                  ///< the host was told that more comes soon
  std::uint64_t waits_since_ = kNotWaiting; ///< what tries_ was when the host said wait

  std::mutex mutex_;
  std::condition_variable over_;
  std::function<void()> first_;
  CallQueue inbox_;
  std::atomic<std::uint64_t> tries_{0};
  bool has_first_ = false;
  bool starting_ = false;  ///< start() was called
  bool active_ = false;    ///< a thread runs the lane, or will
  bool open_ = false;
  bool finishing_ = false;
  bool drained_ = false;   ///< and the owner knows
  bool retired_ = false;
  bool done_ = false;      ///< no thread will come any more
};

}  // namespace

std::unique_ptr<Lane> make_serial_lane(const LaneSettings& settings) {
  return std::make_unique<SerialLane>(settings);
}

}  // namespace callboard::worker
