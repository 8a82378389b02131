#include "worker/child.hpp"

#include "client/client_core.hpp"
#include "client/connection.hpp"
#include "common/clock.hpp"
#include "common/log.hpp"
#include "worker/actors.hpp"
#include "worker/core/session.hpp"
#include "worker/core/short_calls.hpp"
#include "worker/executors/active_call.hpp"
#include "worker/executors/lane_thread.hpp"
#include "worker/executors/lane_threads.hpp"
#include "worker/status.hpp"

#include <callboard/client.hpp>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>

namespace callboard::worker {

namespace {

constexpr std::chrono::milliseconds kLookAgain{10};

/// A thread of serial actors that takes the connection's turns gives them back after a pause.
constexpr std::int64_t kPauseUs = 20'000;

client::ConnectionOptions connection_options(const ChildOptions& options) {
  client::ConnectionOptions connection;
  connection.endpoints = options.brokers;
  connection.log = [](int level, const std::string& text) {
    log::write(static_cast<log::Level>(level + 1), text);
  };
  return connection;
}

ClientOptions client_options(const ChildOptions& options) {
  ClientOptions client;
  client.name = options.name;
  return client;
}

std::string host_name() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

WorkerOffer offer_of(const ChildOptions& options, const Registry& registry) {
  WorkerOffer offer;
  offer.name = options.name;
  offer.supervisor = options.supervisor;
  offer.host = host_name();
  offer.pid = static_cast<std::uint64_t>(::getpid());
  offer.instance = options.instance;
  offer.task_slots = options.task_slots;
  for (const ClassEntry* entry : registry.classes()) {
    wire::ClassOffer& made = offer.classes.emplace_back();
    made.name = entry->name;
    made.mode = entry->has(MethodKind::coroutine) ? wire::Mode::async
                : entry->has(MethodKind::batched) ? wire::Mode::batched
                                                  : wire::Mode::serial;
    for (const Method& method : entry->methods) {
      made.methods.push_back(method.name);
      made.signatures.push_back(method.signature);
    }
  }
  for (const Method& task : registry.tasks().methods) offer.tasks.push_back(task.name);
  return offer;
}

}  // namespace

class Child::Impl final : public wire::LinkMember, private LaneThreads::Pastime {
 public:
  Impl(ChildOptions options, const Registry& registry, Recorder& recorder, ChildEvents events)
      : options_(std::move(options)),
        events_(std::move(events)),
        connection_(connection_options(options_)),
        client_(client::Core::attach(connection_, client_options(options_))),
        host_(recorder, [this] { wake(); }),
        environment_(environment()),
        actors_(environment_, host_, registry, options_.task_slots),
        session_(offer_of(options_, registry), actors_, connection_.link()) {
    refusal_.code = Errc::ok;
    environment_.threads->set_pastime(*this);
    connection_.expect_others([this] { return environment_.threads->occupied(); });
    connection_.while_left([this] { environment_.threads->look(); });
    connection_.add(*this, wire::Side::worker);
  }
  ~Impl() override { close(0); }

  void start() { connection_.start(); }

  void drain() {
    connection_.post([this](Instant, wire::LinkOut&) { session_.drain(); });
  }

  bool close(std::int64_t timeout_ms) {
    if (std::exchange(closed_, true)) return clean_;
    connection_.post([this](Instant, wire::LinkOut&) {
      closing_ = true;
      actors_.stop_all();
    });
    const std::int64_t until_us = clock_now().mono_us + timeout_ms * kMicrosPerMilli;
    while (!actors_stopped() && clock_now().mono_us < until_us) {
      // Asked for by a task, because a link that has ended does not step its members any more.
      connection_.post([this](Instant, wire::LinkOut&) { look_whether_stopped(); });
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, kLookAgain, [this] { return stopped_; });
    }
    client_.close();
    connection_.stop();
    connection_.join();
    environment_.threads->set_looked_after(false);
    collect(clock_now().mono_us, true);  // what ended after the connection's last turn
    clean_ = actors_.size() == 0;
    if (!clean_) actors_.abandon();
    return clean_;
  }

  const ErrorInfo& refusal() const { return refusal_; }

  // --- wire::LinkMember --------------------------------------------------------------------------
  void fill_hello(wire::Hello& hello) override {
    collect(clock_now().mono_us, true);
    session_.fill_hello(hello);
  }
  void on_welcome(Instant now, const wire::Welcome& welcome, bool new_epoch,
                  wire::LinkOut& out) override {
    session_.on_welcome(now, welcome, new_epoch, out);
    status_due_us_ = now.mono_us;
    if (events_.on_welcome && !std::exchange(welcomed_, true)) events_.on_welcome();
  }
  bool on_message(Instant now, std::uint64_t type, std::uint32_t fields, wire::FrameReader& in,
                  wire::LinkOut& out) override {
    return session_.on_message(now, type, fields, in, out);
  }
  void on_tick(Instant now, bool ready, wire::LinkOut& out) override {
    std::int64_t more_by_us = collect(now.mono_us, false);
    if (ready && now.mono_us >= status_due_us_) {
      status_due_us_ = now.mono_us + options_.status_ms * kMicrosPerMilli;
      report_status(now);
    }
    // Told before the jobs are: their outcomes need not wake this thread one by one.
    if (std::exchange(runs_seen_, session_.counters().runs) != session_.counters().runs) {
      host_.expect(now.mono_us);
      more_by_us = std::min(more_by_us, now.mono_us + kOutcomeDelayUs);
    }
    session_.on_tick(now, ready, out);
    due_us_ = std::min(session_.next_deadline_us(), ready ? status_due_us_ : kNever);
    due_us_ = std::min(due_us_, more_by_us);
    if (events_.on_overstay) {
      if (now.mono_us >= actors_.overstay_us()) events_.on_overstay();
      due_us_ = std::min(due_us_, actors_.overstay_us());
    }
    if (session_.drained() && !std::exchange(drained_, true) && events_.on_drained) {
      events_.on_drained();
    }
    if (closing_) look_whether_stopped();
    lend_turns(ready);
  }
  std::int64_t next_deadline_us() const override { return due_us_; }
  void on_disconnected(Instant now) override { session_.on_disconnected(now); }
  void on_session_unknown(Instant now, bool lost) override {
    session_.on_session_unknown(now, lost);
  }
  bool owes_nothing() const override { return session_.owes_nothing(); }
  void on_ended(Instant now, const wire::Goodbye& why) override {
    session_.on_ended(now, why);
    if (closing_ || why.code == Errc::stopping) return;
    refusal_.code = why.code;
    refusal_.message = why.text;
    if (events_.on_refused) events_.on_refused();
  }

 private:
  Environment environment() {
    Environment environment;
    environment.client = &client_;
    environment.core = client_.core().get();
    environment.worker = options_.name;
    environment.pid = static_cast<std::uint64_t>(::getpid());
    environment.loop_warn_ms = options_.loop_warn_ms;
    environment.threads = std::make_shared<LaneThreads>([] { prepare_lane_thread("serial"); });
    environment.calls = CallPool::create();
    return environment;
  }

  // --- turns of the connection ------------------------------------------------------------------
  // What runs serial actors has nothing else to do between two calls, and takes the turns then: two
  // wake-ups less for each frame of calls. decisions/0024 has the reasons.

  void spend(const std::function<bool()>& over) override {
    connection_.drive(over, clock_now().mono_us + kPauseUs);
  }
  void look() override { connection_.wake(); }

  /// Something is to be collected.
  void wake() {
    if (LaneThreads::here() == environment_.threads.get()) return connection_.wake_unless_left();
    connection_.wake();
  }

  void lend_turns(bool ready) {
    // A call takes its time: whoever runs it will not be back soon.
    if (connection_.left_alone()) short_calls_.forget();
    const bool lend = ready && short_calls_.in_a_row() && client_.core()->unanswered() == 0;
    const bool left = lend && environment_.threads->occupied();
    environment_.threads->set_looked_after(left);
    connection_.lend(lend, left);
  }

  bool actors_stopped() {
    const std::lock_guard lock(mutex_);
    return stopped_;
  }
  void look_whether_stopped() {
    collect(clock_now().mono_us, true);
    if (actors_.size() > 0) return;
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    changed_.notify_all();
  }

  /// Hands what the executors reported to the session, also what they gather if `all`. Returns by
  /// when to look again.
  std::int64_t collect(std::int64_t now_us, bool all) {
    const std::int64_t more_by_us = host_.take(arrivals_, now_us, all);
    for (const auto& [slot, error] : arrivals_.started) {
      session_.started(slot, error, actors_.constructed(slot));
    }
    const std::span<Outcome> outcomes(arrivals_.outcomes.data(), arrivals_.outcome_count);
    short_calls_.ended(outcomes);
    session_.outcomes(outcomes);
    for (const std::uint32_t slot : arrivals_.stopped) {
      session_.stopped(slot);
      actors_.destroy(slot);
    }
    for (const Stall& stall : arrivals_.stalls) note(stall);
    return more_by_us;
  }

  void note(const Stall& stall) {
    const std::string actor(session_.name_of_slot(stall.slot));
    status_.stalled(actor, stall.method, stall.ms);
    log::warning(stall.over ? "a method kept its event loop from turning"
                            : "a method keeps its event loop from turning",
                 {{"method", stall.method}, {"actor", actor}, {"ms", stall.ms}});
  }

  void report_status(Instant now) {
    const RunningNow running = host_.recorder().running_now();
    StatusReport report;
    report.running = running.calls;
    report.longest_ms =
        running.calls == 0 ? 0 : (now.mono_us - running.oldest_us) / kMicrosPerMilli;
    report.queued = actors_.queued(session_.busy_slots());
    report.unconfirmed = host_.recorder().in_use() - running.calls;
    report.actors = session_.actors();
    session_.report(status_.encode(report));
  }

  const ChildOptions options_;
  const ChildEvents events_;
  client::Connection connection_;
  Client client_;          ///< for calls made inside calls; over the same connection
  Host host_;
  const Environment environment_;
  Actors actors_;          ///< after host and environment, which its executors use
  WorkerSession session_;
  Arrivals arrivals_;
  StatusWriter status_;
  std::int64_t status_due_us_ = kNever;
  std::int64_t due_us_ = kNever;
  std::uint64_t runs_seen_ = 0;
  ShortCalls short_calls_;
  bool welcomed_ = false;
  bool drained_ = false;
  bool closing_ = false;   ///< the connection's thread: the actors have been told to stop
  bool closed_ = false;
  bool clean_ = false;
  ErrorInfo refusal_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopped_ = false;   ///< guarded by mutex_: no executor is left
};

Child::Child(ChildOptions options, const Registry& registry, Recorder& recorder,
             ChildEvents events)
    : impl_(std::make_unique<Impl>(std::move(options), registry, recorder, std::move(events))) {}

Child::~Child() = default;

void Child::start() { impl_->start(); }
void Child::drain() { impl_->drain(); }
bool Child::close(std::int64_t timeout_ms) { return impl_->close(timeout_ms); }
const ErrorInfo& Child::refusal() const { return impl_->refusal(); }

}  // namespace callboard::worker
