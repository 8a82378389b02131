#include "common/zmq_dealer.hpp"

#include "common/check.hpp"
#include "common/clock.hpp"
#include "common/limits.hpp"
#include "common/shared_peer.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstring>
#include <map>
#include <optional>
#include <utility>

namespace callboard::wire {

namespace {

constexpr int kReconnectMs = 20;      ///< first pause before TCP is tried again
constexpr int kReconnectMsMax = 500;

/// A received message that the Blobs of its bytes share.
struct Message {
  zmq_msg_t raw;

  Message() { zmq_msg_init(&raw); }
  ~Message() { zmq_msg_close(&raw); }
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;

  std::string_view view() {
    return {static_cast<const char*>(zmq_msg_data(&raw)), zmq_msg_size(&raw)};
  }
};

void set_option(void* socket, int option, int value) {
  CALLBOARD_CHECK(zmq_setsockopt(socket, option, &value, sizeof value) == 0);
}

void release_blob(void*, void* hint) { delete static_cast<Blob*>(hint); }

struct NamedHost {
  std::string host;
  std::uint16_t port = 0;  ///< 0: none can be read
};

/// Of "tcp://host:port" where the host is a name. All else is ZeroMQ's to understand.
std::optional<NamedHost> named_host(std::string_view endpoint) {
  constexpr std::string_view kScheme = "tcp://";
  const std::size_t colon = endpoint.rfind(':');
  if (!endpoint.starts_with(kScheme) || colon < kScheme.size()) return {};
  const std::string_view host = endpoint.substr(kScheme.size(), colon - kScheme.size());
  const std::string_view port = endpoint.substr(colon + 1);
  constexpr std::string_view kDigits = "0123456789.";
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
  if (!host.empty() && host.find_first_not_of(kDigits) == std::string_view::npos) return {};
  const bool name = std::all_of(host.begin(), host.end(), [&](char c) {
    return kDigits.find(c) != std::string_view::npos || kLetters.find(c) != std::string_view::npos;
  });
  NamedHost found{std::string(host)};
  const auto end = std::from_chars(port.data(), port.data() + port.size(), found.port);
  if (!name) return {};
  if (end.ec != std::errc() || end.ptr != port.data() + port.size()) found.port = 0;
  return found;
}

/// The lookups of one endpoint's host.
struct Lookup {
  Resolver resolver;
  std::size_t used = 0;  ///< how many of its addresses were tried
};

}  // namespace

struct ZmqDealer::Impl {
  void* context = nullptr;
  void* socket = nullptr;
  int socket_fd = -1;  ///< ZeroMQ's: readable when something has changed
  int wake_fd = -1;
  Message head;
  Resolver::LookUp look_up;
  std::map<std::string, Lookup> lookups;  ///< by endpoint
  Lookup* awaited = nullptr;              ///< of the endpoint that is wanted
  std::vector<Frame> early;               ///< to be sent when its answer is there
  SharedPeer shared{SharedMemory::process()};

  void open() {
    socket = zmq_socket(context, ZMQ_DEALER);
    CALLBOARD_CHECK(socket != nullptr);
    set_option(socket, ZMQ_LINGER, 0);
    // What may be unanswered is bounded by the sessions, not by the socket.
    set_option(socket, ZMQ_SNDHWM, 0);
    set_option(socket, ZMQ_RCVHWM, 0);
    set_option(socket, ZMQ_RECONNECT_IVL, kReconnectMs);
    set_option(socket, ZMQ_RECONNECT_IVL_MAX, kReconnectMsMax);
    set_option(socket, ZMQ_IPV6, 1);
    const auto bytes_max =
        static_cast<std::int64_t>(limits::kPayloadBytesMax + limits::kFrameBytesMax);
    CALLBOARD_CHECK(zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &bytes_max, sizeof bytes_max) == 0);
    std::size_t size = sizeof socket_fd;
    CALLBOARD_CHECK(zmq_getsockopt(socket, ZMQ_FD, &socket_fd, &size) == 0);
  }
  bool readable() const {
    int events = 0;
    std::size_t size = sizeof events;
    return zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) == 0 && (events & ZMQ_POLLIN) != 0;
  }
  bool connect(const std::string& endpoint) {
    open();
    if (zmq_connect(socket, endpoint.c_str()) == 0) return true;
    close(0);
    return false;
  }
  void look_up_host(const std::string& endpoint, const NamedHost& named) {
    auto [place, is_new] = lookups.try_emplace(endpoint);
    awaited = &place->second;
    if (is_new && look_up) awaited->resolver = Resolver(look_up);
    if (!awaited->resolver.busy()) awaited->resolver.start(named.host, named.port);
  }
  /// Connects to a host whose address is known by now.
  bool answered() {
    std::vector<SocketAddress> addresses;
    std::string problem;
    if (awaited == nullptr || !awaited->resolver.collect(addresses, problem)) return false;
    Lookup& lookup = *std::exchange(awaited, nullptr);
    // Without an address nothing can be done until the owner connects again.
    return !addresses.empty() &&
           connect("tcp://" + text_of(addresses[lookup.used++ % addresses.size()]));
  }
  void close(std::int64_t linger_ms) {
    awaited = nullptr;
    early.clear();
    shared.forget();
    if (socket == nullptr) return;
    set_option(socket, ZMQ_LINGER, static_cast<int>(linger_ms));
    zmq_close(socket);
    socket = nullptr;
  }
  bool send_message(zmq_msg_t& message, bool more) const {
    int rc = 0;
    do {
      rc = zmq_msg_send(&message, socket, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0));
    } while (rc < 0 && errno == EINTR);
    if (rc < 0) zmq_msg_close(&message);
    return rc >= 0;
  }
  bool send_copy(std::string_view bytes, bool more) const {
    zmq_msg_t message;
    CALLBOARD_CHECK(zmq_msg_init_size(&message, bytes.size()) == 0);
    std::memcpy(zmq_msg_data(&message), bytes.data(), bytes.size());
    return send_message(message, more);
  }
  /// Takes the next message as it is.
  bool receive(ArrivedFrame& frame) {
    frame.parts.clear();
    while (zmq_msg_recv(&head.raw, socket, ZMQ_DONTWAIT) < 0) {
      if (errno != EINTR) return false;
    }
    frame.head = head.view();
    // The parts of one message arrive together: none of these receives waits.
    bool more = zmq_msg_more(&head.raw) != 0;
    while (more) {
      auto part = std::make_shared<Message>();
      while (zmq_msg_recv(&part->raw, socket, 0) < 0) {
        if (errno != EINTR) return false;
      }
      more = zmq_msg_more(&part->raw) != 0;
      const std::string_view view = part->view();
      frame.parts.emplace_back(std::move(part), view);
    }
    return true;
  }
  /// True when the frame was about shared memory, and is done with.
  bool hear(std::string_view frame) {
    // The broker may be another one than before: it will say so itself if it shares memory.
    if (SharedPeer::begins_with(frame, Type::welcome)) shared.forget();
    if (!SharedPeer::is_ours(frame)) return false;
    Frame answer;
    if (shared.on_frame(frame, answer)) send_copy(answer.head, false);
    return true;
  }
};

ZmqDealer::ZmqDealer(Resolver::LookUp look_up) : impl_(std::make_unique<Impl>()) {
  impl_->look_up = std::move(look_up);
  impl_->context = zmq_ctx_new();
  CALLBOARD_CHECK(impl_->context != nullptr);
  impl_->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  CALLBOARD_CHECK(impl_->wake_fd >= 0);
}

ZmqDealer::~ZmqDealer() {
  impl_->close(0);
  while (zmq_ctx_term(impl_->context) != 0 && errno == EINTR) {
  }
  ::close(impl_->wake_fd);
}

bool ZmqDealer::connect(const std::string& endpoint) {
  impl_->close(0);
  const auto named = named_host(endpoint);
  if (!named) return impl_->connect(endpoint);
  if (named->port == 0 || named->host.empty()) return false;
  impl_->look_up_host(endpoint, *named);
  return true;
}

void ZmqDealer::close(std::int64_t linger_ms) {
  impl_->close(linger_ms);
  impl_->lookups.clear();
}

bool ZmqDealer::receive(ArrivedFrame& frame) {
  frame.parts.clear();
  frame.head = {};
  if (impl_->awaited != nullptr) {
    std::vector<Frame> early = std::move(impl_->early);
    if (impl_->answered()) {
      for (Frame& each : early) send(each);
    } else if (impl_->awaited != nullptr) {
      impl_->early = std::move(early);
    }
  }
  if (impl_->socket == nullptr) return false;
  do {
    if (!impl_->receive(frame)) return false;
  } while (impl_->hear(frame.head));
  if (!impl_->shared.resolve(frame.parts)) {
    // Without its parts the frame cannot be read, which is what whoever reads it makes of it too:
    // it connects anew, and what was lost is told again.
    impl_->shared.failed();
    frame.parts.clear();
  }
  return true;
}

void ZmqDealer::send(Frame& frame) {
  if (frame.head.empty()) return;
  if (impl_->awaited != nullptr) {
    impl_->early.push_back({frame.head, std::move(frame.parts)});
    frame.parts.clear();
  }
  if (impl_->socket == nullptr) return;
  bool sent = impl_->send_copy(frame.head, !frame.parts.empty());
  for (std::size_t i = 0; sent && i < frame.parts.size(); ++i) {
    if (const auto reference = impl_->shared.reference_to(frame.parts[i])) {
      sent = impl_->send_copy(*reference, i + 1 < frame.parts.size());
      continue;
    }
    auto keep = std::make_unique<Blob>(std::move(frame.parts[i]));
    const std::string_view view = keep->view();
    zmq_msg_t part;
    // ZeroMQ never writes to what it sends.
    CALLBOARD_CHECK(zmq_msg_init_data(&part, const_cast<char*>(view.data()), view.size(),
                                      release_blob, keep.release()) == 0);
    sent = impl_->send_message(part, i + 1 < frame.parts.size());
  }
  frame.parts.clear();
}

void ZmqDealer::wait(std::int64_t timeout_ms) {
  // zmq_poll() would ask the kernel twice as often.
  SharedMemory::process().tidy(clock_now());
  pollfd items[2] = {{impl_->wake_fd, POLLIN, 0}, {-1, POLLIN, 0}};
  if (impl_->awaited != nullptr) {
    items[1].fd = impl_->awaited->resolver.fd();
  } else if (impl_->socket != nullptr) {
    if (impl_->readable()) return;  // the socket's fd tells only of what comes from now on
    items[1].fd = impl_->socket_fd;
  }
  const auto timeout = static_cast<int>(std::min<std::int64_t>(timeout_ms, INT_MAX));
  ::poll(items, 2, timeout);
  if ((items[0].revents & POLLIN) != 0) {
    std::uint64_t ignored = 0;
    (void)!::read(impl_->wake_fd, &ignored, sizeof ignored);
  }
}

void ZmqDealer::wake() {
  const std::uint64_t one = 1;
  (void)!::write(impl_->wake_fd, &one, sizeof one);
}

}  // namespace callboard::wire
