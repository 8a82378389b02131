// The vector for one element.
#include "common/few.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace callboard {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<int> all(const Few<int>& few) { return {few.begin(), few.end()}; }

TEST(FewTest, HoldsNoneOneAndMany) {
  Few<int> few;
  EXPECT_THAT(all(few), IsEmpty());
  few.push_back(1);
  EXPECT_THAT(all(few), ElementsAre(1));
  few.push_back(2);
  few.push_back(3);
  EXPECT_THAT(all(few), ElementsAre(1, 2, 3));
  EXPECT_EQ(few.front(), 1);
  EXPECT_EQ(few[2], 3);
  few.clear();
  EXPECT_TRUE(few.empty());
}

TEST(FewTest, InsertsBeforeAnyOfThem) {
  Few<int> few;
  few.push_back(2);
  EXPECT_EQ(*few.insert(few.begin(), 1), 1);
  EXPECT_EQ(*few.insert(few.begin() + 1, 7), 7);
  EXPECT_EQ(*few.insert(few.end(), 9), 9);
  EXPECT_THAT(all(few), ElementsAre(1, 7, 2, 9));
}

TEST(FewTest, FillsAgainAfterAllWereTaken) {
  Few<int> few;
  for (const int value : {1, 2}) few.push_back(value);
  few.erase_value(1);
  few.erase_value(2);
  EXPECT_THAT(all(few), IsEmpty());
  few.push_back(3);
  EXPECT_THAT(all(few), ElementsAre(3));
  few.erase_value(4);
  EXPECT_EQ(few.size(), 1u);
}

TEST(FewTest, ResizesWithNewOnesAndKeepsTheOld) {
  Few<int> few;
  few.push_back(5);
  few.resize(3);
  EXPECT_THAT(all(few), ElementsAre(5, 0, 0));
  few.resize(1);
  EXPECT_THAT(all(few), ElementsAre(5));
  few.resize(0);
  few.resize(1);
  EXPECT_THAT(all(few), ElementsAre(0));
  few.assign(2, 8);
  EXPECT_THAT(all(few), ElementsAre(8, 8));
}

}  // namespace
}  // namespace callboard
