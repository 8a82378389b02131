// What lanes with a pool of threads share: threads made on demand up to a limit, one queue, and
// calls that begin in order because they begin under the queue's lock.
//
// A thread that takes work and leaves some behind wakes or makes the next thread, so that a burst
// costs the I/O thread one wake-up.
//
// Thread safety: as in lane.hpp.
#pragma once

#include "worker/executors/invoke.hpp"
#include "worker/executors/lane.hpp"

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace callboard::worker {

class PoolLane : public Lane {
 public:
  ~PoolLane() override;

  void start(std::function<void()> first) override;
  void try_again() override;
  void retire() override;
  void join() override;

 protected:
  using Lane::Lane;

  void push(CallQueue& calls) override;
  void opened() override;
  void resume() override;
  void cancel(std::span<ActiveCall*>) override {}
  void finish_when_empty() override;
  bool can_run(MethodKind kind) const override;

  /// May `call` run together with `before`, which will begin at once? Under the lock.
  virtual bool joins(const ActiveCall& call, std::span<ActiveCall* const> before) const = 0;
  /// When the calls at the front of `queue` should begin, if not at once: to wait for more.
  virtual std::int64_t due_us(const CallQueue& queue) const = 0;
  /// Runs what was taken; `invocations` gets one entry for each.
  virtual void run_taken(std::span<ActiveCall*> calls, std::vector<Invocation>& invocations) = 0;

 private:
  /// What one thread does between two visits to the queue.
  struct Turn {
    std::vector<ActiveCall*> calls;
    std::vector<Invocation> invocations;
    std::vector<Outcome> outcomes;
    CallQueue finished;
  };

  void run(const std::function<void()>& first);
  bool take(Turn& turn, std::int64_t now_us);
  void wait(std::unique_lock<std::mutex>& lock);
  void get_help(std::unique_lock<std::mutex>& lock);
  void run_turn(Turn& turn);
  void hand_over(Turn& turn, bool more_soon);
  void make_thread(std::unique_lock<std::mutex>& lock, std::function<void()> first);
  bool may_take() const;

  std::mutex mutex_;
  std::condition_variable wake_;
  CallQueue queue_;
  std::vector<std::thread> threads_;
  std::uint32_t alive_ = 0;  ///< threads that still take work
  std::uint32_t idle_ = 0;
  bool waits_ = false;       ///< the host said wait, and try_again() has not come
  bool open_ = false;
  bool finishing_ = false;
  bool retired_ = false;
};

}  // namespace callboard::worker
