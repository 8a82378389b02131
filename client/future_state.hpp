// What all copies of a future share: the answer, who sleeps for it, and what follows from it.
//
// Thread safety: finish() and number() are called by one thread (the client's own, or whoever made
// a state that needs no broker) and finish() once; the rest from any thread. Invariant: the answer
// never changes after ready() is true. Whoever is to answer holds the state too, so its address is
// its Token.
#pragma once

#include "client/block_cache.hpp"
#include "client/core/call_table.hpp"
#include "common/check.hpp"
#include "common/frame.hpp"
#include "common/limits.hpp"
#include "common/prefetch.hpp"

#include <callboard/error.hpp>
#include <callboard/ids.hpp>
#include <callboard/state_ptr.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>

namespace callboard::client {

class Core;

/// The bytes of an answer. Short ones lie in place: whoever reads and frees them is another thread
/// than the one that wrote them, and malloc makes the two wait for each other.
class AnswerBytes {
 public:
  AnswerBytes() {}
  ~AnswerBytes() {
    if (kind_ == Kind::heap) delete[] heap_;
    if (kind_ == Kind::part) part_.~Blob();
  }
  AnswerBytes(const AnswerBytes&) = delete;
  AnswerBytes& operator=(const AnswerBytes&) = delete;

  /// REQUIRES: nothing was assigned before.
  void assign(const wire::Body& value) {
    CALLBOARD_CHECK(kind_ == Kind::here);
    if (value.part) {
      new (&part_) Blob(value.part);
      kind_ = Kind::part;
      return;
    }
    static_assert(limits::kPayloadBytesMax <= UINT32_MAX);
    size_ = static_cast<std::uint32_t>(value.bytes.size());
    char* to = short_;
    if (size_ > sizeof short_) {
      to = heap_ = new char[size_];
      kind_ = Kind::heap;
    }
    std::memcpy(to, value.bytes.data(), size_);
  }
  std::string_view view() const {
    if (kind_ == Kind::part) return part_.view();
    return {kind_ == Kind::heap ? heap_ : short_, size_};
  }
  /// What keeps the bytes, where they have an owner of their own.
  const std::shared_ptr<const void>& owner() const;

 private:
  enum class Kind : std::uint8_t { here, heap, part };

  std::uint32_t size_ = 0;  ///< of what is no part
  Kind kind_ = Kind::here;
  union {
    char short_[96];
    char* heap_;
    Blob part_;
  };
};

/// A reference to a client that many futures hold together, each counted from the start: those who
/// make futures and those who let go of them would fight over the counter of a shared_ptr.
class SharedReference {
 public:
  SharedReference(std::shared_ptr<Core> core, std::uint32_t holders)
      : core_(std::move(core)), holders_(holders) {}
  const std::shared_ptr<Core>& core() const { return core_; }
  /// So many holders let go of it.
  void drop(std::uint32_t holders = 1) {
    if (holders_.fetch_sub(holders, std::memory_order_acq_rel) == holders) delete this;
  }

 private:
  ~SharedReference() = default;

  const std::shared_ptr<Core> core_;
  std::atomic<std::uint32_t> holders_;
};

/// Holders of one SharedReference for futures to come. Thread safety: none.
class ReferenceStock {
 public:
  ReferenceStock() = default;
  ~ReferenceStock() {
    if (left_ > 0) reference_->drop(left_);
  }
  ReferenceStock(const ReferenceStock&) = delete;
  ReferenceStock& operator=(const ReferenceStock&) = delete;

  /// Gives away one holder. `core` is asked for when there is none left.
  template <class CoreOf>
  SharedReference& take(CoreOf core) {
    if (left_ == 0) {
      reference_ = new SharedReference(core(), kHolders);
      left_ = kHolders;
    }
    --left_;
    return *reference_;
  }
  void swap(ReferenceStock& other) {
    std::swap(reference_, other.reference_);
    std::swap(left_, other.left_);
  }

 private:
  static constexpr std::uint32_t kHolders = 256;

  SharedReference* reference_ = nullptr;
  std::uint32_t left_ = 0;
};

class FutureState {
 public:
  /// `call`: it is the result of a call, and so has an id. `core` may be null.
  FutureState(std::shared_ptr<Core> core, bool call) : FutureState(call) {
    if (core) belongs_to(std::move(core));
  }
  explicit FutureState(bool call) : call_(call) {}
  ~FutureState();
  FutureState(const FutureState&) = delete;
  FutureState& operator=(const FutureState&) = delete;
  static void* operator new(std::size_t) { return BlockCache<FutureState>::take(); }
  static void operator delete(void* block) noexcept { BlockCache<FutureState>::give(block); }

  bool is_call() const { return call_; }
  bool ready() const { return (word_.load(std::memory_order_acquire) & kReady) != 0; }
  /// Sleeps until it is ready or the steady clock says so many microseconds. False: time is over.
  bool wait_until(std::int64_t until_us);
  /// wait_until(), which also tells the broker when a running call waits here for another.
  bool wait_as_call(std::int64_t until_us);

  /// REQUIRES: ready(). The encoded value or the encoded ErrorInfo.
  Errc status() const { return status_; }
  std::string_view bytes() const { return bytes_.view(); }
  /// What keeps the value, if it has an owner of its own.
  const std::shared_ptr<const void>& owner() const { return bytes_.owner(); }
  ErrorInfo error() const;

  /// The call's id if it has one already.
  CallId id_now() const;
  /// The call's id; waits for the client's thread to give it one.
  CallId id() const;
  const std::shared_ptr<Core>& core() const;
  /// The same without a share in it; may be null.
  Core* core_now() const { return reference_ == nullptr ? nullptr : reference_->core().get(); }
  /// REQUIRES: it belongs to none, and nobody else has seen it.
  void belongs_to(std::shared_ptr<Core> core) {
    reference_ = new SharedReference(std::move(core), 1);
  }
  /// The same with a holder that it takes over.
  void belongs_to(SharedReference& reference) { reference_ = &reference; }

  // --- by the thread that answers ---------------------------------------------------------------
  Token token() { return reinterpret_cast<std::uintptr_t>(this); }
  static FutureState& of(Token token) {
    return *reinterpret_cast<FutureState*>(static_cast<std::uintptr_t>(token));
  }
  /// What a call with a short answer touches, about.
  static constexpr std::size_t kHotBytes = 2 * kCacheLine;
  /// Whoever answers holds it, too, until release(), once. REQUIRES: nobody else has seen it.
  void keep() { holders_.store(2, std::memory_order_relaxed); }
  StatePtr release() { return StatePtr(this); }
  void number(CallId id) {
    session_.store(value_of(id.session), std::memory_order_relaxed);
    seq_.store(id.seq, std::memory_order_release);
  }
  /// Makes the answer visible. True when someone sleeps for it: wake() them soon.
  bool finish(Errc status, const wire::Body& value) {
    status_ = status;
    bytes_.assign(value);
    const std::uint32_t before = word_.exchange(kReady);
    is_followed_ = (before & kFollowed) != 0;
    return (before & kSleepers) != 0;
  }
  bool finish_error(Errc status, std::string message);
  void wake();
  /// Runs what was to follow. REQUIRES: after finish(), by the same thread, without a lock.
  void run_followers() {
    if (is_followed_) run_all();
  }

  /// Runs `function` when ready, by whoever answers, or at once by this thread. It must be short.
  void follow(std::function<void()> function);

 private:
  friend void hold(FutureState& state) noexcept;
  friend void let_go(FutureState& state) noexcept;

  static constexpr std::uint32_t kReady = 1;
  static constexpr std::uint32_t kSleepers = 2;
  static constexpr std::uint32_t kFollowed = 4;  ///< something is in followers_, or will be
  struct Follower {
    std::function<void()> function;
    Follower* next = nullptr;
  };
  void run_all();
  void let_go(Follower* follower);
  static Follower* closed() { return reinterpret_cast<Follower*>(std::uintptr_t{1}); }

  // A client keeps thousands of them on their way: what each call needs comes first, and what it
  // does not need is not touched.
  SharedReference* reference_ = nullptr;
  std::atomic<std::uint32_t> word_{0};
  std::atomic<std::uint32_t> holders_{1};
  Errc status_ = Errc::ok;
  const bool call_;
  bool is_followed_ = false;  ///< whoever answers: it was, before the answer was there
  std::atomic<bool> only_used_{false};
  std::atomic<Follower*> followers_{nullptr};
  std::atomic<std::uint64_t> session_{0};
  std::atomic<std::uint64_t> seq_{0};
  AnswerBytes bytes_;
  union {
    Follower only_;  ///< most have one at most; there once only_used_ is set
  };
};

/// A state that the caller alone holds.
inline StatePtr make_state(std::shared_ptr<Core> core, bool call) {
  return StatePtr(new FutureState(std::move(core), call));
}
/// A state that is ready from the start.
StatePtr make_failed(std::shared_ptr<Core> core, Errc status, std::string message);

/// Whoever waits for any of many futures sleeps on one word, which changes when some became ready.
class AnyReady {
 public:
  /// Before looking whether one is ready; the answer goes to sleep().
  static std::uint32_t begin();
  static std::uint32_t now();
  static void sleep(std::uint32_t seen, std::int64_t until_us);
  static void end();
  /// After finish() of some.
  static void announce();
};

}  // namespace callboard::client
