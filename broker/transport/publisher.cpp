#include "broker/transport/publisher.hpp"

#include "broker/transport/listener.hpp"
#include "common/check.hpp"

#include <zmq.h>

#include <cerrno>

namespace callboard::broker {

namespace {

/// Between the picking of a port and its binding somebody else may take it.
constexpr int kBindTries = 5;

}  // namespace

struct Publisher::Socket {
  void* context = zmq_ctx_new();
  void* raw = nullptr;

  Socket() {
    CALLBOARD_CHECK(context != nullptr);
    raw = zmq_socket(context, ZMQ_PUB);
    CALLBOARD_CHECK(raw != nullptr);
    set(ZMQ_LINGER, 0);
  }
  ~Socket() {
    zmq_close(raw);
    while (zmq_ctx_term(context) != 0 && errno == EINTR) {
    }
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  void set(int option, int value) const {
    CALLBOARD_CHECK(zmq_setsockopt(raw, option, &value, sizeof value) == 0);
  }
  bool send(const std::string& part, int flags) const {
    return zmq_send(raw, part.data(), part.size(), ZMQ_DONTWAIT | flags) >= 0;
  }
};

Publisher::Publisher() : socket_(std::make_unique<Socket>()) {}

Publisher::~Publisher() = default;

std::string Publisher::open(const std::string& endpoint) {
  for (int tries = 0; tries < kBindTries; ++tries) {
    std::string exact;
    {
      // It says what is wrong with an endpoint, and picks a port that was left open.
      Listener probe;
      std::string problem = probe.open(endpoint);
      if (!problem.empty()) return problem;
      exact = probe.endpoint();
    }
    socket_->set(ZMQ_IPV6, exact.starts_with("tcp://[") ? 1 : 0);
    if (zmq_bind(socket_->raw, exact.c_str()) == 0) {
      endpoint_ = exact;
      return {};
    }
    if (errno != EADDRINUSE) break;
  }
  return "cannot listen at " + endpoint + ": " + zmq_strerror(errno);
}

void Publisher::publish(const Announcement& announcement) {
  if (socket_->send(announcement.topic, ZMQ_SNDMORE)) socket_->send(announcement.info, 0);
}

}  // namespace callboard::broker
