// The pace of a full queue: what refused calls are told of it.
#include "broker/core/pace.hpp"

#include "common/limits.hpp"

#include <gtest/gtest.h>

namespace callboard::broker {
namespace {

constexpr std::int64_t kMs = 1000;

class BrokerPace : public ::testing::Test {
 protected:
  std::uint64_t after(std::int64_t us, std::uint64_t ends, std::uint64_t room = 10) {
    now_us_ += us;
    ended_ += ends;
    return pace_.retry_after_ms(now_us_, ended_, room);
  }

  Pace pace_;
  std::int64_t now_us_ = 7'000'000;
  std::uint64_t ended_ = 12345;
};

TEST_F(BrokerPace, IsNotKnownAtFirst) {
  EXPECT_EQ(after(0, 0), limits::kRetryAfterMs);
  EXPECT_EQ(after(10 * kMs, 1000), limits::kRetryAfterMs) << "too short to say";
}

TEST_F(BrokerPace, IsTheTimeThatTheRoomTakes) {
  after(0, 0);
  EXPECT_EQ(after(100 * kMs, 50), 20u);
  EXPECT_EQ(after(1 * kMs, 0, 100), 200u);
}

TEST_F(BrokerPace, FollowsAQueueThatChangesItsPace) {
  after(0, 0);
  EXPECT_EQ(after(100 * kMs, 50), 20u);
  EXPECT_EQ(after(100 * kMs, 5), 200u);
}

TEST_F(BrokerPace, IsSlowWhereNothingEndsAtAll) {
  after(0, 0);
  after(100 * kMs, 50);
  EXPECT_EQ(after(300 * kMs, 0, 1), 300u);
  EXPECT_EQ(after(300 * kMs, 0, 10), limits::kRetryAfterMaxMs);
}

TEST_F(BrokerPace, NeverSaysNow) {
  after(0, 0);
  EXPECT_EQ(after(100 * kMs, 1'000'000), 1u);
}

TEST_F(BrokerPace, OfLongAgoIsForgotten) {
  after(0, 0);
  EXPECT_EQ(after(100 * kMs, 50), 20u);
  EXPECT_EQ(after(60'000 * kMs, 3), limits::kRetryAfterMs);
}

}  // namespace
}  // namespace callboard::broker
