// Who has the turns of a connection. The other end never says a word: turns are taken all the same.
#include "client/connection.hpp"
#include "common/clock.hpp"

#include <gtest/gtest.h>

#include <unistd.h>
#include <zmq.h>

#include <array>
#include <atomic>
#include <chrono>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

namespace callboard::client {
namespace {

using namespace std::chrono_literals;

/// Lends its turns whenever it is asked to write, and notes who took them.
class Lender final : public wire::LinkMember {
 public:
  explicit Lender(Connection& connection) : connection_(connection) {
    connection.add(*this, wire::Side::worker);
  }

  void on_tick(Instant, bool, wire::LinkOut&) override {
    if (std::this_thread::get_id() == driver.load()) {
      ++driven;
    } else {
      own_thread = ::gettid();
      ++own;
      if (connection_.left_alone()) ++left_alone;
    }
    if (connection_.in_own_thread()) ++in_own_thread;
    connection_.lend(lends, lends && leaves);
  }
  void fill_hello(wire::Hello&) override {}
  void on_welcome(Instant, const wire::Welcome&, bool, wire::LinkOut&) override {}
  bool on_message(Instant, std::uint64_t, std::uint32_t, wire::FrameReader&,
                  wire::LinkOut&) override {
    return true;
  }
  std::int64_t next_deadline_us() const override { return kNever; }
  void on_disconnected(Instant) override {}
  void on_session_unknown(Instant, bool) override {}
  void on_ended(Instant, const wire::Goodbye&) override {}

  std::atomic<bool> lends{true};
  std::atomic<bool> leaves{true};
  std::atomic<std::thread::id> driver{};
  std::atomic<int> driven{0};
  std::atomic<int> own{0};
  std::atomic<pid_t> own_thread{0};
  std::atomic<int> left_alone{0};
  std::atomic<int> in_own_thread{0};

 private:
  Connection& connection_;
};

/// Somebody who listens and does not answer.
class SilentBroker {
 public:
  explicit SilentBroker(const std::string& endpoint)
      : context_(zmq_ctx_new()), socket_(zmq_socket(context_, ZMQ_ROUTER)) {
    EXPECT_EQ(zmq_bind(socket_, endpoint.c_str()), 0);
  }
  ~SilentBroker() {
    zmq_close(socket_);
    zmq_ctx_term(context_);
  }
  SilentBroker(const SilentBroker&) = delete;
  SilentBroker& operator=(const SilentBroker&) = delete;

  std::string endpoint() const {
    std::array<char, 200> text{};
    std::size_t size = text.size();
    EXPECT_EQ(zmq_getsockopt(socket_, ZMQ_LAST_ENDPOINT, text.data(), &size), 0);
    return text.data();
  }
  /// Somebody said something.
  bool hears() const {
    const int timeout_ms = 10'000;
    zmq_setsockopt(socket_, ZMQ_RCVTIMEO, &timeout_ms, sizeof timeout_ms);
    std::array<char, 1000> bytes{};
    return zmq_recv(socket_, bytes.data(), bytes.size(), 0) >= 0;
  }

 private:
  void* context_;
  void* socket_;
};

class ConnectionTurns : public ::testing::Test {
 protected:
  ConnectionTurns() : connection_(options(broker_)), member_(connection_) {}
  ~ConnectionTurns() override {
    connection_.stop();
    connection_.join();
  }
  static ConnectionOptions options(const SilentBroker& broker) {
    ConnectionOptions options;
    options.endpoints = {broker.endpoint()};
    return options;
  }
  static bool eventually(const std::function<bool()>& holds) {
    const auto until = std::chrono::steady_clock::now() + 30s;
    while (!holds()) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::sleep_for(100us);
    }
    return true;
  }

  /// How often a thread of this process has gone to sleep; -1 when it is not known.
  static long sleeps_of(pid_t thread) {
    std::ifstream status("/proc/self/task/" + std::to_string(thread) + "/status");
    for (std::string line; std::getline(status, line);) {
      const std::string name = "voluntary_ctxt_switches:";
      if (line.starts_with(name)) return std::stol(line.substr(name.size()));
    }
    return -1;
  }

  SilentBroker broker_{"ipc://@callboard-silent-" + std::to_string(getpid())};
  Connection connection_;
  Lender member_;
};

TEST_F(ConnectionTurns, AConnectionIsMadeBeforeItsTurnsAreLeft) {
  const SilentBroker far("tcp://127.0.0.1:*");  // which is not connected to at once
  Connection connection(options(far));
  const Lender lender(connection);
  connection.start();
  EXPECT_TRUE(far.hears());
  connection.stop();
  connection.join();
}

TEST_F(ConnectionTurns, WhoeverDrivesTakesTheTurnsThatWereLeft) {
  connection_.start();
  member_.driver = std::this_thread::get_id();
  EXPECT_TRUE(eventually([&] {
    connection_.drive([&] { return member_.driven >= 2; }, clock_now().mono_us + 1'000'000);
    return member_.driven > 0;
  }));
  EXPECT_EQ(member_.in_own_thread, member_.own + member_.driven)
      << "whoever has the turns stands in for the connection's thread";
}

TEST_F(ConnectionTurns, WhoeverDrivesIsWokenByAWakeUp) {
  connection_.start();
  member_.driver = std::this_thread::get_id();
  std::atomic<bool> over{false};
  std::thread other([&] {
    EXPECT_TRUE(eventually([&] { return member_.driven > 0; }));
    over = true;
    connection_.wake();
  });
  EXPECT_TRUE(eventually([&] {
    connection_.drive([&] { return over.load(); }, kNever);
    return over.load();
  }));
  other.join();
}

TEST_F(ConnectionTurns, TheOwnThreadSleepsWhileOneThreadDrivesAndComesBackAfterIt) {
  member_.driver = std::this_thread::get_id();
  connection_.start();
  ASSERT_TRUE(eventually([&] {
    connection_.drive([&] { return true; }, kNever);
    return member_.driven > 0;
  }));
  const long before = sleeps_of(member_.own_thread);
  ASSERT_GE(before, 0);
  const std::int64_t until_us = clock_now().mono_us + 200'000;
  while (clock_now().mono_us < until_us) connection_.drive([] { return false; }, until_us);
  EXPECT_LT(sleeps_of(member_.own_thread) - before, 40) << "it looked every millisecond";
  const int own = member_.own;
  EXPECT_TRUE(eventually([&] { return member_.own > own; })) << "what gathers now is its business";
}

TEST_F(ConnectionTurns, TheOwnThreadLooksNowAndThenWhileOthersHaveTheTurns) {
  std::atomic<int> looks{0};
  connection_.while_left([&] { ++looks; });
  connection_.start();
  member_.driver = std::this_thread::get_id();
  EXPECT_TRUE(eventually([&] {
    connection_.drive([&] { return looks >= 3; }, clock_now().mono_us + 20'000);
    return looks >= 3;
  }));
  connection_.stop();
  connection_.join();  // it uses `looks`
}

TEST_F(ConnectionTurns, TurnsThatNobodyComesForAreTakenBackAtOnce) {
  connection_.expect_others([] { return false; });
  connection_.start();
  EXPECT_TRUE(eventually([&] { return member_.own >= 20; })) << "nobody wakes it";
  for (int i = 1; i <= 20; ++i) {  // each wake-up finds somebody
    const int before = member_.own;
    connection_.wake();
    EXPECT_TRUE(eventually([&] { return member_.own > before; }));
  }
  EXPECT_EQ(member_.left_alone, 0) << "they were taken back before they were alone";
}

TEST_F(ConnectionTurns, TurnsThatWereToBeTakenAndAreNotAreTakenBack) {
  connection_.expect_others([] { return true; });
  connection_.start();
  EXPECT_TRUE(eventually([&] { return member_.left_alone > 0; }));
  member_.lends = false;
  EXPECT_TRUE(eventually([&] {
    connection_.wake();
    return !member_.lends && member_.own > 1;
  }));
}

TEST_F(ConnectionTurns, NothingWaitsForAThreadThatDrivesWhenTheConnectionStops) {
  connection_.start();
  member_.driver = std::this_thread::get_id();
  std::thread other([&] {
    EXPECT_TRUE(eventually([&] { return member_.driven > 0; }));
    connection_.stop();
  });
  EXPECT_TRUE(eventually([&] {
    connection_.drive([] { return false; }, kNever);
    return member_.driven > 0;
  }));
  other.join();
  connection_.join();
}

}  // namespace
}  // namespace callboard::client
