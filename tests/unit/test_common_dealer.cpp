// A DEALER of ours and a ROUTER of ZeroMQ's library: connections made, lost and made again.
#include "common/zmtp/dealer.hpp"
#include "tests/unit/zmq_parts.hpp"

#include "common/zmtp/endpoint.hpp"
#include "common/zmtp/greeting.hpp"

#include <gtest/gtest.h>
#include <zmq.h>

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace callboard::zmtp {
namespace {

using wire::Frame;

/// A ROUTER at the other end.
class Listener {
 public:
  Listener() : context_(zmq_ctx_new()) {
    for (int port = 20'000; port_ == 0 && port < 32'000; ++port) {
      if (open("tcp://127.0.0.1:" + std::to_string(port))) port_ = port;
    }
  }
  explicit Listener(const std::string& endpoint) : context_(zmq_ctx_new()) {
    EXPECT_TRUE(open(endpoint)) << endpoint;
  }
  ~Listener() {
    zmq_close(socket_);
    zmq_ctx_term(context_);
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  std::uint16_t port() const { return static_cast<std::uint16_t>(port_); }
  std::string endpoint() const { return "tcp://broker:" + std::to_string(port_); }
  std::string numeric_endpoint() const { return "tcp://127.0.0.1:" + std::to_string(port_); }
  /// The parts of the next message, while the dealer takes its turns; none when none comes.
  std::vector<std::string> receive(Dealer& dealer) {
    for (int turns = 0; turns < 1000; ++turns) {
      std::vector<std::string> parts = take();
      if (!parts.empty()) return parts;
      turn(dealer, 10);
    }
    return {};
  }
  /// To whoever spoke last.
  void send(const std::vector<std::string>& parts) {
    EXPECT_GE(zmq_send(socket_, peer_.data(), peer_.size(), ZMQ_SNDMORE), 0);
    send_parts(socket_, parts);
  }

  /// One turn of a loop, as a connection takes it.
  static void turn(Dealer& dealer, std::int64_t timeout_ms) {
    ArrivedFrame frame;
    dealer.wait(timeout_ms);
    dealer.receive(frame);
  }

 private:
  bool open(const std::string& endpoint) {
    socket_ = zmq_socket(context_, ZMQ_ROUTER);
    const int none = 0;
    zmq_setsockopt(socket_, ZMQ_LINGER, &none, sizeof none);
    if (zmq_bind(socket_, endpoint.c_str()) == 0) return true;
    zmq_close(socket_);
    return false;
  }
  std::vector<std::string> take() {
    std::vector<std::string> parts = receive_parts(socket_, ZMQ_DONTWAIT);
    if (parts.empty()) return parts;
    peer_ = parts.front();
    parts.erase(parts.begin());
    return parts;
  }

  void* context_;
  void* socket_ = nullptr;
  int port_ = 0;
  std::string peer_;
};

SocketAddress loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return {AF_INET, std::string(reinterpret_cast<const char*>(&address), sizeof address)};
}

void turn(Dealer& dealer, std::int64_t timeout_ms = 10'000) {
  Listener::turn(dealer, timeout_ms);
}

void say(Dealer& dealer, std::string text, std::vector<Blob> parts = {}) {
  Frame frame{std::move(text), std::move(parts)};
  dealer.send(frame);
}

using Parts = std::vector<std::string>;

/// The next frame, while the dealer takes its turns.
std::optional<Parts> hear(Dealer& dealer) {
  ArrivedFrame frame;
  for (int turns = 0; turns < 1000; ++turns) {
    if (dealer.receive(frame)) {
      Parts parts{std::string(frame.head)};
      for (const Blob& part : frame.parts) parts.emplace_back(part.view());
      return parts;
    }
    dealer.wait(10);
  }
  return {};
}

TEST(Dealer, LookupGoesOnThroughAllTriesAndItsLateAnswerIsUsed) {
  Listener listener;
  std::promise<void> go_on;
  std::atomic<int> lookups{0};
  Dealer dealer([&, gate = go_on.get_future().share()](
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
  EXPECT_EQ(listener.receive(dealer), Parts{"third"});
  EXPECT_EQ(lookups, 1);
  say(dealer, "more");
  EXPECT_EQ(listener.receive(dealer), Parts{"more"});
}

TEST(Dealer, LookupOfOneHostDoesNotHoldUpAnother) {
  Listener listener;
  std::promise<void> go_on;
  Dealer dealer([gate = go_on.get_future().share()](
                       const std::string&, std::uint16_t, std::vector<SocketAddress>&) {
    gate.wait();
    return std::string("nobody knows it");
  });
  ASSERT_TRUE(dealer.connect("tcp://silent:7700"));
  say(dealer, "to the first");
  ASSERT_TRUE(dealer.connect("tcp://127.0.0.1:" + std::to_string(listener.port())));
  say(dealer, "to the second");
  EXPECT_EQ(listener.receive(dealer), Parts{"to the second"});
  go_on.set_value();
}

TEST(Dealer, EveryNewConnectionLooksUpAgainAndTakesTheNextAddress) {
  Listener listener;
  std::atomic<int> lookups{0};
  Dealer dealer([&](const std::string&, std::uint16_t port, std::vector<SocketAddress>& found) {
    ++lookups;
    found = {loopback(1), loopback(port)};  // nobody listens at the first
    return std::string();
  });
  ASSERT_TRUE(dealer.connect(listener.endpoint()));
  turn(dealer);
  ASSERT_TRUE(dealer.connect(listener.endpoint()));
  say(dealer, "hello");
  EXPECT_EQ(listener.receive(dealer), Parts{"hello"});
  EXPECT_EQ(lookups, 2);
}

TEST(Dealer, AddressThatRefusesIsFollowedByTheNextOneWithoutItsOwner) {
  Listener listener;
  Dealer dealer([&](const std::string&, std::uint16_t port, std::vector<SocketAddress>& found) {
    found = {loopback(1), loopback(2), loopback(port)};  // nobody listens at the first two
    return std::string();
  });
  ASSERT_TRUE(dealer.connect(listener.endpoint()));
  say(dealer, "hello");
  EXPECT_EQ(listener.receive(dealer), Parts{"hello"});
}

TEST(Dealer, HostThatNobodyKnowsIsLookedUpAgainAtTheNextTry) {
  Listener listener;
  std::atomic<int> lookups{0};
  Dealer dealer([&](const std::string&, std::uint16_t port, std::vector<SocketAddress>& found) {
    if (++lookups == 1) return std::string("unknown");
    found.push_back(loopback(port));
    return std::string();
  });
  ASSERT_TRUE(dealer.connect(listener.endpoint()));
  turn(dealer);
  say(dealer, "lost");
  ASSERT_TRUE(dealer.connect(listener.endpoint()));
  say(dealer, "hello");
  EXPECT_EQ(listener.receive(dealer), Parts{"hello"});
}

TEST(Dealer, WhatIsNoAddressIsSaidAtOnce) {
  Dealer dealer;
  for (const char* endpoint :
       {"", "broker:7700", "tcp://broker", "tcp://broker:", "tcp://:7700", "tcp://broker:0",
        "tcp://broker:70000", "tcp://bro ker:7700", "ipc://", "ipc://@", "udp://127.0.0.1:7700"}) {
    EXPECT_FALSE(dealer.connect(endpoint)) << endpoint;
    EXPECT_FALSE(Dealer::is_address(endpoint)) << endpoint;
  }
  EXPECT_FALSE(dealer.connect("ipc:///" + std::string(200, 'x')));
  for (const char* endpoint : {"tcp://broker:7700", "tcp://127.0.0.1:7700", "tcp://[::1]:7700",
                               "ipc:///run/callboard.sock", "ipc://@callboard"}) {
    EXPECT_TRUE(Dealer::is_address(endpoint)) << endpoint;
  }
}

TEST(Dealer, FramesOfEverySizePassBothWays) {
  Listener listener;
  Dealer dealer;
  ASSERT_TRUE(dealer.connect(listener.numeric_endpoint()));
  for (const std::size_t bytes : {1u, 255u, 256u, 65'535u, 65'536u, 300'000u, 20'000'000u}) {
    const std::string head(bytes, 'h');
    const std::string part(bytes, 'p');
    say(dealer, head, {Blob(part), Blob(std::string())});
    EXPECT_TRUE(listener.receive(dealer) == (Parts{head, part, ""})) << bytes;
    listener.send({part, head, ""});
    const auto heard = hear(dealer);
    EXPECT_TRUE(heard == (Parts{part, head, ""})) << bytes;
  }
}

TEST(Dealer, AbstractAndPathSocketsAreAddresses) {
  const std::string name = "callboard-dealer-" + std::to_string(getpid());
  const std::string path = ::testing::TempDir() + name;
  for (const std::string& endpoint : {"ipc://" + path, "ipc://@" + name}) {
    Listener listener(endpoint);
    Dealer dealer;
    ASSERT_TRUE(dealer.connect(endpoint));
    say(dealer, "hello");
    EXPECT_EQ(listener.receive(dealer), Parts{"hello"});
    listener.send({"welcome"});
    EXPECT_EQ(hear(dealer), Parts{"welcome"});
  }
  unlink(path.c_str());
}

TEST(Dealer, ConnectsAsSoonAsSomebodyListensAndAgainAfterALoss) {
  const std::string endpoint = "ipc://@callboard-again-" + std::to_string(getpid());
  Dealer dealer;
  ASSERT_TRUE(dealer.connect(endpoint));
  say(dealer, "before anybody listened");
  for (int i = 0; i < 3; ++i) turn(dealer, 5);
  EXPECT_TRUE(dealer.unsent());
  EXPECT_FALSE(dealer.settled());
  {
    Listener listener(endpoint);
    EXPECT_EQ(listener.receive(dealer), Parts{"before anybody listened"});
    EXPECT_FALSE(dealer.unsent());
    EXPECT_TRUE(dealer.settled());
  }
  for (int i = 0; i < 1000 && dealer.settled(); ++i) turn(dealer, 10);
  EXPECT_FALSE(dealer.settled());
  say(dealer, "again");  // what went to the old connection would be lost
  Listener listener(endpoint);
  EXPECT_EQ(listener.receive(dealer), Parts{"again"});
}

TEST(Dealer, ConnectsAnewWhenItsBrokerOnlyStoppedReading) {
  const std::string name = "@callboard-deaf-broker-" + std::to_string(getpid());
  const auto address = path_address(name);
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(::bind(listener, address->raw(), address->size()), 0);
  ASSERT_EQ(::listen(listener, 10), 0);
  Dealer dealer;
  ASSERT_TRUE(dealer.connect("ipc://" + name));
  say(dealer, "nobody will read it");
  const int broker = ::accept(listener, nullptr, nullptr);
  const std::string words = greeting() + ready("ROUTER") + std::string("\0\7goodbye", 9);
  ASSERT_EQ(::write(broker, words.data(), words.size()), static_cast<ssize_t>(words.size()));
  ASSERT_EQ(::shutdown(broker, SHUT_RD), 0);
  EXPECT_EQ(hear(dealer), Parts{"goodbye"});  // what came before the end is heard
  pollfd again{listener, POLLIN, 0};
  for (int turns = 0; turns < 100 && ::poll(&again, 1, 0) == 0; ++turns) turn(dealer, 10);
  EXPECT_EQ(again.revents, POLLIN);
  ::close(broker);
  ::close(listener);
}

TEST(Dealer, CloseWaitsForWhatIsUnsent) {
  const std::string endpoint = "ipc://@callboard-linger-" + std::to_string(getpid());
  const std::string large(10'000'000, 'l');
  Listener listener(endpoint);
  Dealer other;  // whose turns are taken while the listener waits
  Dealer dealer;
  ASSERT_TRUE(dealer.connect(endpoint));
  say(dealer, "goodbye", {Blob(large)});
  std::thread closing([&] { dealer.close(10'000); });
  EXPECT_TRUE(listener.receive(other) == (Parts{"goodbye", large}));
  closing.join();
}

TEST(Dealer, CloseGivesUpOnAPeerThatNeverAnswers) {
  Dealer dealer;
  ASSERT_TRUE(dealer.connect("ipc://@callboard-nobody-" + std::to_string(getpid())));
  say(dealer, "into the void");
  dealer.close(20);
  EXPECT_FALSE(dealer.unsent());
}

TEST(Dealer, WakeEndsTheNextWaitAndFramesAreFoundWithoutOne) {
  Listener listener;
  Dealer dealer;
  ASSERT_TRUE(dealer.connect(listener.numeric_endpoint()));
  say(dealer, "hello");
  ASSERT_EQ(listener.receive(dealer), Parts{"hello"});
  dealer.wake();
  dealer.wait(-1);
  listener.send({"one"});
  listener.send({"two"});
  // Its owner may be too busy to wait at all.
  ArrivedFrame frame;
  std::vector<std::string> heard;
  for (int i = 0; i < 100'000'000 && heard.size() < 2; ++i) {
    if (dealer.receive(frame)) heard.emplace_back(frame.head);
  }
  EXPECT_EQ(heard, (Parts{"one", "two"}));
}

}  // namespace
}  // namespace callboard::zmtp
