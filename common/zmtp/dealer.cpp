#include "common/zmtp/dealer.hpp"

#include "common/busy_poll.hpp"
#include "common/check.hpp"
#include "common/clock.hpp"
#include "common/shared_peer.hpp"
#include "common/zmtp/endpoint.hpp"
#include "common/zmtp/stream.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <map>
#include <optional>
#include <utility>

namespace callboard::zmtp {

namespace {

constexpr std::int64_t kReconnectMs = 20;  ///< first pause before it connects again
constexpr std::int64_t kReconnectMsMax = 500;
/// What its own thread has to wait for no longer than this is worth keeping a processor for.
constexpr std::int64_t kSoonUs = 100;

/// The lookups of one endpoint's host.
struct Lookup {
  Resolver resolver;
  std::size_t used = 0;  ///< how many of its addresses were tried
};

void read_event(int fd) {
  std::uint64_t ignored = 0;
  (void)!::read(fd, &ignored, sizeof ignored);
}

}  // namespace

struct Dealer::Impl {
  int wake_fd = -1;
  Resolver::LookUp look_up;
  std::map<std::string, Lookup> lookups;  ///< by endpoint
  Lookup* awaited = nullptr;              ///< of the endpoint that is wanted
  std::optional<SocketAddress> address;   ///< to connect to; none: no endpoint, or not known yet
  std::vector<SocketAddress> found;       ///< of the host of the endpoint, when it has a name
  std::size_t* used = nullptr;            ///< how many of them were tried
  std::optional<Stream> stream;
  bool connecting = false;                ///< it is not connected yet
  std::int64_t again_us = kNever;         ///< when to try again
  std::int64_t pause_ms = kReconnectMs;
  std::vector<wire::Frame> early;         ///< to be sent when the connection is made
  ReadBuffer buffer;
  bool drained = false;                   ///< nothing to read is there, as far as is known
  BusyPoll busy_poll{kSoonUs};
  wire::SharedPeer shared{SharedMemory::process()};

  void look_up_host(const std::string& endpoint, const Endpoint& named) {
    auto [place, is_new] = lookups.try_emplace(endpoint);
    awaited = &place->second;
    if (is_new && look_up) awaited->resolver = Resolver(look_up);
    if (!awaited->resolver.busy()) awaited->resolver.start(named.host, named.port);
  }
  /// Connects to a host whose address is known by now.
  void take_answer() {
    std::string problem;
    if (awaited == nullptr || !awaited->resolver.collect(found, problem)) return;
    used = &std::exchange(awaited, nullptr)->used;
    if (found.empty()) return early.clear();  // until the owner connects again
    open(next_found());
  }
  const SocketAddress& next_found() { return found[(*used)++ % found.size()]; }

  void open(SocketAddress to) {
    address = std::move(to);
    pause_ms = kReconnectMs;
    begin();
  }
  void begin() {
    again_us = kNever;
    drop_stream();
    const int fd = ::socket(address->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return fail();
    stream.emplace(fd, Role::dealer);
    const bool done = ::connect(fd, address->raw(), address->size()) == 0;
    connecting = !done && errno == EINPROGRESS;
    if (!done && !connecting) return fail();
    if (done) connected();
  }
  void connected() {
    connecting = false;
    if (!stream->flush()) fail();
  }
  /// Tries again after a while, and where nobody answered as a broker does, elsewhere.
  void fail() {
    if (!found.empty() && !(stream && stream->ready())) address = next_found();
    drop_stream();
    again_us = clock_now().mono_us + pause_ms * kMicrosPerMilli;
    pause_ms = std::min(pause_ms * 2, kReconnectMsMax);
  }
  void drop_stream() {
    stream.reset();
    connecting = drained = false;
    buffer.clear();
    shared.forget();
  }
  void drop() {
    awaited = nullptr;
    address.reset();
    found.clear();
    again_us = kNever;
    early.clear();
    drop_stream();
  }

  /// The next message, read if need be.
  bool next() {
    while (stream && !connecting) {
      const bool was_ready = stream->ready();
      const Stream::Next got = stream->next(buffer);
      if (got == Stream::Next::ended) return fail(), false;
      if (!was_ready && stream->ready()) begin_sending();
      if (!stream) return false;
      if (got == Stream::Next::message) return true;
      if (std::exchange(drained, false)) return false;
      switch (stream->read(buffer)) {
        case Stream::Read::full: break;
        case Stream::Read::some: drained = true; break;
        case Stream::Read::nothing: return false;
        case Stream::Read::ended: return fail(), false;
      }
    }
    return false;
  }
  void begin_sending() {
    pause_ms = kReconnectMs;
    std::vector<wire::Frame> frames = std::exchange(early, {});
    for (wire::Frame& frame : frames) send(frame);
  }
  void send(wire::Frame& frame) {
    if (!stream || !stream->ready()) {
      if (address || awaited != nullptr) early.push_back({frame.head, std::move(frame.parts)});
      frame.parts.clear();
      return;
    }
    shared.put_references(frame.parts);
    (void)stream->send(frame.head, frame.parts);  // its end is found by whoever reads
    frame.parts.clear();
  }
  /// True when the frame was about shared memory, and is done with.
  bool hear(std::string_view head) {
    // The broker may be another one than before: it will say so itself if it shares memory.
    if (wire::SharedPeer::begins_with(head, wire::Type::welcome)) shared.forget();
    if (!wire::SharedPeer::is_ours(head)) return false;
    wire::Frame answer;
    if (shared.on_frame(head, answer)) (void)stream->send(answer.head, {});
    return true;
  }
  /// Does what the socket's state asks for.
  void on_socket(int events) {
    if (connecting) {
      int error = 0;
      socklen_t size = sizeof error;
      (void)::getsockopt(stream->fd(), SOL_SOCKET, SO_ERROR, &error, &size);
      if (error != 0) return fail();
      return connected();
    }
    if ((events & POLLOUT) != 0) (void)stream->flush();
    drained = (events & ~POLLOUT) == 0;
  }
};

Dealer::Dealer(Resolver::LookUp look_up) : impl_(std::make_unique<Impl>()) {
  impl_->look_up = std::move(look_up);
  impl_->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  CALLBOARD_CHECK(impl_->wake_fd >= 0);
}

Dealer::~Dealer() { ::close(impl_->wake_fd); }

bool Dealer::is_address(std::string_view endpoint) { return parse_endpoint(endpoint).has_value(); }

bool Dealer::connect(const std::string& endpoint) {
  impl_->drop();
  auto parsed = parse_endpoint(endpoint);
  if (!parsed) return false;
  if (parsed->address) {
    impl_->open(std::move(*parsed->address));
  } else {
    impl_->look_up_host(endpoint, *parsed);
  }
  return true;
}

void Dealer::close(std::int64_t linger_ms) {
  const std::int64_t until_us = clock_now().mono_us + linger_ms * kMicrosPerMilli;
  for (;;) {
    // What is still unread would take what is under way with it.
    ArrivedFrame frame;
    while (receive(frame)) {
    }
    const std::int64_t left_us = until_us - clock_now().mono_us;
    if (!unsent() || left_us <= 0) break;
    wait(millis_up(left_us));
  }
  impl_->drop();
  impl_->lookups.clear();
}

bool Dealer::receive(ArrivedFrame& frame) {
  frame.parts.clear();
  frame.head = {};
  impl_->take_answer();
  do {
    if (!impl_->next()) return false;
  } while (impl_->hear(impl_->stream->head()));
  frame.head = impl_->stream->head();
  impl_->busy_poll.received(frame.head.size());
  frame.parts.swap(impl_->stream->parts());
  if (!impl_->shared.resolve(frame.parts)) {
    // Without its parts the frame cannot be read, which is what whoever reads it makes of it too:
    // it connects anew, and what was lost is told again.
    impl_->shared.failed();
    frame.parts.clear();
  }
  return true;
}

void Dealer::send(wire::Frame& frame) {
  if (!frame.head.empty()) impl_->send(frame);
}

bool Dealer::unsent() const {
  return !impl_->early.empty() || (impl_->stream && impl_->stream->blocked());
}

bool Dealer::settled() const {
  return impl_->stream && impl_->stream->ready() && !impl_->stream->blocked();
}

void Dealer::wait(std::int64_t timeout_ms) {
  Impl& impl = *impl_;
  const Instant now = clock_now();
  SharedMemory::process().tidy(now);
  if (!impl.buffer.empty()) timeout_ms = 0;
  if (impl.again_us != kNever) {
    const std::int64_t left_ms = millis_up(std::max<std::int64_t>(impl.again_us - now.mono_us, 0));
    timeout_ms = timeout_ms < 0 ? left_ms : std::min(timeout_ms, left_ms);
  }
  pollfd items[2] = {{impl.wake_fd, POLLIN, 0}, {-1, POLLIN, 0}};
  if (impl.awaited != nullptr) {
    items[1].fd = impl.awaited->resolver.fd();
  } else if (impl.stream) {
    items[1].fd = impl.stream->fd();
    if (impl.connecting || impl.stream->blocked()) items[1].events |= POLLOUT;
  }
  const auto timeout = static_cast<int>(std::min<std::int64_t>(timeout_ms, INT_MAX));
  const int ready = impl.busy_poll.poll(items, timeout);
  if (ready > 0 && (items[0].revents & POLLIN) != 0) read_event(impl.wake_fd);
  if (impl.awaited == nullptr && impl.stream && ready >= 0) {
    if (items[1].revents != 0 || !impl.connecting) impl.on_socket(items[1].revents);
  }
  if (impl.again_us != kNever && clock_now().mono_us >= impl.again_us) impl.begin();
}

void Dealer::wake() {
  const std::uint64_t one = 1;
  (void)!::write(impl_->wake_fd, &one, sizeof one);
}

}  // namespace callboard::zmtp
