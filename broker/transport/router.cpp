#include "broker/transport/router.hpp"

#include "common/check.hpp"
#include "common/clock.hpp"
#include "common/limits.hpp"

#include <poll.h>
#include <zmq.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <random>
#include <utility>

namespace callboard::broker {

namespace {

/// What is sent right before the end has so long to leave. On a busy machine it is not a moment,
/// and only a peer that does not read makes use of all of it.
constexpr int kLingerMs = 1000;

/// A peer whose host vanished without a word is noticed after about this long.
constexpr int kHeartbeatIntervalMs = 1000;
constexpr int kHeartbeatTimeoutMs = 5000;
constexpr int kListenBacklog = 1024;
constexpr int kReceiveMessagesMax = 1000;
/// A smaller head is copied: cheaper than a second allocation, and its buffer is used again.
constexpr std::size_t kCopiedBytesMax = 8 * 1024;
/// ZeroMQ receives into blocks of this size; a smaller part would keep a whole block alive.
constexpr std::size_t kSharedPartBytesMin = 8 * 1024;
constexpr int kPortTries = 200;
/// Below the ports that outgoing connections take, so that none of them is ever in the way.
constexpr unsigned kPickedPortMin = 10'000;
constexpr unsigned kPickedPorts = 22'000;
/// What dead processes left in shared memory is looked for this often.
constexpr std::int64_t kSweepUs = 1'000'000;
constexpr long kSweepMs = 1000;
constexpr char kMonitor[] = "inproc://callboard-monitor";

/// A message that closes itself.
struct Message {
  zmq_msg_t raw;

  Message() { zmq_msg_init(&raw); }
  ~Message() { zmq_msg_close(&raw); }
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;

  std::string_view view() {
    return {static_cast<const char*>(zmq_msg_data(&raw)), zmq_msg_size(&raw)};
  }
  bool more() const { return zmq_msg_more(&raw) != 0; }
};

void set_option(void* socket, int option, int value) {
  CALLBOARD_CHECK(zmq_setsockopt(socket, option, &value, sizeof value) == 0);
}

int fd_of(void* socket) {
  int fd = -1;
  std::size_t size = sizeof fd;
  CALLBOARD_CHECK(zmq_getsockopt(socket, ZMQ_FD, &fd, &size) == 0);
  return fd;
}

bool readable(void* socket) {
  int events = 0;
  std::size_t size = sizeof events;
  return zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) == 0 && (events & ZMQ_POLLIN) != 0;
}

bool receive_into(void* socket, Message& message) {
  while (zmq_msg_recv(&message.raw, socket, ZMQ_DONTWAIT) < 0) {
    if (errno != EINTR) return false;
  }
  return true;
}

/// ENSURES: the message is sent or closed.
bool send_message(void* socket, zmq_msg_t& message, bool more) {
  const int flags = ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0);
  int sent = 0;
  do {
    sent = zmq_msg_send(&message, socket, flags);
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0) return true;
  const int error = errno;
  zmq_msg_close(&message);
  errno = error;
  return false;
}

bool send_copy(void* socket, std::string_view bytes, bool more) {
  zmq_msg_t message;
  CALLBOARD_CHECK(zmq_msg_init_size(&message, bytes.size()) == 0);
  if (!bytes.empty()) std::memcpy(zmq_msg_data(&message), bytes.data(), bytes.size());
  return send_message(socket, message, more);
}

/// Keeps bytes alive until ZeroMQ has sent them.
struct Lent {
  Blob bytes;
  std::shared_ptr<UnsentBytes> unsent;
};

void give_back(void*, void* hint) {
  const std::unique_ptr<Lent> lent(static_cast<Lent*>(hint));
  lent->unsent->fetch_sub(lent->bytes.size(), std::memory_order_relaxed);
}

bool send_blob(void* socket, Blob blob, const TransportPeer& to, bool more) {
  auto lent = std::make_unique<Lent>(Lent{std::move(blob), to.unsent});
  const std::string_view view = lent->bytes.view();
  to.unsent->fetch_add(view.size(), std::memory_order_relaxed);
  zmq_msg_t message;
  // ZeroMQ never writes to what it sends.
  CALLBOARD_CHECK(zmq_msg_init_data(&message, const_cast<char*>(view.data()), view.size(),
                                    give_back, lent.release()) == 0);
  return send_message(socket, message, more);
}

Blob to_blob(std::unique_ptr<Message> message) {
  if (message->view().size() < kSharedPartBytesMin) return Blob(std::string(message->view()));
  std::shared_ptr<Message> owner(std::move(message));
  const std::string_view view = owner->view();
  return {std::move(owner), view};
}

/// "tcp://host" of an endpoint that leaves the port open; empty when it does not.
std::string without_open_port(const std::string& endpoint) {
  if (!endpoint.starts_with("tcp://")) return {};
  const std::size_t colon = endpoint.rfind(':');
  const std::string port = endpoint.substr(colon + 1);
  return port == "0" || port == "*" ? endpoint.substr(0, colon) : std::string();
}

}  // namespace

struct Router::Sockets {
  void* context = zmq_ctx_new();
  void* router = nullptr;
  void* publisher = nullptr;
  void* monitor = nullptr;

  ~Sockets() {
    for (void* socket : {monitor, router, publisher}) {
      if (socket != nullptr) zmq_close(socket);
    }
    while (zmq_ctx_term(context) != 0 && errno == EINTR) {
    }
  }
};

Router::Router() : sockets_(std::make_unique<Sockets>()) {
  CALLBOARD_CHECK(sockets_->context != nullptr);
}

Router::~Router() = default;

std::string Router::open(const RouterOptions& options) {
  options_ = options;
  void* router = sockets_->router = zmq_socket(sockets_->context, ZMQ_ROUTER);
  CALLBOARD_CHECK(router != nullptr);
  set_option(router, ZMQ_LINGER, kLingerMs);
  // Without this ROUTER drops silently what it cannot deliver.
  set_option(router, ZMQ_ROUTER_MANDATORY, 1);
  // A peer that chose its own identity may come back before its old connection is known to be dead.
  set_option(router, ZMQ_ROUTER_HANDOVER, 1);
  set_option(router, ZMQ_SNDHWM, options.unread_messages_max);
  set_option(router, ZMQ_RCVHWM, kReceiveMessagesMax);
  set_option(router, ZMQ_BACKLOG, kListenBacklog);
  set_option(router, ZMQ_HEARTBEAT_IVL, kHeartbeatIntervalMs);
  set_option(router, ZMQ_HEARTBEAT_TIMEOUT, kHeartbeatTimeoutMs);
  const auto bytes_max =
      static_cast<std::int64_t>(limits::kPayloadBytesMax + limits::kFrameBytesMax);
  CALLBOARD_CHECK(zmq_setsockopt(router, ZMQ_MAXMSGSIZE, &bytes_max, sizeof bytes_max) == 0);

  CALLBOARD_CHECK(zmq_socket_monitor(router, kMonitor, ZMQ_EVENT_DISCONNECTED) == 0);
  sockets_->monitor = zmq_socket(sockets_->context, ZMQ_PAIR);
  CALLBOARD_CHECK(zmq_connect(sockets_->monitor, kMonitor) == 0);

  for (const std::string& endpoint : options.endpoints) {
    std::string problem = bind(router, endpoint, endpoints_.emplace_back());
    if (!problem.empty()) return problem;
  }
  if (options.event_endpoint.empty()) return {};
  sockets_->publisher = zmq_socket(sockets_->context, ZMQ_PUB);
  CALLBOARD_CHECK(sockets_->publisher != nullptr);
  set_option(sockets_->publisher, ZMQ_LINGER, 0);
  return bind(sockets_->publisher, options.event_endpoint, event_endpoint_);
}

std::string Router::bind(void* socket, const std::string& endpoint, std::string& bound) {
  const std::string host = without_open_port(endpoint);
  // An IPv4 address would be bound, and named, in its IPv6 clothes.
  const bool any = endpoint.starts_with("tcp://*:") || endpoint.starts_with("tcp://[");
  set_option(socket, ZMQ_IPV6, any ? 1 : 0);
  std::random_device random;
  bool done = false;
  for (int tries = 0; !done && tries < (host.empty() ? 1 : kPortTries); ++tries) {
    std::string exact = endpoint;
    if (!host.empty()) {
      exact = host + ":" + std::to_string(kPickedPortMin + random() % kPickedPorts);
    }
    done = zmq_bind(socket, exact.c_str()) == 0;
    if (!done && errno != EADDRINUSE) break;
  }
  if (!done) return "cannot listen at " + endpoint + ": " + zmq_strerror(errno);
  std::array<char, 512> real{};
  std::size_t size = real.size();
  CALLBOARD_CHECK(zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, real.data(), &size) == 0);
  bound = real.data();
  return {};
}

void Router::wait(std::span<WatchedFd> watched, long timeout_ms, bool for_frames) {
  if (for_frames && peers_.any_ending()) timeout_ms = 0;  // to be told of once no frame waits
  // zmq_poll() would ask the kernel twice as often. A socket's fd tells only of what comes from now
  // on: what is there already is asked for first, but of the monitor, which was emptied.
  std::array<pollfd, 8> items{};
  CALLBOARD_CHECK(watched.size() + 2 <= items.size());
  const bool frames = for_frames && readable(sockets_->router);
  if (frames || monitor_ready_) timeout_ms = 0;
  if (memory_.enabled() && (timeout_ms < 0 || timeout_ms > kSweepMs)) {
    timeout_ms = kSweepMs;
  }
  nfds_t count = 0;
  items[count++] = {fd_of(sockets_->monitor), POLLIN, 0};
  items[count++] = {for_frames ? fd_of(sockets_->router) : -1, POLLIN, 0};
  for (const WatchedFd& each : watched) {
    const int wanted = (each.read ? POLLIN : 0) | (each.write ? POLLOUT : 0);
    items[count++] = {each.fd, static_cast<short>(wanted), 0};
  }
  const int ready =
      ::poll(items.data(), count, static_cast<int>(std::min<long>(timeout_ms, INT_MAX)));
  monitor_ready_ = monitor_ready_ || (ready > 0 && items[0].revents != 0);
  frames_ready_ = !for_frames || frames || (ready > 0 && items[1].revents != 0);
  std::size_t next = 2;
  for (WatchedFd& each : watched) {
    each.ready = each.fd >= 0 && ready > 0 && items[next].revents != 0;
    ++next;
  }
}

void Router::drain_monitor() {
  monitor_ready_ = false;
  Message event;
  while (receive_into(sockets_->monitor, event)) {  // until its fd has something new to tell
    std::int32_t connection = -1;  // after 16 bits that say which event; there is only one kind
    if (event.view().size() == 6) std::memcpy(&connection, event.view().data() + 2, 4);
    while (event.more() && receive_into(sockets_->monitor, event)) {
    }
    peers_.connection_ended(connection);
  }
}

TransportPeer& Router::sender(std::string_view identity, int connection, const OnLost& on_lost) {
  TransportPeer* peer = peers_.find(identity);
  const bool chosen = !identity.empty() && identity.front() != '\0';  // ZeroMQ's own begin so
  if (peer != nullptr && (chosen || peer->connection != connection)) drain_monitor();
  if (peer != nullptr && peer->ending && (chosen || peer->connection != connection)) {
    // It chose its identity and is back on another connection, maybe with the number of the old.
    const PeerId before = peer->id;
    peers_.remove(before);
    on_lost(before);
    peer = nullptr;
  }
  if (peer != nullptr) return *peer;
  // The end of the connection that had this number before was told before the new one began.
  drain_monitor();
  return peers_.add(identity, connection);
}

Router::Portion Router::receive(std::size_t frames_max, std::size_t bytes_max,
                                const OnFrame& on_frame, const OnLost& on_lost) {
  // What a connection brought is there before its end is told: a goodbye is heard, not lost.
  if (monitor_ready_) drain_monitor();
  sweep_memory();
  // ZeroMQ would ask the kernel, between Redis's answer and what it lets go.
  Portion got;
  if (!frames_ready_ && !peers_.any_ending()) return got;
  Message identity;
  Message head;
  for (;; ++got.frames) {
    got.all = false;
    if (got.frames == frames_max || got.bytes >= bytes_max) break;
    got.all = !receive_into(sockets_->router, identity);
    if (got.all) break;
    // The parts of one message arrive together, so none of these receives fails.
    if (!identity.more() || !receive_into(sockets_->router, head)) continue;
    parts_.clear();
    for (bool more = head.more(); more;) {
      auto part = std::make_unique<Message>();
      if (!receive_into(sockets_->router, *part)) break;
      more = part->more();
      // A frame of more parts is not ours; the core finds it cut short.
      if (parts_.size() < limits::kFramePartsMax) parts_.push_back(to_blob(std::move(part)));
    }
    got.bytes += head.view().size();
    TransportPeer& peer =
        sender(identity.view(), zmq_msg_get(&head.raw, ZMQ_SRCFD), on_lost);
    if (peer.shared && wire::SharedPeer::is_ours(head.view())) {
      hear(peer, head.view());
      continue;
    }
    if (peer.shared && !peer.shared->resolve(parts_)) {
      begin_again(peer, on_lost);
      continue;
    }
    on_frame(peer.id, {head.view(), parts_});
  }
  parts_.clear();
  if (got.all) {
    std::vector<PeerId> lost;
    peers_.remove_ending(lost);
    for (PeerId peer : lost) on_lost(peer);
  }
  return got;
}

void Router::send(PeerId to, wire::Frame& frame, std::vector<PeerId>& lost) {
  TransportPeer* peer = peers_.find(to);
  if (peer == nullptr || peer->ending || frame.empty()) return;
  void* socket = sockets_->router;
  const std::size_t unsent = peer->unsent->load(std::memory_order_relaxed);
  const bool reads = unsent <= options_.unread_bytes_max;
  if (!reads || !send_copy(socket, peer->identity, true)) {
    if (reads && errno == EHOSTUNREACH) return peers_.end(*peer);
    lost.push_back(to);  // EAGAIN: too much waits for it
    peers_.remove(to);
    return;
  }
  // Once the identity was taken the rest is taken too, or dropped with the connection.
  const bool welcome = wire::SharedPeer::begins_with(frame.head, wire::Type::welcome);
  bool more = !frame.parts.empty();
  if (frame.head.size() <= kCopiedBytesMax) {
    send_copy(socket, frame.head, more);
  } else {
    send_blob(socket, Blob(std::move(frame.head)), *peer, more);
  }
  for (std::size_t i = 0; i < frame.parts.size(); ++i) {
    more = i + 1 < frame.parts.size();
    const auto reference = peer->shared ? peer->shared->reference_to(frame.parts[i]) : std::nullopt;
    if (reference) {
      send_copy(socket, *reference, more);
    } else {
      send_blob(socket, std::move(frame.parts[i]), *peer, more);
    }
  }
  if (welcome) offer_memory(*peer);
}

// --- shared memory ------------------------------------------------------------------------------

void Router::offer_memory(TransportPeer& peer) {
  if (!peer.shared) peer.shared = std::make_unique<wire::SharedPeer>(memory_, false);
  peer.shared->forget();
  wire::Frame offer;
  if (!peer.shared->offer(offer)) return;
  if (send_copy(sockets_->router, peer.identity, true)) {
    send_copy(sockets_->router, offer.head, false);
  }
}

void Router::hear(TransportPeer& peer, std::string_view head) {
  wire::Frame answer;
  if (!peer.shared->on_frame(head, answer)) return;
  if (send_copy(sockets_->router, peer.identity, true)) {
    send_copy(sockets_->router, answer.head, false);
  }
}

/// What it sent cannot be read. To the core it is gone; when it speaks again it is a new peer that
/// is asked who it is, and says everything again, in the end with the bytes themselves.
void Router::begin_again(TransportPeer& peer, const OnLost& on_lost) {
  const PeerId before = peer.id;
  const std::string identity = peer.identity;
  const int connection = peer.connection;
  const bool ending = peer.ending;
  std::unique_ptr<wire::SharedPeer> shared = std::move(peer.shared);
  shared->failed();
  peers_.remove(before);
  on_lost(before);
  if (ending) return;  // it will not speak again
  peers_.add(identity, connection).shared = std::move(shared);
}

void Router::sweep_memory() {
  const std::int64_t now_us = clock_now().mono_us;
  if (!memory_.enabled() || now_us - swept_us_ < kSweepUs) return;
  swept_us_ = now_us;
  memory_.sweep();
}

void Router::publish(const Announcement& announcement) {
  if (sockets_->publisher == nullptr) return;
  if (send_copy(sockets_->publisher, announcement.topic, true)) {
    send_copy(sockets_->publisher, announcement.info, false);
  }
}

}  // namespace callboard::broker
