// Calls that are read back from the store while the broker serves.
#include "tests/unit/store_dialogue.hpp"

#include <string>
#include <vector>

namespace callboard::broker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const Words kQuestion = {"HMGET", "callboard:{0}:q:hits:calls", "7", "8"};
const std::string kAnswer = "*2\r\n$2\r\nab\r\n$-1\r\n";

class DialogueReads : public Dialogue {
 protected:
  void ask(std::uint64_t id) { dialogue_.read(now_, {id, "q:hits:calls", {7, 8}}); }
  /// What was read: the question's id, and each record, "-" where there was none.
  std::vector<std::string> read() {
    std::vector<std::string> all;
    for (const Event& event : dialogue_.news().events) {
      const auto* read = std::get_if<CallsRead>(&event);
      if (read == nullptr) continue;
      all.push_back(std::to_string(read->id));
      std::size_t at = 0;
      for (std::size_t i = 0; i < read->sizes.size(); ++i) {
        all.emplace_back(read->record(i, at).value_or("-"));
      }
    }
    dialogue_.news().events.clear();
    return all;
  }
};

TEST_F(DialogueReads, EachFieldIsToldInTheOrderOfTheQuestion) {
  start();
  ask(3);
  EXPECT_THAT(asked(), ElementsAre(kQuestion));
  say(kAnswer);
  EXPECT_THAT(read(), ElementsAre("3", "ab", "-"));
}

TEST_F(DialogueReads, AQuestionGoesOutWhileACommitIsInFlight) {
  start();
  commit_by_script(11);
  write(12);
  ask(3);
  EXPECT_THAT(verbs(), ElementsAre("MULTI", "HSET", "EXEC", "WATCH", "GET", "HGET", "HMGET"));
  say(queued() + "*1\r\n:0\r\n" + guard("random-1", 12) + kAnswer);
  EXPECT_THAT(read(), ElementsAre("3", "ab", "-"));
  EXPECT_TRUE(dialogue_.idle());
}

TEST_F(DialogueReads, WhatWasNotAnsweredIsAskedAgainOnTheNextConnection) {
  start();
  ask(3);
  ask(4);
  asked();
  say(kAnswer);
  EXPECT_THAT(read(), ElementsAre("3", "ab", "-"));
  dialogue_.failed(now_, "gone");
  ask(5);  // while Redis is away
  EXPECT_THAT(asked(), IsEmpty());
  connect_and_greet();
  own(10);
  EXPECT_THAT(asked(), ElementsAre(kQuestion, kQuestion));
  say(kAnswer + kAnswer);
  EXPECT_THAT(read(), ElementsAre("4", "ab", "-", "5", "ab", "-"));
}

TEST_F(DialogueReads, AnAnswerThatDoesNotComeMakesANewConnection) {
  start();
  ask(3);
  asked();
  pass_ms(options_.reply_ms_max + 1);
  EXPECT_FALSE(dialogue_.has_connection());
  connect_and_greet();
  own(10);
  EXPECT_THAT(asked(), ElementsAre(kQuestion));
}

TEST_F(DialogueReads, AStoreThatWentBackIsNotAskedWhatAnEarlierRunWanted) {
  start();
  ask(3);
  asked();
  dialogue_.begin_timeline(now_, {9, 1, 99, "a test says so"});
  read();
  connect_and_greet();
  own(10, 10);
  for (int i = 0; i < kEmptyStorePages; ++i) say(page("0", {}));
  const std::vector<std::string> all = verbs();
  EXPECT_EQ(std::count(all.begin(), all.end(), "HMGET"), 0);
}

}  // namespace
}  // namespace callboard::broker
