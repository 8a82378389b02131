// Lines of the log: what they look like, and which are written.

#include "common/log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace callboard::log {
namespace {

// Puts the log back as it was, whatever a test sets.
class Log : public testing::Test {
 protected:
  ~Log() override {
    set_level("info");
    set_program("");
  }
};

template <class Write>
std::string written(Write write) {
  testing::internal::CaptureStderr();
  write();
  return testing::internal::GetCapturedStderr();
}

TEST_F(Log, ALineSaysTimeLevelTextAndFields) {
  set_program("broker");
  const std::string line = written([] { warning("redis is away", {{"after_ms", 812}}); });
  EXPECT_THAT(line, testing::MatchesRegex(
                        "time=[0-9]+-[0-9]+-[0-9]+T[0-9]+:[0-9]+:[0-9]+\\.[0-9]+Z level=warning "
                        "program=broker text=\"redis is away\" after_ms=812\n"));
}

TEST_F(Log, OnlyEnabledLevelsAreWritten) {
  EXPECT_EQ(written([] { debug("quiet"); }), "");
  EXPECT_NE(written([] { info("loud"); }), "");
  ASSERT_TRUE(set_level("error"));
  EXPECT_EQ(written([] { warning("quiet"); }), "");
  EXPECT_NE(written([] { error("loud"); }), "");
  EXPECT_FALSE(enabled(Level::info));
  EXPECT_TRUE(enabled(Level::error));
  ASSERT_TRUE(set_level("off"));
  EXPECT_EQ(written([] { error("quiet"); }), "");
  ASSERT_TRUE(set_level("debug"));
  EXPECT_NE(written([] { debug("loud"); }), "");
}

TEST_F(Log, AnUnknownLevelChangesNothing) {
  EXPECT_FALSE(set_level("chatty"));
  EXPECT_FALSE(set_level(""));
  EXPECT_TRUE(enabled(Level::info));
  EXPECT_FALSE(enabled(Level::debug));
}

TEST_F(Log, ValuesAreQuotedOnlyWhereTheyNeedIt) {
  EXPECT_EQ(format("started", {{"endpoint", "tcp://127.0.0.1:7700"}, {"durable", true}}),
            "text=started endpoint=tcp://127.0.0.1:7700 durable=true");
  EXPECT_EQ(format("a b", {{"empty", ""}, {"equals", "a=b"}}),
            R"(text="a b" empty="" equals="a=b")");
  EXPECT_EQ(format("x", {{"quote", R"(say "hi" \ bye)"}}), R"(text=x quote="say \"hi\" \\ bye")");
}

TEST_F(Log, ALineStaysOneLineWhateverItSays) {
  const std::string line = format("two\nlines", {{"bytes", std::string("\x00\x1b[31m", 6)}});
  EXPECT_EQ(line, R"(text="two\nlines" bytes="\x00\x1b[31m")");
}

TEST_F(Log, FormattingCharactersAreNotInterpreted) {
  EXPECT_EQ(format("{} %s %v", {}), R"(text="{} %s %v")");
  set_program("100%v");
  EXPECT_THAT(written([] { info("{}"); }), testing::HasSubstr("program=100%v text={}"));
}

TEST_F(Log, LinesOfManyThreadsAreNotMixed) {
  const std::string all = written([] {
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([] {
        for (int n = 0; n < 50; ++n) info("same text", {{"number", 7}});
      });
    }
    for (std::thread& thread : threads) thread.join();
  });
  const std::string tail = "level=info text=\"same text\" number=7\n";
  std::size_t lines = 0;
  for (std::size_t at = all.find(tail); at != std::string::npos; at = all.find(tail, at + 1)) {
    ++lines;
  }
  EXPECT_EQ(lines, 200u);
  EXPECT_EQ(std::count(all.begin(), all.end(), '\n'), 200);
}

}  // namespace
}  // namespace callboard::log
