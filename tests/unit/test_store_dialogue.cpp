// What is said when all is well.

#include "tests/unit/store_dialogue.hpp"

#include <string>

namespace callboard::broker {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST_F(Dialogue, ReadsNothingOfTheShardBeforeTheFenceIsReplaced) {
  connect();
  EXPECT_THAT(verbs(), ElementsAre("CLIENT", "INFO", "CONFIG", "SCRIPT"));
  greet();
  EXPECT_THAT(verbs(), ElementsAre("EVAL"));
  EXPECT_THAT(loaded_, IsEmpty());
  own(10);
  EXPECT_THAT(verbs(), Contains("HSCAN"));
}

TEST_F(Dialogue, HandsOverTheStateThenEveryEntryAndThenIsReady) {
  connect_and_greet();
  own(17, 4);
  EXPECT_FALSE(dialogue_.idle());
  say(page("0", {"Counter", "1"}));
  for (int i = 2; i < kEmptyStorePages; ++i) say(page("0", {}));
  EXPECT_FALSE(dialogue_.idle());
  say(page("0", {}));
  EXPECT_THAT(loaded_, ElementsAre("begin 4 17", "classes/Counter", "end"));
  EXPECT_TRUE(dialogue_.idle());
  EXPECT_THAT(events(), IsEmpty());  // the broker has just begun; nothing changed
  EXPECT_THAT(log(), Contains(HasSubstr("appendfsync is always")));
}

TEST_F(Dialogue, LogsInAndChoosesTheDatabaseBeforeAllElse) {
  StoreOptions options;
  options.url = *parse_redis_url("redis://ann:secret@host/3");
  StoreDialogue dialogue(options, "random", *this);
  dialogue.connecting(now_);
  dialogue.connected(now_);
  const auto commands = take_commands(dialogue.output());
  EXPECT_THAT(commands.at(0), ElementsAre("AUTH", "ann", "secret"));
  EXPECT_THAT(commands.at(1), ElementsAre("SELECT", "3"));
  dialogue.received(now_, "-WRONGPASS invalid username-password pair\r\n");
  EXPECT_FALSE(dialogue.has_connection());
  EXPECT_EQ(dialogue.news().fatal, "");  // somebody may repair it
  ASSERT_FALSE(dialogue.news().log.empty());
  EXPECT_THAT(dialogue.news().log[0].second,
              AllOf(HasSubstr("WRONGPASS"), HasSubstr("ann@host"), Not(HasSubstr("secret"))));
}

TEST_F(Dialogue, PasswordWithoutUserIsForTheDefaultUser) {
  StoreOptions options;
  options.url = *parse_redis_url("redis://:secret@host");
  StoreDialogue dialogue(options, "random", *this);
  dialogue.connecting(now_);
  dialogue.connected(now_);
  EXPECT_THAT(take_commands(dialogue.output()).at(0), ElementsAre("AUTH", "secret"));
}

TEST_F(Dialogue, RefusesAServerThatEvictsWithOneClearLine) {
  connect();
  asked();
  greet(kInfoEvicting);
  EXPECT_THAT(fatal(), AllOf(HasSubstr("maxmemory-policy"), HasSubstr("allkeys-lru")));
  EXPECT_THAT(fatal(), Not(HasSubstr("\n")));
  EXPECT_FALSE(dialogue_.has_connection());
  EXPECT_FALSE(dialogue_.wants_connection({INT64_MAX, 0}));
  EXPECT_EQ(dialogue_.next_deadline_us(), kNever);
  EXPECT_THAT(asked(), IsEmpty());  // the fence was not touched
}

TEST_F(Dialogue, RefusesAStoreOfAnotherSchemaWithOneClearLine) {
  connect_and_greet();
  say(bulks({"SCHEMA", "5"}));
  EXPECT_THAT(fatal(), HasSubstr("schema version 5"));
}

TEST_F(Dialogue, GoesOnWithoutConfigAndSaysSo) {
  connect();
  asked();
  say("-NOPERM no\r\n" + bulk(kInfo) + "-NOPERM no permissions for config\r\n" + bulk("sha"));
  own(10);
  for (int i = 0; i < kEmptyStorePages; ++i) say(page("0", {}));
  EXPECT_TRUE(dialogue_.idle());
  EXPECT_THAT(log(), Contains(HasSubstr("CONFIG is not permitted")));
}

TEST_F(Dialogue, TellsCommittedWhenRedisSaysSoAndTakesOneCommitAtATime) {
  start();
  write(11);
  EXPECT_FALSE(dialogue_.idle());
  EXPECT_THAT(verbs(), ElementsAre("EVALSHA"));
  EXPECT_THAT(events(), IsEmpty());
  say("+COMMITTED\r\n");
  EXPECT_THAT(events(), ElementsAre("committed 11"));
  say("-NOPERM no\r\n-NOPERM no\r\n-NOPERM no\r\n" + bulk("random-1") + bulk("11"));
  asked();
  write(12);
  EXPECT_THAT(verbs(), ElementsAre("EVALSHA"));
  say("+COMMITTED\r\n");
  EXPECT_THAT(verbs(), IsEmpty());
  EXPECT_THAT(events(), ElementsAre("committed 12"));
}

TEST_F(Dialogue, ConnectionThatIsNotAcceptedIsGivenUp) {
  dialogue_.connecting(now_);
  pass_ms(options_.connect_ms_max);
  EXPECT_FALSE(dialogue_.has_connection());
  EXPECT_THAT(log(), ElementsAre(HasSubstr("waiting for Redis")));
  EXPECT_THAT(events(), IsEmpty());  // nobody is there yet to be told
}

TEST_F(Dialogue, ForgottenScriptIsLoadedAgainOnTheSameConnection) {
  start();
  write(11);
  asked();
  say("-NOSCRIPT No matching script\r\n");
  EXPECT_THAT(verbs(), ElementsAre("SCRIPT", "EVALSHA"));
  say(bulk("sha") + "+COMMITTED\r\n");
  EXPECT_THAT(events(), ElementsAre("committed 11"));
}

TEST_F(Dialogue, LoadThatBreaksBeginsAnewAsANewRun) {
  connect_and_greet();
  own(10, 4);
  say(page("0", {"Counter", "1"}));
  dialogue_.failed(now_, "gone");
  EXPECT_THAT(events(), IsEmpty());
  connect_and_greet();
  own(10, 5);
  say(page("0", {"Counter", "1"}));
  for (int i = 1; i < kEmptyStorePages; ++i) say(page("0", {}));
  EXPECT_THAT(loaded_, ElementsAre("begin 4 10", "classes/Counter", "begin 5 10", "classes/Counter",
                                   "end"));
}

TEST_F(Dialogue, EntryThatCannotBeReadEndsTheBroker) {
  connect_and_greet();
  own(10);
  say(page("0", {"unreadable", "x"}));
  EXPECT_THAT(fatal(), AllOf(HasSubstr("unreadable"), HasSubstr("no such record")));
  EXPECT_THAT(loaded_, Not(Contains("end")));
}

TEST_F(Dialogue, LooksAtTheFenceWhileIdleAndEndsWhenItIsAnothers) {
  start();
  pass_ms(options_.probe_ms);
  const auto probe = asked();
  ASSERT_EQ(probe.size(), 1u);  // no memory limit, so memory is not asked for
  EXPECT_THAT(probe[0], ElementsAre("GET", "callboard:{0}:fence"));
  say(bulk("random-1"));
  EXPECT_EQ(fatal(), "");
  pass_ms(options_.probe_ms);
  say(bulk("theirs"));
  EXPECT_THAT(fatal(), HasSubstr("another broker took over"));
}

TEST_F(Dialogue, AsksOnlyOnceWhileRedisIsSlow) {
  start();
  pass_ms(options_.probe_ms);
  EXPECT_EQ(asked().size(), 1u);
  for (int i = 0; i < 4; ++i) pass_ms(options_.probe_ms);
  EXPECT_THAT(asked(), IsEmpty());
  EXPECT_GT(dialogue_.next_deadline_us(), now_.mono_us);
}

TEST_F(Dialogue, TellsWhenMemoryRunsShortAndWhenThereIsRoomAgain) {
  start(kInfoLimited);
  EXPECT_THAT(events(), ElementsAre("full"));
  pass_ms(options_.probe_ms);
  EXPECT_THAT(verbs(), ElementsAre("GET", "INFO"));
  say(bulk("random-1") + bulk("used_memory:940\r\nmaxmemory:1000\r\n"));
  EXPECT_THAT(events(), IsEmpty());
  pass_ms(options_.probe_ms);
  say(bulk("random-1") + bulk("used_memory:500\r\nmaxmemory:1000\r\n"));
  EXPECT_THAT(events(), ElementsAre("room"));
}

TEST_F(Dialogue, ProbesAndCommitsShareTheConnectionInOrder) {
  start(kInfoLimited);
  events();
  write(11);
  pass_ms(options_.probe_ms);
  EXPECT_THAT(verbs(), ElementsAre("EVALSHA", "GET", "INFO"));
  say("+COMMITTED\r\n" + bulk("random-1"));
  write(12);
  say(bulk("used_memory:1\r\nmaxmemory:1000\r\n") + "+OK\r\n*0\r\n" + guard("random-1", 11) +
      "+COMMITTED\r\n");
  EXPECT_THAT(events(), ElementsAre("committed 11", "room", "committed 12"));
}

}  // namespace
}  // namespace callboard::broker
