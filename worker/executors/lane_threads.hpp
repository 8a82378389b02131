// Threads that serial lanes share: a lane has one while it has something to do and none while it is
// idle, so that a process holds as many actors as fit in its memory.
//
//   ready(work) ──> queue ──> a thread's hand ──> it runs until it has nothing to do, or gives way
//
// A thread takes several at once where many wait, so that a thousand lanes with one short call each
// cost a lock now and then; what is in its hand others may take as well. Lanes never block one
// another. A second thread is called where what waits is worth it, which the first tells by how
// long work has taken lately, and as many as there are processors work at once. Where that is not
// enough because work blocks, more are made: one for each thread that says that it is about to
// block, and where none says so and nothing moves, one, then two, then four with each look of a
// watcher, or one with each look of somebody who looks anyway. Threads that nobody has needed for a
// while end.
//
// Thread safety: all of it. Destroy it after everything that may call ready().
#pragma once

#include "common/prefetch.hpp"

#include <array>
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
  /// What one thread at a time does while there is nothing to run, instead of sleeping.
  class Pastime {
   public:
    /// Returns when `over` says so, or when it has no use for the thread.
    virtual void spend(const std::function<bool()>& over) = 0;
    /// `over` may say so now. Any thread.
    virtual void look() = 0;

   protected:
    ~Pastime() = default;
  };

  /// What a thread knows while it works.
  struct Turn {
    std::int64_t now_us = 0;  ///< the time: who reads the clock writes it here for who comes next
    /// What the thread is to do once it has run all that it has taken: set by work that puts
    /// something off until then. It must not rely on that work, which may be gone.
    void (*afterwards)() = nullptr;
  };

  /// Something to do. Whoever makes it ready sees to it that it is in the queue once at most.
  class Work {
   public:
    /// On one of the threads. It may make itself ready again, and may be gone when it returns.
    virtual void run(Turn& turn) = 0;

   protected:
    ~Work() = default;
  };

  /// Work that is ready, and where it will find what it needs: only to be asked for.
  struct Ready {
    Work* work = nullptr;
    const void* needs = nullptr;  ///< to write
    const void* reads = nullptr;
  };

  /// First in, first out. An array, so that what waits is not touched before it is its turn.
  class ReadyList {
   public:
    bool empty() const { return gone_ == all_.size(); }
    std::size_t size() const { return all_.size() - gone_; }
    void push_back(const Ready& ready) {
      if (all_.empty()) all_.reserve(kRoom);
      if (gone_ > size()) drop_gone();
      all_.push_back(ready);
    }
    /// REQUIRES: there is some.
    Ready pop_front() {
      const Ready ready = all_[gone_++];
      if (gone_ == all_.size()) clear();
      return ready;
    }
    /// Moves all of `other` behind what is here.
    void append(ReadyList& other) {
      if (gone_ > size()) drop_gone();
      all_.insert(all_.end(), other.all_.begin() + static_cast<std::ptrdiff_t>(other.gone_),
                  other.all_.end());
      other.clear();
    }
    void clear() {
      all_.clear();
      gone_ = 0;
    }

   private:
    static constexpr std::size_t kRoom = 64;

    void drop_gone() {
      all_.erase(all_.begin(), all_.begin() + static_cast<std::ptrdiff_t>(gone_));
      gone_ = 0;
    }

    std::vector<Ready> all_;
    std::size_t gone_ = 0;  ///< of them, from the front
  };

  /// When it is destroyed it wakes the thread that was called for some work: best once no lock is
  /// held that this thread will want.
  class Wakeup {
   public:
    Wakeup() = default;
    Wakeup(Wakeup&& other) noexcept
        : idle_(std::exchange(other.idle_, nullptr)),
          pastime_(std::exchange(other.pastime_, nullptr)) {}
    Wakeup& operator=(Wakeup&& other) noexcept {
      std::swap(idle_, other.idle_);
      std::swap(pastime_, other.pastime_);
      return *this;
    }
    ~Wakeup() {
      if (idle_ != nullptr || pastime_ != nullptr) wake();
    }

   private:
    friend class LaneThreads;
    explicit Wakeup(Idle& idle) : idle_(&idle) {}
    explicit Wakeup(Pastime& pastime) : pastime_(&pastime) {}
    void wake();

    Idle* idle_ = nullptr;
    Pastime* pastime_ = nullptr;
  };

  /// `prepare` is the first act of each thread.
  explicit LaneThreads(std::function<void()> prepare, std::size_t threads_max = SIZE_MAX);
  /// Waits for the threads. REQUIRES: nothing is ready, and nothing runs for ever.
  ~LaneThreads();
  LaneThreads(const LaneThreads&) = delete;
  LaneThreads& operator=(const LaneThreads&) = delete;

  /// REQUIRES: nothing was made ready yet; it outlives the threads.
  void set_pastime(Pastime& pastime) { pastime_ = &pastime; }
  /// Something is ready or runs: a thread that is done with it will look for a pastime.
  bool occupied() const { return waiting_.load() > 0 || busy_.load() > 0; }

  /// Somebody calls look() about once in a millisecond from now on, or does so no more: meanwhile
  /// the watcher need not be woken.
  void set_looked_after(bool looked_after);
  /// Calls another thread where work waits and nothing has moved since the last look.
  void look();

  /// What the calling thread makes ready while it has one of these is made ready together at the
  /// end, with one lock. One at a time for each thread. Nobody may rely on what is ready meanwhile.
  class Gather {
   public:
    explicit Gather(LaneThreads& threads);
    ~Gather();
    Gather(const Gather&) = delete;
    Gather& operator=(const Gather&) = delete;

   private:
    friend class LaneThreads;
    LaneThreads& threads_;
    ReadyList works_;
  };

  /// Throws std::system_error when there is no thread yet and none can be had.
  Wakeup ready(const Ready& ready) {
    if (gathers_here_ == nullptr || &gathers_here_->threads_ != this) return ready_now(ready);
    gathers_here_->works_.push_back(ready);
    return {};
  }
  Wakeup ready(Work& work) { return ready({.work = &work}); }
  /// Others wait: work that has run for a while should give way.
  bool crowded() const;
  /// The calling thread, which is one of these, begins or ends a wait inside its work.
  void blocks(bool begins);
  std::size_t threads() const;

  /// Those that the calling thread is one of, or null.
  static LaneThreads* here();

 private:
  /// Work that one thread has taken and will begin soon.
  struct alignas(64) Hand {
    static constexpr std::size_t kMax = 32;
    static constexpr std::size_t kWorkBytes = 192;   ///< what a serial lane uses, about
    static constexpr std::size_t kNeedsBytes = 448;  ///< what a call takes, about
    static constexpr std::size_t kReadsBytes = 128;  ///< short arguments
    std::array<Ready, kMax> works;
    std::atomic<std::uint32_t> next{0};   ///< by its thread, or with the lock by others
    std::uint32_t count = 0;              ///< written by its thread, with the lock
    std::atomic<std::uint64_t> begun{0};  ///< counts what its thread began
    // With the lock.
    std::uint64_t begun_seen = 0;  ///< by the watcher
    bool used = false;             ///< it has a thread
    bool busy = false;             ///< which works
    bool stuck = false;            ///< but has begun nothing during a look of the watcher

    std::uint32_t left() const {
      const std::uint32_t taken = next.load(std::memory_order_relaxed);
      return taken < count ? count - taken : 0;
    }
    /// It was written by another thread, or a while ago: what comes next but one, and what comes
    /// next needs.
    void prefetch() const {
      const std::size_t at = next.load(std::memory_order_relaxed);
      if (at < count && works[at].needs != nullptr) {
        prefetch_to_write(works[at].needs, kNeedsBytes);
        prefetch_to_read(works[at].reads, kReadsBytes);
      }
      if (at + 1 < count) prefetch_to_write(works[at + 1].work, kWorkBytes);
    }
    /// Without work: there is none left.
    Ready take() {
      if (left() == 0) return {};
      const std::uint32_t mine = next.fetch_add(1, std::memory_order_relaxed);
      return mine < count ? works[mine] : Ready();
    }
  };

  Wakeup ready_now(const Ready& ready);
  void run();
  bool next(std::unique_lock<std::mutex>& lock, bool called);
  void spend(std::unique_lock<std::mutex>& lock);
  bool comes_by_itself() const;
  void run_hand(std::unique_lock<std::mutex>& lock, Hand& hand);
  void fill(Hand& hand);
  void empty_hands();
  void account(Hand& hand, std::int64_t took_us, std::int64_t works);
  Hand& begin_hand();
  Wakeup make_ready(ReadyList& works);
  Wakeup call_for(std::size_t count);
  Wakeup call_help();
  Wakeup call_thread();
  Idle& begin_waiting();
  void wake_watcher();
  void make_thread();
  bool try_make_thread();
  void retire();
  void watch();
  bool has_moved();
  void help(std::size_t more);
  std::size_t wanted() const { return kept_ + blocked_; }
  std::size_t waiting() const;
  bool stands_still() const;

  static constinit inline thread_local Gather* gathers_here_ = nullptr;
  static thread_local Hand* hand_here_;  ///< of the calling thread, where it is one of these

  const std::function<void()> prepare_;
  const std::size_t max_;
  const std::size_t kept_;  ///< made as soon as there is work for them, and never given up

  mutable std::mutex mutex_;
  std::condition_variable stood_;  ///< work that nobody takes, for the watcher
  ReadyList queue_;
  std::atomic<std::size_t> waiting_{0};  ///< how many queue_ holds
  std::atomic<std::size_t> busy_{0};     ///< threads that run something
  std::map<std::thread::id, std::thread> threads_;
  std::vector<std::thread> retired_;  ///< to be joined
  std::size_t alive_ = 0;
  std::deque<Hand> hands_;       ///< of threads; they stay for later ones
  std::deque<Idle> places_;      ///< to wait at. They stay: whoever wakes a thread does it late
  std::vector<Idle*> free_places_;
  std::vector<Idle*> idle_;      ///< the last is called first: its caches are warm
  std::size_t blocked_ = 0;      ///< have said that they wait
  std::size_t stuck_ = 0;        ///< how many of hands_ are
  bool coming_ = false;          ///< an idle thread was woken and has not looked yet
  std::int64_t work_ns_ = 0;     ///< how long work has taken lately, each
  std::uint64_t slept_ = 0;      ///< counts work that took long and gave up its processor
  std::uint64_t slept_seen_ = 0; ///< by look()
  Pastime* pastime_ = nullptr;
  bool spends_ = false;          ///< a thread has the pastime
  std::atomic<bool> stopping_{false};  ///< written with the lock
  std::atomic<bool> looked_after_{false};
  bool watcher_sleeps_ = false;
  std::thread watcher_;          ///< made when it is first needed
};

}  // namespace callboard::worker
