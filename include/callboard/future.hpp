// The result of a call that may not have come yet.
//
//   callboard::Future<int> total = hits.call<&Counter::add>(1);
//   int now = total.get(std::chrono::seconds(2));
//
// A future is cheap to copy, all copies are the same result. get() may be called often. A future
// can be given as an argument of another call, where its value goes straight from worker to worker.
// It outlives its client: what was unanswered then fails with Disconnected.
// co_await needs <callboard/asio.hpp>. Thread safety: all of it.
#pragma once

#include <callboard/error.hpp>
#include <callboard/ids.hpp>
#include <callboard/state_ptr.hpp>
#include <callboard/value.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace callboard {

template <class T>
class Future;

/// What became of an attempt to cancel a call.
enum class CancelAnswer : std::uint8_t {
  cancelled_before_start = 0,     ///< it never ran
  cancelled_between_attempts = 1, ///< it ran before, and will not run again
  stopping = 2,                   ///< it runs, and was asked to stop
  too_late = 3,                   ///< it had its result
  killed = 4,                     ///< its process was killed (force)
  unknown = 5,                    ///< no call of that id; or the connection was lost meanwhile
  needs_consent = 6,              ///< force would kill calls of others: its actor is not dedicated
};
/// The name as it stands above.
std::string_view name_of(CancelAnswer answer);

/// What all futures can, whatever the type of their value.
class FutureBase {
 public:
  /// A future of nothing; only good to be assigned to.
  FutureBase() = default;
  explicit FutureBase(client::StatePtr state) : state_(std::move(state)) {}

  /// False for a default-constructed future; everything but this and assignment then throws
  /// Error (invalid_option).
  bool valid() const { return state_ != nullptr; }
  /// True once there is a value or an error.
  bool ready() const;
  void wait() const;
  /// False when the time was over first.
  bool wait(std::chrono::nanoseconds timeout) const;

  /// The call's id, for logs and the command line. It is there as soon as the call has its place in
  /// the line (microseconds after `call`), and final once the broker has accepted the call.
  CallId id() const;

  /// What went wrong; nothing while it is not ready, or when it went well.
  std::optional<ErrorInfo> error() const;

  /// Asks that the call not run, or stop; waits for the broker's answer. `force` kills the process
  /// that runs it.
  CancelAnswer cancel(bool force = false) const;
  /// The same without waiting.
  Future<CancelAnswer> cancel_async(bool force = false) const;

  const client::StatePtr& state() const { return state_; }

 protected:
  client::StatePtr state_;
};

namespace detail {

/// The encoded value. Waits; throws what the call failed with.
std::string_view value_of(const client::FutureState* state);
/// The same with what it takes to decode it.
struct Value {
  std::string_view bytes;
  client::Core* core;                        ///< what decoded actor handles belong to
  const std::shared_ptr<const void>* owner;  ///< keeps the bytes; of null, when they must be copied
};
Value whole_value_of(const client::FutureState* state);
/// REQUIRES: ready.
Errc status_of(const client::FutureState* state);
[[noreturn]] void throw_timeout();
[[noreturn]] void throw_bad_result(const std::string& problem);
/// Runs `function` in the client's callback thread once the future is ready.
void run_when_ready(const client::StatePtr& state, std::function<void()> function);
/// Runs `function` at once when the future becomes ready, in the client's I/O thread (or in this
/// thread when it is ready). It must be short and must not throw.
void notify_when_ready(const client::StatePtr& state, std::function<void()> function);

template <class T>
T decode_result(std::string_view bytes, client::Core* core,
                std::shared_ptr<const void> owner = nullptr) {
  T value{};
  std::string problem;
  if (!decode(bytes, value, problem, core, std::move(owner))) throw_bad_result(problem);
  return value;
}

}  // namespace detail

template <class T>
class Future : public FutureBase {
 public:
  using Value = T;
  static_assert(std::is_void_v<T> || Decodable<T>,
                "callboard: a result's type needs a callboard::Codec and a default constructor. "
                "Include <callboard/msgpack.hpp> for types that msgpack-c unpacks");

  using FutureBase::FutureBase;

  /// Waits for the value. Throws what the call failed with: one of the classes in
  /// <callboard/error.hpp>.
  T get() const {
    if constexpr (std::is_void_v<T>) {
      detail::value_of(state_.get());
    } else {
      const detail::Value value = detail::whole_value_of(state_.get());
      return detail::decode_result<T>(value.bytes, value.core, *value.owner);
    }
  }
  /// Throws Timeout when the time is over first; the call goes on.
  T get(std::chrono::nanoseconds timeout) const {
    if (!wait(timeout)) detail::throw_timeout();
    return get();
  }

  /// Calls f(Future<T>) with this future once it is ready. It runs in a thread that the client has
  /// for this, one after the other; it may block, and must not throw.
  template <class F>
  void then(F&& f) const {
    static_assert(std::is_invocable_v<F&, Future<T>>,
                  "callboard: then() takes a function of the ready future");
    detail::run_when_ready(state_, [f = std::forward<F>(f), future = *this]() mutable {
      f(std::move(future));
    });
  }
};

/// Waits until one of them is ready and gives its index. REQUIRES: not empty.
std::size_t wait_any(std::span<const FutureBase> futures);
/// Nothing when the time was over first.
std::optional<std::size_t> wait_any(std::span<const FutureBase> futures,
                                    std::chrono::nanoseconds timeout);
/// Waits until all are ready. False when the time was over first.
void wait_all(std::span<const FutureBase> futures);
bool wait_all(std::span<const FutureBase> futures, std::chrono::nanoseconds timeout);

namespace detail {

template <class T>
std::vector<FutureBase> bases_of(const std::vector<Future<T>>& futures) {
  return {futures.begin(), futures.end()};
}

/// Gives futures in the order in which they become ready.
class CompletionOrder {
 public:
  explicit CompletionOrder(std::vector<FutureBase> futures) : waiting_(std::move(futures)) {
    for (std::size_t i = 0; i < waiting_.size(); ++i) indexes_.push_back(i);
  }
  /// The index of the next one; waits for it. Nothing when all were given.
  std::optional<std::size_t> next();

 private:
  std::vector<FutureBase> waiting_;
  std::vector<std::size_t> indexes_;
  std::vector<std::size_t> ready_;
  std::size_t given_ = 0;
};

}  // namespace detail

template <class T>
std::size_t wait_any(const std::vector<Future<T>>& futures) {
  return wait_any(std::span<const FutureBase>(detail::bases_of(futures)));
}
template <class T>
std::optional<std::size_t> wait_any(const std::vector<Future<T>>& futures,
                                    std::chrono::nanoseconds timeout) {
  return wait_any(std::span<const FutureBase>(detail::bases_of(futures)), timeout);
}
template <class T>
void wait_all(const std::vector<Future<T>>& futures) {
  wait_all(std::span<const FutureBase>(detail::bases_of(futures)));
}
template <class T>
bool wait_all(const std::vector<Future<T>>& futures, std::chrono::nanoseconds timeout) {
  return wait_all(std::span<const FutureBase>(detail::bases_of(futures)), timeout);
}

/// The futures in the order in which they become ready:
///   for (const auto& done : callboard::as_completed(futures)) use(done.get());
template <class T>
class AsCompleted {
 public:
  explicit AsCompleted(std::vector<Future<T>> futures)
      : futures_(std::move(futures)), order_(detail::bases_of(futures_)) {}

  class Iterator {
   public:
    explicit Iterator(AsCompleted* from) : from_(from) { advance(); }
    const Future<T>& operator*() const { return from_->futures_[*index_]; }
    /// Where the future stood in the list that was given.
    std::size_t index() const { return *index_; }
    Iterator& operator++() {
      advance();
      return *this;
    }
    bool operator==(std::nullptr_t) const { return !index_; }

   private:
    void advance() { index_ = from_->order_.next(); }
    AsCompleted* from_;
    std::optional<std::size_t> index_;
  };
  /// May be walked once.
  Iterator begin() { return Iterator(this); }
  std::nullptr_t end() { return nullptr; }

 private:
  std::vector<Future<T>> futures_;
  detail::CompletionOrder order_;
};

template <class T>
AsCompleted<T> as_completed(std::vector<Future<T>> futures) {
  return AsCompleted<T>(std::move(futures));
}

}  // namespace callboard
