// How calls come to the thread of a serial lane, and how that thread leaves.
#include "worker/executors/call_inbox.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace callboard::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class CallInboxTest : public ::testing::Test {
 protected:
  /// Pushes calls of these numbers at once.
  bool push(const std::vector<std::uint64_t>& numbers) {
    CallQueue calls;
    for (const std::uint64_t number : numbers) {
      ActiveCall& call = pool_->acquire();
      call.number = number;
      calls.push_back(call);
    }
    const bool nobody = inbox_.push(calls);
    EXPECT_TRUE(calls.empty());
    return nobody;
  }
  std::vector<std::uint64_t> take() {
    CallQueue taken;
    inbox_.take(taken);
    std::vector<std::uint64_t> numbers;
    while (const ActiveCall* call = taken.pop_front()) numbers.push_back(call->number);
    return numbers;
  }

  CallPool::Owner pool_ = CallPool::create();
  CallInbox inbox_;
};

TEST_F(CallInboxTest, CallsComeOutInTheOrderInWhichTheyWerePushed) {
  push({1});
  push({2, 3, 4});
  push({5, 6});
  push({7});
  EXPECT_THAT(take(), ElementsAre(1, 2, 3, 4, 5, 6, 7));
  EXPECT_THAT(take(), IsEmpty());
  push({8, 9});
  EXPECT_THAT(take(), ElementsAre(8, 9));
}

TEST_F(CallInboxTest, WhatWasTakenBeforeStaysInFront) {
  CallQueue taken;
  push({1, 2});
  inbox_.take(taken);
  push({3});
  inbox_.take(taken);
  for (std::uint64_t number = 1; number <= 3; ++number) {
    EXPECT_EQ(taken.pop_front()->number, number);
  }
  EXPECT_TRUE(taken.empty());
}

TEST_F(CallInboxTest, WhoeverFindsNobodyCallsAThreadAndNobodyElseDoes) {
  EXPECT_FALSE(push({1})) << "somebody is there from the start";
  EXPECT_FALSE(inbox_.leave()) << "something came";
  EXPECT_THAT(take(), ElementsAre(1));
  EXPECT_TRUE(inbox_.leave());
  EXPECT_TRUE(push({2}));
  EXPECT_FALSE(push({3}));
  EXPECT_FALSE(inbox_.knock());
  EXPECT_THAT(take(), ElementsAre(2, 3));
  EXPECT_TRUE(inbox_.leave());
}

TEST_F(CallInboxTest, AKnockKeepsTheThreadUntilItHasLookedOnceMore) {
  EXPECT_FALSE(inbox_.knock());
  EXPECT_FALSE(inbox_.leave());
  EXPECT_THAT(take(), IsEmpty());
  EXPECT_TRUE(inbox_.leave());
  EXPECT_TRUE(inbox_.knock()) << "and it calls one where there is none";
  EXPECT_FALSE(push({1}));
  EXPECT_THAT(take(), ElementsAre(1));
}

TEST_F(CallInboxTest, CallsStayWhereNoThreadCouldBeHad) {
  EXPECT_THAT(take(), IsEmpty());
  ASSERT_TRUE(inbox_.leave());
  ASSERT_TRUE(push({1}));
  inbox_.nobody_comes();
  EXPECT_TRUE(push({2})) << "the next one tries again";
  EXPECT_THAT(take(), ElementsAre(1, 2));
}

TEST_F(CallInboxTest, NothingIsLostBetweenThreads) {
  constexpr std::uint64_t kCalls = 20'000;
  std::vector<ActiveCall> calls(kCalls);
  std::atomic<int> called{0};
  std::atomic<bool> over{false};
  std::thread lane([&] {
    std::uint64_t next = 0;
    for (int seen = 0; next < kCalls;) {
      called.wait(seen);
      ++seen;
      CallQueue taken;
      do {
        inbox_.take(taken);
        while (const ActiveCall* call = taken.pop_front()) EXPECT_EQ(call->number, next++);
      } while (!inbox_.leave());
    }
    over = true;
  });
  ASSERT_TRUE(inbox_.leave());
  const auto call_thread = [&] {
    ++called;
    called.notify_one();
  };
  std::thread knocks([&] {
    while (!over) {
      if (inbox_.knock()) call_thread();
    }
  });
  for (std::uint64_t number = 0; number < kCalls;) {
    CallQueue some;
    for (std::uint64_t n = 0; n <= number % 3 && number < kCalls; ++n, ++number) {
      calls[number].number = number;
      some.push_back(calls[number]);
    }
    if (inbox_.push(some)) call_thread();
  }
  lane.join();
  knocks.join();
}

}  // namespace
}  // namespace callboard::worker
