// Threads that serial lanes share: a lane has one while it has something to do and none while it is
// idle, so that a process holds as many actors as fit in its memory.
//
//   ready(work) ──> queue ──> a thread runs it until it has nothing to do, or gives way
//
// Lanes never block one another. As many threads as there are processors take what is ready; where
// that is not enough because work blocks, more are made: one for each thread that says that it is
// about to block, and where none says so and nothing moves, one, then two, then four with each look
// of a watcher. Threads that nobody has needed for a while end.
//
// Thread safety: all of it. Destroy it after everything that may call ready().
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace callboard::worker {

class LaneThreads {
  /// A thread that waits for work.
  struct Idle {
    std::condition_variable called;
    bool is_called = false;
  };

 public:
  /// Something to do. Whoever makes it ready sees to it that it is in the queue once at most.
  class Work {
   public:
    /// On one of the threads. It may make itself ready again, and may be gone when it returns.
    virtual void run() = 0;

   protected:
    ~Work() = default;
  };

  /// When it is destroyed it wakes the thread that was called for some work: best once no lock is
  /// held that this thread will want.
  class Wakeup {
   public:
    Wakeup() = default;
    Wakeup(Wakeup&& other) noexcept : idle_(std::exchange(other.idle_, nullptr)) {}
    Wakeup& operator=(Wakeup&& other) noexcept {
      std::swap(idle_, other.idle_);
      return *this;
    }
    ~Wakeup() {
      if (idle_ != nullptr) idle_->called.notify_one();
    }

   private:
    friend class LaneThreads;
    explicit Wakeup(Idle& idle) : idle_(&idle) {}

    Idle* idle_ = nullptr;
  };

  /// `prepare` is the first act of each thread.
  explicit LaneThreads(std::function<void()> prepare, std::size_t threads_max = SIZE_MAX);
  /// Waits for the threads. REQUIRES: nothing is ready, and nothing runs for ever.
  ~LaneThreads();
  LaneThreads(const LaneThreads&) = delete;
  LaneThreads& operator=(const LaneThreads&) = delete;

  /// Throws std::system_error when there is no thread yet and none can be had.
  Wakeup ready(Work& work);
  /// Others wait: work that has run for a while should give way.
  bool crowded() const { return waiting_.load(std::memory_order_relaxed) > 0; }
  /// The calling thread, which is one of these, begins or ends a wait inside its work.
  void blocks(bool begins);
  std::size_t threads() const;

  /// Those that the calling thread is one of, or null.
  static LaneThreads* here();

 private:
  void run();
  bool next(std::unique_lock<std::mutex>& lock);
  void run_one(std::unique_lock<std::mutex>& lock);
  Wakeup call_help();
  Idle& begin_waiting();
  void wake_watcher();
  void make_thread();
  bool try_make_thread();
  void retire();
  void watch();
  std::size_t wanted() const { return kept_ + blocked_; }
  bool stands_still() const { return !queue_.empty() && idle_.empty() && alive_ < max_; }

  const std::function<void()> prepare_;
  const std::size_t max_;
  const std::size_t kept_;  ///< made as soon as there is work, and never given up

  mutable std::mutex mutex_;
  std::condition_variable stood_;  ///< work that nobody takes, for the watcher
  std::deque<Work*> queue_;
  std::atomic<std::size_t> waiting_{0};  ///< how many queue_ holds
  std::map<std::thread::id, std::thread> threads_;
  std::vector<std::thread> retired_;  ///< to be joined
  std::size_t alive_ = 0;
  std::deque<Idle> places_;      ///< to wait at. They stay: whoever wakes a thread does it late
  std::vector<Idle*> free_places_;
  std::vector<Idle*> idle_;      ///< the last is called first: its caches are warm
  std::size_t blocked_ = 0;      ///< have said that they wait
  bool coming_ = false;          ///< an idle thread was woken and has not looked yet
  std::uint64_t taken_ = 0;      ///< counts work
  std::uint64_t slept_ = 0;      ///< counts work that took long and gave up its processor
  bool stopping_ = false;
  bool watcher_sleeps_ = false;
  std::thread watcher_;          ///< made when it is first needed
};

}  // namespace callboard::worker
