// What the executors of a worker process report to, and what decides whether a call may begin.
//
// Executor threads ask begin() and hand over outcomes; the I/O thread takes them in its next turn.
// It is woken when an executor has nothing more to do, and looks by itself once in kOutcomeDelayUs
// while outcomes keep coming, so that a thousand short calls do not cost a thousand wake-ups. While
// an executor gathers, turns that the thread takes for other reasons leave the outcomes lying.
//
// Thread safety: Host and SlotHost may be used by any thread; take(), set_lease() and release() are
// the I/O thread's.
#pragma once

#include "common/short_lock.hpp"
#include "worker/crash_handler.hpp"
#include "worker/executor.hpp"
#include "worker/recorder.hpp"

#include <callboard/error.hpp>
#include <callboard/ids.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace callboard::worker {

/// A method kept an event loop from turning.
struct Stall {
  std::uint32_t slot = 0;
  std::string method;    ///< "Counter.add"
  std::int64_t ms = 0;
  bool over = false;     ///< false: it still does
};

/// What the I/O thread finds in a turn. Reused, so that nothing is allocated in the steady state.
struct Arrivals {
  struct StartedSlot { std::uint32_t slot = 0; ErrorInfo error; };

  std::vector<Outcome> outcomes;  ///< [0, outcome_count)
  std::size_t outcome_count = 0;
  std::vector<StartedSlot> started;
  std::vector<std::uint32_t> stopped;
  std::vector<Stall> stalls;
};

class Host {
 public:
  /// `wake` makes the I/O thread take a turn; any thread calls it.
  Host(Recorder& recorder, std::function<void()> wake);

  // --- the I/O thread's --------------------------------------------------------------------------
  /// Swaps what was reported for what `arrivals` held; outcomes that are being gathered stay,
  /// unless `all` are asked for. Returns by when it must be called again, because there is or may
  /// be more without a wake-up; kNever when that is not so.
  std::int64_t take(Arrivals& arrivals, std::int64_t now_us, bool all = false);
  /// Jobs are about to be handed to an executor: take() will be called within kOutcomeDelayUs.
  void expect(std::int64_t now_us);
  /// Calls may begin until then.
  void set_lease(std::int64_t until_us) { lease_until_us_.store(until_us); }
  std::int64_t lease_until_us() const { return lease_until_us_.load(); }
  /// Frees slots of the recorder.
  void release(std::span<const std::uint32_t> tickets);
  /// The slot of an executor of which a call was told to wait longest ago, and should try again
  /// now. Nothing when none waits.
  std::optional<std::uint32_t> next_waiting();
  Recorder& recorder() { return recorder_; }

  // --- any thread's, through SlotHost ------------------------------------------------------------
  Begin begin(Job& job, ActorId actor, std::uint64_t incarnation, std::int64_t now_us) {
    prepare_thread_for_crashes();
    if (try_begin(job, actor, incarnation, now_us)) return Begin::run;
    return wait(job, actor, incarnation, now_us);
  }
  void ended(std::span<Outcome> outcomes, bool more_soon);
  void gather(std::int64_t until_us);
  void started(std::uint32_t slot, ErrorInfo error);
  void stopped(std::uint32_t slot);
  void stalled(std::uint32_t slot, std::string_view method, std::int64_t ms, bool over);

 private:
  bool try_begin(Job& job, ActorId actor, std::uint64_t incarnation, std::int64_t now_us) {
    if (now_us >= lease_until_us_.load()) return false;
    job.ticket = recorder_.begin({.call = job.call,
                                  .attempt = job.attempt,
                                  .actor = actor,
                                  .incarnation = incarnation,
                                  .lease = job.lease,
                                  .began_us = now_us});
    return job.ticket != kNoSlot;
  }
  Begin wait(Job& job, ActorId actor, std::uint64_t incarnation, std::int64_t now_us);

  Recorder& recorder_;
  std::function<void()> wake_;
  std::atomic<std::int64_t> lease_until_us_{0};
  std::atomic<bool> someone_waits_{false};
  std::mutex wait_mutex_;
  std::deque<std::uint32_t> waiting_slots_;  ///< guarded by wait_mutex_
  ShortLock mutex_;
  Arrivals waiting_;             ///< guarded by mutex_
  bool told_ = false;            ///< guarded by mutex_: the thread was woken for what waits
  std::int64_t taken_us_ = 0;         ///< guarded by mutex_
  std::int64_t gather_until_us_ = 0;  ///< guarded by mutex_
  bool looked_after_ = false;    ///< guarded by mutex_: the I/O thread comes soon by itself
  std::int64_t expected_until_us_ = 0;  ///< the I/O thread's: it looks until then at least
};

/// The host of one slot's executor: it knows whose calls they are.
class SlotHost final : public ExecutorHost {
 public:
  SlotHost(Host& host, ActorId actor, std::uint64_t incarnation)
      : host_(host), actor_(actor), incarnation_(incarnation) {}

  Begin begin(Job& job, std::int64_t now_us) override {
    return host_.begin(job, actor_, incarnation_, now_us);
  }
  void ended(std::span<Outcome> outcomes, bool more_soon) override {
    host_.ended(outcomes, more_soon);
  }
  void expect_ended(std::uint32_t ticket) override { host_.recorder().expect_end(ticket); }
  void gather(std::int64_t until_us) override { host_.gather(until_us); }
  void started(std::uint32_t slot, ErrorInfo error) override {
    host_.started(slot, std::move(error));
  }
  void stopped(std::uint32_t slot) override { host_.stopped(slot); }
  void stalled(std::uint32_t slot, std::string_view method, std::int64_t ms, bool over) override {
    host_.stalled(slot, method, ms, over);
  }

 private:
  Host& host_;
  const ActorId actor_;
  const std::uint64_t incarnation_;
};

}  // namespace callboard::worker
