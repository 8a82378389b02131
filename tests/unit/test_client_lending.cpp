// When a thread that waits may take the connection's turns.
#include "client/core/lending.hpp"

#include <gtest/gtest.h>

namespace callboard::client {
namespace {

constexpr std::uint64_t kMany = 500;

/// A thread that waits, is answered, does something else, and waits again.
class WaitingThread {
 public:
  explicit WaitingThread(Lending& lending) : lending_(lending) {}

  void wait(std::uint64_t unanswered, std::int64_t answered_after_us) {
    lending_.wait_begins(now_us, unanswered);
    now_us += answered_after_us;
    lending_.wait_ends(now_us);
  }
  /// `times` waits with little between.
  void wait_again_and_again(int times) {
    for (int i = 0; i < times; ++i) {
      wait(kMany, 300);
      now_us += 100;
    }
  }

  std::int64_t now_us = 1'000'000;

 private:
  Lending& lending_;
};

class LendingTest : public ::testing::Test {
 protected:
  Lending lending_;
  WaitingThread thread_{lending_};
};

TEST_F(LendingTest, NobodyHasWaitedYet) {
  EXPECT_FALSE(lending_.steady());
  EXPECT_FALSE(lending_.one_at_a_time(1'000'000, 0));
  EXPECT_FALSE(lending_.submits_alone());
  EXPECT_FALSE(lending_.any_waits());
}

TEST_F(LendingTest, ThreadThatComesBackSoonEachTimeIsSteady) {
  thread_.wait_again_and_again(4);
  EXPECT_FALSE(lending_.steady()) << "the first wait followed none";
  thread_.wait_again_and_again(1);
  EXPECT_TRUE(lending_.steady());
  EXPECT_FALSE(lending_.one_at_a_time(thread_.now_us, kMany));
}

TEST_F(LendingTest, LongWaitsAreAsGoodAsShortOnes) {
  for (int i = 0; i < 6; ++i) {
    thread_.wait(kMany, 5'000'000);
    thread_.now_us += 100;
  }
  EXPECT_TRUE(lending_.steady());
}

TEST_F(LendingTest, ThreadThatStaysAwayIsNoLongerSteady) {
  thread_.wait_again_and_again(6);
  thread_.now_us += 20'000;
  lending_.wait_begins(thread_.now_us, kMany);
  EXPECT_FALSE(lending_.steady());
}

TEST_F(LendingTest, TurnsThatWereLeftAloneEndIt) {
  thread_.wait_again_and_again(6);
  lending_.left_alone();
  EXPECT_FALSE(lending_.steady());
  thread_.wait_again_and_again(4);
  EXPECT_TRUE(lending_.steady()) << "it may come again";
}

TEST_F(LendingTest, SecondThreadThatWaitsEndsItAtOnce) {
  thread_.wait_again_and_again(6);
  lending_.wait_begins(thread_.now_us, kMany);
  EXPECT_TRUE(lending_.steady()) << "one that waits is the one that takes the turns";
  lending_.wait_begins(thread_.now_us, kMany);
  EXPECT_FALSE(lending_.steady());
  lending_.wait_ends(thread_.now_us);
  EXPECT_FALSE(lending_.steady()) << "the other one sleeps, and does not come";
  EXPECT_TRUE(lending_.any_waits());
}

TEST_F(LendingTest, SingleCallsAreNotSteady) {
  for (int i = 0; i < 10; ++i) {
    thread_.wait(1, 100);
    thread_.now_us += 10;
  }
  EXPECT_FALSE(lending_.steady());
  EXPECT_TRUE(lending_.one_at_a_time(thread_.now_us, 1));
  EXPECT_FALSE(lending_.one_at_a_time(thread_.now_us, kMany));
  EXPECT_FALSE(lending_.one_at_a_time(thread_.now_us + 30'000, 0)) << "it stays away";
}

TEST_F(LendingTest, SingleCallsThatNobodyWaitsForEndIt) {
  thread_.wait(1, 100);
  EXPECT_TRUE(lending_.submits_alone());
  EXPECT_TRUE(lending_.submits_alone());
  EXPECT_FALSE(lending_.submits_alone());
  EXPECT_FALSE(lending_.one_at_a_time(thread_.now_us, 0));
  thread_.wait(1, 100);
  EXPECT_TRUE(lending_.one_at_a_time(thread_.now_us, 0));
}

TEST_F(LendingTest, WhatIsAskedBesideCallsEndsBoth) {
  thread_.wait(1, 100);
  lending_.asks();
  EXPECT_FALSE(lending_.one_at_a_time(thread_.now_us, 0));
  EXPECT_FALSE(lending_.submits_alone());
  thread_.wait_again_and_again(6);
  lending_.asks();
  EXPECT_FALSE(lending_.steady());
}

}  // namespace
}  // namespace callboard::client
