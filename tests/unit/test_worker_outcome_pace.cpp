// How long outcomes of coroutines wait for others.
#include "worker/executors/outcome_pace.hpp"

#include <gtest/gtest.h>

namespace callboard::worker {
namespace {

/// How long after the host was told it is told again at the earliest.
std::int64_t pause_us(std::size_t running, std::int64_t service_us) {
  OutcomePace pace;
  constexpr std::int64_t kTold = 1'000'000;
  EXPECT_TRUE(pace.tells(kTold, running, service_us)) << "nobody was told for long";
  std::int64_t after_us = 0;
  while (!pace.tells(kTold + after_us, running, service_us)) after_us += 10;
  return after_us;
}

TEST(OutcomePaceTest, FewAreToldAtOnce) {
  EXPECT_EQ(pause_us(0, 50'000), 0);
  EXPECT_EQ(pause_us(31, 50'000), 0);
}

TEST(OutcomePaceTest, ManyAreToldTogether) {
  EXPECT_EQ(pause_us(32, 100), 200);
  EXPECT_EQ(pause_us(255, 50'000), 200);
}

TEST(OutcomePaceTest, WhereVeryManyRunTheyWaitForHalfOfWhatOneTakes) {
  EXPECT_EQ(pause_us(256, 1'000), 500);
  EXPECT_EQ(pause_us(1'000, 1'600), 800);
  EXPECT_EQ(pause_us(1'000, 100), 200) << "not less than fewer do";
  EXPECT_EQ(pause_us(1'000, 1'000'000), kOutcomeDelayUs) << "then the host looks by itself";
}

}  // namespace
}  // namespace callboard::worker
