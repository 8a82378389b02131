#include "broker/store/pipeline.hpp"

#include "tests/unit/store_support.hpp"

#include <gmock/gmock.h>

#include <string>
#include <vector>

namespace callboard::broker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Fate = CommitAnswer::Kind;
using State = CommitPipeline::State;

class Pipeline : public ::testing::Test {
 protected:
  Pipeline() {
    batch_.set(batch_.key(KeyKind::hash, "k"), "f", "v");
    pipeline_.begin(10);
  }

  Words write() {
    OutBuffer out;
    pipeline_.write("sha", "token", out);
    return take_commands(out).front();
  }
  CommitAnswer answer(std::string_view bytes) { return pipeline_.on_reply(WireReply(bytes)); }
  /// As a transaction; what was written.
  std::vector<Words> write_quickly() {
    OutBuffer out;
    EXPECT_EQ(pipeline_.write(Transaction("callboard:{0}:"), out), 3u);
    return take_commands(out);
  }
  CommitAnswer exec(std::string_view bytes) { return pipeline_.on_exec(WireReply(bytes)); }

  ScriptCommitWriter writer_{"callboard:{0}:"};
  CommitPipeline pipeline_{writer_};
  StoreBatch batch_;
};

TEST_F(Pipeline, CommitIsDoneOnlyWhenRedisSaysSo) {
  EXPECT_EQ(pipeline_.state(), State::waiting);
  pipeline_.stage(batch_, 11);
  EXPECT_EQ(pipeline_.state(), State::staged);
  const Words command = write();
  EXPECT_EQ(pipeline_.state(), State::written);
  EXPECT_EQ(command[5], "callboard:{0}:k");
  EXPECT_EQ(command[7], "11");
  EXPECT_EQ(command[8], "10");
  EXPECT_EQ(pipeline_.committed(), 10u);
  EXPECT_EQ(answer("+COMMITTED\r\n").kind, Fate::committed);
  EXPECT_EQ(pipeline_.state(), State::done);
  EXPECT_EQ(pipeline_.collect(), 11u);
  EXPECT_EQ(pipeline_.state(), State::waiting);
  EXPECT_EQ(pipeline_.committed(), 11u);
}

TEST_F(Pipeline, LostConnectionIsResolvedAsCommittedWhenTheStoreHasTheNumber) {
  pipeline_.stage(batch_, 11);
  write();
  pipeline_.on_disconnect();
  EXPECT_EQ(pipeline_.state(), State::staged);
  EXPECT_EQ(pipeline_.resolve(11).kind, Fate::committed);
  EXPECT_EQ(pipeline_.collect(), 11u);
}

TEST_F(Pipeline, LostConnectionIsResolvedByWritingAgainWhenTheStoreHasNot) {
  pipeline_.stage(batch_, 11);
  const Words first = write();
  pipeline_.on_disconnect();
  EXPECT_EQ(pipeline_.resolve(10).kind, Fate::not_yet);
  EXPECT_EQ(write(), first);
  pipeline_.on_disconnect();
  EXPECT_EQ(pipeline_.resolve(11).kind, Fate::committed);  // the second writing was applied
}

TEST_F(Pipeline, NumberThatNobodyWroteIsNeverTakenForACommit) {
  pipeline_.stage(batch_, 11);
  pipeline_.on_disconnect();  // before anything was written
  EXPECT_EQ(pipeline_.resolve(11).kind, Fate::fenced);
  EXPECT_EQ(pipeline_.state(), State::staged);
}

TEST_F(Pipeline, StoreThatIsElsewhereIsAnotherBrokersOrAnOlderCopy) {
  EXPECT_EQ(pipeline_.resolve(10).kind, Fate::not_yet);  // nothing in flight, nothing happened
  const CommitAnswer ahead = pipeline_.resolve(12);
  EXPECT_EQ(ahead.kind, Fate::fenced);
  EXPECT_THAT(ahead.text, HasSubstr("12"));
  pipeline_.stage(batch_, 11);
  write();
  pipeline_.on_disconnect();
  EXPECT_EQ(pipeline_.resolve(12).kind, Fate::fenced);
  const CommitAnswer behind = pipeline_.resolve(9);
  EXPECT_EQ(behind.kind, Fate::went_back);
  EXPECT_THAT(behind.text, HasSubstr("went back"));
}

TEST_F(Pipeline, FencedCommitNamesTheOtherBrokersToken) {
  pipeline_.stage(batch_, 11);
  write();
  const CommitAnswer found = answer(bulks({"FENCED", "theirs"}));
  EXPECT_EQ(found.kind, Fate::fenced);
  EXPECT_THAT(found.text, HasSubstr("theirs"));
}

TEST_F(Pipeline, MissingFenceMeansThatRedisWasEmptied) {
  pipeline_.stage(batch_, 11);
  write();
  EXPECT_EQ(answer("*2\r\n" + bulk("FENCED") + "$-1\r\n").kind, Fate::went_back);
}

TEST_F(Pipeline, CommitNumberThatMovedUnderTheFenceIsNoticed) {
  pipeline_.stage(batch_, 11);
  write();
  const CommitAnswer moved = answer(bulks({"MOVED", "4"}));
  EXPECT_EQ(moved.kind, Fate::went_back);
  EXPECT_THAT(moved.text, HasSubstr("commit 4"));
}

TEST_F(Pipeline, MissingScriptAppliedNothingAndIsWrittenAgain) {
  pipeline_.stage(batch_, 11);
  write();
  EXPECT_EQ(answer("-NOSCRIPT No matching script\r\n").kind, Fate::no_script);
  EXPECT_EQ(pipeline_.state(), State::staged);
  write();
  EXPECT_EQ(answer("+COMMITTED\r\n").kind, Fate::committed);
}

TEST_F(Pipeline, ErrorLeavesTheFateOpenUntilItIsResolved) {
  pipeline_.stage(batch_, 11);
  write();
  const CommitAnswer refused = answer("-MISCONF Redis is configured to save\r\n");
  EXPECT_EQ(refused.kind, Fate::refused);
  EXPECT_THAT(refused.text, HasSubstr("MISCONF"));
  EXPECT_EQ(pipeline_.state(), State::staged);
  EXPECT_EQ(pipeline_.resolve(10).kind, Fate::not_yet);
}

TEST_F(Pipeline, TransactionThatWasAppliedIsACommit) {
  pipeline_.stage(batch_, 11);
  EXPECT_THAT(write_quickly(),
              ElementsAre(ElementsAre("MULTI"), ElementsAre("HSET", "callboard:{0}:k", "f", "v"),
                          ElementsAre("HSET", "callboard:{0}:meta", "commit_no", "11"),
                          ElementsAre("EXEC")));
  EXPECT_EQ(exec("*2\r\n:1\r\n:0\r\n").kind, Fate::committed);
  EXPECT_EQ(pipeline_.collect(), 11u);
}

TEST_F(Pipeline, TransactionThatDidNothingIsWrittenAsTheScript) {
  for (const char* nothing : {"*-1\r\n", "-EXECABORT Transaction discarded\r\n"}) {
    if (pipeline_.state() == State::waiting) pipeline_.stage(batch_, 11);
    write_quickly();
    EXPECT_EQ(exec(nothing).kind, Fate::not_yet) << nothing;
    EXPECT_EQ(write()[8], "10") << nothing;
    pipeline_.on_disconnect();
  }
  EXPECT_EQ(pipeline_.resolve(11).kind, Fate::committed);  // that is the script's, so it is whole
}

TEST_F(Pipeline, TransactionThatMayBeThereInPartIsMadeWholeByTheScript) {
  for (const bool told : {true, false}) {
    pipeline_.stage(batch_, pipeline_.committed() + 1);
    const std::string at = std::to_string(pipeline_.commit_no());
    write_quickly();
    if (told) {
      const CommitAnswer part = exec("*2\r\n-WRONGTYPE not a hash\r\n:0\r\n");
      EXPECT_EQ(part.kind, Fate::refused);
      EXPECT_THAT(part.text, HasSubstr("WRONGTYPE"));
    }
    for (int lost = 0; lost < 2; ++lost) {
      pipeline_.on_disconnect();
      EXPECT_EQ(pipeline_.resolve(pipeline_.commit_no()).kind, Fate::not_yet);
      const Words again = write();
      EXPECT_EQ(again[7], at);
      EXPECT_EQ(again[8], at);  // where the store is
    }
    EXPECT_EQ(answer("+COMMITTED\r\n").kind, Fate::committed);
    pipeline_.collect();
  }
}

TEST_F(Pipeline, TransactionOfWhichTheStoreHasNothingIsWrittenAsTheScript) {
  pipeline_.stage(batch_, 11);
  write_quickly();
  pipeline_.on_disconnect();
  EXPECT_EQ(pipeline_.resolve(10).kind, Fate::not_yet);
  EXPECT_EQ(write()[8], "10");
  EXPECT_EQ(answer("+COMMITTED\r\n").kind, Fate::committed);
}

TEST_F(Pipeline, AnswersOfExecThatMakeNoSenseCommitNothing) {
  for (const char* bytes : {"+OK\r\n", "+QUEUED\r\n", "*0\r\n", "-ERR EXEC without MULTI\r\n"}) {
    if (pipeline_.state() == State::waiting) pipeline_.stage(batch_, 11);
    write_quickly();
    EXPECT_EQ(exec(bytes).kind, Fate::refused) << bytes;
  }
}

TEST_F(Pipeline, AnswersThatMakeNoSenseCommitNothing) {
  for (const char* bytes : {"+OK\r\n", ":1\r\n", "$-1\r\n", "*0\r\n", "$9\r\nCOMMITTED\r\n"}) {
    pipeline_.on_disconnect();
    if (pipeline_.state() == State::waiting) pipeline_.stage(batch_, 11);
    write();
    EXPECT_EQ(answer(bytes).kind, Fate::refused) << bytes;
    EXPECT_NE(pipeline_.state(), State::done) << bytes;
  }
}

}  // namespace
}  // namespace callboard::broker
