#include "common/zmq_dealer.hpp"

#include "common/check.hpp"
#include "common/limits.hpp"

#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

#include <cerrno>
#include <cstring>
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

}  // namespace

struct ZmqDealer::Impl {
  void* context = nullptr;
  void* socket = nullptr;
  int wake_fd = -1;
  Message head;

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
  }
  void close(std::int64_t linger_ms) {
    if (socket == nullptr) return;
    set_option(socket, ZMQ_LINGER, static_cast<int>(linger_ms));
    zmq_close(socket);
    socket = nullptr;
  }
};

ZmqDealer::ZmqDealer() : impl_(std::make_unique<Impl>()) {
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
  impl_->open();
  if (zmq_connect(impl_->socket, endpoint.c_str()) == 0) return true;
  impl_->close(0);
  return false;
}

void ZmqDealer::close(std::int64_t linger_ms) { impl_->close(linger_ms); }

bool ZmqDealer::receive(ArrivedFrame& frame) {
  frame.parts.clear();
  frame.head = {};
  if (impl_->socket == nullptr) return false;
  zmq_msg_t* head = &impl_->head.raw;
  while (zmq_msg_recv(head, impl_->socket, ZMQ_DONTWAIT) < 0) {
    if (errno != EINTR) return false;
  }
  frame.head = impl_->head.view();
  // The parts of one message arrive together: none of these receives waits.
  bool more = zmq_msg_more(head) != 0;
  while (more) {
    auto part = std::make_shared<Message>();
    while (zmq_msg_recv(&part->raw, impl_->socket, 0) < 0) {
      if (errno != EINTR) return false;
    }
    more = zmq_msg_more(&part->raw) != 0;
    const std::string_view view = part->view();
    frame.parts.emplace_back(std::move(part), view);
  }
  return true;
}

void ZmqDealer::send(Frame& frame) {
  if (impl_->socket == nullptr || frame.head.empty()) return;
  const auto send_all = [&](zmq_msg_t* message, bool more) {
    int rc = 0;
    do {
      rc = zmq_msg_send(message, impl_->socket, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0));
    } while (rc < 0 && errno == EINTR);
    if (rc < 0) zmq_msg_close(message);
    return rc >= 0;
  };
  zmq_msg_t head;
  CALLBOARD_CHECK(zmq_msg_init_size(&head, frame.head.size()) == 0);
  std::memcpy(zmq_msg_data(&head), frame.head.data(), frame.head.size());
  bool sent = send_all(&head, !frame.parts.empty());
  for (std::size_t i = 0; sent && i < frame.parts.size(); ++i) {
    auto keep = std::make_unique<Blob>(std::move(frame.parts[i]));
    const std::string_view view = keep->view();
    zmq_msg_t part;
    // ZeroMQ never writes to what it sends.
    CALLBOARD_CHECK(zmq_msg_init_data(&part, const_cast<char*>(view.data()), view.size(),
                                      release_blob, keep.release()) == 0);
    sent = send_all(&part, i + 1 < frame.parts.size());
  }
  frame.parts.clear();
}

void ZmqDealer::wait(std::int64_t timeout_ms) {
  zmq_pollitem_t items[2] = {{nullptr, impl_->wake_fd, ZMQ_POLLIN, 0},
                             {impl_->socket, 0, ZMQ_POLLIN, 0}};
  const int count = impl_->socket == nullptr ? 1 : 2;
  zmq_poll(items, count, static_cast<long>(timeout_ms));
  if ((items[0].revents & ZMQ_POLLIN) != 0) {
    std::uint64_t ignored = 0;
    (void)!::read(impl_->wake_fd, &ignored, sizeof ignored);
  }
}

void ZmqDealer::wake() {
  const std::uint64_t one = 1;
  (void)!::write(impl_->wake_fd, &one, sizeof one);
}

}  // namespace callboard::wire
