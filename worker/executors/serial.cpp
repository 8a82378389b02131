// The serial lane: a thread comes when there is something to do, takes everything that is queued
// with one instruction, and then runs it call by call without any lock.
//
// A lane that is held, or told to wait, keeps what it has taken: whatever I/O wants back it takes
// from the calls themselves (active_call.hpp), not from a queue.

#include "common/clock.hpp"
#include "worker/executors/call_inbox.hpp"
#include "worker/executors/invoke.hpp"
#include "worker/executors/lane.hpp"
#include "worker/executors/lane_thread.hpp"
#include "worker/executors/lane_threads.hpp"

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <system_error>
#include <utility>

namespace callboard::worker {

namespace {

/// What a thread uses again from call to call, whatever actor it is of.
struct Scratch {
  Outcome outcome;        ///< what it is swapped for has a buffer for the next value
  Invocation invocation;  ///< as new, but for buffers, before and after each call
  CallQueue finished;     ///< of one pool: to be given back once the thread has run what it took

  void give_back() {
    if (!finished.empty()) finished.front()->pool->release(finished);
  }
};
thread_local Scratch scratch_here;

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
    first_ = std::move(first);
    has_first_ = begins_ = first_ != nullptr;
    if (has_first_) threads().ready(*this);
    else inbox_.nobody_comes();  // until somebody knocks
    started_ = true;
  }
  void try_again() override {
    ++tries_;
    knock();
  }
  void retire() override { set(kRetired); }
  void join() override {
    if (!started_) return;
    std::unique_lock lock(mutex_);
    over_.wait(lock, [this] { return done_; });
  }

 protected:
  void push(CallQueue& calls) override {
    const ActiveCall* const first = calls.front();
    if (inbox_.push(calls)) call_thread(first);
  }
  void opened() override {
    try {
      set(kOpen);
    } catch (const std::system_error&) {  // the first call tries again to get a thread
    }
  }
  void resume() override { knock(); }
  void cancel(std::span<ActiveCall*>) override {}
  void finish_when_empty() override { set(kFinishing); }
  bool can_run(MethodKind kind) const override { return kind != MethodKind::coroutine; }

 private:
  /// What the lane was told.
  enum Flag : std::uint8_t {
    kOpen = 1,
    kFinishing = 2,
    kRetired = 4,
  };
  static constexpr std::uint64_t kNotWaiting = UINT64_MAX;
  /// Outcomes of short calls are told together, but not later than this after the first.
  static constexpr std::int64_t kGatherUs = 200;
  /// A lane gives way to others after this long.
  static constexpr std::int64_t kTurnUs = 500;

  LaneThreads& threads() const { return own_ ? *own_ : *incarnation().environment.threads; }

  void set(Flag flag) {
    flags_.fetch_or(flag, std::memory_order_relaxed);
    knock();
  }
  bool is(Flag flag) const { return (flags_.load(std::memory_order_relaxed) & flag) != 0; }
  /// Sees to it that a thread looks at what was written before.
  void knock() {
    if (inbox_.knock()) call_thread();
  }
  /// REQUIRES: the inbox said so.
  void call_thread(const ActiveCall* call = nullptr) {
    try {
      threads().ready({.work = this,
                       .needs = call,
                       .reads = call == nullptr ? nullptr : call->arguments});
    } catch (...) {
      inbox_.nobody_comes();
      throw;
    }
  }

  // --- the lane's thread --------------------------------------------------------------------
  bool has_work() const {
    if (drained_) return has_first_ && is(kRetired);
    if (!is(kOpen)) return false;
    if (taken_.empty()) return is(kFinishing);
    return halted() || (!held() && waits_since_ != tries_.load(std::memory_order_relaxed));
  }

  /// One turn on a thread: until there is nothing to do, or others want the thread.
  void run(LaneThreads::Turn& turn) override {
    const std::int64_t began_us = turn.now_us;
    Scratch& scratch = scratch_here;
    turn.afterwards = [] { scratch_here.give_back(); };
    if (!shares_calls()) scratch.give_back();
    if (std::exchange(begins_, false)) {
      std::exchange(first_, nullptr)();
      turn.now_us = steady_us();
    }
    for (bool again = false; take(turn, scratch); again = true) {
      if (again) scratch.give_back();  // it may go on like this for long
      if (run_taken(turn, began_us, scratch)) continue;
      if (!shares_calls()) scratch.give_back();
      tell_announced();
      threads().ready(*this);
      return;
    }
  }
  /// Otherwise the calls go with the actor.
  bool shares_calls() const { return &pool() == incarnation().environment.calls.get(); }

  /// What the lane's thread does beside calls is done; takes the calls that wait. False when the
  /// thread is to leave: nothing of the lane may be touched any more.
  bool take(LaneThreads::Turn& turn, Scratch& scratch) {
    if (!shares_calls()) scratch.give_back();
    tell_announced();
    for (;;) {
      inbox_.take(taken_);
      if (!has_work()) {
        if (inbox_.leave()) return false;
        continue;
      }
      waits_since_ = kNotWaiting;
      if (!taken_.empty()) return true;
      scratch.give_back();
      if (drained_) {
        settings().owner->last_rites();
        turn.now_us = steady_us();
        return leave();
      }
      drained_ = true;
      settings().owner->drained();
      if (!has_first_) return leave();
    }
  }
  bool leave() {
    const std::lock_guard lock(mutex_);
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
  bool run_taken(LaneThreads::Turn& turn, std::int64_t began_us, Scratch& scratch) {
    std::int64_t& now = turn.now_us;
    std::int64_t told_us = now;
    Outcome& outcome = scratch.outcome;
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
      scratch.finished.push_back(*call);
      if (admission == Admission::gone) continue;
      if (admission == Admission::run) now = run_call(*call, scratch.invocation, outcome);
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

  /// Returns the time afterwards.
  std::int64_t run_call(ActiveCall& call, Invocation& invocation, Outcome& outcome) {
    outcome.begin(call.job, Outcome::Fate::ended);
    invoke(call, invocation);
    const std::int64_t now = steady_us();
    conclude(call, invocation.error.get(), true, now, outcome);
    complete(call, invocation, outcome);
    return now;
  }

  // What each turn needs is first, and prefetched (kLaneBytes, Hand::kWorkBytes).
  std::unique_ptr<LaneThreads> own_;  ///< where the class asks for a thread of its own
  CallInbox inbox_;
  std::atomic<std::uint64_t> tries_{0};
  std::atomic<std::uint8_t> flags_{0};

  // The thread's own, but for the first two, which I/O writes before there is one.
  bool has_first_ = false;
  bool begins_ = false;                     ///< first_ has not run
  bool announced_ = false;                  ///< the host was told that more comes soon
  bool drained_ = false;                    ///< and the owner knows
  CallQueue taken_;
  std::uint64_t waits_since_ = kNotWaiting; ///< what tries_ was when the host said wait

  std::function<void()> first_;
  bool started_ = false;   ///< I/O: start() was called, and there is a thread for it
  std::mutex mutex_;
  std::condition_variable over_;
  bool done_ = false;      ///< guarded by mutex_: no thread will come any more
};

}  // namespace

std::unique_ptr<Lane> make_serial_lane(const LaneSettings& settings) {
  return std::make_unique<SerialLane>(settings);
}

}  // namespace callboard::worker
