#include "broker/store/batch.hpp"

#include <gmock/gmock.h>

#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace callboard::broker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

std::vector<std::pair<std::string, std::string>> sets_of(const StoreBatch::Key& key) {
  std::vector<std::pair<std::string, std::string>> all;
  for (const auto& [field, value] : key.sets) all.emplace_back(field, value);
  EXPECT_EQ(all.size(), key.sets.size());
  return all;
}

std::vector<std::string> erases_of(const StoreBatch::Key& key) {
  std::vector<std::string> all;
  for (std::string_view field : key.erases) all.emplace_back(field);
  EXPECT_EQ(all.size(), key.erases.size());
  return all;
}

TEST(StoreBatch, GroupsChangesByKeyInOrderOfTheirFirstChange) {
  StoreBatch batch;
  EXPECT_TRUE(batch.empty());
  const auto calls = batch.key(KeyKind::hash, "q:a:calls");
  const auto queues = batch.key(KeyKind::set, "queues");
  batch.set(calls, "1", "one");
  batch.set(queues, "a", "");
  batch.set(calls, "2", "two");
  batch.erase(calls, "0");
  EXPECT_EQ(batch.key(KeyKind::hash, "q:a:calls"), calls);

  ASSERT_EQ(batch.keys().size(), 2u);
  EXPECT_EQ(batch.keys()[0].name, "q:a:calls");
  EXPECT_EQ(batch.keys()[0].kind, KeyKind::hash);
  EXPECT_THAT(sets_of(batch.keys()[0]), ElementsAre(Pair("1", "one"), Pair("2", "two")));
  EXPECT_THAT(erases_of(batch.keys()[0]), ElementsAre("0"));
  EXPECT_EQ(batch.keys()[1].kind, KeyKind::set);
  EXPECT_THAT(sets_of(batch.keys()[1]), ElementsAre(Pair("a", "")));
  EXPECT_FALSE(batch.empty());
}

TEST(StoreBatch, LastOperationOnFieldWins) {
  StoreBatch batch;
  const auto key = batch.key(KeyKind::hash, "k");
  batch.set(key, "set twice", "first");
  batch.set(key, "set twice", "second, and longer than the first");
  batch.set(key, "then erased", "x");
  batch.erase(key, "then erased");
  batch.erase(key, "then set");
  batch.set(key, "then set", "y");
  batch.erase(key, "erased twice");
  batch.erase(key, "erased twice");
  EXPECT_THAT(sets_of(batch.keys()[0]),
              UnorderedElementsAre(Pair("set twice", "second, and longer than the first"),
                                   Pair("then set", "y")));
  EXPECT_THAT(erases_of(batch.keys()[0]), UnorderedElementsAre("then erased", "erased twice"));
}

TEST(StoreBatch, SameFieldNameInTwoKeysIsTwoFields) {
  StoreBatch batch;
  const auto a = batch.key(KeyKind::hash, "a");
  const auto b = batch.key(KeyKind::hash, "b");
  batch.set(a, "1", "in a");
  batch.erase(b, "1");
  EXPECT_THAT(sets_of(batch.keys()[0]), ElementsAre(Pair("1", "in a")));
  EXPECT_THAT(erases_of(batch.keys()[1]), ElementsAre("1"));
}

TEST(StoreBatch, DropForgetsWhatCameBeforeAndKeepsWhatComesAfter) {
  StoreBatch batch;
  const auto key = batch.key(KeyKind::hash, "k");
  batch.set(key, "before", "1");
  batch.expire(key, 5000);
  batch.drop(key);
  EXPECT_TRUE(batch.keys()[0].drop);
  EXPECT_THAT(sets_of(batch.keys()[0]), IsEmpty());
  EXPECT_EQ(batch.keys()[0].expire_ms, -1);
  batch.set(key, "before", "2");
  batch.set(key, "after", "3");
  EXPECT_THAT(sets_of(batch.keys()[0]), ElementsAre(Pair("before", "2"), Pair("after", "3")));
  EXPECT_TRUE(batch.keys()[0].drop);
}

TEST(StoreBatch, KeepsExpiryAndItsRemoval) {
  StoreBatch batch;
  batch.expire(batch.key(KeyKind::hash, "goes"), 1500);
  batch.expire(batch.key(KeyKind::hash, "stays"), 0);
  EXPECT_EQ(batch.keys()[0].expire_ms, 1500);
  EXPECT_EQ(batch.keys()[1].expire_ms, 0);
}

TEST(StoreBatch, BytesGrowWithContentsAndAreZeroAfterClear) {
  StoreBatch batch;
  const auto key = batch.key(KeyKind::hash, "k");
  batch.set(key, "f", std::string(1000, 'x'));
  EXPECT_GE(batch.bytes(), 1000u);
  batch.clear();
  EXPECT_EQ(batch.bytes(), 0u);
  EXPECT_TRUE(batch.empty());
  EXPECT_EQ(batch.keys().size(), 0u);
  batch.set(batch.key(KeyKind::hash, "other"), "f", "y");
  EXPECT_THAT(sets_of(batch.keys()[0]), ElementsAre(Pair("f", "y")));
}

TEST(StoreBatch, CounterThatIsSetAgainAndAgainTakesNoMoreRoom) {
  StoreBatch batch;
  const auto key = batch.key(KeyKind::hash, "q:a");
  batch.set(key, "next", "1000000");
  const std::size_t once = batch.bytes();
  for (int i = 0; i < 10'000; ++i) batch.set(key, "next", std::to_string(1'000'001 + i));
  EXPECT_EQ(batch.bytes(), once);
  EXPECT_THAT(sets_of(batch.keys()[0]), ElementsAre(Pair("next", "1010000")));
}

TEST(StoreBatch, ValueThatKeepsGrowingLeavesLessBehindThanItTakes) {
  StoreBatch batch;
  const auto key = batch.key(KeyKind::hash, "sessions");
  std::string record;
  for (int i = 0; i < 10'000; ++i) {
    record.push_back('x');
    batch.set(key, "s", record);
  }
  EXPECT_THAT(sets_of(batch.keys()[0]), ElementsAre(Pair("s", record)));
  EXPECT_LT(batch.bytes(), 5 * record.size());
}

TEST(StoreBatch, EmptyAndHugeFieldsAndValuesAreKept) {
  StoreBatch batch;
  const auto key = batch.key(KeyKind::hash, "");
  const std::string huge(3'000'000, 'h');
  batch.set(key, "", "");
  batch.set(key, huge, huge);
  batch.set(key, "zero", std::string_view("\0\r\n", 3));
  EXPECT_THAT(sets_of(batch.keys()[0]),
              ElementsAre(Pair("", ""), Pair(huge, huge), Pair("zero", std::string("\0\r\n", 3))));
}

TEST(StoreBatch, CopyAndMoveKeepTheContents) {
  StoreBatch batch;
  const auto key = batch.key(KeyKind::hash, "k");
  batch.drop(key);
  batch.set(key, "f", "v");
  batch.erase(key, "g");
  batch.expire(key, 7);
  StoreBatch copy = batch;
  batch.clear();
  StoreBatch moved = std::move(copy);
  ASSERT_EQ(moved.keys().size(), 1u);
  EXPECT_TRUE(moved.keys()[0].drop);
  EXPECT_THAT(sets_of(moved.keys()[0]), ElementsAre(Pair("f", "v")));
  EXPECT_THAT(erases_of(moved.keys()[0]), ElementsAre("g"));
  EXPECT_EQ(moved.keys()[0].expire_ms, 7);
  batch = std::move(moved);
  EXPECT_EQ(batch.keys().size(), 1u);
  EXPECT_TRUE(moved.empty());  // NOLINT(bugprone-use-after-move): it is said to be empty
}

TEST(StoreBatch, FieldThatWasAddedIsKnownToWhatIsSaidOfItLater) {
  StoreBatch batch;
  const auto key = batch.key(KeyKind::hash, "k");
  for (int i = 0; i < 100; ++i) {
    batch.add_set(key, batch.keep(std::to_string(i)), "added");
    batch.add_erase(key, batch.keep("x" + std::to_string(i)));
  }
  batch.erase(key, "7");
  batch.set(key, "x8", "set");
  batch.add_set(key, "later", "added");
  batch.set(key, "later", "longer than before");
  EXPECT_EQ(batch.keys()[0].sets.size(), 101u);
  EXPECT_EQ(batch.keys()[0].erases.size(), 100u);
  EXPECT_THAT(sets_of(batch.keys()[0]), ::testing::Contains(Pair("later", "longer than before")));
  EXPECT_THAT(erases_of(batch.keys()[0]), ::testing::Contains("7"));
}

// What a batch means, written down in the plainest way.
struct PlainKey {
  bool drop = false;
  std::map<std::string, std::optional<std::string>> fields;
};

TEST(StoreBatch, AgreesWithPlainMapsThroughManyRandomBatches) {
  std::mt19937 random(7);
  StoreBatch batch;
  for (int round = 0; round < 60; ++round) {
    std::map<std::string, PlainKey> plain;
    const int steps = round % 10 == 0 ? 20'000 : static_cast<int>(random() % 300);
    for (int step = 0; step < steps; ++step) {
      const std::string name = "k" + std::to_string(random() % 20);
      const std::string field = std::to_string(random() % 500);
      const auto key = batch.key(KeyKind::hash, name);
      PlainKey& expected = plain[name];
      const auto what = random() % 120;
      if (what >= 100) {  // a field that nothing else names
        const std::string_view added = batch.keep("added " + std::to_string(step));
        const std::string_view value = batch.keep(std::to_string(random()));
        if (what < 110) {
          batch.add_set(key, added, value);
          expected.fields[std::string(added)] = std::string(value);
        } else {
          batch.add_erase(key, added);
          expected.fields[std::string(added)] = std::nullopt;
        }
      } else if (what < 60) {
        const std::string value(random() % 40, static_cast<char>('a' + random() % 26));
        batch.set(key, field, value);
        expected.fields[field] = value;
      } else if (what < 99) {
        batch.erase(key, field);
        expected.fields[field] = std::nullopt;
      } else {
        batch.drop(key);
        expected = PlainKey{true, {}};
      }
    }
    ASSERT_EQ(batch.keys().size(), plain.size());
    for (const StoreBatch::Key& key : batch.keys()) {
      const PlainKey& expected = plain.at(std::string(key.name));
      EXPECT_EQ(key.drop, expected.drop);
      std::map<std::string, std::optional<std::string>> got;
      for (const auto& [field, value] : sets_of(key)) got.emplace(field, value);
      for (const auto& field : erases_of(key)) EXPECT_TRUE(got.emplace(field, std::nullopt).second);
      ASSERT_EQ(got, expected.fields) << "round " << round << ", key " << key.name;
    }
    batch.clear();
  }
}

}  // namespace
}  // namespace callboard::broker
