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
  EXPECT_NE(host.take(arrivals, 1000 + kOutcomeDelayUs - 1), kNever);
  EXPECT_EQ(host.take(arrivals, 1000 + kOutcomeDelayUs), kNever);
  end(true);
  EXPECT_EQ(wakes, 1);
}

struct WorkerHostGathers : HostTest {
  WorkerHostGathers() {
    host.take(arrivals, kBefore);
    host.expect(kBefore);
    host.gather(kBefore + 500);
    end(true);
  }
  static constexpr std::int64_t kBefore = 10'000;
};

TEST_F(WorkerHostGathers, TurnsInBetweenLeaveOutcomesLying) {
  EXPECT_EQ(host.take(arrivals, kBefore + 499), kBefore + 500) << "it must look then";
  EXPECT_EQ(arrivals.outcome_count, 0u);
  host.take(arrivals, kBefore + 500);
  EXPECT_EQ(arrivals.outcome_count, 1u);
}

TEST_F(WorkerHostGathers, OutcomeThatIsLastTakesTheOthersAlong) {
  end(false);
  EXPECT_EQ(wakes, 1);
  host.take(arrivals, kBefore + 1);
  EXPECT_EQ(arrivals.outcome_count, 2u);
  end(true);
  host.take(arrivals, kBefore + 2);
  EXPECT_EQ(arrivals.outcome_count, 0u) << "those after it are gathered again";
}

TEST_F(WorkerHostGathers, NoneWaitsLongerThanTheDelay) {
  host.gather(kBefore + 10 * kOutcomeDelayUs);
  host.take(arrivals, kBefore + kOutcomeDelayUs - 1);
  EXPECT_EQ(arrivals.outcome_count, 0u);
  host.take(arrivals, kBefore + kOutcomeDelayUs);
  EXPECT_EQ(arrivals.outcome_count, 1u);
}

TEST_F(WorkerHostGathers, ExecutorThatHasStoppedHasNoOutcomesLeft) {
  host.stopped(7);
  host.take(arrivals, kBefore + 1);
  EXPECT_EQ(arrivals.outcome_count, 1u);
  EXPECT_EQ(arrivals.stopped.size(), 1u);
}

TEST_F(WorkerHostGathers, WhoAsksForAllGetsThem) {
  host.take(arrivals, kBefore + 1, true);
  EXPECT_EQ(arrivals.outcome_count, 1u);
}

}  // namespace
}  // namespace callboard::worker
