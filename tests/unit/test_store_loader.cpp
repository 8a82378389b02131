#include "broker/store/loader.hpp"

#include "tests/unit/store_support.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace callboard::broker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Loader : public ::testing::Test {
 protected:
  /// Takes the next commands and remembers them as "VERB key cursor".
  std::vector<std::string> ask() {
    OutBuffer out;
    const std::size_t asked = loader_.ask(out);
    std::vector<std::string> lines;
    for (const Words& words : take_commands(out)) {
      EXPECT_EQ(words.at(3), "COUNT");
      counts_.push_back(std::stoul(words.at(4)));
      lines.push_back(words[0] + " " + words[1] + " " + words[2]);
    }
    EXPECT_EQ(lines.size(), asked);
    return lines;
  }
  std::string give(const std::string& bytes) { return loader_.on_reply(WireReply(bytes)); }

  std::string sink(const StoreEntry& entry) {
    taken_.push_back(std::string(entry.key) + "/" + std::string(entry.field) + "=" +
                     std::string(entry.value));
    return entry.value == "bad" ? "it is bad" : "";
  }

  std::vector<std::string> taken_;
  std::vector<std::size_t> counts_;
  StoreLoader loader_{"cb:", [this](const StoreEntry& entry) { return sink(entry); }};
};

TEST_F(Loader, ReadsSingleKeysThenWhatTheyName) {
  EXPECT_THAT(ask(), ElementsAre("HSCAN cb:classes 0", "HSCAN cb:sessions 0", "HSCAN cb:actors 0",
                                 "HSCAN cb:names 0", "HSCAN cb:schedules 0", "HSCAN cb:runs 0",
                                 "ZSCAN cb:workers 0", "SSCAN cb:queues 0", "SSCAN cb:dedupe 0",
                                 "HSCAN cb:journal 0"));
  EXPECT_EQ(give(page("0", {})), "");
  EXPECT_EQ(give(page("0", {"00aa", "s"})), "");
  EXPECT_EQ(give(page("0", {})), "");
  EXPECT_EQ(give(page("0", {})), "");
  EXPECT_EQ(give(page("0", {"nightly", "p"})), "");
  EXPECT_EQ(give(page("0", {"1", "5f"})), "");
  EXPECT_EQ(give(page("0", {"w-0", "1700"})), "");
  EXPECT_THAT(ask(), ElementsAre());  // the queues are not known yet
  EXPECT_EQ(give(page("0", {"a", "b"})), "");
  EXPECT_EQ(give(page("0", {"5"})), "");
  EXPECT_EQ(give(page("0", {})), "");
  EXPECT_THAT(ask(), ElementsAre("HSCAN cb:q:a 0", "HSCAN cb:q:b 0"));
  give(page("0", {"next", "3"}));
  give(page("0", {}));
  EXPECT_THAT(ask(), ElementsAre("HSCAN cb:results:00aa 0"));
  give(page("0", {"7", "r"}));
  EXPECT_THAT(ask(), ElementsAre("HSCAN cb:q:a:sent 0", "HSCAN cb:q:b:sent 0"));
  give(page("0", {}));
  EXPECT_FALSE(loader_.finished());
  give(page("0", {}));
  EXPECT_THAT(ask(), ElementsAre("HSCAN cb:q:a:calls 0", "HSCAN cb:q:b:calls 0"));
  give(page("0", {"1", "c1"}));
  give(page("0", {}));
  EXPECT_THAT(ask(), ElementsAre("HSCAN cb:q:a:delayed 0", "HSCAN cb:q:b:delayed 0"));
  give(page("0", {"00", "d"}));
  give(page("0", {}));
  EXPECT_THAT(ask(), ElementsAre("HSCAN cb:q:a:dead 0", "HSCAN cb:q:b:dead 0"));
  give(page("0", {}));
  give(page("0", {}));
  EXPECT_THAT(ask(), ElementsAre("HSCAN cb:dedupe:5 0"));
  give(page("0", {"a\nkey", "k"}));
  EXPECT_THAT(ask(), ElementsAre());
  EXPECT_TRUE(loader_.finished());
  EXPECT_THAT(taken_, ElementsAre("sessions/00aa=s", "schedules/nightly=p", "runs/1=5f",
                                  "workers/w-0=1700", "queues/a=", "queues/b=", "dedupe/5=",
                                  "q:a/next=3",
                                  "results:00aa/7=r", "q:a:calls/1=c1", "q:a:delayed/00=d",
                                  "dedupe:5/a\nkey=k"));
  EXPECT_EQ(loader_.entries(), 12u);
}

TEST_F(Loader, EmptyStoreIsReadInOneRound) {
  ask();
  for (int i = 0; i < kEmptyStorePages; ++i) EXPECT_EQ(give(page("0", {})), "");
  EXPECT_THAT(ask(), ElementsAre());
  EXPECT_TRUE(loader_.finished());
}

TEST_F(Loader, FollowsTheCursorToTheEndOfAKey) {
  ask();
  give(page("0", {}));
  give(page("0", {}));
  give(page("17", {"1", "a"}));
  EXPECT_THAT(ask(), ElementsAre("HSCAN cb:actors 17"));
  for (int i = 3; i < kEmptyStorePages; ++i) give(page("0", {}));
  give(page("0", {"2", "b"}));
  EXPECT_THAT(taken_, ElementsAre("actors/1=a", "actors/2=b"));
}

TEST_F(Loader, AsksForFewerFieldsWhereValuesAreLargeAndMoreWhereTheyAreSmall) {
  ask();
  give(page("5", {"1", std::string(400'000, 'x')}));
  give(page("6", {"1", "tiny", "2", "tiny"}));
  counts_.clear();
  ask();
  EXPECT_THAT(counts_, ElementsAre(1u, 4000u));
}

TEST_F(Loader, KeepsABoundedNumberOfQuestionsOpen) {
  ask();
  for (int i = 0; i < kEmptyStorePages - 2; ++i) give(page("0", {}));  // all before the queues
  Words names;
  for (int i = 0; i < 1000; ++i) names.push_back("q" + std::to_string(i));
  give(page("0", names));
  give(page("0", {}));
  const std::size_t open = ask().size();
  EXPECT_LE(open, 64u);
  EXPECT_GT(open, 8u);
  give(page("0", {}));
  EXPECT_EQ(ask().size(), 1u);
}

TEST_F(Loader, EntryThatCannotBeReadIsNamedWithKeyAndField) {
  ask();
  const std::string problem = give(page("0", {"Counter", "bad"}));
  EXPECT_THAT(problem, HasSubstr("cb:classes"));
  EXPECT_THAT(problem, HasSubstr("Counter"));
  EXPECT_THAT(problem, HasSubstr("it is bad"));
}

TEST_F(Loader, ErrorsAndNonsenseAreProblemsThatNameTheKey) {
  for (const std::string& bytes :
       {std::string("-WRONGTYPE Operation against a key\r\n"), std::string(":1\r\n"),
        std::string("*1\r\n$1\r\n0\r\n"), std::string("*2\r\n:1\r\n*0\r\n")}) {
    StoreLoader loader("cb:", [](const StoreEntry&) { return std::string(); });
    OutBuffer out;
    loader.ask(out);
    EXPECT_THAT(loader.on_reply(WireReply(bytes)), HasSubstr("cb:classes")) << bytes;
  }
}

}  // namespace
}  // namespace callboard::broker
