#include "broker/store/commit_writer.hpp"

#include "tests/unit/store_support.hpp"

#include <gmock/gmock.h>

#include <string>

namespace callboard::broker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr CommitStamp kStamp{"sha", "token", 7, 8};

Words write(const StoreBatch& batch) {
  OutBuffer out;
  ScriptCommitWriter("callboard:{3}:").write(batch, kStamp, out);
  const auto commands = take_commands(out);
  EXPECT_EQ(commands.size(), 1u);  // one command, so one reply
  return commands.empty() ? Words() : commands.front();
}

/// What follows the keys and the three stamps.
Words program(const StoreBatch& batch) {
  Words words = write(batch);
  const auto skip = 3 + std::stoul(words[2]) + 3;
  return {words.begin() + static_cast<std::ptrdiff_t>(skip), words.end()};
}

TEST(ScriptCommitWriter, EmptyBatchOnlyMovesTheCommitNumber) {
  EXPECT_THAT(write(StoreBatch()),
              ElementsAre("EVALSHA", "sha", "2", "callboard:{3}:fence", "callboard:{3}:meta",
                          "token", "8", "7"));
}

TEST(ScriptCommitWriter, NamesEveryKeyOnceWithTheShardsPrefix) {
  StoreBatch batch;
  batch.set(batch.key(KeyKind::hash, "q:a:calls"), "1", "one");
  batch.set(batch.key(KeyKind::set, "queues"), "a", "");
  EXPECT_THAT(write(batch),
              ElementsAre("EVALSHA", "sha", "4", "callboard:{3}:fence", "callboard:{3}:meta",
                          "callboard:{3}:q:a:calls", "callboard:{3}:queues", "token", "8", "7",
                          "HSET", "3", "2", "1", "one", "SADD", "4", "1", "a"));
}

TEST(ScriptCommitWriter, EachKindOfKeyGetsItsOwnCommands) {
  StoreBatch batch;
  const auto set = batch.key(KeyKind::set, "s");
  batch.set(set, "in", "");
  batch.erase(set, "out");
  const auto sorted = batch.key(KeyKind::sorted_set, "z");
  batch.set(sorted, "worker-0", "1700000000000");
  batch.erase(sorted, "worker-1");
  const auto hash = batch.key(KeyKind::hash, "h");
  batch.set(hash, "f", "v");
  batch.erase(hash, "g");
  EXPECT_THAT(program(batch),
              ElementsAre("SADD", "3", "1", "in", "SREM", "3", "1", "out",                       //
                          "ZADD", "4", "2", "1700000000000", "worker-0", "ZREM", "4", "1",       //
                          "worker-1", "HSET", "5", "2", "f", "v", "HDEL", "5", "1", "g"));
}

TEST(ScriptCommitWriter, DroppedKeyIsDeletedFirstAndErasesNothingMore) {
  StoreBatch batch;
  const auto key = batch.key(KeyKind::hash, "k");
  batch.drop(key);
  batch.set(key, "new", "v");
  batch.erase(key, "old");
  EXPECT_THAT(program(batch), ElementsAre("UNLINK", "3", "0", "HSET", "3", "2", "new", "v"));
}

TEST(ScriptCommitWriter, ExpiryComesAfterTheFieldsThatItIsFor) {
  StoreBatch batch;
  const auto goes = batch.key(KeyKind::hash, "goes");
  batch.expire(goes, 3'600'000);
  batch.set(goes, "f", "v");
  batch.expire(batch.key(KeyKind::hash, "stays"), 0);
  EXPECT_THAT(program(batch), ElementsAre("HSET", "3", "2", "f", "v", "PEXPIRE", "3", "1",
                                          "3600000", "PERSIST", "4", "0"));
}

TEST(ScriptCommitWriter, NoCommandTakesMorePairsThanLuaCanUnpack) {
  StoreBatch batch;
  const auto key = batch.key(KeyKind::hash, "k");
  for (int i = 0; i < 8000; ++i) batch.set(key, "s" + std::to_string(i), "v");
  for (int i = 0; i < 3501; ++i) batch.erase(key, "e" + std::to_string(i));
  const Words words = program(batch);
  Words shape;
  for (std::size_t at = 0; at < words.size();) {
    const auto arguments = std::stoul(words[at + 2]);
    EXPECT_LE(arguments, 7000u);
    shape.push_back(words[at] + " " + words[at + 2]);
    at += 3 + arguments;
    ASSERT_LE(at, words.size());
  }
  EXPECT_THAT(shape, ElementsAre("HSET 7000", "HSET 7000", "HSET 2000", "HDEL 3500", "HDEL 1"));
}

TEST(ScriptCommitWriter, ScriptMayRunWhenMemoryIsFull) {
  const ScriptCommitWriter writer("callboard:{0}:");
  EXPECT_THAT(std::string(writer.script()), StartsWith("#!lua flags=allow-oom\n"));
  EXPECT_THAT(std::string(writer.script()), HasSubstr("commit_no"));
}

}  // namespace
}  // namespace callboard::broker
