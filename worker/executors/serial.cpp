// The serial lane: one thread, which takes everything that is queued with one lock and then runs it
// call by call without any.
//
// A lane that is held, or told to wait, keeps what it has taken: whatever I/O wants back it takes
// from the calls themselves (active_call.hpp), not from a queue.

#include "worker/executors/invoke.hpp"
#include "worker/executors/lane.hpp"
#include "worker/executors/lane_thread.hpp"

#include <condition_variable>
#include <mutex>
#include <thread>

namespace callboard::worker {

namespace {

class SerialLane final : public Lane {
 public:
  explicit SerialLane(const LaneSettings& settings) : Lane(settings) {}
  ~SerialLane() override { join(); }

  void start(std::function<void()> first) override {
    thread_ = std::thread([this, first = std::move(first)] { run(first); });
  }
  void try_again() override {
    {
      const std::lock_guard lock(mutex_);
      ++tries_;
    }
    wake_.notify_one();
  }
  void retire() override { set(retired_); }
  void join() override {
    if (thread_.joinable()) thread_.join();
  }

 protected:
  void push(CallQueue& calls) override {
    bool asleep = false;
    {
      const std::lock_guard lock(mutex_);
      inbox_.append(calls);
      asleep = asleep_;
    }
    if (asleep) wake_.notify_one();
  }
  void opened() override { set(open_); }
  void resume() override {
    { const std::lock_guard lock(mutex_); }  // or the thread could miss it on its way to sleep
    wake_.notify_one();
  }
  void cancel(std::span<ActiveCall*>) override {}
  void finish_when_empty() override { set(finishing_); }
  bool can_run(MethodKind kind) const override { return kind != MethodKind::coroutine; }

 private:
  static constexpr std::uint64_t kNotWaiting = UINT64_MAX;
  /// Outcomes of short calls are told together, but not later than this after the first.
  static constexpr std::int64_t kGatherUs = 200;

  void set(bool& flag) {
    {
      const std::lock_guard lock(mutex_);
      flag = true;
    }
    wake_.notify_one();
  }

  void run(const std::function<void()>& first) {
    prepare_lane_thread(incarnation().entry.name);
    if (first) first();
    while (more()) run_taken();
    settings().owner->drained();
    if (!first) return;
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return retired_; });
    lock.unlock();
    settings().owner->last_rites();
  }

  /// Waits for calls. False when there will be none.
  bool more() {
    pool().release(finished_);
    if (std::exchange(announced_, false)) host().ended({}, false);
    std::unique_lock lock(mutex_);
    asleep_ = true;
    wake_.wait(lock, [this] { return open_ && (halted() || may_run() || may_end()); });
    asleep_ = false;
    waits_since_ = kNotWaiting;
    taken_.append(inbox_);
    return !taken_.empty() || !finishing_;
  }
  bool may_run() const {
    return !held() && waits_since_ != tries_ && !(taken_.empty() && inbox_.empty());
  }
  bool may_end() const { return finishing_ && taken_.empty() && inbox_.empty(); }

  void run_taken() {
    std::int64_t now = steady_now_us();
    std::int64_t told_us = now;
    Outcome outcome;  // what it is swapped for has a buffer for the next value
    while (ActiveCall* call = taken_.pop_front()) {
      const std::uint64_t tries = tries_.load(std::memory_order_acquire);
      const Admission admission = admit(*call, now, outcome);
      if (admission == Admission::wait) {
        taken_.push_front(*call);
        waits_since_ = tries;
        return;
      }
      if (admission == Admission::taken) continue;
      finished_.push_back(*call);
      if (admission == Admission::gone) continue;
      if (admission == Admission::run) now = run_call(*call, outcome);
      announced_ = !outcome.held && !taken_.empty() && now - told_us < kGatherUs;
      if (!announced_) told_us = now;
      const bool stop_here = outcome.held;
      report(outcome, announced_);
      if (stop_here) return;
    }
  }

  /// Returns the time afterwards.
  std::int64_t run_call(ActiveCall& call, Outcome& outcome) {
    Invocation invocation;
    invocation.result = std::move(outcome.value.text);
    outcome = Outcome(call.job, Outcome::Fate::ended);
    invoke(call, invocation);
    const std::int64_t now = steady_now_us();
    conclude(call, invocation.error.get(), true, now, outcome);
    complete(call, invocation, outcome);
    return now;
  }

  // The thread's own.
  CallQueue taken_;
  CallQueue finished_;
  bool announced_ = false;                  ///< the host was told that more comes soon
  std::uint64_t waits_since_ = kNotWaiting; ///< what tries_ was when the host said wait

  std::mutex mutex_;
  std::condition_variable wake_;
  CallQueue inbox_;
  std::atomic<std::uint64_t> tries_{0};
  bool asleep_ = false;
  bool open_ = false;
  bool finishing_ = false;
  bool retired_ = false;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Lane> make_serial_lane(const LaneSettings& settings) {
  return std::make_unique<SerialLane>(settings);
}

}  // namespace callboard::worker
