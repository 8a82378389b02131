// Who wakes the I/O thread of a worker, and who is told to try again.
#include "worker/host.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace callboard::worker {
namespace {

struct HostTest : testing::Test {
  Begin begin(std::uint32_t slot, std::int64_t now_us = 0) {
    Job job;
    job.slot = slot;
    const Begin answer = host.begin(job, {}, 0, now_us);
    if (answer == Begin::run) tickets.push_back(job.ticket);
    return answer;
  }
  void fill_recorder() {
    host.set_lease(1'000'000);
    while (begin(1) == Begin::run) {
    }
    ASSERT_EQ(tickets.size(), limits::kRecorderSlots);
    ASSERT_EQ(host.next_waiting(), 1u);  // the one that ended the loop
  }
  void end(bool more_soon) {
    Outcome outcome;
    host.ended({&outcome, 1}, more_soon);
  }

  Recorder recorder;
  int wakes = 0;
  Host host{recorder, [this] { ++wakes; }};
  Arrivals arrivals;
  std::vector<std::uint32_t> tickets;
};

using WorkerHost = HostTest;

TEST_F(WorkerHost, SlotsThatFindNoRoomInTheRecorderAreNamedInTheOrderInWhichTheyCame) {
  fill_recorder();
  EXPECT_EQ(begin(7), Begin::wait);
  EXPECT_EQ(begin(5), Begin::wait);
  EXPECT_EQ(host.next_waiting(), 7u);
  EXPECT_EQ(host.next_waiting(), 5u);
  EXPECT_EQ(host.next_waiting(), std::nullopt);
  host.release({tickets.data(), 1});
  EXPECT_EQ(begin(7), Begin::run);
}

TEST_F(WorkerHost, SlotThatWaitsAgainIsNamedAgain) {
  fill_recorder();
  EXPECT_EQ(begin(7), Begin::wait);
  EXPECT_EQ(host.next_waiting(), 7u);
  EXPECT_EQ(begin(7), Begin::wait);
  EXPECT_EQ(host.next_waiting(), 7u);
}

TEST_F(WorkerHost, CallBeyondTheLeaseWaitsUntilItIsRenewed) {
  host.set_lease(100);
  EXPECT_EQ(begin(3, 100), Begin::wait);
  EXPECT_EQ(host.next_waiting(), 3u);
  host.set_lease(200);
  EXPECT_EQ(begin(3, 100), Begin::run);
}

TEST_F(WorkerHost, FirstOutcomeOfManyWakesAThreadThatDoesNotExpectIt) {
  end(true);
  EXPECT_EQ(wakes, 1);
}

TEST_F(WorkerHost, OutcomesThatAreExpectedDoNotWakeUntilTheLastOne) {
  host.expect(1000);
  end(true);
  end(true);
  EXPECT_EQ(wakes, 0);
  end(false);
  EXPECT_EQ(wakes, 1);
  host.take(arrivals, 1001);
  EXPECT_EQ(arrivals.outcome_count, 3u);
}

TEST_F(WorkerHost, ThreadThatLooksInVainAfterTheTimeIsWokenAgain) {
  host.expect(1000);
  EXPECT_TRUE(host.take(arrivals, 1000 + kOutcomeDelayUs - 1));
  EXPECT_FALSE(host.take(arrivals, 1000 + kOutcomeDelayUs));
  end(true);
  EXPECT_EQ(wakes, 1);
}

}  // namespace
}  // namespace callboard::worker
