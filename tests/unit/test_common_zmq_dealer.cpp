// A connection to a host whose name takes its time to look up.
#include "common/zmq_dealer.hpp"

#include <gtest/gtest.h>
#include <zmq.h>

#include <arpa/inet.h>

#include <atomic>
#include <future>
#include <string>
#include <vector>

namespace callboard::wire {
namespace {

/// A ROUTER at the other end.
class Listener {
 public:
  Listener() : context_(zmq_ctx_new()), socket_(zmq_socket(context_, ZMQ_ROUTER)) {
    const int timeout_ms = 10'000;
    zmq_setsockopt(socket_, ZMQ_RCVTIMEO, &timeout_ms, sizeof timeout_ms);
    for (int port = 20'000; port_ == 0 && port < 32'000; ++port) {
      if (zmq_bind(socket_, ("tcp://127.0.0.1:" + std::to_string(port)).c_str()) == 0) port_ = port;
    }
  }
  ~Listener() {
    zmq_close(socket_);
    zmq_ctx_term(context_);
  }
  std::uint16_t port() const { return static_cast<std::uint16_t>(port_); }
  std::string endpoint() const { return "tcp://broker:" + std::to_string(port_); }
  std::string receive() {
    char bytes[64];
    if (zmq_recv(socket_, bytes, sizeof bytes, 0) < 0) return "nothing";
    const int size = zmq_recv(socket_, bytes, sizeof bytes, 0);
    return size < 0 ? "nothing" : std::string(bytes, static_cast<std::size_t>(size));
  }

 private:
  void* context_;
  void* socket_;
  int port_ = 0;
};

SocketAddress loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return {AF_INET, std::string(reinterpret_cast<const char*>(&address), sizeof address)};
}

/// One turn of a loop, as a connection takes it.
void turn(ZmqDealer& dealer, std::int64_t timeout_ms = 10'000) {
  ArrivedFrame frame;
  dealer.wait(timeout_ms);
  dealer.receive(frame);
}

void say(ZmqDealer& dealer, std::string text) {
  Frame frame;
  frame.head = std::move(text);
  dealer.send(frame);
}

TEST(ZmqDealer, LookupGoesOnThroughAllTriesAndItsLateAnswerIsUsed) {
  Listener listener;
  std::promise<void> go_on;
  std::atomic<int> lookups{0};
  ZmqDealer dealer([&, gate = go_on.get_future().share()](
                       const std::string&, std::uint16_t port, std::vector<SocketAddress>& found) {
    ++lookups;
    gate.wait();
    found.push_back(loopback(port));
    return std::string();
  });
  for (const char* hello : {"first", "second", "third"}) {
    ASSERT_TRUE(dealer.connect(listener.endpoint()));
    say(dealer, hello);
    turn(dealer, 1);
  }
  go_on.set_value();
  turn(dealer);
  EXPECT_EQ(listener.receive(), "third");
  EXPECT_EQ(lookups, 1);
  say(dealer, "more");
  EXPECT_EQ(listener.receive(), "more");
}

TEST(ZmqDealer, LookupOfOneHostDoesNotHoldUpAnother) {
  Listener listener;
  std::promise<void> go_on;
  ZmqDealer dealer([gate = go_on.get_future().share()](
                       const std::string&, std::uint16_t, std::vector<SocketAddress>&) {
    gate.wait();
    return std::string("nobody knows it");
  });
  ASSERT_TRUE(dealer.connect("tcp://silent:7700"));
  say(dealer, "to the first");
  ASSERT_TRUE(dealer.connect("tcp://127.0.0.1:" + std::to_string(listener.port())));
  say(dealer, "to the second");
  EXPECT_EQ(listener.receive(), "to the second");
  go_on.set_value();
}

TEST(ZmqDealer, EveryNewConnectionLooksUpAgainAndTakesTheNextAddress) {
  Listener listener;
  std::atomic<int> lookups{0};
  ZmqDealer dealer([&](const std::string&, std::uint16_t port, std::vector<SocketAddress>& found) {
    ++lookups;
    found = {loopback(1), loopback(port)};  // nobody listens at the first
    return std::string();
  });
  ASSERT_TRUE(dealer.connect(listener.endpoint()));
  turn(dealer);
  ASSERT_TRUE(dealer.connect(listener.endpoint()));
  say(dealer, "hello");
  turn(dealer);
  EXPECT_EQ(listener.receive(), "hello");
  EXPECT_EQ(lookups, 2);
}

TEST(ZmqDealer, HostThatNobodyKnowsIsLookedUpAgainAtTheNextTry) {
  Listener listener;
  std::atomic<int> lookups{0};
  ZmqDealer dealer([&](const std::string&, std::uint16_t port, std::vector<SocketAddress>& found) {
    if (++lookups == 1) return std::string("unknown");
    found.push_back(loopback(port));
    return std::string();
  });
  ASSERT_TRUE(dealer.connect(listener.endpoint()));
  turn(dealer);
  say(dealer, "lost");
  ASSERT_TRUE(dealer.connect(listener.endpoint()));
  say(dealer, "hello");
  turn(dealer);
  EXPECT_EQ(listener.receive(), "hello");
}

TEST(ZmqDealer, WhatIsNoAddressIsSaidAtOnce) {
  ZmqDealer dealer;
  for (const char* endpoint : {"", "broker:7700", "tcp://broker", "tcp://broker:", "tcp://:7700",
                               "tcp://broker:0", "tcp://broker:70000", "tcp://bro ker:7700"}) {
    EXPECT_FALSE(dealer.connect(endpoint)) << endpoint;
  }
}

}  // namespace
}  // namespace callboard::wire
