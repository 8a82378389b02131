// A router, and the other ends of its connections.
#pragma once

#include "broker/transport/router.hpp"
#include "common/zmtp/endpoint.hpp"
#include "common/zmtp/greeting.hpp"
#include "tests/unit/zmq_parts.hpp"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace callboard::broker {

/// The other end: a DEALER, as clients and workers have it.
class Dealer {
 public:
  explicit Dealer(const std::string& endpoint, int receive_max = 1000, std::string identity = {},
                  int linger_ms = 0) {
    socket_ = zmq_socket(context_, ZMQ_DEALER);
    const int timeout_ms = 5000;
    zmq_setsockopt(socket_, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    zmq_setsockopt(socket_, ZMQ_RCVHWM, &receive_max, sizeof receive_max);
    zmq_setsockopt(socket_, ZMQ_RCVTIMEO, &timeout_ms, sizeof timeout_ms);
    if (!identity.empty()) {
      zmq_setsockopt(socket_, ZMQ_ROUTING_ID, identity.data(), identity.size());
    }
    EXPECT_EQ(zmq_connect(socket_, endpoint.c_str()), 0);
  }
  ~Dealer() {
    zmq_close(socket_);
    zmq_ctx_term(context_);
  }
  Dealer(const Dealer&) = delete;
  Dealer& operator=(const Dealer&) = delete;

  void send(const std::vector<std::string>& parts) {
    send_parts(socket_, parts);
  }
  /// The parts of the next message; none when none comes.
  std::vector<std::string> receive() {
    return receive_parts(socket_, 0);
  }
  /// Takes all that is there.
  void read_all() {
    char bytes[64];
    while (zmq_recv(socket_, bytes, sizeof bytes, ZMQ_DONTWAIT) >= 0) {
    }
  }

 private:
  void* context_ = zmq_ctx_new();
  void* socket_ = nullptr;
};

/// The bare other end of a connection, which says and reads what it likes.
class BarePeer {
 public:
  explicit BarePeer(const std::string& abstract_name) {
    const auto address = zmtp::path_address(abstract_name);
    EXPECT_EQ(::connect(fd_, address->raw(), address->size()), 0);
  }
  ~BarePeer() { ::close(fd_); }
  BarePeer(const BarePeer&) = delete;
  BarePeer& operator=(const BarePeer&) = delete;

  int fd() const { return fd_; }
  /// How many bytes of it were taken; waits for room. Negative: the connection has ended.
  ssize_t say(std::string_view bytes) const {
    return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  void introduce() const { EXPECT_GT(say(zmtp::greeting() + zmtp::ready("DEALER")), 0); }
  /// How often it was asked for a sign of life since the last time.
  int pings() {
    char bytes[4096];
    for (ssize_t got = 0; (got = ::recv(fd_, bytes, sizeof bytes, MSG_DONTWAIT)) > 0;) {
      heard_.append(bytes, static_cast<std::size_t>(got));
    }
    int count = 0;
    for (std::size_t at = 0; (at = heard_.find("PING")) != std::string::npos; ++count) {
      heard_.erase(0, at + 4);
    }
    return count;
  }

 private:
  int fd_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  std::string heard_;
};

class RouterTest : public ::testing::Test {
 protected:
  struct Arrived {
    PeerId peer{};
    std::string head;
    std::vector<Blob> parts;
  };

  void open(RouterOptions options = {}) {
    if (options.endpoints.empty()) options.endpoints = {"tcp://127.0.0.1:0"};
    ASSERT_EQ(router_.open(options), "");
  }
  std::string endpoint() const { return router_.endpoints().front(); }

  Router::Portion receive(std::size_t frames_max = 100, std::size_t bytes_max = SIZE_MAX) {
    return router_.receive(
        frames_max, bytes_max,
        [this](PeerId peer, const wire::FrameView& frame) {
          arrived_.push_back(
              {peer, std::string(frame.head), {frame.parts.begin(), frame.parts.end()}});
        },
        [this](PeerId peer) { lost_.push_back(peer); });
  }
  /// Waits for what a test expects; it fails by itself when that never comes.
  template <class Done>
  bool receive_until(const Done& done) {
    for (int turns = 0; turns < 500; ++turns) {
      receive();
      if (done()) return true;
      router_.wait({}, 10);
    }
    return false;
  }
  bool receive_frames(std::size_t count) {
    return receive_until([&] { return arrived_.size() >= count; });
  }
  void send(PeerId to, std::string head, std::vector<Blob> parts = {}) {
    wire::Frame frame{std::move(head), std::move(parts)};
    router_.send(to, frame, lost_);
  }

  Router router_;
  std::vector<Arrived> arrived_;
  std::vector<PeerId> lost_;
};

}  // namespace callboard::broker
