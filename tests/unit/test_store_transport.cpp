// A router that sends everything back, and dealers of ours and of ZeroMQ's library that talk to it,
// all in random order, which is the same each time.
#include "broker/transport/router.hpp"
#include "common/zmtp/dealer.hpp"
#include "tests/unit/zmq_parts.hpp"

#include <gtest/gtest.h>
#include <unistd.h>
#include <zmq.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace callboard::broker {
namespace {

constexpr std::size_t kSteps = 4'000;
constexpr std::uint32_t kUnheardMax = 40;

using Random = std::mt19937;
using Parts = std::vector<std::string>;

std::string bytes_of(Random& random) {
  constexpr std::array<std::size_t, 4> kLeast = {0, 1, 250, 4'000};
  constexpr std::array<std::size_t, 4> kMore = {1, 20, 10, 2'000};
  // Few are as big as a buffer, and fewer are bigger than what a socket holds.
  const std::size_t kind = random() % 60;
  std::size_t size = kLeast[kind % 4] + random() % kMore[kind % 4];
  if (kind >= 56) size = 65'500 + random() % 100;
  if (kind == 59) size = random() % 400'000;
  return std::string(size, static_cast<char>(random()));
}

/// What a dealer says on one connection, by number: both ends know it.
Parts saying(std::uint32_t dealer, std::uint32_t connection, std::uint32_t number) {
  std::seed_seq seed{dealer, connection, number};
  Random random(seed);
  Parts parts{std::to_string(dealer) + " " + std::to_string(connection) + " " +
              std::to_string(number) + " " + bytes_of(random)};
  const std::size_t count = random() % 100 == 0 ? 50 : random() % 4;
  for (std::size_t i = 0; i < count; ++i) parts.push_back(bytes_of(random));
  return parts;
}

class Talker {
 public:
  explicit Talker(std::uint32_t number) : number_(number) {}
  virtual ~Talker() = default;
  virtual void say(const Parts& parts) = 0;
  /// The next message; none when none is there.
  virtual Parts hear() = 0;
  virtual bool connect_again() { return false; }
  /// Does what is to be done from time to time.
  virtual void look_after() {}

  void say_next() {
    if (unheard_ == kUnheardMax) return;
    ++unheard_;
    say(saying(number_, connection_, said_++));
  }
  bool hear_next(bool may_miss_some) {
    const Parts parts = hear();
    if (parts.empty()) return false;
    std::uint32_t number = 0;
    EXPECT_EQ(std::sscanf(parts.front().c_str(), "%*u %*u %u", &number), 1);
    EXPECT_TRUE(parts == saying(number_, connection_, number)) << number_ << " " << number;
    EXPECT_TRUE(may_miss_some ? number >= heard_ : number == heard_) << number << " " << heard_;
    heard_ = number + 1;
    if (unheard_ > 0) --unheard_;
    return true;
  }
  /// What it has not heard it will not hear any more.
  void give_up() { unheard_ = 0; }
  void begin_again() {
    if (!connect_again()) return;
    ++connection_;
    said_ = heard_ = unheard_ = 0;
  }
  bool heard_last() const { return said_ == heard_; }

 private:
  std::uint32_t number_;
  std::uint32_t connection_ = 0;
  std::uint32_t said_ = 0;
  std::uint32_t heard_ = 0;  ///< the number after the last one
  std::uint32_t unheard_ = 0;
};

class OurTalker : public Talker {
 public:
  OurTalker(std::uint32_t number, std::string endpoint)
      : Talker(number), endpoint_(std::move(endpoint)) {
    EXPECT_TRUE(dealer_.connect(endpoint_));
  }
  void say(const Parts& parts) override {
    wire::Frame frame{parts.front(), {}};
    for (std::size_t i = 1; i < parts.size(); ++i) frame.parts.emplace_back(parts[i]);
    dealer_.send(frame);
  }
  Parts hear() override {
    zmtp::ArrivedFrame frame;
    if (!dealer_.receive(frame)) return {};
    Parts parts{std::string(frame.head)};
    for (const Blob& part : frame.parts) parts.emplace_back(part.view());
    return parts;
  }
  bool connect_again() override { return dealer_.connect(endpoint_); }
  void look_after() override { dealer_.wait(0); }

 private:
  std::string endpoint_;
  zmtp::Dealer dealer_;
};

class TheirTalker : public Talker {
 public:
  TheirTalker(std::uint32_t number, const std::string& endpoint) : Talker(number) {
    const int none = 0;
    const int often_ms = 1;
    const int long_ms = 10'000;
    zmq_setsockopt(socket_, ZMQ_LINGER, &none, sizeof none);
    zmq_setsockopt(socket_, ZMQ_HEARTBEAT_IVL, &often_ms, sizeof often_ms);
    zmq_setsockopt(socket_, ZMQ_HEARTBEAT_TIMEOUT, &long_ms, sizeof long_ms);
    EXPECT_EQ(zmq_connect(socket_, endpoint.c_str()), 0);
  }
  ~TheirTalker() override {
    zmq_close(socket_);
    zmq_ctx_term(context_);
  }
  void say(const Parts& parts) override {
    send_parts(socket_, parts);
  }
  Parts hear() override {
    return receive_parts(socket_, ZMQ_DONTWAIT);
  }

 private:
  void* context_ = zmq_ctx_new();
  void* socket_ = zmq_socket(context_, ZMQ_DEALER);
};

class TransportTest : public ::testing::Test {
 protected:
  void open(RouterOptions options = {}) {
    options.endpoints = {"tcp://127.0.0.1:0",
                         "ipc://@callboard-transport-" + std::to_string(getpid())};
    EXPECT_EQ(router_.open(options), "");
    for (const std::string& endpoint : router_.endpoints()) {
      for (int i = 0; i < 2; ++i) {
        talkers_.push_back(std::make_unique<OurTalker>(talkers_.size(), endpoint));
      }
      talkers_.push_back(std::make_unique<TheirTalker>(talkers_.size(), endpoint));
    }
  }

  struct Peer {
    std::uint32_t dealer = 0;
    std::uint32_t connection = 0;
    std::uint32_t next = 0;
  };

  void answer(PeerId id, const wire::FrameView& view) {
    ASSERT_FALSE(gone_.contains(id));
    const auto [place, is_new] = peers_.try_emplace(id);
    Peer& peer = place->second;
    if (is_new) {
      const std::string head(view.head);
      std::uint32_t number = 0;
      ASSERT_EQ(std::sscanf(head.c_str(), "%u %u %u", &peer.dealer, &peer.connection, &number), 3);
      // A dealer whose connection is lost goes on with the next one.
      if (loses_some_) peer.next = number;
    }
    const Parts expected = saying(peer.dealer, peer.connection, peer.next++);
    ASSERT_TRUE(view.head == expected.front()) << peer.dealer << " " << peer.next;
    ASSERT_EQ(view.parts.size() + 1, expected.size());
    wire::Frame back{std::string(view.head), {view.parts.begin(), view.parts.end()}};
    for (std::size_t i = 1; i < expected.size(); ++i) {
      ASSERT_TRUE(back.parts[i - 1].view() == expected[i]);
    }
    answers_.emplace_back(id, std::move(back));
  }
  void lose(PeerId id) {
    EXPECT_EQ(peers_.count(id), 1u);
    EXPECT_TRUE(gone_.insert(id).second);
  }
  void turn_router(long timeout_ms, bool for_frames, std::size_t frames, std::size_t bytes) {
    router_.wait({}, timeout_ms, for_frames);
    router_.receive(
        frames, bytes, [&](PeerId id, const wire::FrameView& view) { answer(id, view); },
        [&](PeerId id) { lose(id); });
  }
  void send_answers() {
    std::vector<PeerId> lost;
    for (auto& [id, frame] : answers_) router_.send(id, frame, lost);
    answers_.clear();
    EXPECT_TRUE(loses_some_ || lost.empty());
    for (const PeerId id : lost) lose(id);
  }
  void step() {
    Talker& talker = *talkers_[random_() % talkers_.size()];
    switch (random_() % 8) {
      case 0:
        for (std::size_t i = random_() % 5; i > 0; --i) talker.say_next();
        return;
      case 1:
        for (std::size_t i = random_() % 8; i > 0 && talker.hear_next(loses_some_); --i) {
        }
        return;
      case 2: return talker.look_after();
      case 3: return send_answers();
      case 4:
        if (random_() % 50 == 0) talker.begin_again();
        if (loses_some_ && random_() % 20 == 0) talker.give_up();
        return;
      case 5: return turn_router(0, false, 0, 0);
      default: return turn_router(0, true, random_() % 6, 1 + random_() % 100'000);
    }
  }
  bool all_heard() const {
    return std::all_of(talkers_.begin(), talkers_.end(),
                       [](const auto& talker) { return talker->heard_last(); });
  }
  void take_turns_until(const std::function<bool()>& done) {
    for (int turns = 0; turns < 5'000 && !done() && !HasFailure(); ++turns) {
      turn_router(1, true, 100, SIZE_MAX);
      send_answers();
      for (const auto& talker : talkers_) {
        while (talker->hear_next(loses_some_)) {
        }
        talker->look_after();
      }
    }
    EXPECT_TRUE(done());
  }
  void expect_no_more_peers_than_talkers() {
    take_turns_until([&] { return router_.peers() <= talkers_.size(); });
    EXPECT_EQ(router_.peers(), peers_.size() - gone_.size());
  }

  Random random_{static_cast<unsigned>(::testing::UnitTest::GetInstance()->random_seed())};
  bool loses_some_ = false;  ///< peers for which too much waits are given up
  Router router_;
  std::vector<std::unique_ptr<Talker>> talkers_;
  std::map<PeerId, Peer> peers_;
  std::set<PeerId> gone_;
  std::vector<std::pair<PeerId, wire::Frame>> answers_;
};

TEST_F(TransportTest, EverythingComesBackOnceWholeAndInOrderWhoeverSaysIt) {
  open();
  for (std::size_t i = 0; i < kSteps && !HasFailure(); ++i) step();
  take_turns_until([&] { return all_heard(); });
  expect_no_more_peers_than_talkers();
}

TEST_F(TransportTest, WhoIsGivenUpComesBackAndHearsNothingTwiceOrCutShort) {
  loses_some_ = true;
  RouterOptions options;
  options.unread_messages_max = 2;
  open(options);
  for (std::size_t i = 0; i < kSteps && !HasFailure(); ++i) step();
  EXPECT_FALSE(gone_.empty());
  // What was said last may be lost with a connection; what is said now is heard.
  int turns = 0;
  take_turns_until([&] {
    if (all_heard()) return true;
    if (turns++ % 100 != 0) return false;
    for (const auto& talker : talkers_) {
      if (talker->heard_last()) continue;
      talker->give_up();
      talker->say_next();
    }
    return false;
  });
  expect_no_more_peers_than_talkers();
}

}  // namespace
}  // namespace callboard::broker
