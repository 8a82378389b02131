// Notices when a method keeps an event loop from turning, and names it.
//
// The loop's thread says when a piece of a method begins and ends; that it took too long it notices
// itself, at the end. One thread for all loops of the process looks from outside, for those pieces
// that do not end. How long a piece takes is known to a tick of the kernel (4 ms), except where
// little more than that is asked for.
//
// Thread safety: LoopMeter::Scope is for the loop's thread; LoopWatch for any.
#pragma once

#include "worker/executor.hpp"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace callboard::worker {

struct Method;

/// What one loop is doing now.
class LoopMeter {
 public:
  /// `host` is told of calls that keep the loop busy for `warn_ms`. It outlives every Scope, and
  /// the time between LoopWatch::add() and remove().
  LoopMeter(ExecutorHost& host, std::uint32_t slot, std::int64_t warn_ms)
      : host_(host), slot_(slot), warn_ms_(warn_ms) {}

  /// A piece of a method. Pieces that run inside others belong to the outermost one.
  class Scope {
   public:
    Scope(LoopMeter& meter, const Method* method);
    /// Where the time is known anyway.
    Scope(LoopMeter& meter, const Method* method, std::int64_t now_us)
        : meter_(meter.idle() ? &meter : nullptr) {
      if (meter_ != nullptr) meter.enter(method, now_us);
    }
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;
    bool outermost() const { return meter_ != nullptr; }

   private:
    LoopMeter* meter_;  ///< null: inside another
  };

 private:
  friend class LoopWatch;
  static constexpr std::int64_t kIdle = 0;

  bool idle() const { return since_us_.load(std::memory_order_relaxed) == kIdle; }
  void enter(const Method* method, std::int64_t now_us) {
    method_.store(method, std::memory_order_relaxed);
    since_us_.store(now_us, std::memory_order_release);
  }
  void look(std::int64_t now_us);
  void leave();
  std::int64_t now_us() const;

  ExecutorHost& host_;
  const std::uint32_t slot_;
  const std::int64_t warn_ms_;
  std::atomic<std::int64_t> since_us_{kIdle};
  std::atomic<const Method*> method_{nullptr};
  std::int64_t reported_since_us_ = kIdle;  ///< the watch's own
};

/// The thread that looks. It lives as long as anybody holds it.
class LoopWatch {
 public:
  /// The process's own; made when there is none.
  static std::shared_ptr<LoopWatch> shared();

  LoopWatch();
  ~LoopWatch();
  LoopWatch(const LoopWatch&) = delete;
  LoopWatch& operator=(const LoopWatch&) = delete;

  void add(LoopMeter& meter);
  /// When it returns, nobody looks at `meter` any more.
  void remove(LoopMeter& meter);

 private:
  void run();
  std::int64_t look_at_all();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<LoopMeter*> meters_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace callboard::worker
