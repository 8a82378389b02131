#include "broker/store/dialogue.hpp"

#include "tests/unit/store_support.hpp"

#include <gmock/gmock.h>

#include <string>
#include <variant>
#include <vector>

namespace callboard::broker {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

const std::string kInfo =
    "redis_version:7.0.15\r\nloading:0\r\nused_memory:100\r\nmaxmemory:0\r\n"
    "maxmemory_policy:noeviction\r\naof_enabled:1\r\n";
const std::string kInfoLimited =
    "redis_version:7.0.15\r\nloading:0\r\nused_memory:950\r\nmaxmemory:1000\r\n"
    "maxmemory_policy:noeviction\r\naof_enabled:1\r\n";
const std::string kInfoEvicting =
    "redis_version:7.0.15\r\nmaxmemory_policy:allkeys-lru\r\naof_enabled:1\r\n";
const std::string kConfig =
    bulks({"appendonly", "yes", "appendfsync", "always", "no-appendfsync-on-rewrite", "no"});

class Dialogue : public ::testing::Test, protected StoreReader {
 protected:
  void load_begins(const StoreState& state) override {
    loaded_.push_back("begin " + std::to_string(state.epoch) + " " +
                      std::to_string(state.commit_no));
  }
  std::string load(const StoreEntry& entry) override {
    loaded_.push_back(std::string(entry.key) + "/" + std::string(entry.field));
    return entry.field == "unreadable" ? "no such record" : "";
  }
  void load_ended() override { loaded_.push_back("end"); }

  // --- Redis's side -----------------------------------------------------------------------------
  std::vector<Words> asked() { return take_commands(dialogue_.output()); }
  std::vector<std::string> verbs() {
    std::vector<std::string> all;
    for (const Words& words : asked()) all.push_back(words.front());
    return all;
  }
  void say(const std::string& bytes) { dialogue_.received(now_, bytes); }
  void pass_ms(std::int64_t ms) {
    now_.mono_us += ms * kMicrosPerMilli;
    dialogue_.tick(now_);
  }

  void connect() {
    if (!dialogue_.wants_connection(now_)) pass_ms(500);
    ASSERT_TRUE(dialogue_.wants_connection(now_));
    dialogue_.connecting(now_);
    dialogue_.connected(now_);
  }
  void greet(const std::string& info = kInfo) {
    say("+OK\r\n" + bulk(info) + kConfig + bulk("sha"));
  }
  void connect_and_greet() {
    connect();
    asked();
    greet();
    ASSERT_THAT(verbs(), ElementsAre("EVAL"));
  }
  void own(std::uint64_t commit_no, std::uint64_t epoch = 4) {
    say(bulks({"OWNED", std::to_string(epoch), "1", std::to_string(commit_no)}));
  }
  /// From nothing to ready, with an empty store at commit 10.
  void start(const std::string& info = kInfo) {
    connect();
    asked();
    greet(info);
    asked();
    own(10);
    for (int i = 0; i < 6; ++i) say(page("0", {}));
    ASSERT_THAT(loaded_, Contains("end"));
    asked();
  }
  void write(std::uint64_t commit_no) {
    ASSERT_TRUE(dialogue_.idle());
    dialogue_.commit(now_, batch_, commit_no);
  }

  // --- what happened ----------------------------------------------------------------------------
  std::vector<std::string> events() {
    std::vector<std::string> all;
    for (const Event& event : dialogue_.news().events) {
      if (const auto* done = std::get_if<Committed>(&event)) {
        all.push_back("committed " + std::to_string(done->commit_no));
      } else if (const auto* down = std::get_if<StoreDown>(&event)) {
        all.push_back("down: " + down->text);
      } else if (std::holds_alternative<StoreUp>(event)) {
        all.push_back("up");
      } else if (const auto* full = std::get_if<StoreFull>(&event)) {
        all.push_back(full->full ? "full" : "room");
      }
    }
    dialogue_.news().events.clear();
    return all;
  }
  std::vector<std::string> log() {
    std::vector<std::string> all;
    for (const auto& [level, text] : dialogue_.news().log) all.push_back(text);
    dialogue_.news().log.clear();
    return all;
  }
  const std::string& fatal() { return dialogue_.news().fatal; }

  Instant now_{1'000'000, 0};
  StoreBatch batch_;
  std::vector<std::string> loaded_;
  StoreOptions options_;
  StoreDialogue dialogue_{options_, "random", *this};
};

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
  for (int i = 0; i < 4; ++i) say(page("0", {}));
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
  say(bulks({"SCHEMA", "2"}));
  EXPECT_THAT(fatal(), HasSubstr("schema version 2"));
}

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

TEST_F(Dialogue, GoesOnWithoutConfigAndSaysSo) {
  connect();
  asked();
  say("-NOPERM no\r\n" + bulk(kInfo) + "-NOPERM no permissions for config\r\n" + bulk("sha"));
  own(10);
  for (int i = 0; i < 6; ++i) say(page("0", {}));
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
  write(12);
  say("+COMMITTED\r\n");
  EXPECT_THAT(events(), ElementsAre("committed 12"));
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

TEST_F(Dialogue, ConnectionThatIsNotAcceptedIsGivenUp) {
  dialogue_.connecting(now_);
  pass_ms(options_.connect_ms_max);
  EXPECT_FALSE(dialogue_.has_connection());
  EXPECT_THAT(log(), ElementsAre(HasSubstr("waiting for Redis")));
  EXPECT_THAT(events(), IsEmpty());  // nobody is there yet to be told
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

TEST_F(Dialogue, StoreThatWentBackEndsTheBrokerAndSaysWhich) {
  start();
  write(11);
  say("+COMMITTED\r\n");
  dialogue_.failed(now_, "gone");
  connect_and_greet();
  own(10);
  EXPECT_THAT(fatal(), HasSubstr("went back to commit 10"));
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

TEST_F(Dialogue, ForgottenScriptIsLoadedAgainOnTheSameConnection) {
  start();
  write(11);
  asked();
  say("-NOSCRIPT No matching script\r\n");
  EXPECT_THAT(verbs(), ElementsAre("SCRIPT", "EVALSHA"));
  say(bulk("sha") + "+COMMITTED\r\n");
  EXPECT_THAT(events(), ElementsAre("committed 11"));
}

TEST_F(Dialogue, ServerThatKeepsForgettingTheScriptIsNotAskedForEver) {
  start();
  write(11);
  say("-NOSCRIPT No matching script\r\n");
  say(bulk("sha") + "-NOSCRIPT No matching script\r\n");
  EXPECT_FALSE(dialogue_.has_connection());
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
  for (int i = 0; i < 5; ++i) say(page("0", {}));
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

TEST_F(Dialogue, EmptiedRedisIsNoticedWhileIdle) {
  start();
  pass_ms(options_.probe_ms);
  say("$-1\r\n");
  EXPECT_THAT(fatal(), HasSubstr("emptied"));
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
  say(bulk("used_memory:1\r\nmaxmemory:1000\r\n") + "+COMMITTED\r\n");
  EXPECT_THAT(events(), ElementsAre("committed 11", "room", "committed 12"));
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
