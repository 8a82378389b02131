// Records by rising numbers, with some that stay for long.
#include "common/seq_table.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <random>
#include <string>

namespace callboard {
namespace {

struct Counted {
  int value = 0;
  std::string buffer;
  void reset() {
    value = 0;
    buffer.clear();
  }
};

TEST(SeqTable, HoldsWhatAMapHoldsWhileNumbersRise) {
  SeqTable<int> table;
  std::map<std::uint64_t, int> expected;
  std::mt19937_64 random(7);
  std::uint64_t next = 1;
  for (int step = 0; step < 20'000; ++step) {
    if (random() % 5 < 3) {
      next += random() % 50 == 0 ? 1000 : 1;
      table.add(next) = step;
      expected[next] = step;
    } else if (!expected.empty()) {
      auto one = expected.begin();
      std::advance(one, static_cast<long>(random() % std::min<std::size_t>(expected.size(), 200)));
      table.erase(one->first);
      expected.erase(one);
    }
  }
  EXPECT_EQ(table.size(), expected.size());
  for (const auto& [number, value] : expected) {
    ASSERT_NE(table.find(number), nullptr) << number;
    EXPECT_EQ(*table.find(number), value);
  }
  std::map<std::uint64_t, int> visited;
  table.each([&](std::uint64_t number, int value) { visited[number] = value; });
  EXPECT_EQ(visited, expected);
  std::uint64_t found = 0;
  std::uint64_t count = 0;
  for (const auto& [number, value] : expected) {
    found = table.next(found + 1, next);
    ASSERT_EQ(found, number);
    ++count;
  }
  EXPECT_EQ(count, expected.size());
  EXPECT_EQ(table.next(found + 1, next), next + 1);
}

TEST(SeqTable, ErasesARecordOfWhichTheConditionIsTrue) {
  SeqTable<Counted> table;
  table.add(7).value = 1;
  table.add(8).value = 2;
  const auto is_two = [](const Counted& record) { return record.value == 2; };
  table.erase_if(7, is_two);
  table.erase_if(8, is_two);
  table.erase_if(9, is_two);
  EXPECT_TRUE(table.contains(7));
  EXPECT_FALSE(table.contains(8));
  EXPECT_EQ(table.size(), 1u);
  EXPECT_EQ(table.add(8).value, 0);
}

TEST(SeqTable, ErasedPlaceIsFoundNoMoreAndIsAsNewWhenItsChunkIsUsedAgain) {
  SeqTable<Counted> table;
  for (std::uint64_t number = 0; number < 64; ++number) table.add(number).value = 5;
  for (std::uint64_t number = 0; number < 64; ++number) table.erase(number);
  EXPECT_TRUE(table.empty());
  EXPECT_FALSE(table.contains(3));
  for (std::uint64_t number = 640; number < 704; ++number) {
    EXPECT_EQ(table.add(number).value, 0);
  }
  EXPECT_FALSE(table.contains(3));
  EXPECT_EQ(table.next(0, 1000), 640u);
}

TEST(SeqTable, SearchEndsAtTheHighestNumberOfAll) {
  SeqTable<int> table;
  table.add(UINT64_MAX - 1) = 1;
  EXPECT_EQ(table.next(UINT64_MAX - 100, UINT64_MAX - 1), UINT64_MAX - 1);
  EXPECT_EQ(table.next(UINT64_MAX - 100, UINT64_MAX - 2), UINT64_MAX - 1);
}

TEST(SeqTable, ManyRecordsAreFoundAtBothEnds) {
  SeqTable<std::uint64_t> table;
  constexpr std::uint64_t kThere = 100'000;
  std::uint64_t first = 1;
  for (std::uint64_t number = 1; number <= 2 * kThere; ++number) {
    table.add(number) = number;
    if (number <= kThere) continue;
    ASSERT_NE(table.find(first), nullptr);
    EXPECT_EQ(*table.find(first), first);
    table.erase(first++);
    ASSERT_EQ(table.find(first - 1), nullptr);
    ASSERT_EQ(*table.find(number), number);
  }
  EXPECT_EQ(table.size(), kThere);
  EXPECT_EQ(table.next(1, 2 * kThere), first);
  for (const std::uint64_t number : table.numbers()) table.erase(number);
  EXPECT_TRUE(table.empty());
  EXPECT_EQ(table.find(first), nullptr);
}

}  // namespace
}  // namespace callboard
