// What a method can ask about the call that it is running.
//
//   int Counter::add(int n) {
//     auto call = callboard::this_call();
//     if (call.cancel_requested()) ...
//     auto other = call.client().get_actor("other");   // carries deadline, headers and chain along
//   }
//
// The context belongs to the thread that runs a method, or to the coroutine: the executor sets it
// before each piece of it runs. Outside of a call every question has an empty answer.
#pragma once

#include <callboard/ids.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace callboard {

class Client;

namespace detail {

/// One call that is being run. The worker fills it and keeps it alive until the call has ended.
struct RunningCall {
  CallId id;
  ActorId actor;                   ///< none for a task
  std::uint32_t attempt = 1;
  std::uint64_t incarnation = 0;   ///< of the actor; 0 for a task
  std::uint64_t broker_epoch = 0;
  std::int64_t deadline_us = INT64_MAX;  ///< steady clock, microseconds; INT64_MAX: none
  std::string headers;             ///< encoded map str -> str, or empty
  std::string_view queue;          ///< of the actor or task, for people
  std::string_view method;
  std::atomic<bool> cancel_requested{false};
  Client* client = nullptr;        ///< over the worker's own connection
  /// Told when this thread begins and ends a wait for a future; may be null.
  void (*on_block)(bool begins) = nullptr;
  bool blocking_allowed = true;    ///< false on an event loop: a blocking wait is still possible,
                                   ///< and stalls the loop
};

/// The call that this thread runs now; null outside of a call.
RunningCall* current_call();
/// Sets it and gives the one before. For executors.
RunningCall* set_current_call(RunningCall* call);

/// Sets the current call for a scope.
class CallScope {
 public:
  explicit CallScope(RunningCall* call) : before_(set_current_call(call)) {}
  ~CallScope() { set_current_call(before_); }
  CallScope(const CallScope&) = delete;
  CallScope& operator=(const CallScope&) = delete;

 private:
  RunningCall* before_;
};

}  // namespace detail

/// Questions about the running call. Valid until the method returns.
class ThisCall {
 public:
  explicit ThisCall(detail::RunningCall* call) : call_(call) {}

  /// True inside a call.
  explicit operator bool() const { return call_ != nullptr; }

  CallId id() const { return call_ ? call_->id : CallId{}; }
  ActorId actor() const { return call_ ? call_->actor : ActorId{}; }
  /// 1 for the first attempt, 2 for the first retry.
  std::uint32_t attempt() const { return call_ ? call_->attempt : 0; }
  /// The incarnation of the actor: it rises from one life of the actor to the next, so an outside
  /// system that remembers the highest can refuse what a cut-off predecessor still does.
  std::uint64_t epoch() const { return call_ ? call_->incarnation : 0; }
  /// What is left until the deadline, never negative; nothing when there is none.
  std::optional<std::chrono::milliseconds> deadline_remaining() const;
  /// The caller's headers (traceparent and so on).
  std::map<std::string, std::string> headers() const;
  std::string_view queue() const { return call_ ? call_->queue : ""; }
  std::string_view method() const { return call_ ? call_->method : ""; }
  /// Someone asked that this call stop. A method that honours it throws or returns.
  bool cancel_requested() const {
    return call_ && call_->cancel_requested.load(std::memory_order_relaxed);
  }
  /// For calls to others from inside this one. They carry its deadline, headers and id along.
  /// Throws Error (invalid_option) outside of a call.
  Client& client() const;

 private:
  detail::RunningCall* call_;
};

/// The call that runs here.
inline ThisCall this_call() { return ThisCall(detail::current_call()); }

}  // namespace callboard
