// Where calls run: the seam between a worker process's I/O thread and the threads of its actors.
//
// There is one Executor for each actor that the process holds, and one for its tasks (slot 0). The
// I/O thread hands jobs over in sequence order; the executor decides when and on which thread each
// one begins, asks the host before it begins it, and tells the host how it ended.
//
//            submit            host.begin == run         method ends
//   (sent) ───────────> queued ────────────────> running ───────────> Outcome::Fate::ended
//                         │ │ refused: expired, unknown method ─────> Outcome::Fate::refused
//                         │ revoke, go_on(hand_back), stop(now)  ───> Outcome::Fate::returned
//                         └ host.begin == wait: nothing begins until try_again
//
// Every submitted job gets exactly one Outcome.
//
// Thread safety: all methods of one Executor are called by one thread, the I/O thread. All methods
// of ExecutorHost are called by any thread, several at once, and must not call an executor.
#pragma once

#include "common/blob.hpp"
#include "common/limits.hpp"
#include "common/options.hpp"
#include "common/time.hpp"
#include "worker/text_buffer.hpp"

#include <callboard/error.hpp>
#include <callboard/ids.hpp>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace callboard {
class Client;
class Registry;
namespace client {
class Core;
}
}  // namespace callboard

namespace callboard::worker {

struct ClassEntry;
class LaneThreads;
class CallPool;

/// The longest that ExecutorHost::ended() may leave an outcome lying when more are announced.
inline constexpr std::int64_t kOutcomeDelayUs = 1000;

/// Bytes with an owner: short ones in a string, a message part as the Blob that it came in.
struct Payload {
  TextBuffer text;
  Blob part;  ///< when set, `text` means nothing

  Payload() = default;
  explicit Payload(std::string_view bytes) : text(bytes) {}
  explicit Payload(Blob blob) : part(std::move(blob)) {}
  std::string_view view() const { return part ? part.view() : std::string_view(text); }
  /// The other's bytes; it has a buffer of this one afterwards, and no value.
  void take_over(Payload& other) {
    text.swap(other.text);
    if (part || other.part) part = std::exchange(other.part, Blob());
  }
};

/// One attempt of one call, as the broker sent it.
struct Job {
  std::uint64_t lease = 0;
  CallId call;
  std::uint32_t slot = 0;
  std::uint32_t method = 0;             ///< index into the slot's method table
  std::uint32_t attempt = 1;            ///< from 1
  std::uint32_t ticket = 0;             ///< the flight recorder's slot: set by begin(), see ended()
  std::int64_t deadline_us = kNever;    ///< steady clock
  Payload args;                           ///< encoded array
  TextBuffer options;                   ///< encoded CallOptions, or empty; read only when needed

  /// Becomes the other, which has spare buffers afterwards and is no job any more.
  void take_over(Job& other) {
    lease = other.lease;
    call = other.call;
    slot = other.slot;
    method = other.method;
    attempt = other.attempt;
    ticket = other.ticket;
    deadline_us = other.deadline_us;
    args.take_over(other.args);
    options.swap(other.options);
  }
};

/// What became of one job. In cache lines of its own: it passes from thread to thread.
struct alignas(64) Outcome {
  enum class Fate : std::uint8_t {
    ended,     ///< it began and ended: `status`, `value`
    refused,   ///< it never began and never will, for good: `status`, `value` say why
    returned,  ///< this attempt never began and never will; the broker may send the call again
  };

  std::uint64_t lease = 0;
  CallId call;
  std::uint32_t slot = 0;
  std::uint32_t attempt = 1;
  std::uint32_t ticket = 0;    ///< Job::ticket
  Fate fate = Fate::ended;
  Errc status = Errc::ok;
  bool held = false;           ///< its lane begins nothing more until go_on()
  std::int64_t began_us = 0;   ///< steady clock; 0 when it never began
  std::int64_t ended_us = 0;
  Payload value;                 ///< encoded result, or encoded ErrorInfo

  /// Of this job; what the value has is spare.
  void begin(const Job& job, Fate what) {
    lease = job.lease;
    call = job.call;
    slot = job.slot;
    attempt = job.attempt;
    ticket = job.ticket;
    fate = what;
    status = Errc::ok;
    held = false;
    began_us = ended_us = 0;
    if (value.part) value.part = Blob();
    value.text.clear();
  }
  /// Becomes the other, which has spare buffers afterwards and is no outcome any more.
  void take_over(Outcome& other) {
    lease = other.lease;
    call = other.call;
    slot = other.slot;
    attempt = other.attempt;
    ticket = other.ticket;
    fate = other.fate;
    status = other.status;
    held = other.held;
    began_us = other.began_us;
    ended_us = other.ended_us;
    value.take_over(other.value);
  }

  Outcome() = default;
  Outcome(const Job& job, Fate what) { begin(job, what); }
};

/// ExecutorHost's answer to "may this job begin now?".
enum class Begin : std::uint8_t {
  run,   ///< yes, and it is on record as begun
  wait,  ///< not now (no free slot of the flight recorder, or the worker's lease is over)
};

/// What an executor needs of the process around it.
class ExecutorHost {
 public:
  virtual ~ExecutorHost() = default;

  /// Called before the arguments are decoded. On `run` the host has noted in the flight recorder
  /// that this attempt began, and may have set `job.ticket`. After `wait` the executor keeps the
  /// job and begins nothing of that lane until Executor::try_again(). Deadline and cancellation
  /// have been checked by the executor. REQUIRES: short; some executors hold a lock meanwhile.
  virtual Begin begin(Job& job, std::int64_t now_us) = 0;

  /// Takes over outcomes, whose values may be moved from. `more_soon`: the same thread goes on with
  /// the next job at once and will report again, so waking the I/O thread may be put off; but since
  /// that job may block for ever, no longer than kOutcomeDelayUs.
  virtual void ended(std::span<Outcome> outcomes, bool more_soon) = 0;

  /// The outcome of the job with this ticket is about to come.
  virtual void expect_ended(std::uint32_t /*ticket*/) {}

  /// Outcomes with `more_soon` may be left lying until then, at most kOutcomeDelayUs from now: so
  /// many calls run that more of them end by then, and one that is announced otherwise comes.
  virtual void gather(std::int64_t /*until_us*/) {}

  /// The constructor has ended; `error.code` is ok, constructor_failed, bad_arguments or
  /// invalid_option. After an error the executor returns every job that it gets, until stop().
  virtual void started(std::uint32_t slot, ErrorInfo error) = 0;

  /// All jobs have their outcomes and the object is destroyed; the executor can be destroyed now
  /// without waiting. Called once, after stop().
  virtual void stopped(std::uint32_t slot) = 0;

  /// `method` ("Class.method") has kept an event loop from turning for `ms`. Called while it still
  /// does, and once more with the whole time when it ends.
  virtual void stalled(std::uint32_t slot, std::string_view method, std::int64_t ms, bool over) = 0;

  /// An exception that no call can fail with: from a handler that a method left behind on its event
  /// loop, or from a destructor. Worth a line in the log.
  virtual void stray_error(std::uint32_t /*slot*/, const ErrorInfo& /*error*/) {}
};

/// What revoke() found.
enum class Revoked : std::uint8_t {
  returned,  ///< it had not begun; its outcome (returned) has been reported
  stopping,  ///< it runs and has been asked to stop; its outcome will come
  running,   ///< it runs, and running calls were not meant
  unknown,   ///< no such job: it has ended, or was never here
};

/// How one concurrency group of an actor does.
struct GroupStats {
  std::uint32_t limit = 0;       ///< calls that may run at once
  std::uint32_t queued = 0;      ///< submitted and not begun
  std::uint32_t running = 0;
  std::int64_t service_us = 0;   ///< moving average of how long a call runs
  bool held = false;
};

/// Runs the calls of one actor, or the tasks of one process.
///
/// The destructor joins the executor's threads. A method that blocks for ever blocks it too: who
/// must exit all the same leaves the process with _Exit instead of destroying the executor.
class Executor {
 public:
  virtual ~Executor() = default;

  /// Runs the constructor with these arguments (encoded array); ExecutorHost::started() follows.
  /// Called once, before anything else. Jobs may be submitted at once; they wait for it. `ticket`:
  /// what the host wants named while the constructor runs, as Job::ticket while a job does.
  virtual void start(Payload args, std::uint32_t ticket) = 0;

  /// Appends to the table that Job::method indexes.
  virtual void add_methods(std::span<const std::string> names) = 0;

  /// Queues jobs, in sequence order. They are swapped out: afterwards the span holds spare buffers,
  /// so a caller that fills the same jobs again allocates nothing.
  virtual void submit(std::span<Job> jobs) = 0;

  /// A job comes soon: asks for the memory that it will need.
  virtual void expect() {}

  /// Takes a job back that has not begun, or (running_too) asks a running one to stop: a coroutine
  /// is cancelled, a plain method sees this_call().cancel_requested().
  virtual Revoked revoke(std::uint64_t lease, bool running_too) = 0;

  /// Answers the oldest outcome that was `held`: go on, or return everything of that lane first.
  virtual void go_on(bool hand_back) = 0;

  /// ExecutorHost::begin() may answer otherwise now.
  virtual void try_again() = 0;

  /// Ends the actor; ExecutorHost::stopped() follows. `now`: what has not begun is returned and
  /// what runs is asked to stop; otherwise everything queued runs first (what is held is returned).
  /// May be called again to go over to `now`.
  virtual void stop(bool now) = 0;

  /// One entry for the default group, then one for each of ActorOptions::groups, in their order.
  virtual void stats(std::vector<GroupStats>& out) const = 0;
};

/// What all executors of a process share. Outlives them.
struct Environment {
  Client* client = nullptr;     ///< for calls made inside calls; may be null
  client::Core* core = nullptr;  ///< of that client: what actor handles among arguments belong to
  std::string worker;           ///< its name, for people
  std::uint64_t pid = 0;
  std::int64_t loop_warn_ms = limits::kLoopWarnMs;
  std::shared_ptr<CallPool> calls;       ///< of serial actors; none: each has a pool of its own
  std::shared_ptr<LaneThreads> threads;  ///< of serial actors; after the calls that they give back
};

/// Which incarnation of which actor an executor is for.
struct ActorSpec {
  std::uint32_t slot = 0;
  ActorId actor;
  std::uint64_t incarnation = 0;
  std::string name;             ///< queue name, for people
  std::shared_ptr<const wire::ActorOptions> options;  ///< without its name; none: the defaults
  ExecutorHost* host = nullptr; ///< whom it tells; there must be one, and it outlives the executor
};

/// An executor of the mode that options and class ask for. `environment` and `entry` outlive it.
std::unique_ptr<Executor> make_actor_executor(const Environment& environment,
                                              const ClassEntry& entry, ActorSpec spec);

/// The executor of slot 0: a pool of `task_slots` threads. Needs no start().
std::unique_ptr<Executor> make_task_executor(const Environment& environment,
                                             const Registry& registry, std::uint32_t task_slots,
                                             ExecutorHost& host);

}  // namespace callboard::worker
