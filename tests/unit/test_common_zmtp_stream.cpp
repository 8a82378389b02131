// The beginning of a connection, heartbeats, and what no peer of ours would say.
#include "common/zmtp/stream.hpp"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <utility>

namespace callboard::zmtp {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

TEST(Greeting, IsThatOfVersion31WithoutSecurity) {
  const std::string ours = greeting();
  EXPECT_THAT(ours, AllOf(SizeIs(kGreetingBytes), StartsWith("\xff"), HasSubstr("NULL")));
  unsigned minor = 0;
  EXPECT_EQ(read_greeting(ours, minor), Heard::yes);
  EXPECT_EQ(minor, 1u);
  for (std::size_t bytes = 0; bytes < ours.size(); ++bytes) {
    EXPECT_EQ(read_greeting(ours.substr(0, bytes), minor), Heard::more) << bytes;
  }
}

TEST(Greeting, OthersAreRefusedAsSoonAsTheyAreKnown) {
  unsigned minor = 0;
  std::string older = greeting();
  older[10] = 1;
  EXPECT_EQ(read_greeting(older.substr(0, 11), minor), Heard::no);
  std::string secured = greeting();
  secured.replace(12, 5, "PLAIN");
  EXPECT_EQ(read_greeting(secured, minor), Heard::no);
  EXPECT_EQ(read_greeting("GET / HTTP/1.1", minor), Heard::no);
  EXPECT_EQ(read_greeting(std::string(10, '\xff').replace(9, 1, 1, '\0'), minor), Heard::no);
  std::string newer = greeting();
  newer[10] = 4;
  EXPECT_EQ(read_greeting(newer, minor), Heard::yes);  // it will speak as we do
}

TEST(Ready, WhatIsCutShortIsNotRead) {
  const std::string whole = ready("DEALER").substr(2);  // without its header
  Ready out;
  ASSERT_TRUE(read_ready(whole, out));
  EXPECT_EQ(out.socket_type, "DEALER");
  EXPECT_EQ(out.identity, "");
  for (std::size_t bytes = 7; bytes < whole.size(); ++bytes) {
    // Between two properties it is whole, too.
    const bool between = bytes == whole.size() - 13;
    EXPECT_EQ(read_ready(whole.substr(0, bytes), out), between || bytes == 6) << bytes;
  }
  EXPECT_FALSE(read_ready("\4PING", out));
  EXPECT_FALSE(read_ready("", out));
  EXPECT_FALSE(read_ready(std::string("\5READY\1a\xff\xff\xff\xff", 12), out));
}

/// A stream, and the bare other end of its socket.
class StreamTest : public ::testing::Test {
 protected:
  StreamTest() {
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds_), 0);
    stream_.emplace(fds_[0], Role::router);
    EXPECT_TRUE(stream_->flush());
  }
  ~StreamTest() override {
    if (fds_[1] >= 0) ::close(fds_[1]);
  }
  void say(std::string_view bytes) {
    ASSERT_EQ(::write(fds_[1], bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  std::string heard() {
    std::string out(10'000, '\0');
    const ssize_t got = ::read(fds_[1], out.data(), out.size());
    out.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return out;
  }
  Stream::Next next() {
    for (;;) {
      const Stream::Next got = stream_->next(buffer_);
      if (got != Stream::Next::nothing) return got;
      const Stream::Read read = stream_->read(buffer_);
      if (read == Stream::Read::nothing) return Stream::Next::nothing;
      if (read == Stream::Read::ended) return Stream::Next::ended;
    }
  }
  std::string ready_as(std::string_view identity) {
    std::string out = ready("DEALER");
    out.back() = static_cast<char>(identity.size());
    out += identity;
    out[1] = static_cast<char>(out.size() - 2);
    return out;
  }

  int fds_[2] = {-1, -1};
  std::optional<Stream> stream_;
  ReadBuffer buffer_;
};

TEST_F(StreamTest, BothEndsIntroduceThemselvesBeforeMessages) {
  EXPECT_EQ(heard(), greeting() + ready("ROUTER"));
  EXPECT_EQ(next(), Stream::Next::nothing);
  for (const char byte : greeting()) {
    say({&byte, 1});
    EXPECT_EQ(next(), Stream::Next::nothing);
  }
  EXPECT_FALSE(stream_->ready());
  say(ready_as("me"));
  EXPECT_EQ(next(), Stream::Next::nothing);
  EXPECT_TRUE(stream_->ready());
  EXPECT_TRUE(stream_->knows_pings());
  EXPECT_EQ(stream_->identity(), "me");
  say(std::string("\0\5hello", 7));
  ASSERT_EQ(next(), Stream::Next::message);
  EXPECT_EQ(stream_->head(), "hello");
  ASSERT_TRUE(stream_->send("welcome", {}));
  EXPECT_EQ(heard(), std::string("\0\7welcome", 9));
}

TEST_F(StreamTest, AllOfItMayComeAtOnce) {
  say(greeting() + ready_as("") + std::string("\0\5hello", 7) + std::string("\0\4more", 6));
  ASSERT_EQ(next(), Stream::Next::message);
  EXPECT_EQ(stream_->head(), "hello");
  ASSERT_EQ(next(), Stream::Next::message);
  EXPECT_EQ(stream_->head(), "more");
  EXPECT_EQ(next(), Stream::Next::nothing);
}

TEST_F(StreamTest, PingIsAnsweredWithItsContextBetweenThePartsOfAMessageToo) {
  say(greeting() + ready_as("") + std::string("\1\4head", 6));
  EXPECT_EQ(next(), Stream::Next::nothing);
  (void)heard();
  say(std::string("\4\7\4PING\0\1abc", 12).replace(1, 1, 1, '\12'));
  EXPECT_EQ(next(), Stream::Next::nothing);
  EXPECT_EQ(heard(), std::string("\4\10\4PONGabc", 10));
  say(std::string("\0\4part", 6));
  ASSERT_EQ(next(), Stream::Next::message);
  EXPECT_EQ(stream_->head(), "head");
  ASSERT_EQ(stream_->parts().size(), 1u);
}

TEST_F(StreamTest, WhoAsksWithoutEndAndReadsNothingDoesNotFillTheMemory) {
  say(greeting() + ready_as(""));
  EXPECT_EQ(next(), Stream::Next::nothing);
  std::string pings;
  for (int i = 0; i < 1000; ++i) pings += ping();
  for (int i = 0; i < 300; ++i) {
    say(pings);
    ASSERT_EQ(next(), Stream::Next::nothing);
  }
  EXPECT_TRUE(stream_->blocked());
  EXPECT_LT(stream_->waiting_bytes(), 70'000u);
}

TEST_F(StreamTest, CommandsOfOthersAreLeftAloneAndAnErrorEndsIt) {
  say(greeting() + ready_as("") + std::string("\4\12\11SUBSCRIBE", 12));
  EXPECT_EQ(next(), Stream::Next::nothing);
  say(std::string("\4\10\5ERROR\1x", 10));
  EXPECT_EQ(next(), Stream::Next::ended);
}

TEST_F(StreamTest, MessageBeforeTheIntroductionEndsIt) {
  say(greeting() + std::string("\0\5hello", 7));
  EXPECT_EQ(next(), Stream::Next::ended);
}

TEST_F(StreamTest, StrangersAndTheirEndAreNoticed) {
  say("GET / HTTP/1.1\r\n");
  EXPECT_EQ(next(), Stream::Next::ended);
}

TEST_F(StreamTest, LastMessageIsHeardThoughAPingBeforeItCannotBeAnswered) {
  say(greeting() + ready_as("") + ping() + std::string("\0\7goodbye", 9));
  ::close(std::exchange(fds_[1], -1));
  ASSERT_EQ(next(), Stream::Next::message);
  EXPECT_EQ(stream_->head(), "goodbye");
  EXPECT_EQ(next(), Stream::Next::ended);
}

TEST_F(StreamTest, EndOfTheOtherEndIsNoticedAfterItsLastMessage) {
  say(greeting() + ready_as("") + std::string("\0\7goodbye", 9));
  ::close(std::exchange(fds_[1], -1));
  ASSERT_EQ(next(), Stream::Next::message);
  EXPECT_EQ(stream_->head(), "goodbye");
  EXPECT_EQ(next(), Stream::Next::ended);
}

}  // namespace
}  // namespace callboard::zmtp
