// One concurrency group of one executor: a queue of calls, a limit, and the thread or threads that
// run them. What all kinds of lanes do alike is here; how calls get a thread is in the derived
// classes, a file each.
//
// A lane's threads begin nothing before open(). Its life ends in steps, because an object is
// destroyed by the thread that made it, after every other thread has let go of it:
//
//   stop() ... no call left ──> owner.drained() ... (all lanes) ──> retire() each lane ──>
//   owner.last_rites() on the first lane's thread: join() the others, destroy the object, close()
//
// Thread safety: as said at each member. "I/O" is the thread that calls the Executor; "lane" is any
// thread of the lane.
#pragma once

#include "worker/executors/active_call.hpp"
#include "worker/executors/incarnation.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace callboard::worker {

/// What a lane needs of the executor that it belongs to. Any thread.
class LaneOwner {
 public:
  /// An outcome with `held` set: reported in one order with others of its kind.
  virtual void report_held(Lane& lane, Outcome& outcome) = 0;
  /// The lane has no calls any more and gets none.
  virtual void drained() = 0;
  /// The calling thread, which ran `first`, has been told to retire. Destroys the object.
  virtual void last_rites() = 0;

 protected:
  ~LaneOwner() = default;
};

/// What all lanes of an executor share, and one lane's own bounds.
struct LaneSettings {
  LaneOwner* owner = nullptr;
  CallPool* pool = nullptr;
  const Incarnation* incarnation = nullptr;
  std::uint32_t limit = 1;        ///< calls, or batches, that may run at once
  std::uint32_t batch_size = 1;
  std::int64_t batch_wait_us = 0;
};

class Lane {
 public:
  explicit Lane(const LaneSettings& settings) : settings_(settings) {}
  virtual ~Lane() = default;
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  // --- I/O ----------------------------------------------------------------------------------
  /// Starts a thread of the lane. When there is a `first`, it is the thread's first act, and
  /// LaneOwner::last_rites() its last. Throws std::system_error when there is no thread to be had.
  virtual void start(std::function<void()> first) = 0;
  /// Queues calls whose state is queued.
  void submit(CallQueue& calls, std::uint32_t count);
  Revoked revoke(ActiveCall& call, bool running_too);
  /// REQUIRES: the lane is held.
  void go_on(bool hand_back);
  virtual void try_again() = 0;
  void stop(bool now);
  GroupStats stats() const;

  // --- any thread ---------------------------------------------------------------------------
  /// The constructor has ended. Not usable: everything is returned.
  void open(bool usable);
  /// All lanes are drained.
  virtual void retire() = 0;
  /// Waits for the lane's threads. REQUIRES: retire(); not on one of them.
  virtual void join() = 0;
  /// The object is gone: destroys what its calls have left behind.
  virtual void close() {}

 protected:
  // What the derived classes do differently. I/O, except for opened().
  virtual void push(CallQueue& calls) = 0;
  virtual void opened() = 0;
  virtual void resume() = 0;                              ///< go_on: held no more
  virtual void cancel(std::span<ActiveCall*> running) = 0;  ///< beyond the flag, which is set
  virtual void finish_when_empty() = 0;                   ///< or at once, when halted()
  virtual bool can_run(MethodKind kind) const = 0;

  // --- lane ---------------------------------------------------------------------------------
  enum class Admission : std::uint8_t {
    run,      ///< claimed, and on record as begun
    refused,  ///< claimed; the outcome says why it will not run
    gone,     ///< taken back; only its memory is left, and the caller frees it
    taken,    ///< being taken back just now; the caller forgets it
    wait,     ///< still queued; nothing begins until try_again()
  };
  /// Claims a call and asks whether it may begin.
  Admission admit(ActiveCall& call, std::int64_t now_us, Outcome& outcome);
  /// Completes the outcome of a call that ran. REQUIRES: outcome.status and value are set.
  /// `error` is what the value encodes, or null; `may_hold`: this is a lane that keeps one order.
  void conclude(ActiveCall& call, const ErrorInfo* error, bool may_hold, std::int64_t now_us,
                Outcome& outcome) {
    outcome.began_us = call.began_us;
    outcome.ended_us = now_us;
    if (may_hold && error != nullptr && is_retried(call, *error)) outcome.held = true;
    const std::int64_t average = service_us_.load(std::memory_order_relaxed);
    service_us_.store(average + (now_us - call.began_us - average) / kServiceWeight,
                      std::memory_order_relaxed);
    // It may be a while until the call's memory is used again.
    CallPool::drop_arguments(call);
    // Nothing that a coroutine left behind is blamed on whoever gets its slot of the recorder next.
    call.job.ticket = 0;
    call.state.store(ActiveCall::State::ended, std::memory_order_release);
    count_one(ended_);
  }
  /// Hands an outcome over: to the host, or to the owner when it is held.
  void report(Outcome& outcome, bool more_soon) {
    if (outcome.held) return report_held(outcome);
    host().ended({&outcome, 1}, more_soon);
  }

  /// stop(now) was called: what is still queued is returned.
  bool halted() const { return halted_.load(std::memory_order_seq_cst); }
  bool held() const { return held_.load(std::memory_order_acquire); }
  const LaneSettings& settings() const { return settings_; }
  const Incarnation& incarnation() const { return *settings_.incarnation; }
  /// How long calls take lately.
  std::int64_t service_us() const { return service_us_.load(std::memory_order_relaxed); }
  ExecutorHost& host() const { return incarnation().host; }
  CallPool& pool() const { return *settings_.pool; }

 private:
  /// Weight of the newest call in the moving average of service times: 1/8.
  static constexpr std::int64_t kServiceWeight = 8;

  /// Of a lane with a single thread at a time nobody else counts.
  void count_one(std::atomic<std::uint64_t>& counter) const {
    if (settings_.limit > 1) {
      counter.fetch_add(1, std::memory_order_relaxed);
    } else {
      counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    }
  }
  /// I/O. Calls that were submitted and have not ended, as far as it is known yet.
  std::uint64_t unfinished() const {
    return submitted_ - taken_ - ended_.load(std::memory_order_acquire);
  }
  void take_back_all();
  bool take_back(ActiveCall& call, Outcome& outcome);
  bool is_ordinary(const ActiveCall& call, std::int64_t now_us) const;
  bool may_begin(ActiveCall& call, std::int64_t now_us, Outcome& outcome);
  bool refuse(ActiveCall& call, Errc code, std::string message, Outcome& outcome);
  void report_held(Outcome& outcome);
  bool is_retried(const ActiveCall& call, const ErrorInfo& error) const;

  const LaneSettings settings_;
  std::atomic<bool> usable_{true};
  std::atomic<bool> stopping_{false};
  std::atomic<bool> halted_{false};
  std::atomic<bool> held_{false};
  std::uint64_t submitted_ = 0;  ///< I/O
  std::uint64_t taken_ = 0;      ///< I/O
  std::atomic<std::uint64_t> begun_{0};
  std::atomic<std::uint64_t> ended_{0};
  std::atomic<std::int64_t> service_us_{0};
};

/// One call at a time, in order, always on the same thread.
std::unique_ptr<Lane> make_serial_lane(const LaneSettings& settings);
/// Up to `limit` calls at once, each on a thread of its own; they begin in order.
std::unique_ptr<Lane> make_threaded_lane(const LaneSettings& settings);
/// Up to `limit` batches at once, each of up to `batch_size` calls of one method.
std::unique_ptr<Lane> make_batch_lane(const LaneSettings& settings);
/// Coroutines and plain methods on one event loop; up to `limit` of them have begun and not ended.
std::unique_ptr<Lane> make_async_lane(const LaneSettings& settings);

}  // namespace callboard::worker
