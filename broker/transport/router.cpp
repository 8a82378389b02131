#include "broker/transport/router.hpp"

#include "common/check.hpp"
#include "common/clock.hpp"
#include "common/limits.hpp"
#include "common/zmtp/stream.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <utility>

namespace callboard::broker {

namespace {

/// What is sent right before the end has so long to leave. On a busy machine it is not a moment,
/// and only a peer that does not read makes use of all of it.
constexpr std::int64_t kLingerUs = 1'000'000;

/// All connections are looked after once in RouterOptions::quiet_us. Who comes so much later was
/// stopped, and maybe whoever was to answer with it.
constexpr std::int64_t kLooksMissed = 3;
/// Whoever connects has so long to say what he speaks.
constexpr std::int64_t kIntroductionUs = 30'000'000;
/// Buffers full of commands, or of parts of frames, that are read at a time.
constexpr unsigned kInVainMax = 4;
/// Connections that are taken note of, or accepted, at a time.
constexpr int kReadyMax = 256;
/// What dead processes left in shared memory is looked for this often.
constexpr std::int64_t kSweepUs = 1'000'000;
constexpr long kSweepMs = 1000;
/// Set in the numbers of listeners.
constexpr std::uint64_t kListener = 1ull << 63;

void watch(int epoll_fd, int fd, std::uint32_t events, std::uint64_t number) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = number;
  CALLBOARD_CHECK(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0);
}

}  // namespace

struct Router::Connection {
  Connection(std::uint64_t with_number, int fd, std::int64_t now_us)
      : number(with_number), stream(fd, zmtp::Role::router), since_us(now_us), heard_us(now_us) {}

  const std::uint64_t number;
  zmtp::Stream stream;
  PeerId peer{};  ///< 0 before its first frame
  std::unique_ptr<wire::SharedPeer> shared;  ///< from the welcome on
  std::int64_t since_us;
  std::int64_t heard_us;
  std::int64_t asked_us = 0;  ///< for a sign of life that did not come yet
  bool is_ready = false;      ///< it is among those
  bool drained = false;       ///< what is in the buffer is all that was there
  bool was_full = false;      ///< more than the buffer holds was there: others come first
  bool is_blocked = false;    ///< it is told when it takes something
  bool is_broken = false;     ///< it takes nothing any more; its last frames may wait still

  bool spoke() const { return peer != PeerId{}; }
};

Router::Router()
    : frames_fd_(epoll_create1(EPOLL_CLOEXEC)), blocked_fd_(epoll_create1(EPOLL_CLOEXEC)) {
  CALLBOARD_CHECK(frames_fd_ >= 0 && blocked_fd_ >= 0);
}

Router::~Router() {
  const std::int64_t until_us = clock_now().mono_us + kLingerUs;
  const auto waits = [](const auto& each) { return each.second->is_blocked; };
  while (std::any_of(connections_.begin(), connections_.end(), waits)) {
    const std::int64_t left_us = until_us - clock_now().mono_us;
    if (left_us <= 0) break;
    pollfd blocked{blocked_fd_, POLLIN, 0};
    (void)::poll(&blocked, 1, static_cast<int>(left_us / kMicrosPerMilli) + 1);
    flush_blocked();
  }
  connections_.clear();
  ::close(frames_fd_);
  ::close(blocked_fd_);
}

std::string Router::open(const RouterOptions& options) {
  options_ = options;
  for (const std::string& endpoint : options.endpoints) {
    std::string problem = listeners_.emplace_back(std::make_unique<Listener>())->open(endpoint);
    if (!problem.empty()) return problem;
    endpoints_.push_back(listeners_.back()->endpoint());
  }
  watch_listeners(true);
  if (options.event_endpoint.empty()) return {};
  publisher_ = std::make_unique<Publisher>();
  return publisher_->open(options.event_endpoint);
}

void Router::watch_listeners(bool on) {
  accepts_ = on;
  for (std::size_t i = 0; i < listeners_.size(); ++i) {
    if (on) {
      watch(frames_fd_, listeners_[i]->fd(), EPOLLIN, kListener | i);
    } else {
      (void)epoll_ctl(frames_fd_, EPOLL_CTL_DEL, listeners_[i]->fd(), nullptr);
    }
  }
}

// --- waiting ------------------------------------------------------------------------------------

void Router::wait(std::span<WatchedFd> watched, long timeout_ms, bool for_frames) {
  const auto at_most = [&](long bound_ms) {
    if (timeout_ms < 0 || timeout_ms > bound_ms) timeout_ms = bound_ms;
  };
  if (for_frames && (!ready_.empty() || !silent_.empty())) at_most(0);
  if (for_frames && (!connections_.empty() || !accepts_)) {
    at_most(static_cast<long>(options_.quiet_us / kMicrosPerMilli));
  }
  if (memory_.enabled()) at_most(kSweepMs);
  std::array<pollfd, 8> items{};
  CALLBOARD_CHECK(watched.size() + 2 <= items.size());
  std::size_t count = 0;
  items[count++] = {for_frames ? frames_fd_ : -1, POLLIN, 0};
  items[count++] = {blocked_fd_, POLLIN, 0};
  for (const WatchedFd& each : watched) {
    const int wanted = (each.read ? POLLIN : 0) | (each.write ? POLLOUT : 0);
    items[count++] = {each.fd, static_cast<short>(wanted), 0};
  }
  const int ready = busy_poll_.poll({items.data(), count},
                                    static_cast<int>(std::min<long>(timeout_ms, INT_MAX)));
  std::size_t next = 2;
  for (WatchedFd& each : watched) {
    each.ready = each.fd >= 0 && ready > 0 && items[next].revents != 0;
    ++next;
  }
  if (ready > 0 && items[1].revents != 0) flush_blocked();
  paused_ = paused_ || !for_frames;
  if (!for_frames) return;
  const std::int64_t now_us = clock_now().mono_us;
  const bool look = now_us - looked_us_ >= options_.quiet_us;
  if (look || (ready > 0 && items[0].revents != 0)) take_ready(now_us, look);
}

/// Takes note of what can be read. `look`: it is time to look after all connections.
void Router::take_ready(std::int64_t now_us, bool look) {
  std::array<epoll_event, kReadyMax> events;
  const int count = epoll_wait(frames_fd_, events.data(), kReadyMax, 0);
  for (int i = 0; i < count; ++i) {
    const std::uint64_t number = events[i].data.u64;
    if ((number & kListener) != 0) {
      accept_from(*listeners_[number & ~kListener]);
      continue;
    }
    const auto found = connections_.find(number);
    if (found == connections_.end()) continue;
    Connection& connection = *found->second;
    connection.heard_us = now_us;
    connection.asked_us = 0;
    if (std::exchange(connection.is_ready, true)) continue;
    ready_.push_back(&connection);
  }
  // Where more is to be read than could be told, silence says nothing.
  if (look && count < kReadyMax) look_after_all(now_us);
}

void Router::look_after_all(std::int64_t now_us) {
  const std::int64_t since_us = now_us - std::exchange(looked_us_, now_us);
  const bool late = since_us > kLooksMissed * options_.quiet_us;
  if (!accepts_) watch_listeners(true);
  const bool forgive = std::exchange(paused_, false) || late;
  for (auto& [number, connection] : connections_) {
    if (forgive) {
      connection->heard_us = now_us;
      connection->asked_us = 0;
    }
    if (connection->is_ready || connection->is_broken) continue;
    if (!connection->stream.ready()) {
      if (now_us - connection->since_us > kIntroductionUs) silent_.push_back(number);
      continue;
    }
    if (!connection->stream.knows_pings()) continue;
    if (connection->asked_us != 0) {
      if (now_us - connection->asked_us > options_.silence_us) silent_.push_back(number);
    } else if (now_us - connection->heard_us >= options_.quiet_us) {
      connection->asked_us = now_us;
      connection->is_broken = !connection->stream.ping();
      note_blocked(*connection);
    }
  }
}

void Router::accept_from(const Listener& listener) {
  for (int i = 0; i < kReadyMax; ++i) {
    const int fd = listener.accept();
    if (fd < 0) {
      const int error = errno;
      if (error == EINTR || error == ECONNABORTED) continue;
      // With no file left for it, it would be told of without end.
      if (error != EAGAIN && error != EWOULDBLOCK && accepts_) watch_listeners(false);
      return;
    }
    const std::uint64_t number = ++last_number_;
    auto& connection = connections_[number];
    connection = std::make_unique<Connection>(number, fd, clock_now().mono_us);
    watch(frames_fd_, fd, EPOLLIN, number);
    connection->is_broken = !connection->stream.flush();
    note_blocked(*connection);
  }
}

void Router::note_blocked(Connection& connection) {
  const bool blocked = connection.stream.blocked() && !connection.is_broken;
  if (blocked == connection.is_blocked) return;
  connection.is_blocked = blocked;
  if (blocked) {
    watch(blocked_fd_, connection.stream.fd(), EPOLLOUT, connection.number);
  } else {
    (void)epoll_ctl(blocked_fd_, EPOLL_CTL_DEL, connection.stream.fd(), nullptr);
  }
}

void Router::flush_blocked() {
  std::array<epoll_event, kReadyMax> events;
  const int count = epoll_wait(blocked_fd_, events.data(), kReadyMax, 0);
  const std::int64_t now_us = clock_now().mono_us;
  for (int i = 0; i < count; ++i) {
    const auto found = connections_.find(events[i].data.u64);
    if (found == connections_.end()) continue;
    Connection& connection = *found->second;
    connection.is_broken = !connection.stream.flush();
    note_blocked(connection);
    // It took something: it lives, though what it was asked may wait behind much else.
    if (connection.asked_us != 0) connection.asked_us = now_us;
  }
}

// --- receiving ----------------------------------------------------------------------------------

Router::Portion Router::receive(std::size_t frames_max, std::size_t bytes_max,
                                const OnFrame& on_frame, const OnLost& on_lost) {
  sweep_memory();
  for (const std::uint64_t number : std::exchange(silent_, {})) {
    const auto found = connections_.find(number);
    if (found != connections_.end()) end(*found->second, on_lost);
  }
  Portion got;
  unsigned in_vain = 0;
  while (!ready_.empty() && in_vain < kInVainMax) {
    got.all = got.frames < frames_max && got.bytes < bytes_max;
    if (!got.all) break;
    const std::size_t frames = got.frames;
    const std::size_t ready = ready_.size();
    take_from(*ready_.front(), frames_max, bytes_max, got, on_frame, on_lost);
    // It has more to read and brought no frame: it may go on like this for ever.
    if (got.frames == frames && ready_.size() == ready) ++in_vain;
  }
  busy_poll_.received(got.bytes);
  return got;
}

/// Takes what is in the buffer, or fills it. What this leaves is for the next time, or done with.
void Router::take_from(Connection& connection, std::size_t frames_max, std::size_t bytes_max,
                       Portion& got, const OnFrame& on_frame, const OnLost& on_lost) {
  zmtp::Stream& stream = connection.stream;
  while (got.frames < frames_max && got.bytes < bytes_max) {
    const zmtp::Stream::Next next = stream.next(buffer_);
    if (next == zmtp::Stream::Next::message) {
      ++got.frames;
      got.bytes += stream.head().size();
      take_message(connection, on_frame, on_lost);
      continue;
    }
    if (next == zmtp::Stream::Next::ended) return end(connection, on_lost);
    note_blocked(connection);  // it may have been answered
    const bool drained = std::exchange(connection.drained, false);
    if (drained || std::exchange(connection.was_full, false)) {
      ready_.pop_front();
      connection.is_ready = !drained;
      if (!drained) ready_.push_back(&connection);
      return;
    }
    switch (stream.read(buffer_)) {
      case zmtp::Stream::Read::some:
      case zmtp::Stream::Read::nothing: connection.drained = true; break;
      case zmtp::Stream::Read::full: connection.was_full = true; break;
      case zmtp::Stream::Read::ended: return end(connection, on_lost);
    }
  }
}

void Router::take_message(Connection& connection, const OnFrame& on_frame, const OnLost& on_lost) {
  zmtp::Stream& stream = connection.stream;
  if (!connection.spoke()) introduce(connection, on_lost);
  if (connection.shared) {
    if (wire::SharedPeer::is_ours(stream.head())) {
      wire::Frame answer;
      if (connection.shared->on_frame(stream.head(), answer)) say(connection, answer);
      return;
    }
    if (!connection.shared->resolve(stream.parts())) return begin_again(connection, on_lost);
  }
  on_frame(connection.peer, {stream.head(), stream.parts()});
}

void Router::introduce(Connection& connection, const OnLost& on_lost) {
  const std::string& chosen = connection.stream.identity();
  if (!chosen.empty()) {
    // Whoever comes back with it may do so before its old connection is known to be dead.
    Connection*& holder = chosen_[chosen];
    Connection* before = std::exchange(holder, &connection);
    if (before != nullptr) end(*before, on_lost);
  }
  name(connection);
}

void Router::name(Connection& connection) {
  connection.peer = static_cast<PeerId>(++last_peer_);
  peers_[last_peer_] = &connection;
}

void Router::end(Connection& connection, const OnLost& on_lost) {
  const bool spoke = connection.spoke();
  const PeerId peer = connection.peer;
  drop(connection);
  if (spoke) on_lost(peer);
}

void Router::drop(Connection& connection) {
  if (connection.is_ready) {
    if (ready_.front() == &connection) buffer_.clear();
    std::erase(ready_, &connection);
  }
  peers_.erase(static_cast<std::uint64_t>(connection.peer));
  const auto chosen = chosen_.find(connection.stream.identity());
  if (chosen != chosen_.end() && chosen->second == &connection) chosen_.erase(chosen);
  // A socket that another process has inherited would be told of for ever.
  (void)epoll_ctl(frames_fd_, EPOLL_CTL_DEL, connection.stream.fd(), nullptr);
  if (connection.is_blocked) {
    (void)epoll_ctl(blocked_fd_, EPOLL_CTL_DEL, connection.stream.fd(), nullptr);
  }
  connections_.erase(connection.number);
}

// --- sending ------------------------------------------------------------------------------------

void Router::send(PeerId to, wire::Frame& frame, std::vector<PeerId>& lost) {
  const auto found = peers_.find(static_cast<std::uint64_t>(to));
  if (found == peers_.end() || frame.empty()) return;
  Connection& connection = *found->second;
  if (connection.stream.waiting_messages() >= options_.unread_messages_max ||
      connection.stream.waiting_bytes() > options_.unread_bytes_max) {
    lost.push_back(to);
    return drop(connection);
  }
  const bool welcome = wire::SharedPeer::begins_with(frame.head, wire::Type::welcome);
  if (connection.shared) connection.shared->put_references(frame.parts);
  say(connection, frame);
  if (welcome) offer_memory(connection);
}

void Router::say(Connection& connection, wire::Frame& frame) {
  if (connection.is_broken) return;
  connection.is_broken = !connection.stream.send(frame.head, frame.parts);
  frame.parts.clear();
  note_blocked(connection);
}

// --- shared memory ------------------------------------------------------------------------------

void Router::offer_memory(Connection& connection) {
  if (!connection.shared) connection.shared = std::make_unique<wire::SharedPeer>(memory_, false);
  connection.shared->forget();
  wire::Frame offer;
  if (connection.shared->offer(offer)) say(connection, offer);
}

/// What it sent cannot be read. To the core it is gone; when it speaks again it is a new peer that
/// is asked who it is, and says everything again, in the end with the bytes themselves.
void Router::begin_again(Connection& connection, const OnLost& on_lost) {
  connection.shared->failed();
  const PeerId before = connection.peer;
  peers_.erase(static_cast<std::uint64_t>(before));
  on_lost(before);
  name(connection);
}

void Router::sweep_memory() {
  const std::int64_t now_us = clock_now().mono_us;
  if (!memory_.enabled() || now_us - swept_us_ < kSweepUs) return;
  swept_us_ = now_us;
  memory_.sweep();
}

// --- events -------------------------------------------------------------------------------------

const std::string& Router::event_endpoint() const {
  static const std::string none;
  return publisher_ ? publisher_->endpoint() : none;
}

void Router::publish(const Announcement& announcement) {
  if (publisher_) publisher_->publish(announcement);
}

}  // namespace callboard::broker
