// A call inside an executor, from submit() to its outcome, and the pool that it comes from.
//
//   free --submit--> queued --claim--> running --outcome--> ended --> free
//                      │  ^────unclaim────┘ (the host said wait)
//                      └─take back─> taking ─────> taken ──(met in the queue)──> free
//                                       └──(met in the queue)──> dropped ──────> free
//
// The I/O thread takes back a queued call and an executor's thread claims it; one compare-exchange
// decides who wins, so that neither has to lock what the other is working on. A call that was taken
// back stays in the queue until the executor's thread meets it there. Of the two, the one that is
// done with it last frees it.
//
// Calls are counted by reference: a coroutine's executor, which user code may keep, refers to its
// call, and the memory stays until the last of them is gone. Asio copies executors some ten times
// for one wait, nearly always on the loop's thread: while a call runs, that thread counts its own
// references apart, without instructions that wait for all its earlier stores. What it counted is
// added to the others' before the executor gives up its own reference.
//
// Thread safety: as said at each member. "I/O" is the thread that calls the Executor.
#pragma once

#include "common/prefetch.hpp"
#include "worker/executor.hpp"

#include <callboard/context.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace callboard::worker {

struct Method;
class CallPool;
class Lane;
struct Incarnation;

/// What an executor keeps with a call beyond its end, to use again for the next one.
struct CallExtension {
  virtual ~CallExtension() = default;
};

struct ActiveCall {
  enum class State : std::uint8_t { free, queued, running, ended, taking, taken, dropped };

  // Written by I/O before the call is queued.
  Job job;
  const Method* method = nullptr;
  const Incarnation* incarnation = nullptr;
  Lane* lane = nullptr;
  std::uint64_t number = 0;                     ///< counts submits of one executor
  const void* arguments = nullptr;              ///< only to be asked for: they may be gone
  std::unique_ptr<wire::CallOptions> options;   ///< when job.options has been read

  // Shared.
  std::atomic<State> state{State::free};
  /// Of all threads but `counts_apart`; far from zero while that is one.
  std::atomic<std::uint32_t> references{0};
  std::atomic<const void*> counts_apart{nullptr};  ///< a thread (this_thread_mark), or none
  std::uint32_t references_apart = 0;              ///< that thread's own; may wrap around
  /// What the method sees of it; complete once it has begun. Its cancel_requested is set by I/O.
  callboard::detail::RunningCall running;

  // Of whoever holds the call: the pool, the queue, then the thread that runs it.
  ActiveCall* next = nullptr;
  ActiveCall* batch_last = nullptr;    ///< of what was pushed with it, when it is the first
  ActiveCall* batch_before = nullptr;  ///< the first call of what was pushed before
  std::int64_t queued_us = 0;
  std::int64_t began_us = 0;
  std::atomic<std::uint64_t> coroutine_lease{0};  ///< while a coroutine runs for it: its lease
  std::unique_ptr<CallExtension> extension;

  // The pool's own.
  CallPool* pool = nullptr;
  bool lingers = false;  ///< ended, but still referred to

  /// True for one caller only, and only while the call is queued.
  bool claim() { return leave_queue(State::running); }
  bool take_back() { return leave_queue(State::taking); }
  /// I/O has done what it had to with a call that it took back. True: the caller frees it.
  bool taken_back() { return state.exchange(State::taken) == State::dropped; }
  /// A call that could not be claimed is out of the queue. True: the caller frees it; otherwise it
  /// may be gone already.
  bool drop() { return state.exchange(State::dropped) == State::taken; }
  /// The calling thread counts its references apart from now on. REQUIRES: there is one reference,
  /// the executor's.
  void count_apart() {
    references_apart = 0;
    references.store(kFarFromZero + 1, std::memory_order_relaxed);
    counts_apart.store(this_thread_mark(), std::memory_order_relaxed);
  }
  bool is_counted_apart_here() const {
    return counts_apart.load(std::memory_order_relaxed) == this_thread_mark();
  }
  /// All references are counted as one again. On the thread that counted apart, or once it is gone.
  void count_together() {
    if (counts_apart.load(std::memory_order_relaxed) == nullptr) return;
    counts_apart.store(nullptr, std::memory_order_relaxed);
    // Mostly there are no others any more, who could change it.
    const bool alone = references_apart == 0 &&
                       references.load(std::memory_order_acquire) == kFarFromZero + 1;
    if (alone) return references.store(1, std::memory_order_relaxed);
    references.fetch_add(references_apart - kFarFromZero, std::memory_order_acq_rel);
  }
  /// REQUIRES: the caller has claimed it, and puts it back to the front of its queue.
  void unclaim() { state.store(State::queued, std::memory_order_release); }

 private:
  static constexpr std::uint32_t kFarFromZero = 1u << 30;

  /// Different for each thread that runs.
  static const void* this_thread_mark() {
    static constinit thread_local char mark = 0;
    return &mark;
  }
  bool leave_queue(State to) {
    State expected = State::queued;
    return state.compare_exchange_strong(expected, to, std::memory_order_acq_rel);
  }
};

/// Keeps a call's memory. Thread safety: like shared_ptr.
class CallReference {
 public:
  CallReference() = default;
  explicit CallReference(ActiveCall& call) noexcept : call_(&call) { add(); }
  CallReference(const CallReference& other) noexcept : call_(other.call_) { add(); }
  CallReference(CallReference&& other) noexcept : call_(std::exchange(other.call_, nullptr)) {}
  CallReference& operator=(CallReference other) noexcept {
    std::swap(call_, other.call_);
    return *this;
  }
  ~CallReference() { drop(); }

  ActiveCall* get() const noexcept { return call_; }
  ActiveCall* operator->() const noexcept { return call_; }

 private:
  void add() noexcept {
    if (call_ == nullptr) return;
    if (call_->is_counted_apart_here()) {
      ++call_->references_apart;
    } else {
      call_->references.fetch_add(1, std::memory_order_relaxed);
    }
  }
  void drop() noexcept {
    if (call_ == nullptr) return;
    if (call_->is_counted_apart_here()) {
      --call_->references_apart;
    } else {
      drop_shared();
    }
  }
  void drop_shared() noexcept;

  ActiveCall* call_ = nullptr;
};

/// First in, first out; linked through ActiveCall::next. Thread safety: none.
class CallQueue {
 public:
  bool empty() const { return head_ == nullptr; }
  ActiveCall* front() const { return head_; }
  /// REQUIRES: not empty.
  ActiveCall* back() const { return tail_; }

  void push_back(ActiveCall& call) {
    call.next = nullptr;
    (head_ == nullptr ? head_ : tail_->next) = &call;
    tail_ = &call;
  }
  void push_front(ActiveCall& call) {
    call.next = head_;
    if (head_ == nullptr) tail_ = &call;
    head_ = &call;
  }
  ActiveCall* pop_front() {
    ActiveCall* call = head_;
    if (call != nullptr) head_ = call->next;
    return call;
  }
  /// Another thread wrote these calls: the first one's arguments come now, and the second itself.
  void prefetch() const {
    if (head_ == nullptr) return;
    prefetch_to_read(head_->arguments, 2 * kCacheLine);
    if (head_->next != nullptr) prefetch_to_write(head_->next, sizeof(ActiveCall));
  }
  /// Puts calls that are linked, from `first` to `last`, in front of what is here.
  void prepend(ActiveCall& first, ActiveCall& last) {
    last.next = head_;
    if (head_ == nullptr) tail_ = &last;
    head_ = &first;
  }
  /// Moves all of `other` behind what is here.
  void append(CallQueue& other) {
    if (other.empty()) return;
    (head_ == nullptr ? head_ : tail_->next) = other.head_;
    tail_ = other.tail_;
    other.head_ = nullptr;
  }

 private:
  ActiveCall* head_ = nullptr;
  ActiveCall* tail_ = nullptr;  ///< meaningless when empty
};

/// The calls of one executor, or of all serial actors of a process, most of which have none at a
/// time: made in chunks, and used again.
class CallPool {
 public:
  /// Deletes the pool once no call is referred to any more.
  struct Closer {
    void operator()(CallPool* pool) const { pool->close(); }
  };
  using Owner = std::unique_ptr<CallPool, Closer>;
  static Owner create() { return Owner(new CallPool); }

  /// I/O. So many calls can be had before refresh() is worth its lock.
  std::size_t spare() const { return spare_.size(); }
  /// I/O. Before some acquire(): those that were freed last, whose memory is still near, go first.
  void refresh();
  /// I/O. A free call with one reference, for the executor.
  ActiveCall& acquire() {
    if (spare_.empty()) get_spare();
    ActiveCall& call = *spare_.back();
    spare_.pop_back();
    if (spare_.size() >= kAhead) {
      prefetch_to_write(spare_[spare_.size() - kAhead], sizeof(ActiveCall));
    }
    if (!by_lane_.empty()) by_lane_.clear();
    call.references.store(1, std::memory_order_relaxed);
    // Here and not when it was freed: I/O may have asked it to stop in the moment in which it
    // ended.
    call.running.cancel_requested.store(false, std::memory_order_relaxed);
    return call;
  }
  /// I/O. The call has its job now: find() knows it.
  void note(ActiveCall& call) {
    if (by_lease_.empty()) make_index();
    by_lease_[call.job.lease & (by_lease_.size() - 1)] = &call;
  }
  /// I/O. The call of this lease that was submitted and has not ended, or null.
  ActiveCall* find(std::uint64_t lease);
  /// Frees the arguments of a call that has ended; a short buffer stays for the next one. REQUIRES:
  /// the caller has claimed the call.
  static void drop_arguments(ActiveCall& call) {
    if (call.job.args.part) call.job.args.part = Blob();
    call.job.args.text.trim(kSpareBytesMax);
  }
  /// Any thread. Gives up the executor's reference of each; empties the queue.
  void release(CallQueue& ended);

  /// I/O. Calls visit(ActiveCall&) for every call that was last given to this lane, ended or not.
  template <class Visit>
  void for_each_of(const Lane& lane, Visit visit) {
    sort_by_lane();
    const auto before = [](const ActiveCall* call, const Lane* its) {
      return std::less<const Lane*>()(call->lane, its);
    };
    auto at = std::lower_bound(by_lane_.begin(), by_lane_.end(), &lane, before);
    for (; at != by_lane_.end() && (*at)->lane == &lane; ++at) visit(**at);
  }
  /// I/O. Calls `visit(ActiveCall&)` for every call, used or not, until it returns true.
  template <class Visit>
  void for_each(Visit visit) {
    for (std::size_t n = 0; n < chunks_.size(); ++n) {
      for (std::size_t i = 0; i < chunk_calls(n); ++i) {
        if (visit(chunks_[n][i])) return;
      }
    }
  }

 private:
  friend class CallReference;
  static constexpr std::size_t kChunkCallsMax = 32;
  /// The first are small: an actor that is called now and then needs one call.
  static std::size_t chunk_calls(std::size_t n) {
    return n < 5 ? std::size_t{1} << n : kChunkCallsMax;
  }
  /// Calls that are asked for before their turn: an executor's thread had them.
  static constexpr std::size_t kAhead = 3;
  /// A longer buffer is not kept for the next call.
  static constexpr std::size_t kSpareBytesMax = 1024;

  CallPool() = default;
  ~CallPool() = default;
  void close();
  void get_spare();
  void make_index();
  void sort_by_lane();
  void last_reference_gone(ActiveCall& call);
  static void clear(ActiveCall& call);

  std::vector<std::unique_ptr<ActiveCall[]>> chunks_;  ///< I/O
  std::vector<ActiveCall*> spare_;                     ///< I/O; the last goes first
  std::size_t made_ = 0;                               ///< I/O: calls in chunks_
  /// I/O. By the low bits of the lease; one that came later may have taken the place.
  std::vector<ActiveCall*> by_lease_;
  std::vector<ActiveCall*> by_lane_;  ///< I/O: all of them by their lanes, or nothing

  std::mutex mutex_;
  std::vector<ActiveCall*> freed_;
  std::size_t lingering_ = 0;  ///< calls that ended while something referred to them
  bool closed_ = false;
};

}  // namespace callboard::worker
