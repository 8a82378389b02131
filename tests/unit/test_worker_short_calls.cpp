// When calls are short enough for their thread to take the connection's turns.
#include "worker/core/short_calls.hpp"
#include "worker/executor.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace callboard::worker {
namespace {

std::vector<Outcome> ended(std::size_t count, std::int64_t each_us, std::uint32_t slots = 1) {
  std::vector<Outcome> outcomes(count);
  std::int64_t now_us = 1'000'000;
  for (std::size_t i = 0; i < count; ++i) {
    outcomes[i].slot = static_cast<std::uint32_t>(i % slots);
    outcomes[i].began_us = now_us;
    now_us += each_us;
    outcomes[i].ended_us = now_us;
  }
  return outcomes;
}

TEST(ShortCallsTest, SixteenInARowAreEnough) {
  ShortCalls calls;
  for (int i = 0; i < 15; ++i) calls.ended(ended(1, 10));
  EXPECT_FALSE(calls.in_a_row());
  calls.ended(ended(1, 10));
  EXPECT_TRUE(calls.in_a_row());
  calls.ended({});
  EXPECT_TRUE(calls.in_a_row()) << "a turn in which nothing ended says nothing";
}

TEST(ShortCallsTest, OneLongCallBeginsTheRowAnew) {
  ShortCalls calls;
  for (int i = 0; i < 20; ++i) calls.ended(ended(1, 10));
  calls.ended(ended(1, 200));
  EXPECT_FALSE(calls.in_a_row());
  for (int i = 0; i < 15; ++i) calls.ended(ended(1, 199));
  EXPECT_FALSE(calls.in_a_row());
}

TEST(ShortCallsTest, ManyOfOneActorCountWhereTheyAreShortTogether) {
  ShortCalls calls;
  calls.ended(ended(250, 1));
  EXPECT_TRUE(calls.in_a_row());
  calls.ended(ended(250, 2));
  EXPECT_FALSE(calls.in_a_row()) << "the connection would be left alone for half a millisecond";
}

TEST(ShortCallsTest, ThoseOfSeveralActorsCountAsThoseOfOneDo) {
  ShortCalls calls;
  calls.ended(ended(250, 1, 250));
  EXPECT_TRUE(calls.in_a_row());
  calls.ended(ended(250, 2, 250));
  EXPECT_FALSE(calls.in_a_row());
}

TEST(ShortCallsTest, LeftAloneTheyAreForgotten) {
  ShortCalls calls;
  calls.ended(ended(250, 0));
  calls.forget();
  EXPECT_FALSE(calls.in_a_row());
}

}  // namespace
}  // namespace callboard::worker
