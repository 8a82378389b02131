// Commits as transactions: when they are used, and that the script decides what they leave open.

#include "tests/unit/store_dialogue.hpp"

#include <string>

namespace callboard::broker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_F(Dialogue, TransactionFollowsOnceTheFenceIsWatchedAndStillOurs) {
  start();
  commit_by_script(11);
  write(12);
  EXPECT_THAT(verbs(), ElementsAre("MULTI", "HSET", "EXEC", "WATCH", "GET", "HGET"));
  say(queued() + "*1\r\n:0\r\n");
  EXPECT_THAT(events(), ElementsAre("committed 11", "committed 12"));
  say(guard("random-1", 12));
  write(13);
  EXPECT_THAT(verbs(), ElementsAre("MULTI", "HSET", "EXEC", "WATCH", "GET", "HGET"));
}

TEST_F(Dialogue, TransactionsAnswersMayComeInAnyPieces) {
  start();
  commit_by_script(11);
  events();
  for (std::uint64_t commit_no = 12; commit_no < 30; ++commit_no) {
    write(commit_no);
    asked();
    const std::string all = queued() + "*1\r\n:0\r\n" + guard("random-1", commit_no);
    for (std::size_t at = 0; at < all.size(); at += commit_no - 11) {
      say(all.substr(at, commit_no - 11));
    }
    EXPECT_THAT(events(), ElementsAre("committed " + std::to_string(commit_no)));
  }
  EXPECT_TRUE(dialogue_.has_connection());
}

TEST_F(Dialogue, CommitThatComesBeforeTheWatchIsAnsweredIsTheScripts) {
  start();
  commit_by_script(11);
  write(12);
  asked();
  say(queued() + "*1\r\n:0\r\n");
  write(13);
  EXPECT_THAT(verbs(), ElementsAre("EVALSHA"));
  say(guard("random-1", 12) + "+COMMITTED\r\n");
  write(14);
  EXPECT_THAT(verbs(), ElementsAre("MULTI", "HSET", "EXEC", "WATCH", "GET", "HGET"));
}

TEST_F(Dialogue, FenceThatWasTouchedLeavesTheVerdictToTheScript) {
  start();
  commit_by_script(11);
  events();
  write(12);
  asked();
  say(queued() + "*-1\r\n");
  EXPECT_THAT(verbs(), ElementsAre("EVALSHA"));
  EXPECT_EQ(fatal(), "");
  say(guard("theirs", 12) + bulks({"FENCED", "theirs"}));
  EXPECT_THAT(fatal(), HasSubstr("another broker took over"));
  EXPECT_THAT(events(), IsEmpty());
}

TEST_F(Dialogue, FenceOfAnotherThatIsWatchedIsNeverTakenForOurs) {
  start();
  commit_by_script(11);
  write(12);
  asked();
  say(queued() + "*1\r\n:0\r\n" + guard("theirs", 12));
  write(13);
  EXPECT_THAT(verbs(), ElementsAre("EVALSHA"));
}

TEST_F(Dialogue, StoreThatIsElsewhereUnderTheSameFenceIsNotWrittenToByATransaction) {
  start();
  commit_by_script(11);
  write(12);
  asked();
  say(queued() + "*1\r\n:0\r\n" + guard("random-1", 7));
  write(13);
  EXPECT_THAT(verbs(), ElementsAre("EVALSHA"));
  say(bulks({"MOVED", "7"}));
  EXPECT_TRUE(dialogue_.news().begins_again);
}

TEST_F(Dialogue, FullMemoryIsTheScripts) {
  start();
  commit_by_script(11);
  write(12);
  asked();
  say("+OK\r\n-OOM command not allowed\r\n-EXECABORT Transaction discarded\r\n");
  EXPECT_THAT(verbs(), ElementsAre("EVALSHA"));
  say(guard("random-1", 11) + "+COMMITTED\r\n");
  EXPECT_THAT(events(), ElementsAre("committed 11", "committed 12"));
  write(13);
  EXPECT_THAT(verbs(), ElementsAre("EVALSHA"));  // the next one would be refused as well
  say("+COMMITTED\r\n");
  now_.mono_us += 1'000'000;
  write(14);
  EXPECT_THAT(verbs(), ElementsAre("MULTI", "HSET", "EXEC", "WATCH", "GET", "HGET"));
}

TEST_F(Dialogue, MemoryThatIsNearlyFullIsNotTried) {
  start(kInfoLimited);
  commit_by_script(11);
  write(12);
  EXPECT_THAT(verbs(), ElementsAre("EVALSHA"));
}

TEST_F(Dialogue, RefusedMultiGivesTheConnectionUp) {
  start();
  commit_by_script(11);
  events();
  write(12);
  asked();
  say("-NOPERM this user has no permissions to run the 'multi' command\r\n");
  EXPECT_FALSE(dialogue_.has_connection());
  connect_and_greet();
  own(12);  // what followed was done at once, and perhaps not all of it
  const auto again = asked();
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0][0], "EVALSHA");
  EXPECT_EQ(again[0][7], "12");
  say("+COMMITTED\r\n");
  EXPECT_EQ(events().back(), "committed 12");
}

TEST_F(Dialogue, ErrorInsideATransactionIsWrittenAgainByTheScript) {
  start();
  commit_by_script(11);
  write(12);
  asked();
  say(queued() + "*1\r\n-WRONGTYPE not a hash\r\n");
  EXPECT_FALSE(dialogue_.has_connection());
  events();
  connect_and_greet();
  own(12);
  EXPECT_THAT(verbs(), ElementsAre("EVALSHA"));
  EXPECT_THAT(events(), ElementsAre("up"));
  say("+COMMITTED\r\n");
  EXPECT_THAT(events(), ElementsAre("committed 12"));
}

TEST_F(Dialogue, EachConnectionBeginsWithTheScript) {
  start();
  commit_by_script(11);
  dialogue_.failed(now_, "gone");
  connect_and_greet();
  own(11);
  commit_by_script(12, "random-2");
  write(13);
  EXPECT_THAT(verbs(), ElementsAre("MULTI", "HSET", "EXEC", "WATCH", "GET", "HGET"));
}

}  // namespace
}  // namespace callboard::broker
