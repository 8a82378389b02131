#include "broker/store/fence.hpp"

#include "tests/unit/store_support.hpp"

#include <gmock/gmock.h>

#include <string>

namespace callboard::broker {
namespace {

using ::testing::HasSubstr;
using Kind = Fence::Answer::Kind;

// EVAL, script, 2, fence, meta, token, schema, broker, epoch, run token, of a witness epoch,
// timeline and commit_no, what was found
constexpr std::size_t kToken = 5;
constexpr std::size_t kEpoch = 8;
constexpr std::size_t kFound = 13;

class FenceTest : public ::testing::Test {
 protected:
  Words request(const std::string* found = nullptr) {
    OutBuffer out;
    fence_.write_request(out, nullptr, found);
    return take_commands(out).at(0);
  }

  Fence fence_{"callboard:{0}:", "random", "broker-1"};
};

TEST_F(FenceTest, EveryConnectionHasATokenOfItsOwn) {
  const Words first = request();
  EXPECT_EQ(first[3], "callboard:{0}:fence");
  EXPECT_EQ(first[4], "callboard:{0}:meta");
  EXPECT_EQ(first[kToken], fence_.token());
  const Words second = request();
  EXPECT_EQ(second[kToken], fence_.token());
  EXPECT_NE(first[kToken], second[kToken]);
  EXPECT_THAT(second[kToken], HasSubstr("random"));
}

TEST_F(FenceTest, RunTakesOverOnceAndThenOnlyRenewsWhatIsItsOwn) {
  EXPECT_EQ(request()[kEpoch], "0");
  EXPECT_EQ(request()[kEpoch], "0");  // the first answer was lost: nothing is owned yet
  const auto answer = fence_.read_answer(WireReply(bulks({"OWNED", "6", "1", "17"})));
  ASSERT_EQ(answer.kind, Kind::owned);
  EXPECT_EQ(answer.epoch, 6u);
  EXPECT_EQ(answer.timeline, 1u);
  EXPECT_EQ(answer.commit_no, 17u);
  fence_.own(answer.epoch);
  EXPECT_EQ(request()[kEpoch], "6");
}

TEST_F(FenceTest, OnlyWhatWasFoundIsTakenOverWhereSeveralMayTry) {
  const std::string nothing;
  const std::string theirs = "theirs-3";
  EXPECT_EQ(request()[kFound], "") << "whatever it is";
  EXPECT_EQ(request(&nothing)[kFound], "=") << "a store without a fence";
  EXPECT_EQ(request(&theirs)[kFound], "=theirs-3");
  const auto answer = fence_.read_answer(WireReply(bulks({"CHANGED", "others-1"})));
  EXPECT_EQ(answer.kind, Kind::changed);
}

TEST_F(FenceTest, KnowsTheTokensOfAllItsConnections) {
  request();
  const std::string first = fence_.token();
  request();
  EXPECT_TRUE(fence_.is_ours(first));
  EXPECT_TRUE(fence_.is_ours(fence_.token()));
  EXPECT_FALSE(fence_.is_ours("theirs-1"));
  EXPECT_FALSE(fence_.is_ours(""));
}

TEST_F(FenceTest, UnknownSchemaIsNamedBesideTheKnownOne) {
  const auto answer = fence_.read_answer(WireReply(bulks({"SCHEMA", "99"})));
  EXPECT_EQ(answer.kind, Kind::schema);
  EXPECT_THAT(answer.text, HasSubstr("99"));
  EXPECT_THAT(answer.text, HasSubstr("only version 4"));
}

TEST_F(FenceTest, LossTellsAnotherBrokerFromAnOlderOrEmptyStore) {
  fence_.own(6);
  const auto taken = fence_.read_answer(WireReply(bulks({"LOST", "theirs", "7"})));
  EXPECT_EQ(taken.kind, Kind::taken);
  EXPECT_THAT(taken.text, HasSubstr("epoch 7"));
  EXPECT_EQ(fence_.read_answer(WireReply(bulks({"LOST", "theirs", "6"}))).kind, Kind::taken);
  EXPECT_EQ(fence_.read_answer(WireReply(bulks({"LOST", "random-1", "5"}))).kind, Kind::went_back);
  EXPECT_EQ(fence_.read_answer(WireReply(bulks({"LOST", "", ""}))).kind, Kind::went_back);
}

TEST_F(FenceTest, ErrorsAndNonsenseOwnNothing) {
  for (const std::string& bytes :
       {std::string("-LOADING Redis is loading\r\n"), std::string("+OK\r\n"), std::string("*0\r\n"),
        bulks({"OWNED", "x", "1", "17"}), bulks({"OWNED", "1", "1"})}) {
    EXPECT_EQ(fence_.read_answer(WireReply(bytes)).kind, Kind::refused) << bytes;
  }
}

}  // namespace
}  // namespace callboard::broker
