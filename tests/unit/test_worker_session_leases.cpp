// The set of leases that were seen.

#include "worker/core/lease_set.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace callboard::worker {
namespace {

TEST(WorkerLeaseSet, SaysOfEachNumberOnceThatItIsNew) {
  std::mt19937_64 random(11);
  LeaseSet seen;
  std::set<std::uint64_t> model;
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t lease = random() % 3000;
    EXPECT_EQ(seen.insert(lease), model.insert(lease).second) << "lease " << lease;
  }
  for (std::uint64_t lease = 0; lease < 3000; ++lease) {
    EXPECT_EQ(seen.insert(lease), model.insert(lease).second) << "lease " << lease;
  }
  EXPECT_EQ(seen.ranges(), 1u) << "what has no gap is one range";
}

TEST(WorkerLeaseSet, NumbersInOrderTakeOneRange) {
  LeaseSet seen;
  for (std::uint64_t lease = 1; lease < 100'000; ++lease) EXPECT_TRUE(seen.insert(lease));
  EXPECT_EQ(seen.ranges(), 1u);
  EXPECT_FALSE(seen.insert(1));
  EXPECT_FALSE(seen.insert(99'999));
}

TEST(WorkerLeaseSet, GapsThatNeverFillDoNotGrowWithoutBound) {
  LeaseSet seen;
  for (std::uint64_t lease = 1; lease < 100'000; lease += 2) EXPECT_TRUE(seen.insert(lease));
  EXPECT_LE(seen.ranges(), LeaseSet::kRangesMax);
  EXPECT_FALSE(seen.insert(99'999));
  EXPECT_TRUE(seen.insert(99'998));
}

TEST(WorkerLeaseSet, TheLargestNumberIsANumberLikeAnyOther) {
  LeaseSet seen;
  EXPECT_TRUE(seen.insert(UINT64_MAX));
  EXPECT_FALSE(seen.insert(UINT64_MAX));
  EXPECT_TRUE(seen.insert(0));
  EXPECT_FALSE(seen.insert(0));
  EXPECT_EQ(seen.ranges(), 2u);
}

}  // namespace
}  // namespace callboard::worker
