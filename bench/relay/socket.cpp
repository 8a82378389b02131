#include "bench/relay/socket.hpp"

#include <stdexcept>

namespace bench {

namespace {

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what + ": " + ::zmq_strerror(::zmq_errno()));
}

/// A received part, closed when it goes.
struct Part {
  Part() { ::zmq_msg_init(&message); }
  ~Part() { ::zmq_msg_close(&message); }
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;
  std::string_view view() {
    return {static_cast<const char*>(::zmq_msg_data(&message)), ::zmq_msg_size(&message)};
  }
  zmq_msg_t message;
};

}  // namespace

Socket::Socket(void* context, int type, const std::string& endpoint, bool bind)
    : socket_(::zmq_socket(context, type)), router_(type == ZMQ_ROUTER) {
  const int none = 0;
  for (const int option : {ZMQ_LINGER, ZMQ_SNDHWM, ZMQ_RCVHWM}) {
    ::zmq_setsockopt(socket_, option, &none, sizeof none);
  }
  const int status = bind ? ::zmq_bind(socket_, endpoint.c_str())
                          : ::zmq_connect(socket_, endpoint.c_str());
  if (status != 0) fail(endpoint);
}

bool Socket::drain(
    const std::function<void(std::string_view peer, std::string_view frame)>& take) {
  bool any = false;
  for (;;) {
    Part first;
    if (::zmq_msg_recv(&first.message, socket_, ZMQ_DONTWAIT) < 0) return any;
    any = true;
    if (!router_) {
      take({}, first.view());
      continue;
    }
    Part frame;
    if (::zmq_msg_recv(&frame.message, socket_, 0) < 0) fail("receive");
    take(first.view(), frame.view());
  }
}

void Socket::send(std::string_view peer, std::string_view frame) {
  if (router_ && ::zmq_send(socket_, peer.data(), peer.size(), ZMQ_SNDMORE) < 0) fail("send");
  if (::zmq_send(socket_, frame.data(), frame.size(), 0) < 0) fail("send");
}

void Socket::send_all(std::string_view peer, std::string& messages, std::size_t frame_bytes) {
  for (std::size_t at = 0; at < messages.size(); at += frame_bytes) {
    send(peer, std::string_view(messages).substr(at, frame_bytes));
  }
  messages.clear();
}

int Socket::descriptor() const {
  int descriptor = -1;
  std::size_t bytes = sizeof descriptor;
  ::zmq_getsockopt(socket_, ZMQ_FD, &descriptor, &bytes);
  return descriptor;
}

}  // namespace bench
