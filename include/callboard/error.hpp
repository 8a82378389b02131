// Every error of Callboard: one enum, one table (docs/errors.md), one exception hierarchy.
//
// Codes travel on the wire as unsigned integers and are never renumbered.
#pragma once

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace callboard {

/// What went wrong. docs/errors.md says for each what it means and what to do.
enum class Errc : std::uint8_t {
  ok = 0,
  task_error = 1,           ///< the method threw; the error carries the remote type, message, place
  actor_died = 2,           ///< the actor is dead (killed, crashed without restarts, owner gone)
  maybe_executed = 3,       ///< at most once: it may have run, nobody can know
  deadline_exceeded = 4,    ///< it began, and its deadline passed before a result came
  expired = 5,              ///< its deadline passed before it began; it will never begin
  cancelled = 6,            ///< cancelled before it had a result
  dependency_failed = 7,    ///< a call whose result it takes failed; the causes are attached
  queue_full = 8,           ///< max_pending or max_pending_bytes of the queue is reached
  unknown_class = 9,        ///< no worker has ever offered this class
  unknown_method = 10,      ///< the class has no such method
  unknown_actor = 11,       ///< no actor or deployment of that name or id
  unknown_task = 12,        ///< no worker has ever offered this task function
  bad_arguments = 13,       ///< the arguments do not fit; the message names both types
  too_large = 14,           ///< a frame, payload, name or count beyond its limit
  deadlock = 15,            ///< a blocking wait for an actor of one's own call chain
  result_expired = 16,      ///< the result was released or its result_ttl passed
  poisoned = 17,            ///< it took down poison_limit workers and went to the dead set
  constructor_failed = 18,  ///< the actor's constructor threw
  name_taken = 19,          ///< the name belongs to another class, or to another live worker
  refused_before = 20,      ///< an earlier call of this lane was refused; order would break
  protocol_error = 21,      ///< the peer sent what is not our protocol
  version_unsupported = 22,   ///< no common protocol version or a required feature is missing
  unknown_session = 23,       ///< resuming a session that the broker does not know
  not_permitted = 24,         ///< the peer may not do that
  store_unavailable = 25,     ///< Redis is away and the broker's buffer for it is full
  store_full = 26,            ///< Redis nears its memory limit
  lost = 27,                  ///< acknowledged, then lost by the store or with the broker's memory
  invalid_option = 28,        ///< an option or name that makes no sense
  disconnected = 29,          ///< the client was closed while waiting
  timeout = 30,               ///< a local wait ended; the call itself goes on
  unknown_call = 31,          ///< no call of that id
  stopping = 32,              ///< the broker, worker or actor is shutting down
  unknown_verb = 33,          ///< no such administrative verb
  internal = 34,              ///< a bug of ours; please report it
  idempotency_conflict = 35,  ///< the idempotency key was used with another payload
};

/// The code's name as it is printed everywhere: "queue_full". "unknown" for a code we do not know.
std::string_view name_of(Errc code);
/// The code for a name as name_of() prints it; Errc::internal when there is none.
Errc errc_from(std::string_view name);

/// What a failed call carries. All strings may be empty.
struct ErrorInfo {
  Errc code = Errc::internal;
  std::string type;     ///< for task_error the remote exception's type, e.g. "std::out_of_range"
  std::string message;  ///< one sentence for a person
  std::string place;    ///< where it came from: "Counter.add on worker-0 (pid 123)"
  std::string causes;   ///< chain of causes, nearest first, one a line; for dependency_failed
  /// Above 0: the call was refused, and it may help to submit it again so much later.
  std::int64_t retry_after_ms = 0;
};

/// Root of everything that the client API throws.
class Error : public std::runtime_error {
 public:
  explicit Error(ErrorInfo info);
  Errc code() const noexcept { return info_.code; }
  const ErrorInfo& info() const noexcept { return info_; }

 private:
  ErrorInfo info_;
};

/// The method itself threw.
class TaskError : public Error {
 public:
  using Error::Error;
  const std::string& remote_type() const noexcept { return info().type; }
};

class ActorDied : public Error {
  using Error::Error;
};
class MaybeExecuted : public Error {
  using Error::Error;
};
class DeadlineExceeded : public Error {
  using Error::Error;
};  ///< also for expired
class Cancelled : public Error {
  using Error::Error;
};
class DependencyFailed : public Error {
  using Error::Error;
};
class Deadlock : public Error {
  using Error::Error;
};
class ResultExpired : public Error {
  using Error::Error;
};
/// Nothing was stored.
class Refused : public Error {
 public:
  using Error::Error;
  /// How long to wait before another try; 0: it will not help.
  std::chrono::milliseconds retry_after() const {
    return std::chrono::milliseconds(info().retry_after_ms);
  }
};
class QueueFull : public Refused {
  using Refused::Refused;
};
class Timeout : public Error {
  using Error::Error;
};  ///< a local wait ended
class Disconnected : public Error {
  using Error::Error;
};

/// Throws the exception class that belongs to `info.code`.
[[noreturn]] void throw_error(ErrorInfo info);

/// A value or an error code with a sentence.
template <class T>
class Result {
 public:
  Result(T value) : value_(std::move(value)) {}  // NOLINT: implicit on purpose
  Result(Errc code, std::string text) : code_(code), text_(std::move(text)) {}

  explicit operator bool() const { return code_ == Errc::ok; }
  T& operator*() { return value_; }
  const T& operator*() const { return value_; }
  T* operator->() { return &value_; }
  const T* operator->() const { return &value_; }
  Errc code() const { return code_; }
  const std::string& text() const { return text_; }

 private:
  T value_{};
  Errc code_ = Errc::ok;
  std::string text_;
};

}  // namespace callboard
