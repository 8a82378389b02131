// The async lane: an event loop on one thread, on which coroutines and plain methods take turns.
//
// Everything that changes the lane goes through one posted handler, pump(): it takes what came in,
// begins what fits, in order, and tells the host what has ended, so a burst of ends costs it one
// wake-up. Where a piece of a coroutine ends its call, the next call takes its place right after
// that piece: it finds the memory that Asio's operations have just left, of which Asio keeps two
// blocks of a kind for the thread.
//
// What a method left behind (co_spawn with detached) keeps running until the actor stops, and is
// then destroyed, not finished.

#include "common/clock.hpp"
#include "worker/executors/call_executor.hpp"
#include "worker/executors/invoke.hpp"
#include "worker/executors/lane.hpp"
#include "worker/executors/lane_thread.hpp"
#include "worker/executors/loop_watch.hpp"
#include "worker/executors/outcome_pace.hpp"

#include <callboard/asio.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/system_error.hpp>

#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace callboard::worker {

namespace {

namespace asio = boost::asio;

/// How many calls begin, and for how long, before the loop sees to its sockets and timers again.
constexpr int kTurnCalls = 64;
constexpr std::int64_t kTurnUs = 1000;

/// A longer buffer of a result is not kept for the next one.
constexpr std::size_t kSpareBytesMax = 1024;

/// A loop lives as long as any executor that leads to it.
struct Loop {
  struct Context : asio::io_context {
    using asio::io_context::io_context;
    /// Destroys whatever still waits on it.
    void end() { shutdown(); }
  };

  Loop(const Incarnation& incarnation, PieceWatcher& watcher)
      : state{.meter{incarnation.host, incarnation.spec.slot,
                     incarnation.environment.loop_warn_ms},
              .watcher = watcher} {}

  LoopState state;
  Context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
  asio::steady_timer deadline{context};
};

class AsyncLane;

/// What a coroutine needs beside its call.
struct Coroutine final : CallExtension, callboard::detail::CoroutineEnd {
  explicit Coroutine(ActiveCall& its_call) : call(its_call) {}

  void failed() noexcept override;
  void ended() noexcept override;

  ActiveCall& call;
  AsyncLane* lane = nullptr;
  std::shared_ptr<Loop> loop;  ///< of the lane
  asio::cancellation_signal stop;
  Invocation invocation;
  bool past_deadline = false;
};

class AsyncLane final : public Lane, private PieceWatcher {
 public:
  explicit AsyncLane(const LaneSettings& settings)
      : Lane(settings),
        loop_(std::make_shared<Loop>(incarnation(), static_cast<PieceWatcher&>(*this))),
        watch_(LoopWatch::shared()) {
    watch_->add(loop_->state.meter);
  }
  ~AsyncLane() override {
    join();
    close();
    watch_->remove(loop_->state.meter);
  }

  void start(std::function<void()> first) override {
    thread_ = std::thread([this, first = std::move(first)] { run(first); });
  }
  void try_again() override {
    change([this] { ++tries_; });
  }
  void retire() override {
    change([this] { retired_ = true; });
  }
  void join() override {
    if (thread_.joinable()) thread_.join();
  }
  void close() override {
    {
      const std::lock_guard lock(mutex_);
      if (loop_->state.closed.exchange(true)) return;
    }
    loop_->context.end();
  }

 protected:
  void push(CallQueue& calls) override {
    change([&] { inbox_.append(calls); });
  }
  void opened() override {
    change([this] { open_ = true; });
  }
  void resume() override {
    change([] {});
  }
  void cancel(std::span<ActiveCall*> running) override {
    change([&] {
      for (ActiveCall* call : running) cancels_.emplace_back(call, call->job.lease);
    });
  }
  void finish_when_empty() override {
    change([this] { finishing_ = true; });
  }
  bool can_run(MethodKind) const override { return true; }

 private:
  friend struct Coroutine;

  /// Any thread: changes what pump() looks at, and sees to it that it looks.
  template <class Change>
  void change(Change make) {
    const std::lock_guard lock(mutex_);
    make();
    if (!loop_->state.closed.load(std::memory_order_relaxed)) schedule_pump();
  }
  /// Lane, or under the lock.
  void schedule_pump() {
    if (pump_posted_.load(std::memory_order_relaxed) || pump_posted_.exchange(true)) return;
    asio::post(loop_->context, [this] { pump(); });
  }

  void run(const std::function<void()>& first);
  void pump();
  void take_changes();
  void begin_calls();
  bool may_begin() const {
    return halted() || (!waits_ && !held() && running_ < settings().limit);
  }
  bool begin_next(std::int64_t now);
  void spawn(ActiveCall& call, std::int64_t now);
  void stop(ActiveCall& call);
  void ended(ActiveCall& call);
  void finish(ActiveCall& call, Invocation& invocation, std::int64_t now);
  void piece_over(bool outermost) override;
  std::int64_t settle();
  void tell_announced();
  void arm_deadline();
  void deadline_passed();
  static Coroutine& coroutine_of(ActiveCall& call) {
    return static_cast<Coroutine&>(*call.extension);
  }

  // The loop's thread.
  CallQueue ready_;
  std::size_t running_ = 0;               ///< coroutines
  std::set<std::pair<std::int64_t, ActiveCall*>> deadlines_;     ///< of those that have one
  std::vector<ActiveCall*> ended_;        ///< their coroutines are gone when settle() runs
  CallQueue finished_;                    ///< nothing is left of them but their memory
  std::int64_t armed_us_ = kNever;
  Outcome outcome_;                       ///< the one that is made now; its buffers go round
  bool announced_ = false;                ///< the host was told that more comes soon
  OutcomePace pace_;
  bool waits_ = false;
  std::uint64_t tries_before_ = 0;        ///< what tries_ was when this turn began
  bool may_begin_ = false;
  bool last_calls_ = false;               ///< finishing_, as pump() last saw it
  bool drained_ = false;

  std::mutex mutex_;
  CallQueue inbox_;
  /// With its lease: the call may have ended when pump() runs, and be another one.
  using Cancel = std::pair<ActiveCall*, std::uint64_t>;
  std::vector<Cancel> cancels_;
  std::uint64_t tries_ = 0;
  bool open_ = false;
  bool finishing_ = false;
  bool retired_ = false;

  std::atomic<bool> pump_posted_{false};
  const std::shared_ptr<Loop> loop_;
  const std::shared_ptr<LoopWatch> watch_;
  std::thread thread_;
};

void AsyncLane::run(const std::function<void()>& first) {
  prepare_lane_thread(incarnation().entry.name);
  if (first) first();
  while (!loop_->context.stopped()) {
    try {
      loop_->context.run();
    } catch (...) {  // from a handler that a method left behind; no call can fail with it
      host().stray_error(incarnation().spec.slot, describe_exception());
    }
  }
  if (first) settings().owner->last_rites();
}

void AsyncLane::pump() {
  pump_posted_.store(false);
  take_changes();
  if (!ended_.empty()) settle();
  if (may_begin_) begin_calls();
  tell_announced();
  pool().release(finished_);
  const bool empty = ready_.empty() && running_ == 0;
  if (last_calls_ && empty && !drained_) {
    drained_ = true;
    settings().owner->drained();
  }
}

void AsyncLane::take_changes() {
  std::vector<Cancel> cancels;
  {
    const std::lock_guard lock(mutex_);
    ready_.append(inbox_);
    cancels.swap(cancels_);
    if (tries_ != std::exchange(tries_before_, tries_)) waits_ = false;
    may_begin_ = open_;
    last_calls_ = finishing_ && open_;
    if (retired_) loop_->context.stop();
  }
  for (const auto& [call, lease] : cancels) {
    if (call->coroutine_lease.load(std::memory_order_relaxed) == lease) stop(*call);
  }
}

void AsyncLane::begin_calls() {
  const std::int64_t turn_ends_us = steady_us() + kTurnUs;
  for (int begun = 0; !ready_.empty() && may_begin(); ++begun) {
    const std::int64_t now = steady_us();
    if (begun == kTurnCalls || now > turn_ends_us) return schedule_pump();
    if (!begin_next(now)) return;
  }
}

/// False when nothing more may begin now.
bool AsyncLane::begin_next(std::int64_t now) {
  ActiveCall& call = *ready_.pop_front();
  ready_.prefetch();
  if (const ActiveCall* const next = ready_.front()) {
    prefetch_to_write(next->extension.get(), sizeof(Coroutine));
  }
  switch (admit(call, now, outcome_)) {
    case Admission::wait:
      ready_.push_front(call);
      waits_ = true;
      return false;
    case Admission::taken:
      return true;
    case Admission::gone:
      finished_.push_back(call);
      return true;
    case Admission::refused:
      announced_ = true;
      report(outcome_, true);
      finished_.push_back(call);
      return true;
    case Admission::run:
      break;
  }
  call.running.blocking_allowed = false;
  if (call.method->kind == MethodKind::coroutine) {
    spawn(call, now);
    if (!ended_.empty()) settle();
  } else {
    Invocation invocation;
    {
      const LoopMeter::Scope busy(loop_->state.meter, call.method);
      invoke(call, invocation);
    }
    finish(call, invocation, steady_us());
  }
  return true;
}

void AsyncLane::spawn(ActiveCall& call, std::int64_t now) {
  if (!call.extension) call.extension = std::make_unique<Coroutine>(call);
  Coroutine& coroutine = coroutine_of(call);
  if (coroutine.lane != this) {  // the executor's lanes share its calls
    coroutine.lane = this;
    coroutine.loop = loop_;
  }
  prepare(call, coroutine.invocation);
  coroutine.invocation.coroutine_end = &coroutine;
  coroutine.past_deadline = false;
  call.coroutine_lease.store(call.job.lease, std::memory_order_relaxed);
  ++running_;
  if (call.job.deadline_us != kNever) {
    deadlines_.emplace(call.job.deadline_us, &call);
    arm_deadline();
  }
  call.count_apart();
  const asio::any_io_executor executor(
      CallExecutor(loop_->context.get_executor(), CallReference(call), loop_->state));
  const auto slot = coroutine.stop.slot();
  const LoopMeter::Scope busy(loop_->state.meter, call.method, now);
  const RunningScope scope(call);
  // co_spawn() has one more coroutine, and goes through the executor and back before and after it,
  // which is a third of what a call costs here.
  asio::detail::awaitable_thread<asio::any_io_executor>(
      call.method->coroutine(incarnation().object, coroutine.invocation), executor, slot,
      asio::cancellation_state(slot))
      .launch();
}

void AsyncLane::stop(ActiveCall& call) {
  const LoopMeter::Scope busy(loop_->state.meter, call.method);
  const RunningScope scope(call);
  coroutine_of(call).stop.emit(asio::cancellation_type::all);
  if (!ended_.empty()) settle();
}

void Coroutine::failed() noexcept {
  try {
    throw;
  } catch (const boost::system::system_error& e) {
    fail(call, invocation);
    const bool asked = call.running.cancel_requested.load(std::memory_order_relaxed);
    if (asked && e.code() == asio::error::operation_aborted) {
      invocation.error->code = Errc::cancelled;
    }
  } catch (...) {
    fail(call, invocation);
  }
}

void Coroutine::ended() noexcept { lane->ended(call); }

/// The coroutine's last act: its frame and its executors still exist.
void AsyncLane::ended(ActiveCall& call) {
  Coroutine& coroutine = coroutine_of(call);
  if (coroutine.past_deadline && coroutine.invocation.error &&
      coroutine.invocation.error->code == Errc::cancelled) {
    coroutine.invocation.error->code = Errc::deadline_exceeded;
  }
  call.coroutine_lease.store(0, std::memory_order_relaxed);
  --running_;
  if (call.job.deadline_us != kNever) deadlines_.erase({call.job.deadline_us, &call});
  ended_.push_back(&call);
  host().expect_ended(call.job.ticket);
  schedule_pump();
}

/// After a piece of a coroutine, or of whatever a call has left behind. It may lie within a piece
/// of another call, which is not over then.
void AsyncLane::piece_over(bool outermost) {
  if (ended_.empty()) return;
  std::size_t places = ended_.size();
  std::int64_t now = settle();
  if (!outermost || !may_begin_) return;
  while (!ready_.empty() && may_begin()) {
    if (!begin_next(now) || --places == 0) return;
    now = steady_us();
  }
}

/// Calls whose coroutines are gone have their outcomes. Returns the time.
std::int64_t AsyncLane::settle() {
  const std::int64_t now = steady_us();
  std::vector<ActiveCall*> ended;  // what is let go of here may end others
  ended.swap(ended_);
  for (ActiveCall* call : ended) {
    Coroutine& coroutine = coroutine_of(*call);
    // Of a coroutine that is gone it still refers to the executor, and so to the call.
    coroutine.stop.slot().clear();
    finish(*call, coroutine.invocation, now);
    // Calls that wait for their turn keep no long buffer.
    if (coroutine.invocation.result.capacity() > kSpareBytesMax) {
      coroutine.invocation = Invocation();
    }
  }
  ended.clear();
  if (ended_.empty()) ended.swap(ended_);
  return now;
}

void AsyncLane::finish(ActiveCall& call, Invocation& invocation, std::int64_t now) {
  outcome_.begin(call.job, Outcome::Fate::ended);
  conclude(call, invocation.error.get(), settings().limit == 1, now, outcome_);
  complete(call, invocation, outcome_);
  announced_ = true;
  report(outcome_, true);
  finished_.push_back(call);
  schedule_pump();
}

/// Many coroutines that run will end soon, and each wake-up of the host is a frame of its own. It
/// looks by itself once in kOutcomeDelayUs, should none end.
void AsyncLane::tell_announced() {
  if (!announced_) return;
  const std::int64_t now = steady_us();
  if (!pace_.tells(now, running_, service_us())) return;
  announced_ = false;
  host().ended({}, false);
  if (pace_.next_us() > now) host().gather(pace_.next_us());
}

void AsyncLane::arm_deadline() {
  const std::int64_t next = deadlines_.empty() ? kNever : deadlines_.begin()->first;
  if (next >= armed_us_) return;  // an alarm that comes too early does no harm
  armed_us_ = next;
  loop_->deadline.expires_at(
      std::chrono::steady_clock::time_point(std::chrono::microseconds(next)));
  loop_->deadline.async_wait([this](const boost::system::error_code& error) {
    if (!error) deadline_passed();
  });
}

void AsyncLane::deadline_passed() {
  armed_us_ = kNever;
  const std::int64_t now = steady_us();
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    ActiveCall& call = *deadlines_.begin()->second;
    deadlines_.erase(deadlines_.begin());
    coroutine_of(call).past_deadline = true;
    call.running.cancel_requested.store(true, std::memory_order_relaxed);
    stop(call);
  }
  arm_deadline();
}

}  // namespace

std::unique_ptr<Lane> make_async_lane(const LaneSettings& settings) {
  return std::make_unique<AsyncLane>(settings);
}

}  // namespace callboard::worker
