#include "broker/store/redis_url.hpp"

#include <gmock/gmock.h>

#include <string>

namespace callboard::broker {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

RedisUrl parsed(std::string_view text) {
  auto url = parse_redis_url(text);
  EXPECT_TRUE(url) << text << ": " << url.text();
  return *url;
}

TEST(RedisUrl, NamesHostPortAndDatabase) {
  const RedisUrl url = parsed("redis://redis.example:6390/5");
  EXPECT_EQ(url.host, "redis.example");
  EXPECT_EQ(url.port, 6390);
  EXPECT_EQ(url.db, 5u);
  EXPECT_FALSE(url.is_unix());
  EXPECT_EQ(url.text(), "redis://redis.example:6390/5");
}

TEST(RedisUrl, HasDefaultsForAllButTheHost) {
  EXPECT_EQ(parsed("redis://somewhere").text(), "redis://somewhere:6379/0");
  EXPECT_EQ(parsed("redis://somewhere/").text(), "redis://somewhere:6379/0");
  EXPECT_EQ(parsed("127.0.0.1:7000").text(), "redis://127.0.0.1:7000/0");
  EXPECT_EQ(parsed("redis://[::1]:7000/1").host, "::1");
  EXPECT_EQ(parsed("redis://[::1]:7000/1").text(), "redis://[::1]:7000/1");
}

TEST(RedisUrl, TakesUserAndPasswordAndNeverShowsThePassword) {
  const RedisUrl both = parsed("redis://ann:s%40cret%2f@host:1/2");
  EXPECT_EQ(both.user, "ann");
  EXPECT_EQ(both.password, "s@cret/");
  EXPECT_EQ(both.host, "host");
  EXPECT_THAT(both.text(), Not(HasSubstr("cret")));
  const RedisUrl alone = parsed("redis://:secret@host");
  EXPECT_EQ(alone.user, "");
  EXPECT_EQ(alone.password, "secret");
}

TEST(RedisUrl, NamesUnixSocketsInSeveralWays) {
  for (const char* text : {"unix:///run/redis.sock", "unix:/run/redis.sock", "/run/redis.sock"}) {
    const RedisUrl url = parsed(text);
    EXPECT_TRUE(url.is_unix());
    EXPECT_EQ(url.path, "/run/redis.sock");
    EXPECT_EQ(url.text(), "unix:///run/redis.sock");
  }
  const RedisUrl full = parsed("unix://ann:secret@/run/redis.sock?db=3");
  EXPECT_EQ(full.user, "ann");
  EXPECT_EQ(full.password, "secret");
  EXPECT_EQ(full.path, "/run/redis.sock");
  EXPECT_EQ(full.db, 3u);
}

TEST(RedisUrl, RefusesWhatItCannotMeanInOneSentence) {
  for (const char* text :
       {"", "redis://", "http://host", "rediss://host", "redis://host:x", "redis://host:0",
        "redis://host:70000", "redis://host/x", "redis://a:%4@host", "unix://relative",
        "unix:///s?database=1", "unix:///s?db=x", "redis://[::1", "redis://[::1]x"}) {
    const auto url = parse_redis_url(text);
    EXPECT_FALSE(url) << text;
    EXPECT_EQ(url.code(), Errc::invalid_option);
    EXPECT_THAT(url.text(), HasSubstr("the address of Redis"));
  }
}

}  // namespace
}  // namespace callboard::broker
