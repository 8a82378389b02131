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
  std::vector<PeerId> lost() {
    std::vector<PeerId> found;
    table_.remove_ending(found);
    return found;
  }
};

TEST_F(Peers, AreFoundByIdentityAndByNumber) {
  const PeerId a = table_.add("aaa", 7).id;
  const PeerId b = table_.add("bbb", 8).id;
  EXPECT_NE(a, b);
  EXPECT_EQ(table_.find("aaa")->id, a);
  EXPECT_EQ(table_.find(b)->identity, "bbb");
  EXPECT_EQ(table_.find("ccc"), nullptr);
  EXPECT_EQ(table_.size(), 2u);
  EXPECT_THAT(lost(), IsEmpty());
}

TEST_F(Peers, ComeBackAsSomebodyNew) {
  const PeerId before = table_.add("aaa", 7).id;
  table_.remove(before);
  EXPECT_EQ(table_.find("aaa"), nullptr);
  EXPECT_EQ(table_.find(before), nullptr);
  EXPECT_NE(table_.add("aaa", 7).id, before);
  EXPECT_THAT(lost(), IsEmpty());
}

TEST_F(Peers, AreLostWithTheirConnectionOnce) {
  const PeerId a = table_.add("aaa", 7).id;
  table_.add("bbb", 8);
  table_.connection_ended(7);
  table_.connection_ended(7);
  table_.connection_ended(99);
  EXPECT_THAT(lost(), ElementsAre(a));
  EXPECT_EQ(table_.size(), 1u);
}

TEST_F(Peers, StayUntilTheirLastFramesAreTaken) {
  const PeerId a = table_.add("aaa", 7).id;
  EXPECT_FALSE(table_.any_ending());
  table_.connection_ended(7);
  EXPECT_TRUE(table_.any_ending());
  ASSERT_NE(table_.find("aaa"), nullptr);
  EXPECT_TRUE(table_.find("aaa")->ending);
  EXPECT_THAT(lost(), ElementsAre(a));
  EXPECT_EQ(table_.find("aaa"), nullptr);
  EXPECT_FALSE(table_.any_ending());
}

TEST_F(Peers, ThatWereRemovedWhileTheyEndedAreNotLostAgain) {
  const PeerId a = table_.add("aaa", 7).id;
  table_.end(*table_.find(a));
  table_.remove(a);
  EXPECT_THAT(lost(), IsEmpty());
}

TEST_F(Peers, WhoseConnectionNumberIsUsedByAnotherAreLost) {
  const PeerId a = table_.add("aaa", 7).id;
  const PeerId b = table_.add("bbb", 7).id;
  EXPECT_THAT(lost(), ElementsAre(a));
  table_.connection_ended(7);
  EXPECT_THAT(lost(), ElementsAre(b));
  EXPECT_EQ(table_.size(), 0u);
}

TEST_F(Peers, WithoutAKnownConnectionDoNotPushEachOtherOut) {
  table_.add("aaa", -1);
  table_.add("bbb", -1);
  table_.connection_ended(-1);
  EXPECT_THAT(lost(), IsEmpty());
  EXPECT_EQ(table_.size(), 2u);
}

TEST_F(Peers, RemovedOnesLeaveTheConnectionToTheirSuccessor) {
  const PeerId a = table_.add("aaa", 7).id;
  table_.remove(a);  // it did not read; its connection is still there
  const PeerId again = table_.add("aaa", 7).id;
  table_.remove(a);
  table_.connection_ended(7);
  EXPECT_THAT(lost(), ElementsAre(again));
}

}  // namespace
}  // namespace callboard::broker
