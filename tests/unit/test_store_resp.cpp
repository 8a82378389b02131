#include "broker/store/resp.hpp"

#include "tests/unit/store_support.hpp"

#include <gmock/gmock.h>

#include <string>

namespace callboard::broker {
namespace {

using ::testing::ElementsAre;

TEST(RespWriter, WritesCommandsAsRedisReadsThem) {
  OutBuffer out;
  RespWriter resp(out);
  resp.command({"SET", "key", ""});
  EXPECT_EQ(out.view(), "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$0\r\n\r\n");
}

TEST(RespWriter, KeepsAnyBytesAndAnyLength) {
  const std::string long_word(100'000, 'x');
  const std::string odd("\r\n$5\0*", 6);
  OutBuffer out;
  RespWriter resp(out);
  resp.array(3);
  resp.bulk(odd);
  resp.bulk(long_word);
  resp.number(18446744073709551615ull);
  EXPECT_THAT(take_commands(out), ElementsAre(Words{odd, long_word, "18446744073709551615"}));
}

TEST(OutBuffer, GivesBackInOrderWhatWasAppendedWhileItWasDrained) {
  OutBuffer out;
  std::string expected;
  std::string got;
  for (int round = 0; round < 2000; ++round) {
    const auto letter = static_cast<char>('a' + round % 26);
    const std::string piece(static_cast<std::size_t>(round % 700), letter);
    out.append(piece);
    expected += piece;
    const std::string_view ready = out.view().substr(0, static_cast<std::size_t>(round % 500));
    got += ready;
    out.consume(ready.size());
  }
  got += out.view();
  EXPECT_EQ(got, expected);
}

TEST(ReplyReader, ReadsEveryKindOfReply) {
  ReplyReader reader;
  reader.feed("+OK\r\n-ERR no\r\n:42\r\n$-1\r\n$2\r\nhi\r\n*2\r\n$1\r\na\r\n:-1\r\n*-1\r\n");
  const Reply* reply = reader.next();
  ASSERT_NE(reply, nullptr);
  EXPECT_EQ(reply->kind(), Reply::Kind::status);
  EXPECT_EQ(reply->text(), "OK");
  reply = reader.next();
  EXPECT_TRUE(reply->is_error());
  EXPECT_EQ(reply->error_word(), "ERR");
  EXPECT_EQ(reader.next()->integer(), 42);
  EXPECT_TRUE(reader.next()->is_nil());
  EXPECT_EQ(reader.next()->text(), "hi");
  reply = reader.next();
  ASSERT_EQ(reply->size(), 2u);
  EXPECT_EQ((*reply)[0].text(), "a");
  EXPECT_EQ((*reply)[1].integer(), -1);
  EXPECT_TRUE(reader.next()->is_nil());
  EXPECT_EQ(reader.next(), nullptr);
  EXPECT_EQ(reader.problem(), "");
}

TEST(ReplyReader, ReadsReplyThatComesByteByByte) {
  ReplyReader reader;
  const std::string bytes = bulks({"one", "two", std::string("\0\r\n", 3)});
  for (std::size_t i = 0; i + 1 < bytes.size(); ++i) {
    reader.feed(bytes.substr(i, 1));
    ASSERT_EQ(reader.next(), nullptr);
  }
  reader.feed(bytes.substr(bytes.size() - 1));
  const Reply* reply = reader.next();
  ASSERT_NE(reply, nullptr);
  EXPECT_EQ((*reply)[2].text(), std::string_view("\0\r\n", 3));
}

TEST(ReplyReader, SaysWhatIsWrongWithGarbageAndStartsAnew) {
  ReplyReader reader;
  reader.feed("HTTP/1.1 400 Bad Request\r\n");
  EXPECT_EQ(reader.next(), nullptr);
  EXPECT_NE(reader.problem(), "");
  reader.reset();
  EXPECT_EQ(reader.problem(), "");
  reader.feed("+OK\r\n");
  ASSERT_NE(reader.next(), nullptr);
}

TEST(ParseNumber, TakesWholeDecimalNumbersOnly) {
  std::uint64_t value = 0;
  EXPECT_TRUE(parse_number("18446744073709551615", value));
  EXPECT_EQ(value, 18446744073709551615ull);
  for (const char* bad : {"", "x", "1x", "-1", "1.5", "18446744073709551616", " 1"}) {
    EXPECT_FALSE(parse_number(bad, value)) << bad;
  }
}

}  // namespace
}  // namespace callboard::broker
