// Brokers that share a shard: who waits, who takes over and when, who stops.
#include "tests/unit/store_dialogue.hpp"

namespace callboard::broker {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Standby : public Dialogue {
 protected:
  Standby() {
    options_.standby = true;
    standby_.emplace(options_, "random", static_cast<StoreReader&>(*this));
  }
  /// Connected and greeted; the owner was asked for.
  void begin() {
    standby_->connecting(now_);
    standby_->connected(now_);
    words();
    tell("+OK\r\n" + bulk(kInfo) + kConfig + bulk("sha"));
    ASSERT_THAT(words(), ElementsAre("GET", "HMGET"));
  }
  std::vector<std::string> words() {
    std::vector<std::string> all;
    for (const Words& command : take_commands(standby_->output())) all.push_back(command.front());
    return all;
  }
  void tell(const std::string& bytes) { standby_->received(now_, bytes); }
  void owner(const std::string& fence, const std::string& beat, const std::string& left = "") {
    const std::string sign = fence.empty() ? "$-1\r\n" : bulk(fence);
    tell(sign + bulks({beat, "5", left, "other"}));
  }
  void pass(std::int64_t ms) {
    now_.mono_us += ms * kMicrosPerMilli;
    standby_->tick(now_);
  }
  /// From standing by to ready.
  void take_shard() {
    ASSERT_THAT(words(), ElementsAre("EVAL"));
    tell(bulks({"OWNED", "4", "1", "10"}));
    for (int i = 0; i < kEmptyStorePages; ++i) tell(page("0", {}));
    ASSERT_THAT(loaded_, Contains("end"));
    words();
  }

  std::optional<StoreDialogue> standby_;
};

TEST_F(Standby, ShardThatNobodyHasIsTakenAtOnce) {
  begin();
  owner("", "");
  EXPECT_FALSE(standby_->standing_by());
  take_shard();
}

TEST_F(Standby, OwnerThatGivesSignsOfLifeKeepsTheShard) {
  begin();
  owner("theirs", "1");
  for (int i = 2; i < 40; ++i) {
    pass(options_.standby_poll_ms);
    ASSERT_THAT(words(), ElementsAre("GET", "HMGET"));
    owner("theirs", std::to_string(i));
  }
  EXPECT_TRUE(standby_->standing_by());
  EXPECT_THAT(loaded_, IsEmpty());
}

TEST_F(Standby, SilentOwnerIsReplacedAfterTheTakeoverTime) {
  begin();
  owner("theirs", "1");
  std::int64_t waited = 0;
  while (standby_->standing_by() && waited < 10'000) {
    pass(options_.standby_poll_ms);
    waited += options_.standby_poll_ms;
    words();
    owner("theirs", "1");
    if (waited < options_.takeover_ms) {
      ASSERT_TRUE(standby_->standing_by()) << waited;
    }
  }
  EXPECT_LE(waited, options_.takeover_ms + 2 * options_.standby_poll_ms);
}

TEST_F(Standby, TimeInWhichRedisDoesNotAnswerDoesNotCount) {
  begin();
  owner("theirs", "1");
  pass(options_.standby_poll_ms);
  words();
  for (int i = 0; i < 10; ++i) pass(400);  // asked, and no answer comes
  owner("theirs", "1");
  EXPECT_TRUE(standby_->standing_by());
}

TEST_F(Standby, OwnerThatLeftIsReplacedAtOnce) {
  begin();
  owner("theirs", "1");
  pass(options_.standby_poll_ms);
  words();
  owner("theirs", "1", "theirs");
  EXPECT_FALSE(standby_->standing_by());
}

TEST_F(Standby, LeaveOfAnEarlierOwnerSaysNothingOfThisOne) {
  begin();
  owner("theirs", "1", "of-one-before");
  EXPECT_TRUE(standby_->standing_by());
}

TEST_F(Standby, OneThatIsTooLateStandsByAgain) {
  begin();
  owner("", "");
  const auto asked = take_commands(standby_->output());
  ASSERT_EQ(asked.size(), 1u);
  EXPECT_EQ(asked[0].back(), "=") << "only an empty store is taken";
  tell(bulks({"CHANGED", "theirs"}));
  EXPECT_TRUE(standby_->standing_by());
  EXPECT_EQ(standby_->news().fatal, "");
  EXPECT_THAT(words(), ElementsAre("GET", "HMGET"));
  owner("theirs", "1");
  for (int i = 2; i < 40; ++i) {
    pass(options_.standby_poll_ms);
    words();
    owner("theirs", std::to_string(i));
  }
  EXPECT_TRUE(standby_->standing_by()) << "it waits for the other one, from the beginning";
  EXPECT_THAT(loaded_, IsEmpty());
}

TEST_F(Standby, OwnTokenOfABrokenConnectionIsReplacedAtOnce) {
  begin();
  owner("", "");
  const std::string token = take_commands(standby_->output()).at(0).at(5);
  standby_->failed(now_, "gone");  // whether it was applied is not known
  pass(1000);
  begin();
  owner(token, "1");
  EXPECT_FALSE(standby_->standing_by());
  EXPECT_EQ(take_commands(standby_->output()).at(0).back(), "=" + token);
}

TEST_F(Standby, ServingBrokerMustBeConfirmedInTime) {
  begin();
  owner("", "");
  take_shard();
  EXPECT_TRUE(standby_->confirmed(now_));
  pass(options_.probe_ms);
  EXPECT_THAT(words(), ElementsAre("EVAL")) << "a sign of life, and the fence";
  pass(options_.lease_ms);
  EXPECT_FALSE(standby_->confirmed(now_));
  tell(bulk("random-1"));
  EXPECT_FALSE(standby_->confirmed(now_)) << "it counts from when it was asked";
  pass(options_.probe_ms);
  words();
  tell(bulk("random-1"));
  EXPECT_TRUE(standby_->confirmed(now_));
}

TEST_F(Standby, ConnectionThatBreaksWhileItStandsByBeginsTheWaitAnew) {
  begin();
  owner("theirs", "1");
  for (int i = 0; i < 6; ++i) {
    pass(options_.standby_poll_ms);
    words();
    owner("theirs", "1");
  }
  standby_->failed(now_, "gone");
  pass(1000);
  begin();
  owner("theirs", "1");
  EXPECT_TRUE(standby_->standing_by());
}

TEST_F(Dialogue, BrokerThatSharesWithNobodyNeedsNoConfirmation) {
  start();
  pass_ms(100'000);
  EXPECT_TRUE(dialogue_.confirmed(now_));
}

}  // namespace
}  // namespace callboard::broker
