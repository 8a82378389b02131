// Messages written and read: cut into pieces of every size, too big, or no messages at all.
#include "common/zmtp/greeting.hpp"
#include "common/zmtp/message_reader.hpp"
#include "common/zmtp/message_writer.hpp"

#include <gmock/gmock.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

namespace callboard::zmtp {
namespace {

using ::testing::ElementsAre;

using Parts = std::vector<std::string>;

constexpr std::size_t kPartBytesMax = 1'000'000;
constexpr std::size_t kPartsMax = 4;

std::string frame(std::string_view body, std::uint8_t flags = 0) {
  char header[kHeaderBytesMax];
  std::string out(header, write_header(header, body.size(), flags));
  out += body;
  return out;
}

std::string message(const Parts& parts) {
  std::string out;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    out += frame(parts[i], i + 1 < parts.size() ? kMore : 0);
  }
  return out;
}

/// Reads a stream that arrives in pieces; commands as one part that says so.
struct Reading {
  MessageReader reader{kPartBytesMax, kPartsMax};
  ReadBuffer buffer;
  std::vector<Parts> messages;
  bool broken = false;
  std::vector<Blob> kept;  ///< parts outlive the message

  void take() {
    for (;;) {
      switch (reader.next(buffer)) {
        case MessageReader::Next::more: return;
        case MessageReader::Next::broken: broken = true; return;
        case MessageReader::Next::command:
          messages.push_back({"command", std::string(reader.head())});
          break;
        case MessageReader::Next::message: {
          Parts parts{std::string(reader.head())};
          for (const Blob& part : reader.parts()) {
            parts.emplace_back(part.view());
            kept.push_back(part);
          }
          messages.push_back(std::move(parts));
        }
      }
    }
  }
  void feed(std::string_view bytes, std::size_t piece) {
    take();
    while (!bytes.empty() && !broken) {
      std::array<iovec, 2> room{};
      const std::size_t places = reader.room(room, buffer);
      std::size_t put = 0;
      for (std::size_t i = 0; i < places && put < piece; ++i) {
        const std::size_t now = std::min({piece - put, room[i].iov_len, bytes.size()});
        std::memcpy(room[i].iov_base, bytes.data(), now);
        bytes.remove_prefix(now);
        put += now;
      }
      reader.arrived(put, buffer);
      take();
    }
  }
};

TEST(MessageReader, PiecesOfEverySizeMakeTheSameMessages) {
  const Parts plain{"head"};
  const Parts with_parts{"", std::string(255, 'a'), std::string(256, 'b'), ""};
  const Parts large{std::string(70'000, 'h'), std::string(150'000, 'p'), "end"};
  const std::string ping_between =
      frame("first", kMore) + ping() + frame("second", kMore) + frame("third");
  const std::string stream = message(plain) + message(with_parts) + ping_between + message(large) +
                             message(plain) + frame("last", kMore) + frame(std::string(300, 'l'));
  for (const std::size_t piece : {1u, 2u, 3u, 7u, 9u, 100u, 4096u, 65'536u, 1'000'000u}) {
    Reading reading;
    reading.feed(stream, piece);
    ASSERT_FALSE(reading.broken) << piece;
    ASSERT_EQ(reading.messages.size(), 7u) << piece;
    EXPECT_EQ(reading.messages[0], plain);
    EXPECT_EQ(reading.messages[1], with_parts);
    EXPECT_EQ(reading.messages[2].front(), "command");
    EXPECT_THAT(reading.messages[3], ElementsAre("first", "second", "third"));
    EXPECT_TRUE(reading.messages[4] == large) << piece;
    EXPECT_EQ(reading.messages[5], plain);
    EXPECT_EQ(reading.messages[6], (Parts{"last", std::string(300, 'l')}));
    // Nothing of what was handed out lies in memory that was read into again.
    ASSERT_EQ(reading.kept.size(), 8u);
    EXPECT_EQ(reading.kept[1].view(), std::string(256, 'b'));
    EXPECT_TRUE(reading.kept[5].view() == large[1]);
  }
}

TEST(MessageReader, PartsBeyondTheBoundAreLeftOutAndTheNextMessageIsWhole) {
  Reading reading;
  reading.feed(message({"head", "1", "2", "3", "4", "5", "6"}) + message({"next", "part"}), 5);
  ASSERT_EQ(reading.messages.size(), 2u);
  EXPECT_THAT(reading.messages[0], ElementsAre("head", "1", "2", "3", "4"));
  EXPECT_THAT(reading.messages[1], ElementsAre("next", "part"));
}

TEST(MessageReader, WhatIsNoMessageBreaksTheConnection) {
  char header[kHeaderBytesMax];
  const std::string too_big(header, write_header(header, kPartBytesMax + 1, 0));
  const std::string big_command(header, write_header(header, kCommandBytesMax + 1, kCommand));
  const std::string end_of_the_world = std::string("\x02") + std::string(8, '\xff');
  for (const std::string& bad :
       {too_big, big_command, end_of_the_world, std::string("\x08\x01x"), std::string("\x80\x01x"),
        frame("a command of two frames", kCommand | kMore), std::string("GET / HTTP/1.1\r\n")}) {
    for (const std::size_t piece : {1u, 64u}) {
      Reading reading;
      reading.feed(message({"fine"}) + bad, piece);
      EXPECT_TRUE(reading.broken);
      EXPECT_EQ(reading.messages.size(), 1u);
    }
  }
  Reading reading;
  reading.feed(message({std::string(kPartBytesMax, 'x')}), 65'536);
  EXPECT_FALSE(reading.broken);
  EXPECT_EQ(reading.messages.size(), 1u);
}

TEST(MessageReader, WhatFitsInNoMemoryBreaksTheConnectionAndNothingElse) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizers end a program that asks for so much";
#endif
  constexpr std::size_t kAll = std::size_t{1} << 60;
  char header[kHeaderBytesMax];
  const std::string all(header, write_header(header, kAll, 0));
  for (const std::string& before : {std::string(), frame("head", kMore)}) {
    Reading reading;
    reading.reader = MessageReader(kAll, kPartsMax);
    reading.feed(message({"fine"}) + before + all, 65'536);
    EXPECT_TRUE(reading.broken);
    EXPECT_EQ(reading.messages.size(), 1u);
  }
}

/// Two ends of a connection that holds little.
class MessageWriterTest : public ::testing::Test {
 protected:
  MessageWriterTest() {
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds_), 0);
    const int bytes = 8 * 1024;
    ::setsockopt(fds_[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  }
  ~MessageWriterTest() override {
    ::close(fds_[0]);
    close_reader();
  }
  void close_reader() {
    if (fds_[1] >= 0) ::close(std::exchange(fds_[1], -1));
  }
  int fd() const { return fds_[0]; }
  bool send(std::string_view head, const std::vector<Blob>& parts = {}) {
    return writer_.send(fd(), head, parts);
  }
  /// Reads what is there.
  void read() {
    char bytes[3000];
    for (ssize_t got = 0; (got = ::read(fds_[1], bytes, sizeof bytes)) > 0;) {
      reading_.feed({bytes, static_cast<std::size_t>(got)}, 3000);
    }
  }

  int fds_[2] = {-1, -1};
  MessageWriter writer_;
  Reading reading_;
};

TEST_F(MessageWriterTest, WhatTheSocketDoesNotTakeWaitsInOrder) {
  const std::string large(500'000, 'l');
  std::vector<Parts> sent;
  for (int i = 0; i < 40; ++i) {
    const std::string head = "head " + std::to_string(i);
    std::vector<Blob> parts;
    Parts all{head};
    for (int j = 0; j < i % 4; ++j) {
      const std::string part = j == 1 ? large : std::string(static_cast<std::size_t>(i), 'p');
      parts.emplace_back(part);
      all.push_back(part);
    }
    ASSERT_TRUE(send(head, parts));
    sent.push_back(std::move(all));
  }
  EXPECT_FALSE(writer_.empty());
  EXPECT_GT(writer_.bytes(), 19u * large.size());
  EXPECT_GT(writer_.messages(), 30u);
  EXPECT_LT(writer_.messages(), 40u);
  for (int turns = 0; turns < 100'000 && !writer_.empty(); ++turns) {
    read();
    ASSERT_TRUE(writer_.flush(fd()));
  }
  read();
  EXPECT_EQ(writer_.bytes(), 0u);
  EXPECT_EQ(writer_.messages(), 0u);
  ASSERT_EQ(reading_.messages.size(), sent.size());
  for (std::size_t i = 0; i < sent.size(); ++i) EXPECT_TRUE(reading_.messages[i] == sent[i]) << i;
}

TEST_F(MessageWriterTest, MessageOfVeryManyPartsIsOneMessage) {
  reading_.reader = MessageReader(kPartBytesMax, 1000);
  const std::vector<Blob> parts(1000, Blob(std::string(20, 'p')));
  ASSERT_TRUE(send("head", parts));
  for (int turns = 0; turns < 100'000 && !writer_.empty(); ++turns) {
    read();
    ASSERT_TRUE(writer_.flush(fd()));
  }
  read();
  ASSERT_EQ(reading_.messages.size(), 1u);
  EXPECT_EQ(reading_.messages[0].size(), 1001u);
}

TEST_F(MessageWriterTest, WaitingPartsAreNotCopied) {
  while (writer_.empty()) ASSERT_TRUE(send(std::string(4000, 'x')));
  const Blob part(std::string(100'000, 'p'));
  ASSERT_TRUE(send("head", {part}));
  EXPECT_EQ(part.owner().use_count(), 2);
  EXPECT_EQ(writer_.messages(), 2u);
}

TEST_F(MessageWriterTest, EndOfTheConnectionIsSaid) {
  while (writer_.empty()) ASSERT_TRUE(send(std::string(4000, 'x')));
  close_reader();
  EXPECT_FALSE(writer_.flush(fd()));
  MessageWriter other;
  EXPECT_FALSE(other.send(fd(), "head", {}));
}

}  // namespace
}  // namespace callboard::zmtp
