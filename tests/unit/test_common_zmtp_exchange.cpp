// Two streams talk through a relay that cuts what they say anywhere. They share a buffer, as the
// connections of a router do. The order of everything is random, and the same each time.
#include "common/zmtp/stream.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <deque>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace callboard::zmtp {
namespace {

constexpr std::size_t kSteps = 10'000;
constexpr std::size_t kWaitingBytesMax = 300'000;
constexpr std::size_t kKeptMax = 300;

using Random = std::mt19937;
using Message = std::vector<std::string>;

std::string some_bytes(Random& random) {
  constexpr std::array<std::size_t, 6> kLeast = {0, 1, 250, 4'000, 65'500, 0};
  constexpr std::array<std::size_t, 6> kMore = {1, 20, 10, 2'000, 100, 150'000};
  // Big ones are rare.
  const std::size_t kind = random() % 20;
  const std::size_t which = kind < 18 ? kind % 4 : kind - 14;
  std::string out(kLeast[which] + random() % kMore[which], static_cast<char>(random()));
  if (!out.empty()) out.back() = static_cast<char>(random());
  if (!out.empty()) out.front() = static_cast<char>(random());
  return out;
}

struct Pair {
  std::array<int, 2> fds{-1, -1};
  Pair() {
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds.data()), 0);
    for (const int fd : fds) {
      const int bytes = 8 * 1024;
      ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    }
  }
};

/// Carries bytes from one socket to another.
struct Relay {
  int from;
  int to;
  std::string held;
  void carry(std::size_t bytes_max) {
    if (held.size() < bytes_max) {
      std::string more(bytes_max - held.size(), '\0');
      const ssize_t got = ::read(from, more.data(), more.size());
      if (got > 0) held.append(more, 0, static_cast<std::size_t>(got));
    }
    const ssize_t gone = ::write(to, held.data(), std::min(held.size(), bytes_max));
    if (gone > 0) held.erase(0, static_cast<std::size_t>(gone));
  }
};

struct End {
  Stream stream;
  std::deque<Message> to_hear;  ///< what the other end has said
  std::size_t heard = 0;
};

class StreamExchange : public ::testing::Test {
 protected:
  ~StreamExchange() override {
    ::close(left_.fds[1]);
    ::close(right_.fds[1]);
  }

  void say(End& end, End& other) {
    if (!end.stream.ready() || end.stream.waiting_bytes() > kWaitingBytesMax) return;
    Message message{some_bytes(random_)};
    std::vector<Blob> parts;
    const std::size_t count = random_() % 30 == 0 ? 40 : random_() % 4;
    for (std::size_t i = 0; i < count; ++i) {
      message.push_back(some_bytes(random_));
      parts.emplace_back(message.back());
    }
    ASSERT_TRUE(end.stream.send(message.front(), parts));
    other.to_hear.push_back(std::move(message));
  }
  /// Takes some messages, and reads if none are there. The buffer is this end's until it is empty.
  void listen(End& end, std::size_t messages_max) {
    if (std::exchange(owner_, &end) != &end && owns_) {
      owner_ = &other(end);
      return;
    }
    owns_ = true;
    for (std::size_t i = 0; i < messages_max; ++i) {
      const Stream::Next next = end.stream.next(buffer_);
      ASSERT_NE(next, Stream::Next::ended);
      if (next == Stream::Next::message) {
        check(end);
        continue;
      }
      ASSERT_TRUE(buffer_.empty());
      owns_ = false;
      const Stream::Read read = end.stream.read(buffer_);
      ASSERT_NE(read, Stream::Read::ended);
      if (read == Stream::Read::nothing) return;
      owns_ = true;
    }
  }
  void check(End& end) {
    ASSERT_FALSE(end.to_hear.empty());
    Message expected = std::move(end.to_hear.front());
    end.to_hear.pop_front();
    ++end.heard;
    std::vector<Blob> parts = std::exchange(end.stream.parts(), {});
    ASSERT_TRUE(end.stream.head() == expected.front());
    ASSERT_EQ(parts.size() + 1, expected.size());
    for (std::size_t i = 0; i < parts.size(); ++i) {
      ASSERT_TRUE(parts[i].view() == expected[i + 1]);
      if (kept_.size() < kKeptMax) kept_.emplace_back(parts[i], expected[i + 1]);
    }
  }
  void step() {
    End& end = random_() % 2 == 0 ? a_ : b_;
    Relay& relay = random_() % 2 == 0 ? there_ : back_;
    switch (random_() % 8) {
      case 0: return say(end, other(end));
      case 1:
        if (random_() % 4 != 0 || !end.stream.ready()) return;
        EXPECT_TRUE(end.stream.ping());
        return;
      case 2: return relay.carry(1 + random_() % 12);
      case 3: return relay.carry(1 + random_() % 1'000);
      case 4: return relay.carry(200'000);
      case 5: EXPECT_TRUE(end.stream.flush()); return;
      default: return listen(end, 1 + random_() % 5);
    }
  }
  void finish() {
    for (int turns = 0; turns < 100'000 && !(a_.to_hear.empty() && b_.to_hear.empty()); ++turns) {
      for (End* end : {&a_, &b_}) {
        ASSERT_TRUE(end->stream.flush());
        ASSERT_NO_FATAL_FAILURE(listen(*end, 100));
      }
      there_.carry(200'000);
      back_.carry(200'000);
    }
    EXPECT_TRUE(a_.to_hear.empty());
    EXPECT_TRUE(b_.to_hear.empty());
  }
  End& other(End& end) { return &end == &a_ ? b_ : a_; }

  Random random_{static_cast<unsigned>(::testing::UnitTest::GetInstance()->random_seed())};
  Pair left_;
  Pair right_;
  End a_{{left_.fds[0], Role::dealer}, {}, 0};
  End b_{{right_.fds[0], Role::router}, {}, 0};
  Relay there_{left_.fds[1], right_.fds[1], {}};
  Relay back_{right_.fds[1], left_.fds[1], {}};
  ReadBuffer buffer_;
  End* owner_ = nullptr;
  bool owns_ = false;  ///< something of the owner's may be in the buffer
  std::vector<std::pair<Blob, std::string>> kept_;
};

TEST_F(StreamExchange, EverythingArrivesOnceWholeAndInOrderHoweverItIsCut) {
  for (std::size_t i = 0; i < kSteps; ++i) ASSERT_NO_FATAL_FAILURE(step()) << i;
  ASSERT_NO_FATAL_FAILURE(finish());
  EXPECT_GT(a_.heard, 100u);
  EXPECT_GT(b_.heard, 100u);
  for (const auto& [part, expected] : kept_) EXPECT_TRUE(part.view() == expected);
}

}  // namespace
}  // namespace callboard::zmtp
