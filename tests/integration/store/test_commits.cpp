// What a commit leaves in Redis, and what a start reads back.

#include "tests/integration/store/store_driver.hpp"

#include <gmock/gmock.h>

#include <set>
#include <string>

namespace callboard::broker {
namespace {

using ::callboard::testing::RedisProcess;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr char kQueue[] = "callboard:{0}:q:a";
constexpr char kCalls[] = "callboard:{0}:q:a:calls";

class Commits : public ::testing::Test {
 protected:
  void SetUp() override { redis_.start(); }

  RedisProcess redis_;
  StoreBatch batch_;
};

TEST_F(Commits, ChangeEveryKindOfKeyAsAsked) {
  StoreDriver driver(redis_.url());
  const auto calls = batch_.key(KeyKind::hash, "q:a:calls");
  batch_.set(calls, "1", std::string("\0binary\r\n", 9));
  batch_.set(calls, "2", "two");
  const auto queues = batch_.key(KeyKind::set, "queues");
  batch_.set(queues, "a", "");
  batch_.set(queues, "b", "");
  batch_.set(batch_.key(KeyKind::sorted_set, "workers"), "w-0", "1700000000123");
  const auto results = batch_.key(KeyKind::hash, "results:00ff");
  batch_.set(results, "1", "r");
  batch_.expire(results, 3'600'000);
  ASSERT_TRUE(driver.commit(batch_));
  EXPECT_EQ(redis_.answer({"HGET", kCalls, "1"}), std::string("\0binary\r\n", 9));
  EXPECT_EQ(redis_.answer({"HLEN", kCalls}), "2");
  EXPECT_EQ(redis_.answer({"ZSCORE", "callboard:{0}:workers", "w-0"}), "1700000000123");
  EXPECT_GT(std::stoi(redis_.answer({"TTL", "callboard:{0}:results:00ff"})), 3500);

  batch_.clear();
  batch_.erase(batch_.key(KeyKind::hash, "q:a:calls"), "1");
  batch_.erase(batch_.key(KeyKind::set, "queues"), "b");
  batch_.erase(batch_.key(KeyKind::sorted_set, "workers"), "w-0");
  batch_.expire(batch_.key(KeyKind::hash, "results:00ff"), 0);
  ASSERT_TRUE(driver.commit(batch_));
  EXPECT_THAT(redis_.command({"HKEYS", kCalls}), ElementsAre("2"));
  EXPECT_THAT(redis_.command({"SMEMBERS", "callboard:{0}:queues"}), ElementsAre("a"));
  EXPECT_EQ(redis_.answer({"EXISTS", "callboard:{0}:workers"}), "0");
  EXPECT_EQ(redis_.answer({"TTL", "callboard:{0}:results:00ff"}), "-1");

  batch_.clear();
  const auto again = batch_.key(KeyKind::hash, "q:a:calls");
  batch_.drop(again);
  batch_.set(again, "9", "nine");
  ASSERT_TRUE(driver.commit(batch_));
  EXPECT_THAT(redis_.command({"HGETALL", kCalls}), ElementsAre("9", "nine"));
  EXPECT_EQ(redis_.answer({"HGET", "callboard:{0}:meta", "commit_no"}), "3");
}

TEST_F(Commits, OfManyThousandFieldsAndKeysAreOneUnit) {
  StoreDriver driver(redis_.url());
  const auto calls = batch_.key(KeyKind::hash, "q:a:calls");
  for (int i = 0; i < 20'000; ++i) batch_.set(calls, std::to_string(i), "value");
  for (int i = 0; i < 3000; ++i) {
    batch_.set(batch_.key(KeyKind::hash, "q:" + std::to_string(i)), "next", std::to_string(i));
  }
  ASSERT_TRUE(driver.commit(batch_));
  EXPECT_EQ(redis_.answer({"HLEN", kCalls}), "20000");
  EXPECT_EQ(redis_.answer({"HGET", "callboard:{0}:q:2999", "next"}), "2999");

  batch_.clear();
  const auto again = batch_.key(KeyKind::hash, "q:a:calls");
  for (int i = 0; i < 19'999; ++i) batch_.erase(again, std::to_string(i));
  ASSERT_TRUE(driver.commit(batch_));
  EXPECT_THAT(redis_.command({"HKEYS", kCalls}), ElementsAre("19999"));
}

TEST_F(Commits, OfOneHugeValueArriveWhole) {
  StoreDriver driver(redis_.url());
  std::string huge(48u << 20, 'h');
  huge.back() = '!';
  batch_.set(batch_.key(KeyKind::hash, "q:a:calls"), "1", huge);
  ASSERT_TRUE(driver.commit(batch_));
  EXPECT_EQ(redis_.answer({"HSTRLEN", kCalls, "1"}), std::to_string(huge.size()));
  StoreDriver next(redis_.url());
  batch_.clear();
  batch_.set(batch_.key(KeyKind::set, "queues"), "a", "");
  ASSERT_TRUE(next.commit(batch_));
  StoreDriver reader(redis_.url());
  ASSERT_TRUE(reader.run_until_idle());
  ASSERT_EQ(reader.entries.size(), 2u);
  EXPECT_TRUE(reader.entries[1] == "q:a:calls/1=" + huge);
}

TEST_F(Commits, AreReadBackByTheNextRun) {
  StoreDriver first(redis_.url());
  batch_.set(batch_.key(KeyKind::set, "queues"), "a", "");
  batch_.set(batch_.key(KeyKind::hash, "q:a"), "next", "8");
  batch_.set(batch_.key(KeyKind::hash, "q:a:calls"), "7", "call");
  batch_.set(batch_.key(KeyKind::hash, "q:a:sent"), "7", "lease");
  batch_.set(batch_.key(KeyKind::hash, "sessions"), "00ff", "session");
  batch_.set(batch_.key(KeyKind::hash, "results:00ff"), "6", "result");
  batch_.set(batch_.key(KeyKind::hash, "actors"), "id", "actor");
  batch_.set(batch_.key(KeyKind::hash, "names"), "n", "id");
  batch_.set(batch_.key(KeyKind::hash, "classes"), "Counter", "1");
  batch_.set(batch_.key(KeyKind::sorted_set, "workers"), "w-0", "1700000000123");
  ASSERT_TRUE(first.commit(batch_));
  EXPECT_EQ(first.store().state().epoch, 1u);

  StoreDriver second(redis_.url());
  ASSERT_TRUE(second.run_until_idle());
  EXPECT_EQ(second.store().state().epoch, 2u);
  EXPECT_EQ(second.store().state().timeline, 1u);
  EXPECT_EQ(second.store().state().commit_no, 1u);
  EXPECT_THAT(second.entries,
              UnorderedElementsAre("queues/a=", "q:a/next=8", "q:a:calls/7=call",
                                   "q:a:sent/7=lease", "sessions/00ff=session",
                                   "results:00ff/6=result", "actors/id=actor", "names/n=id",
                                   "classes/Counter=1", "workers/w-0=1700000000123"));
}

TEST_F(Commits, OfTwoHundredThousandFieldsAreReadBackOnceEach) {
  constexpr int kFields = 200'000;
  constexpr int kQueues = 500;
  {
    StoreDriver writer(redis_.url());
    for (int begin = 0; begin < kFields; begin += 50'000) {
      batch_.clear();
      for (int i = begin; i < begin + 50'000; ++i) {
        // Half of them in one queue, the rest spread over many.
        const int queue = i % 2 == 0 ? 0 : i % kQueues;
        batch_.set(batch_.key(KeyKind::hash, "q:n" + std::to_string(queue) + ":calls"),
                   std::to_string(i), std::string(64, 'x'));
        batch_.set(batch_.key(KeyKind::set, "queues"), "n" + std::to_string(queue), "");
      }
      ASSERT_TRUE(writer.commit(batch_));
    }
  }
  StoreDriver reader(redis_.url());
  ASSERT_TRUE(reader.run_until_idle());
  std::multiset<std::string> calls;
  for (const std::string& entry : reader.entries) {
    if (entry.find(":calls/") != entry.npos) {
      calls.insert(entry.substr(entry.find('/') + 1, entry.find('=') - entry.find('/') - 1));
    }
  }
  ASSERT_EQ(calls.size(), static_cast<std::size_t>(kFields));
  for (int i = 0; i < kFields; ++i) ASSERT_EQ(calls.count(std::to_string(i)), 1u) << i;
}

TEST_F(Commits, FindRoomWhenMemoryIsFullAndTheBrokerIsTold) {
  StoreDriver driver(redis_.url());
  const auto calls = batch_.key(KeyKind::hash, "q:a:calls");
  for (int i = 0; i < 1000; ++i) batch_.set(calls, std::to_string(i), std::string(10'000, 'x'));
  ASSERT_TRUE(driver.commit(batch_));
  EXPECT_FALSE(driver.full);
  ASSERT_EQ(redis_.answer({"CONFIG", "SET", "maxmemory", "4mb"}), "OK");
  EXPECT_THAT(redis_.answer({"HSET", kQueue, "f", "v"}), HasSubstr("OOM"));

  batch_.clear();
  batch_.set(batch_.key(KeyKind::hash, "results:00ff"), "1", "a result still finds room");
  batch_.erase(batch_.key(KeyKind::hash, "q:a:calls"), "0");
  EXPECT_TRUE(driver.commit(batch_));
  EXPECT_EQ(redis_.answer({"HLEN", kCalls}), "999");
  EXPECT_EQ(driver.downs, 0);

  // A broker that meets a full Redis starts all the same, and is told.
  StoreDriver next(redis_.url());
  ASSERT_TRUE(next.run_until_idle());
  EXPECT_TRUE(next.full);
  batch_.clear();
  batch_.drop(batch_.key(KeyKind::hash, "q:a:calls"));
  ASSERT_TRUE(next.commit(batch_));
  EXPECT_TRUE(next.run_until([&] { return !next.full; }));
}

TEST_F(Commits, OfAForgottenScriptAreMadeAllTheSame) {
  StoreDriver driver(redis_.url());
  batch_.set(batch_.key(KeyKind::hash, "q:a"), "next", "1");
  ASSERT_TRUE(driver.commit(batch_));
  ASSERT_EQ(redis_.answer({"SCRIPT", "FLUSH"}), "OK");
  ASSERT_TRUE(driver.commit(batch_));
  EXPECT_EQ(driver.downs, 0);
  EXPECT_EQ(redis_.answer({"HGET", "callboard:{0}:meta", "commit_no"}), "2");
}

TEST_F(Commits, OfShardsWithOneRedisDoNotMeet) {
  StoreOptions options = StoreDriver::options_for(redis_.url());
  StoreDriver zero(options);
  options.shard = 1;
  StoreDriver one(options);
  batch_.set(batch_.key(KeyKind::hash, "q:a"), "next", "1");
  ASSERT_TRUE(zero.commit(batch_));
  ASSERT_TRUE(one.commit(batch_));
  ASSERT_TRUE(zero.commit(batch_));
  EXPECT_EQ(redis_.answer({"HGET", "callboard:{0}:meta", "commit_no"}), "2");
  EXPECT_EQ(redis_.answer({"HGET", "callboard:{1}:meta", "commit_no"}), "1");
}

TEST_F(Commits, GoToTheDatabaseThatTheAddressNames) {
  StoreDriver driver(redis_.url() + "?db=5");
  batch_.set(batch_.key(KeyKind::hash, "q:a"), "next", "1");
  ASSERT_TRUE(driver.commit(batch_));
  EXPECT_THAT(redis_.command({"KEYS", "*"}), IsEmpty());
  EXPECT_THAT(redis_.answer({"INFO", "keyspace"}), HasSubstr("db5"));
}

}  // namespace
}  // namespace callboard::broker
