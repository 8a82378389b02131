#include "common/busy_poll.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>

namespace callboard {
namespace {

constexpr std::int64_t kSoonUs = 100;
constexpr std::int64_t kSpinUs = 200;
constexpr std::int64_t kSecondUs = 1'000'000;

class BusyPollTest : public testing::Test {
 protected:
  /// Waits that pass until one is tried; none was in the end when this is kMost.
  int passed(std::int64_t now_us = 0) {
    int waits = 0;
    while (waits < kMost && !poll_.is_worthwhile(now_us)) ++waits;
    return waits;
  }
  static constexpr int kMost = 2'000;
  BusyPoll poll_{kSoonUs, kSpinUs};
};

TEST_F(BusyPollTest, OneWaitInManyIsTriedAndTheRestFollowWhileItIsWorthIt) {
  const int first = passed();
  EXPECT_GT(first, 100) << "whoever waits for long every time spends little on it";
  EXPECT_LT(first, kMost);
  for (int i = 0; i < 1'000; ++i) {
    poll_.succeeded(kSoonUs / 2);
    ASSERT_TRUE(poll_.is_worthwhile(0)) << "wait " << i;
  }
}

TEST_F(BusyPollTest, AFewLooksInVainEndIt) {
  passed();
  int looks = 1;
  for (poll_.was_in_vain(); poll_.is_worthwhile(0); poll_.was_in_vain()) ++looks;
  EXPECT_LT(looks, 10);
  EXPECT_GT(passed(), 100);
}

TEST_F(BusyPollTest, WhatComesLateIsTriedForAWhileBecauseItMayComeSooner) {
  passed();
  int looks = 1;
  for (poll_.succeeded(kSoonUs + 1); poll_.is_worthwhile(0); poll_.succeeded(kSoonUs + 1)) ++looks;
  EXPECT_GT(looks, 8);
  EXPECT_LT(looks, 100);
}

TEST_F(BusyPollTest, WhatIsInVainEveryOtherTimeIsNotWorthIt) {
  passed();
  int looks = 0;
  while (looks < kMost && poll_.is_worthwhile(0)) {
    ++looks % 2 == 0 ? poll_.was_in_vain() : poll_.succeeded(1);
  }
  EXPECT_LT(looks, 100);
}

TEST_F(BusyPollTest, WhoIsGivenMuchAtATimeSleepsInBetween) {
  passed();
  poll_.received(64 * 1024);
  EXPECT_FALSE(poll_.is_worthwhile(0));
  EXPECT_TRUE(poll_.is_worthwhile(0)) << "the next time nothing was given";
  poll_.received(200);
  EXPECT_TRUE(poll_.is_worthwhile(0)) << "a call or two";
}

TEST_F(BusyPollTest, WhoIsCrowdedOutLeavesItForLongerAndLonger) {
  std::int64_t now_us = 0;
  std::int64_t before_us = 0;
  for (int i = 0; i < 12; ++i) {
    ASSERT_LT(passed(now_us), kMost);
    poll_.was_crowded_out(now_us);
    std::int64_t pause_us = 0;
    while (passed(now_us + pause_us) == kMost) pause_us += 5'000;
    EXPECT_GE(pause_us, before_us);
    before_us = pause_us;
    now_us += pause_us;
  }
  EXPECT_GE(before_us, 5 * kSecondUs);
  EXPECT_LE(before_us, 10 * kSecondUs) << "others may have gone by then";
  // Nobody was in the way for a while: what happens now is chance.
  now_us += 2 * kSecondUs;
  poll_.was_crowded_out(now_us);
  EXPECT_LT(passed(now_us + kSecondUs / 10), kMost);
}

/// Real ends of a pipe.
class BusyPollPipeTest : public testing::TestWithParam<std::int64_t> {
 protected:
  void SetUp() override { ASSERT_EQ(::pipe(ends_.data()), 0); }
  void TearDown() override {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  pollfd item() const { return {ends_[0], POLLIN, 0}; }
  std::array<int, 2> ends_{};
};

TEST_P(BusyPollPipeTest, WhatIsThereIsFoundAndWhatIsNotIsWaitedFor) {
  BusyPoll poll(kSoonUs, GetParam());
  pollfd one = item();
  for (int i = 0; i < 600; ++i) {  // some of them look, some do not
    ASSERT_EQ(poll.poll({&one, 1}, 0), 0);
    ASSERT_EQ(::write(ends_[1], "x", 1), 1);
    one = item();
    ASSERT_EQ(poll.poll({&one, 1}, 1'000), 1);
    EXPECT_EQ(one.revents, POLLIN);
    char byte = 0;
    ASSERT_EQ(::read(ends_[0], &byte, 1), 1);
  }
  for (int i = 0; i < 300; ++i) {
    const auto began = std::chrono::steady_clock::now();
    ASSERT_EQ(poll.poll({&one, 1}, 1), 0);
    EXPECT_GE(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(1));
  }
}

TEST_P(BusyPollPipeTest, ATimeOutIsNotMoved) {
  BusyPoll poll(kSoonUs, GetParam());
  pollfd one = item();
  constexpr int kTimeOutMs = 50;
  std::int64_t shortest_ms = INT64_MAX;
  int looks = 0;
  for (int i = 0; i < 600 && looks < 4; ++i) {  // on a busy machine some of them may be late
    if (!poll.is_worthwhile(0)) continue;
    ++looks;
    const auto began = std::chrono::steady_clock::now();
    ASSERT_EQ(poll.poll({&one, 1}, kTimeOutMs), 0);
    const auto took = std::chrono::steady_clock::now() - began;
    shortest_ms = std::min<std::int64_t>(
        shortest_ms, std::chrono::duration_cast<std::chrono::milliseconds>(took).count());
  }
  EXPECT_GT(looks, 0);
  EXPECT_LT(shortest_ms, 2 * kTimeOutMs) << "it looked, and then waited for all of it";
}

INSTANTIATE_TEST_SUITE_P(Spin, BusyPollPipeTest, testing::Values(0, kSpinUs, 100'000));

}  // namespace
}  // namespace callboard
