#include "broker/store/transaction.hpp"

#include "tests/unit/store_support.hpp"

#include <gmock/gmock.h>

#include <string>
#include <vector>

namespace callboard::broker {
namespace {

using ::testing::ElementsAre;

TEST(Transaction, WritesEveryChangeAndThenTheNumberOfTheCommit) {
  StoreBatch batch;
  const auto dropped = batch.key(KeyKind::hash, "q:a");
  batch.drop(dropped);
  batch.set(dropped, "next", "2");
  const auto queues = batch.key(KeyKind::set, "queues");
  batch.set(queues, "a", "");
  batch.erase(queues, "b");
  const auto results = batch.key(KeyKind::hash, "results:1");
  batch.expire(results, 5);
  batch.set(results, "1", "r");
  OutBuffer out;
  const std::size_t replies = Transaction("callboard:{3}:").write(batch, 8, out);
  const std::vector<Words> commands = take_commands(out);
  EXPECT_THAT(commands,
              ElementsAre(ElementsAre("MULTI"), ElementsAre("UNLINK", "callboard:{3}:q:a"),
                          ElementsAre("HSET", "callboard:{3}:q:a", "next", "2"),
                          ElementsAre("SADD", "callboard:{3}:queues", "a"),
                          ElementsAre("SREM", "callboard:{3}:queues", "b"),
                          ElementsAre("HSET", "callboard:{3}:results:1", "1", "r"),
                          ElementsAre("PEXPIRE", "callboard:{3}:results:1", "5"),
                          ElementsAre("HSET", "callboard:{3}:meta", "commit_no", "8"),
                          ElementsAre("EXEC")));
  EXPECT_EQ(replies, commands.size() - 1);
}

TEST(Transaction, CountsTheRepliesOfCommandsThatWereCutInPieces) {
  StoreBatch batch;
  const auto key = batch.key(KeyKind::hash, "k");
  for (int i = 0; i < 8000; ++i) batch.set(key, std::to_string(i), "v");
  OutBuffer out;
  const std::size_t replies = Transaction("").write(batch, 8, out);
  EXPECT_EQ(replies, take_commands(out).size() - 1);
}

TEST(Transaction, WatchesTheFenceBeforeItLooksAtIt) {
  OutBuffer out;
  Transaction("callboard:{3}:").watch(out);
  EXPECT_THAT(take_commands(out),
              ElementsAre(ElementsAre("WATCH", "callboard:{3}:fence"),
                          ElementsAre("GET", "callboard:{3}:fence"),
                          ElementsAre("HGET", "callboard:{3}:meta", "commit_no")));
}

}  // namespace
}  // namespace callboard::broker
