#include "broker/transport/peer_table.hpp"

#include <gmock/gmock.h>

#include <vector>

namespace callboard::broker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Peers : public ::testing::Test {
 protected:
  PeerTable table_;
  std::vector<PeerId> lost_;
};

TEST_F(Peers, AreFoundByIdentityAndByNumber) {
  const PeerId a = table_.add("aaa", 7, lost_).id;
  const PeerId b = table_.add("bbb", 8, lost_).id;
  EXPECT_NE(a, b);
  EXPECT_EQ(table_.find("aaa")->id, a);
  EXPECT_EQ(table_.find(b)->identity, "bbb");
  EXPECT_EQ(table_.find("ccc"), nullptr);
  EXPECT_EQ(table_.size(), 2u);
  EXPECT_THAT(lost_, IsEmpty());
}

TEST_F(Peers, ComeBackAsSomebodyNew) {
  const PeerId before = table_.add("aaa", 7, lost_).id;
  table_.remove(before);
  EXPECT_EQ(table_.find("aaa"), nullptr);
  EXPECT_EQ(table_.find(before), nullptr);
  EXPECT_NE(table_.add("aaa", 7, lost_).id, before);
  EXPECT_THAT(lost_, IsEmpty());
}

TEST_F(Peers, AreLostWithTheirConnectionOnce) {
  const PeerId a = table_.add("aaa", 7, lost_).id;
  table_.add("bbb", 8, lost_);
  table_.connection_ended(7, lost_);
  table_.connection_ended(7, lost_);
  table_.connection_ended(99, lost_);
  EXPECT_THAT(lost_, ElementsAre(a));
  EXPECT_EQ(table_.size(), 1u);
}

TEST_F(Peers, WhoseConnectionNumberIsUsedByAnotherAreLost) {
  const PeerId a = table_.add("aaa", 7, lost_).id;
  const PeerId b = table_.add("bbb", 7, lost_).id;
  EXPECT_THAT(lost_, ElementsAre(a));
  table_.connection_ended(7, lost_);
  EXPECT_THAT(lost_, ElementsAre(a, b));
  EXPECT_EQ(table_.size(), 0u);
}

TEST_F(Peers, WithoutAKnownConnectionDoNotPushEachOtherOut) {
  table_.add("aaa", -1, lost_);
  table_.add("bbb", -1, lost_);
  table_.connection_ended(-1, lost_);
  EXPECT_THAT(lost_, IsEmpty());
  EXPECT_EQ(table_.size(), 2u);
}

TEST_F(Peers, RemovedOnesLeaveTheConnectionToTheirSuccessor) {
  const PeerId a = table_.add("aaa", 7, lost_).id;
  table_.remove(a);  // it did not read; its connection is still there
  const PeerId again = table_.add("aaa", 7, lost_).id;
  table_.remove(a);
  table_.connection_ended(7, lost_);
  EXPECT_THAT(lost_, ElementsAre(again));
}

}  // namespace
}  // namespace callboard::broker
