// Slots that are to be looked at later.
#include "worker/core/watch_list.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace callboard::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::uint32_t> visited(WatchList& list) {
  std::vector<std::uint32_t> numbers;
  list.visit_all([&](std::uint32_t number) {
    numbers.push_back(number);
    list.remove(number);
  });
  return numbers;
}

TEST(WatchListTest, WhatWasAddedIsVisitedOnce) {
  WatchList list;
  list.add(7);
  list.add(3'000'000'000);
  EXPECT_THAT(visited(list), ElementsAre(7, 3'000'000'000));
  EXPECT_THAT(visited(list), IsEmpty());
}

TEST(WatchListTest, WhatWasRemovedIsNotVisited) {
  WatchList list;
  for (std::uint32_t number = 1; number <= 10'000; ++number) list.add(number);
  for (std::uint32_t number = 1; number <= 10'000; ++number) {
    if (number != 5'000) list.remove(number);
  }
  EXPECT_THAT(visited(list), ElementsAre(5'000));
}

TEST(WatchListTest, NoneIsForgottenBecauseAnotherWasRemoved) {
  WatchList list;
  constexpr std::uint32_t kApart = 1 << 20;  // wherever they meet
  for (std::uint32_t n = 0; n < 8; ++n) list.add(n * kApart);
  for (std::uint32_t n = 0; n < 7; ++n) list.remove(n * kApart);
  bool found = false;
  list.visit_all([&](std::uint32_t number) { found = found || number == 7 * kApart; });
  EXPECT_TRUE(found);
}

TEST(WatchListTest, WhatIsAddedDuringAVisitWaitsForTheNext) {
  WatchList list;
  list.add(1);
  int visits = 0;
  list.visit_all([&](std::uint32_t number) {
    ++visits;
    list.remove(number);
    list.add(number);
  });
  EXPECT_EQ(visits, 1);
  EXPECT_THAT(visited(list), ElementsAre(1));
}

}  // namespace
}  // namespace callboard::worker
