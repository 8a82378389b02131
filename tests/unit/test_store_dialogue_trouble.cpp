// What is said when Redis is away, refuses, forgets, or belongs to somebody else.

#include "tests/unit/store_dialogue.hpp"

#include <string>

namespace callboard::broker {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

TEST_F(Dialogue, ServerThatBeginsToEvictWhileTheBrokerRunsIsOnlyAway) {
  start();
  dialogue_.failed(now_, "Redis closed the connection");
  connect();
  asked();
  greet(kInfoEvicting);
  EXPECT_EQ(fatal(), "");
  EXPECT_THAT(log(), Contains(HasSubstr("maxmemory-policy")));
  connect_and_greet();
  own(10);
  EXPECT_TRUE(dialogue_.idle());
}

TEST_F(Dialogue, LostAnswerIsToldAsCommittedWhenTheStoreHasIt) {
  start();
  write(11);
  dialogue_.failed(now_, "Redis closed the connection");
  EXPECT_THAT(events(), ElementsAre("down: Redis closed the connection"));
  connect_and_greet();
  own(11);
  EXPECT_THAT(asked(), IsEmpty());
  EXPECT_THAT(events(), ElementsAre("committed 11", "up"));
  EXPECT_TRUE(dialogue_.idle());
}

TEST_F(Dialogue, LostCommitIsWrittenAgainUnderTheNewToken) {
  start();
  write(11);
  const Words first = asked().front();
  dialogue_.failed(now_, "gone");
  connect_and_greet();
  own(10);
  const auto again = asked();
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0][0], "EVALSHA");
  EXPECT_NE(again[0][5], first[5]);  // the token
  EXPECT_THAT(events(), ElementsAre(StartsWith("down"), "up"));
  EXPECT_FALSE(dialogue_.idle());
  say("+COMMITTED\r\n");
  EXPECT_THAT(events(), ElementsAre("committed 11"));
}

TEST_F(Dialogue, CommitStaysUnknownThroughManyLostConnections) {
  start();
  write(11);
  for (int i = 0; i < 3; ++i) {
    dialogue_.failed(now_, "gone");
    connect_and_greet();
    own(10);
    EXPECT_THAT(verbs(), ElementsAre("EVALSHA"));
  }
  dialogue_.failed(now_, "gone");
  events();
  connect_and_greet();
  own(11);
  EXPECT_THAT(events(), ElementsAre("committed 11", "up"));
}

TEST_F(Dialogue, SilenceIsAwayAndNeverAFailedCommit) {
  start();
  write(11);
  pass_ms(options_.reply_ms_max - 1);
  EXPECT_TRUE(dialogue_.has_connection());
  pass_ms(1);
  EXPECT_FALSE(dialogue_.has_connection());
  EXPECT_THAT(events(), ElementsAre("down: Redis does not answer"));
  connect_and_greet();
  own(11);
  EXPECT_THAT(events(), ElementsAre("committed 11", "up"));
}

TEST_F(Dialogue, BytesThatStillMoveAreNoSilence) {
  start();
  write(11);
  for (int i = 0; i < 10; ++i) {
    pass_ms(options_.reply_ms_max - 1);
    dialogue_.sent(now_);
  }
  EXPECT_TRUE(dialogue_.has_connection());
  say("+COMM");
  pass_ms(options_.reply_ms_max - 1);
  say("ITTED\r\n");
  EXPECT_THAT(events(), ElementsAre("committed 11"));
}

TEST_F(Dialogue, AnotherBrokersFenceEndsTheBroker) {
  start();
  write(11);
  say(bulks({"FENCED", "theirs"}));
  EXPECT_THAT(fatal(), HasSubstr("another broker took over"));
  EXPECT_THAT(events(), IsEmpty());
}

TEST_F(Dialogue, ShardTakenWhileAwayEndsTheBrokerWithoutTouchingTheFence) {
  start();
  dialogue_.failed(now_, "gone");
  connect_and_greet();
  say(bulks({"LOST", "theirs", "5"}));
  EXPECT_THAT(fatal(), HasSubstr("another broker took over"));
  EXPECT_THAT(asked(), IsEmpty());
}

TEST_F(Dialogue, StoreThatWentBackIsReadAnewInANewTimeline) {
  start();
  write(11);
  say("+COMMITTED\r\n");
  events();
  dialogue_.failed(now_, "gone");
  connect_and_greet();
  loaded_.clear();
  own(10);
  EXPECT_EQ(fatal(), "");
  EXPECT_TRUE(dialogue_.news().begins_again);
  EXPECT_THAT(log(), Contains(HasSubstr("went back to commit 10")));
  EXPECT_THAT(events(), IsEmpty());  // they were for a run that is over
  EXPECT_FALSE(dialogue_.idle());

  connect();
  asked();
  greet();
  EXPECT_THAT(witness_told(), ElementsAre("0", "4", "1", "11"));  // takes over, above all it saw
  say(bulks({"OWNED", "5", "2", "11"}));
  for (int i = 0; i < kEmptyStorePages; ++i) say(page("0", {}));
  EXPECT_THAT(loaded_, ElementsAre("begin 5 11", "end"));
  EXPECT_THAT(began_because_, HasSubstr("went back to commit 10"));
  EXPECT_EQ(dialogue_.state().times_back, 1u);
  asked();
  write(12);
  say("+COMMITTED\r\n");
  EXPECT_THAT(events(), ElementsAre("committed 12"));
}

TEST_F(Dialogue, WitnessBeginsATimelineOnlyWhileTheShardIsOurs) {
  start();
  dialogue_.begin_timeline(now_, {9, 1, 70, "a client has seen more"});
  EXPECT_TRUE(dialogue_.news().begins_again);
  connect();
  asked();
  greet();
  EXPECT_THAT(witness_told(), ElementsAre("4", "9", "1", "70"));  // it only renews what is its own
  say(bulks({"LOST", "theirs", "10"}));
  EXPECT_THAT(fatal(), HasSubstr("another broker took over"));
}

TEST_F(Dialogue, LoadThatBreaksInANewTimelineDoesNotBeginAThird) {
  start();
  dialogue_.begin_timeline(now_, {9, 1, 70, "a client has seen more"});
  connect();
  asked();
  greet();
  asked();
  say(bulks({"OWNED", "10", "2", "70"}));
  dialogue_.failed(now_, "gone");
  connect();
  asked();
  greet();
  EXPECT_THAT(witness_told(), ElementsAre("0", "0", "0", "0"));
  say(bulks({"OWNED", "11", "2", "70"}));
  EXPECT_THAT(began_because_, HasSubstr("a client has seen more"));
}

TEST_F(Dialogue, StoreThatWentBackEndsABrokerThatInsistsOnFsync) {
  options_.require_fsync = RequireFsync::always;
  StoreDialogue strict(options_, "random", *this);
  strict.connecting(now_);
  strict.connected(now_);
  strict.received(now_, "+OK\r\n" + bulk(kInfo) + kConfig + bulk("sha"));
  strict.received(now_, bulks({"OWNED", "4", "1", "10"}));
  for (int i = 0; i < kEmptyStorePages; ++i) strict.received(now_, page("0", {}));
  ASSERT_TRUE(strict.idle());
  strict.begin_timeline(now_, {9, 1, 70, "a client has seen more"});
  EXPECT_THAT(strict.news().fatal, AllOf(HasSubstr("a client has seen more"),
                                         HasSubstr("require_fsync = always")));
  EXPECT_FALSE(strict.news().begins_again);
}

TEST_F(Dialogue, WeakerPolicyThanRequiredIsRefusedAtTheStartAndWaitedOutLater) {
  options_.require_fsync = RequireFsync::always;
  const std::string weak =
      bulks({"appendonly", "yes", "appendfsync", "everysec", "no-appendfsync-on-rewrite", "no"});
  StoreDialogue refused(options_, "random", *this);
  refused.connecting(now_);
  refused.connected(now_);
  refused.received(now_, "+OK\r\n" + bulk(kInfo) + weak + bulk("sha"));
  EXPECT_THAT(refused.news().fatal, HasSubstr("require_fsync is always, but appendfsync is every"));

  StoreDialogue strict(options_, "random", *this);
  strict.connecting(now_);
  strict.connected(now_);
  strict.received(now_, "+OK\r\n" + bulk(kInfo) + kConfig + bulk("sha"));
  strict.received(now_, bulks({"OWNED", "4", "1", "10"}));
  for (int i = 0; i < kEmptyStorePages; ++i) strict.received(now_, page("0", {}));
  now_.mono_us += 10'000 * kMicrosPerMilli;  // somebody uses CONFIG SET meanwhile
  strict.tick(now_);
  strict.received(now_, bulk("random-1") + bulk("used_memory:1\r\n") + weak);
  EXPECT_EQ(strict.news().fatal, "");
  EXPECT_FALSE(strict.has_connection());
  EXPECT_FALSE(strict.idle());
}

class PassingError : public Dialogue, public ::testing::WithParamInterface<const char*> {};

TEST_P(PassingError, IsWaitedOutAndTheCommitIsWrittenAgain) {
  start();
  write(11);
  const std::string error = "-" + std::string(GetParam()) + " not now\r\n";
  for (int i = 0; i < 5; ++i) {
    say(error);
    EXPECT_FALSE(dialogue_.has_connection());
    connect_and_greet();
    say(error);  // the fence is refused too
    EXPECT_FALSE(dialogue_.has_connection());
    connect_and_greet();
    own(10);
    EXPECT_THAT(verbs(), ElementsAre("EVALSHA"));
  }
  EXPECT_EQ(fatal(), "");
  events();
  say("+COMMITTED\r\n");
  EXPECT_THAT(events(), ElementsAre("committed 11"));
}

INSTANTIATE_TEST_SUITE_P(Words, PassingError,
                         ::testing::Values("LOADING", "BUSY", "READONLY", "MISCONF", "OOM",
                                           "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN", "TRYAGAIN"));

TEST_F(Dialogue, ErrorThatNeverPassesEndsTheBrokerAfterAFewTries) {
  start();
  write(11);
  for (int i = 0; fatal().empty(); ++i) {
    ASSERT_LT(i, 10);
    say("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
    if (!fatal().empty()) break;
    connect_and_greet();
    own(10);
  }
  EXPECT_THAT(fatal(), AllOf(HasSubstr("commit 11"), HasSubstr("WRONGTYPE")));
}

TEST_F(Dialogue, ServerThatKeepsForgettingTheScriptIsNotAskedForEver) {
  start();
  write(11);
  say("-NOSCRIPT No matching script\r\n");
  say(bulk("sha") + "-NOSCRIPT No matching script\r\n");
  EXPECT_FALSE(dialogue_.has_connection());
}

TEST_F(Dialogue, RestsLongerAfterEachFailureButNeverLong) {
  std::vector<std::int64_t> rests;
  for (int i = 0; i < 8; ++i) {
    dialogue_.connecting(now_);
    dialogue_.failed(now_, "refused");
    rests.push_back((dialogue_.next_deadline_us() - now_.mono_us) / kMicrosPerMilli);
    now_.mono_us = dialogue_.next_deadline_us();
    ASSERT_TRUE(dialogue_.wants_connection(now_));
  }
  EXPECT_THAT(rests, ElementsAre(20, 40, 80, 160, 320, 500, 500, 500));
}

TEST_F(Dialogue, SuccessMakesTheNextRestShortAgain) {
  start();
  for (int i = 0; i < 4; ++i) {
    dialogue_.failed(now_, "gone");
    connect_and_greet();
    own(10);
  }
  write(11);
  say("+COMMITTED\r\n");
  dialogue_.failed(now_, "gone");
  EXPECT_EQ(dialogue_.next_deadline_us() - now_.mono_us, 20'000);
}

TEST_F(Dialogue, SaysThatRedisIsAwayOncePerChangeAndEveryTenSeconds) {
  for (int i = 0; i < 50; ++i) {  // 25 s of refused connections
    dialogue_.connecting(now_);
    dialogue_.failed(now_, "refused");
    now_.mono_us += 500'000;
  }
  EXPECT_THAT(log(), ElementsAre(HasSubstr("refused"), HasSubstr("for 10000 ms: refused"),
                                 HasSubstr("for 20000 ms: refused")));
  dialogue_.connecting(now_);
  dialogue_.failed(now_, "no such file");
  EXPECT_THAT(log(), ElementsAre(HasSubstr("no such file")));
}

TEST_F(Dialogue, SaysThatRedisIsBackAndTellsUpOnce) {
  start();
  log();
  dialogue_.failed(now_, "gone");
  dialogue_.tick(now_);
  EXPECT_THAT(events(), ElementsAre("down: gone"));
  connect();
  dialogue_.failed(now_, "gone");
  EXPECT_THAT(events(), IsEmpty());  // told already
  connect_and_greet();
  own(10);
  EXPECT_THAT(events(), ElementsAre("up"));
  EXPECT_THAT(log(), ElementsAre(HasSubstr("away"), HasSubstr("back after")));
}

TEST_F(Dialogue, PolicyThatChangedWhileAwayIsNamedAgain) {
  start();
  log();
  dialogue_.failed(now_, "gone");
  connect();
  asked();
  say("+OK\r\n" + bulk(kInfo) +
      bulks({"appendonly", "yes", "appendfsync", "everysec", "no-appendfsync-on-rewrite", "no"}) +
      bulk("sha"));
  own(10);
  EXPECT_THAT(log(), Contains(HasSubstr("everysec")));
}

TEST_F(Dialogue, EmptiedRedisIsNoticedWhileIdle) {
  start();
  pass_ms(options_.probe_ms);
  say("$-1\r\n");
  EXPECT_TRUE(dialogue_.news().begins_again);
  EXPECT_THAT(log(), Contains(HasSubstr("emptied")));
}

TEST_F(Dialogue, GarbageAndAnswersThatNobodyAskedForCloseTheConnection) {
  start();
  say("+OK\r\n");
  EXPECT_FALSE(dialogue_.has_connection());
  connect();
  say("HTTP/1.1 400 Bad Request\r\n\r\n");
  EXPECT_FALSE(dialogue_.has_connection());
  connect_and_greet();
  own(10);
  EXPECT_TRUE(dialogue_.idle());
}

TEST_F(Dialogue, LateAnswersOfAnOldConnectionAreNotHeard) {
  start();
  write(11);
  say("+COMMI");
  dialogue_.failed(now_, "gone");
  connect();
  asked();
  say("+OK\r\n");  // the rest of the old line would make this garbage
  EXPECT_TRUE(dialogue_.has_connection());
}

}  // namespace
}  // namespace callboard::broker
