#include "broker/server.hpp"

#include "broker/store/redis_store.hpp"
#include "broker/transport/router.hpp"
#include "broker/zone_files.hpp"
#include "common/check.hpp"
#include "common/clock.hpp"
#include "common/log.hpp"
#include "common/messages.hpp"

#include <sys/eventfd.h>
#include <malloc.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstddef>
#include <optional>
#include <random>
#include <utility>
#include <variant>

namespace callboard::broker {

namespace {

/// Frames of one turn. More would keep answers waiting that could go out.
constexpr std::size_t kFramesPerTurn = 1024;
/// Nor does a turn begin with more after so long, whatever is in its frames: nobody who waits
/// outside is heard in it, and whoever is not heard for long counts as gone.
constexpr std::int64_t kTurnUs = 5'000;
constexpr std::size_t kFramesAtOnce = 16;
/// So many bytes are worth a commit, and frames, of their own: Redis and the peers begin with them
/// while more is taken.
constexpr std::size_t kBytesAtOnce = 16 * 1024;
/// Effects may lose peers, which has effects; what remains after this waits for the next turn.
constexpr int kFlushRounds = 4;
/// How long the end of a broker may take for what Redis has not answered yet.
constexpr std::int64_t kFinishMs = 2000;
/// How long one that stands by may take to notice that the shard was left.
constexpr std::int64_t kHandOverMs = 400;
/// Fewer frames in such a time are a pause: what a burst took is given back to the system then.
constexpr std::int64_t kPauseUs = 250'000;
constexpr std::size_t kPauseFrames = 25;
/// How long the end of a broker listens while there is something to hear.
constexpr std::int64_t kLastWordsMs = 100;
constexpr long kLastTurnMs = 5;
/// So many of them without a frame: nobody says anything any more. On a busy machine one is not
/// enough for what has arrived to be seen.
constexpr int kQuietTurns = 3;

std::uint64_t random_seed() {
  std::random_device random;
  return static_cast<std::uint64_t>(random()) << 32 | random();
}

std::string host_name() {
  std::array<char, 256> host{};
  return gethostname(host.data(), host.size() - 1) == 0 ? std::string(host.data()) : std::string();
}

/// An endpoint that is bound to any address, as other hosts can use it.
std::string reachable(const std::string& endpoint) {
  for (const std::string_view any : {"tcp://0.0.0.0:", "tcp://[::]:"}) {
    if (!endpoint.starts_with(any)) continue;
    const std::string host = host_name();
    return host.empty() ? endpoint : "tcp://" + host + ":" + endpoint.substr(any.size());
  }
  return endpoint;
}

void write_log(int level, std::string_view text) {
  log::write(level >= 2   ? log::Level::error
             : level == 1 ? log::Level::warning
                          : log::Level::info,
             text);
}

}  // namespace

class BrokerServer::Loop : private StoreReader {
 public:
  explicit Loop(BrokerServerOptions options)
      : options_(std::move(options)), stop_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    CALLBOARD_CHECK(stop_fd_ >= 0);
  }
  ~Loop() override { close(stop_fd_); }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  int run() {
    if (open()) {
      while (!stopping_ && failure_.empty()) turn(wait_ms());
      if (failure_.empty()) finish();
    }
    if (failure_.empty()) return 0;
    log::error(failure_);
    return 1;
  }
  void stop() const { eventfd_write(stop_fd_, 1); }
  const std::string& failure() const { return failure_; }

 private:
  bool open();
  void turn(long wait_ms);
  void wait(long wait_ms);
  long wait_ms() const;
  void step(const Event& event) { broker_->step(now_, event, effects_); }
  bool wants_frames() const {
    if (leaving_) return false;
    return store_->standing_by() || (serving_ && !suspended_ && !broker_->congested());
  }
  void refuse_hello(PeerId peer, const wire::FrameView& frame);
  void watch_lease();
  std::size_t take_frames();
  void take_news();
  void begin_serving();
  void write_batch();
  void follow_commit();
  void give_memory_back();
  void flush();
  void finish();
  void hand_over();
  void fail(std::string text) {
    if (failure_.empty()) failure_ = std::move(text);
  }

  // StoreReader
  void load_begins(const StoreState& state) override;
  std::string load(const StoreEntry& entry) override { return broker_->load(entry); }
  void load_ended() override { loaded_ = true; }

  BrokerServerOptions options_;
  int stop_fd_;
  bool stopping_ = false;
  std::string failure_;
  std::string store_url_;  ///< for people
  Instant now_;
  std::optional<Router> router_;
  std::optional<RedisStore> store_;
  bool store_ready_ = false;        ///< its fd can be read or written
  std::unique_ptr<Broker> broker_;  ///< from the first reading of the store on
  bool loaded_ = false;             ///< the store was read whole
  bool serving_ = false;            ///< frames are taken
  bool suspended_ = false;          ///< Redis has not confirmed for too long that the shard is ours
  bool leaving_ = false;            ///< another broker may take over at any time
  Effects effects_;
  std::vector<PeerId> lost_;
  bool committed_ = false;         ///< in this turn
  std::size_t frames_ = 0;         ///< since pause_us_ - kPauseUs
  std::int64_t pause_us_ = 0;      ///< when it is next asked whether this is a pause
  bool was_busy_ = false;
};

bool BrokerServer::Loop::open() {
  auto url = parse_redis_url(options_.redis_url);
  if (!url) {
    fail(url.text());
    return false;
  }
  RouterOptions sockets;
  sockets.endpoints = options_.endpoints;
  sockets.event_endpoint = options_.event_endpoint;
  router_.emplace();
  std::string problem = router_->open(sockets);
  if (!problem.empty()) {
    fail(std::move(problem));
    return false;
  }
  StoreOptions store;
  store.url = *url;
  store_url_ = url->text();
  store.shard = options_.broker.shard;
  store.broker_name = options_.broker.name;
  store.standby = options_.standby;
  store.require_fsync = options_.require_fsync;
  store_.emplace(store, static_cast<StoreReader&>(*this));
  now_ = clock_now();
  store_->tick(now_);
  take_news();
  return true;
}

long BrokerServer::Loop::wait_ms() const {
  std::int64_t due = store_->next_deadline_us();
  if (serving_ && !suspended_) due = std::min(due, broker_->next_deadline_us());
  if (due == kNever) return -1;
  const std::int64_t left_us = due - clock_now().mono_us;
  if (left_us <= 0) return 0;
  return static_cast<long>(std::min<std::int64_t>(left_us / kMicrosPerMilli + 1, 60'000));
}

void BrokerServer::Loop::wait(long wait_ms) {
  // Once asked to stop these stay readable, and would end every wait at once.
  std::array<WatchedFd, 3> watched = {{
      {stopping_ ? -1 : stop_fd_, true, false, false},
      {stopping_ ? -1 : options_.stop_fd, true, false, false},
      {store_->fd(), store_->wants_read(), store_->wants_write(), false},
  }};
  router_->wait(watched, wait_ms, wants_frames());
  stopping_ = stopping_ || watched[0].ready || watched[1].ready;
  store_ready_ = watched[2].ready;
}

void BrokerServer::Loop::turn(long wait_ms) {
  wait(wait_ms);
  now_ = clock_now();
  if (store_ready_) store_->on_ready(now_);
  store_->tick(now_);
  take_news();
  if (!failure_.empty()) return;
  watch_lease();
  if (std::exchange(committed_, false)) follow_commit();
  frames_ += take_frames();
  give_memory_back();
  if (!serving_ || suspended_) return flush();
  if (now_.mono_us >= broker_->next_deadline_us()) step(Tick{});
  write_batch();
  flush();
}

std::size_t BrokerServer::Loop::take_frames() {
  const auto on_lost = [this](PeerId peer) {
    if (serving_) step(PeerLost{peer});
  };
  const auto on_frame = [this](PeerId peer, const wire::FrameView& frame) {
    if (!serving_) return refuse_hello(peer, frame);
    // Read after the frame was there: a delay counts from then, however long this turn takes.
    now_ = clock_now();
    step(FrameArrived{peer, frame});
  };
  if (!wants_frames()) return router_->receive(0, 0, on_frame, on_lost).frames;
  // A frame may hold thousands of calls: in small portions the batch stays near its bound.
  std::size_t taken = 0;
  std::size_t bytes = 0;
  const std::int64_t until_us = now_.mono_us + kTurnUs;
  while (taken < kFramesPerTurn && now_.mono_us < until_us && wants_frames()) {
    const Router::Portion got =
        router_->receive(kFramesAtOnce, kBytesAtOnce - bytes, on_frame, on_lost);
    taken += got.frames;
    bytes += got.bytes;
    if (got.all) break;
    if (bytes < kBytesAtOnce) continue;
    bytes = 0;
    write_batch();
    flush();
  }
  return taken;
}

/// While it stands by: whoever asks is sent on to the next address.
void BrokerServer::Loop::refuse_hello(PeerId peer, const wire::FrameView& frame) {
  wire::FrameReader in(frame);
  std::uint64_t version = 0;
  std::uint64_t epoch = 0;
  std::uint64_t type = 0;
  std::uint32_t fields = 0;
  wire::Hello hello;
  if (!in.header(version, epoch) || !in.message(type, fields) ||
      static_cast<wire::Type>(type) != wire::Type::hello || !read(in, fields, hello)) {
    return;
  }
  // A frame of an older run than it has seen would not be believed.
  wire::FrameWriter out(effects_.frame_for(peer), hello.epoch_seen);
  wire::write(out, wire::Goodbye{Errc::stopping, "this broker stands by; another one serves"});
}

/// A broker that may have been replaced without knowing stops everything until Redis says that it
/// was not. Peers find it silent and look for the other one.
void BrokerServer::Loop::watch_lease() {
  if (!serving_) return;
  const bool was = std::exchange(suspended_, !store_->confirmed(now_));
  if (suspended_ && !was) {
    log::warning("Redis does not confirm that the shard is ours: nothing is done until it does");
  } else if (!suspended_ && was) {
    log::info("the shard is ours still: going on");
    step(Resumed{});
  }
}

void BrokerServer::Loop::take_news() {
  StoreNews& news = store_->news();
  for (const auto& [level, text] : news.log) write_log(level, text);
  news.log.clear();
  if (std::exchange(news.begins_again, false)) loaded_ = serving_ = suspended_ = false;
  if (loaded_ && !serving_) begin_serving();
  for (const Event& event : news.events) {
    committed_ = committed_ || std::holds_alternative<Committed>(event);
    step(event);
  }
  news.events.clear();
  if (!news.fatal.empty()) fail(news.fatal);
}

void BrokerServer::Loop::load_begins(const StoreState& state) {
  BrokerOptions broker = options_.broker;
  broker.epoch = state.epoch;
  broker.timeline = state.timeline;
  broker.commit_no = state.commit_no;
  broker.pid = static_cast<std::uint64_t>(getpid());
  broker.confirm_delay_us = limits::kConfirmDelayUs;
  broker.host = host_name();
  broker.went_back = state.went_back;
  broker.times_back = state.times_back;
  broker.store_facts = facts_for_people(state.facts);
  broker.store = store_url_;
  broker.store_pid = state.facts.process_id;
  broker.endpoints = options_.advertise;
  if (broker.endpoints.empty()) {
    for (const std::string& bound : router_->endpoints()) {
      broker.endpoints.push_back(reachable(bound));
    }
  }
  broker_ = std::make_unique<Broker>(broker, random_seed(), read_zone_file);
}

void BrokerServer::Loop::begin_serving() {
  serving_ = true;
  broker_->loaded(now_, effects_);
  flush();
  if (!options_.on_ready) return;
  std::exchange(options_.on_ready, nullptr)({router_->endpoints(), router_->event_endpoint()});
}

void BrokerServer::Loop::write_batch() {
  if (!store_->idle() || !broker_->has_batch()) return;
  std::uint64_t commit_no = 0;
  const StoreBatch& batch = broker_->take_batch(commit_no);
  store_->write(now_, batch, commit_no);
  take_news();
}

/// What a commit let go leaves, and Redis gets the next one, before more is taken.
void BrokerServer::Loop::follow_commit() {
  if (!serving_ || suspended_) return;
  if (broker_->batch_bytes() >= kBytesAtOnce) write_batch();
  flush();
}

void BrokerServer::Loop::give_memory_back() {
  if (now_.mono_us < pause_us_) return;
  pause_us_ = now_.mono_us + kPauseUs;
  const bool busy = std::exchange(frames_, 0) >= kPauseFrames;
  if (std::exchange(was_busy_, busy) && !busy) malloc_trim(0);
}

void BrokerServer::Loop::flush() {
  for (int round = 0; round < kFlushRounds; ++round) {
    lost_.clear();
    for (auto& [peer, frames] : effects_.frames) {
      for (wire::Frame& frame : frames) router_->send(peer, frame, lost_);
    }
    for (const Announcement& each : effects_.announcements) router_->publish(each);
    for (const auto& [level, text] : effects_.log) write_log(level, text);
    for (StoreRead& read : effects_.reads) store_->read(now_, std::move(read));
    if (!effects_.fatal.empty()) fail(effects_.fatal);
    if (effects_.ahead && serving_) store_->begin_timeline(now_, *effects_.ahead);
    effects_.clear();
    if (lost_.empty()) return;
    if (!serving_) return;
    for (PeerId peer : lost_) step(PeerLost{peer});
  }
}

void BrokerServer::Loop::finish() {
  // What was accepted but not committed was promised to nobody; still, committing it saves others
  // from doing it again.
  if (!serving_) return;
  const std::int64_t began_us = clock_now().mono_us;
  const std::int64_t until_us = began_us + kFinishMs * kMicrosPerMilli;
  log::info("the broker stops");
  // The last words of workers that were told to end before it may be under way.
  int quiet = 0;
  do {
    wait(kLastTurnMs);
    now_ = clock_now();
    quiet = take_frames() == 0 ? quiet + 1 : 0;
  } while (quiet < kQuietTurns && now_.mono_us - began_us < kLastWordsMs * kMicrosPerMilli);
  broker_->settle_journal();
  while (failure_.empty() && clock_now().mono_us < until_us) {
    write_batch();
    if (store_->idle() && !broker_->has_batch()) break;
    wait(10);
    now_ = clock_now();
    if (store_ready_) store_->on_ready(now_);
    store_->tick(now_);
    take_news();
  }
  flush();
  if (failure_.empty() && options_.standby && store_->idle()) hand_over();
  // Whoever hears it goes to the next address at once; what it submitted last, it submits there.
  step(Stopping{});
  flush();
}

/// Lets one that stands by take the shard over. From here on nothing may be taken or done.
void BrokerServer::Loop::hand_over() {
  leaving_ = true;
  store_->leave(now_);
  const std::int64_t until_us = clock_now().mono_us + kHandOverMs * kMicrosPerMilli;
  while (store_->news().fatal.empty() && clock_now().mono_us < until_us) {
    wait(kLastTurnMs);
    now_ = clock_now();
    if (store_ready_) store_->on_ready(now_);
    store_->tick(now_);
  }
  const bool taken = !store_->news().fatal.empty();
  store_->news().fatal.clear();
  log::info(taken ? "another broker has taken over" : "no other broker has taken over");
}

BrokerServer::BrokerServer(BrokerServerOptions options)
    : loop_(std::make_unique<Loop>(std::move(options))) {}

BrokerServer::~BrokerServer() = default;

int BrokerServer::run() { return loop_->run(); }

void BrokerServer::stop() { loop_->stop(); }

const std::string& BrokerServer::failure() const { return loop_->failure(); }

int run_broker(const BrokerServerOptions& options) {
  sigset_t signals;
  sigset_t before;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, &before);
  BrokerServerOptions with_signals = options;
  with_signals.stop_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  CALLBOARD_CHECK(with_signals.stop_fd >= 0);
  const int status = BrokerServer(with_signals).run();
  signalfd_siginfo taken;  // so that the signal does not strike once it is unblocked
  while (read(with_signals.stop_fd, &taken, sizeof taken) == sizeof taken) {
  }
  close(with_signals.stop_fd);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return status;
}

}  // namespace callboard::broker
