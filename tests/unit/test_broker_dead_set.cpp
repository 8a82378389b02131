// The dead set: what goes there, what is told of it, and how it comes back.
#include "broker_asker.hpp"

#include <gmock/gmock.h>

namespace callboard::broker {
namespace {

using Seqs = std::vector<std::uint64_t>;
using testing::HasSubstr;

const std::string kFirst = to_string(CallId{SessionId{10}, 1});

/// Client 10 with the task "resize" under handle 1; workers come and crash.
struct TaskWorld : BrokerWorld {
  explicit TaskWorld(BrokerOptions options = {}) : BrokerWorld(std::move(options)) {
    supervisor(40);
    worker(20, "w20");
    client(10);
    open_task(10, 1);
  }
  /// The worker of that peer dies of the call that it was sent last, and another one joins.
  void crash(std::uint64_t peer, std::uint64_t next) {
    const Told run = last(peer, Type::run);
    wire::ChildDied died;
    died.worker = "w" + std::to_string(peer);
    died.instance = peer;
    died.pid = 1000 + peer;
    died.signal = 11;
    died.stderr_tail = "it hurts\n";
    wire::HeldCall begun;
    begun.call = run.call;
    begun.lease = run.lease;
    died.begun = {begun};
    died.blamed = run.call;
    say(40, died);
    worker(next, "w" + std::to_string(next));
    pass(100);
  }
};

wire::CallOptions attempts(std::int32_t retries, bool errors) {
  wire::CallOptions options;
  options.max_retries = retries;
  if (errors) options.retry_on = wire::RetryOn{wire::RetryOn::Which::all, {}};
  options.backoff_ms = {1, 1};
  return options;
}

TEST(BrokerDeadSet, CallThatTakesDownTooManyWorkersGoesThereWithItsEvidence) {
  TaskWorld world;
  world.submit(10, 1, 1, attempts(-1, false));
  world.crash(20, 21);
  ASSERT_EQ(world.runs(21), (Seqs{1}));
  world.crash(21, 22);
  world.crash(22, 23);
  EXPECT_EQ(world.result(10, 1).code, Errc::poisoned);
  Asker asker(world);
  const json items = asker.get("dead.ls")["items"];
  ASSERT_EQ(items.size(), 1u);
  EXPECT_EQ(items[0]["call"], kFirst);
  EXPECT_EQ(items[0]["queue"], "task/resize");
  const json dead = asker.get("dead.show", {{"call", kFirst}});
  EXPECT_EQ(dead["error"], "poisoned");
  EXPECT_EQ(dead["crashes"], 3);
  EXPECT_EQ(dead["attempts"], 3);
  EXPECT_EQ(dead["signal"], 11);
  EXPECT_EQ(dead["stderr_tail"], "it hurts\n");
  EXPECT_EQ(dead["worker"], "w22");
}

TEST(BrokerDeadSet, SpentAttemptsGoThereAndErrorsThatNobodyRetriesDoNot) {
  TaskWorld world;
  world.submit(10, 1, 1, attempts(1, true));
  world.submit(10, 2, 1, attempts(1, false));
  for (const Told& run : world.all(20, Type::run)) world.fail(20, run.lease, "std::logic_error");
  world.pass(100);
  ASSERT_EQ(world.runs(20), (Seqs{1, 2, 1}));
  world.fail(20, world.last(20, Type::run).lease, "std::logic_error");
  EXPECT_EQ(world.result(10, 1).code, Errc::task_error);
  Asker asker(world);
  const json items = asker.get("dead.ls", {{"queue", "task/resize"}})["items"];
  ASSERT_EQ(items.size(), 1u);
  EXPECT_EQ(items[0]["call"], kFirst);
  EXPECT_THAT(items[0]["message"].get<std::string>(), HasSubstr("std::logic_error"));
}

TEST(BrokerDeadSet, RedrivenCallIsANewOneThatNamesTheOld) {
  TaskWorld world;
  world.submit(10, 1, 1, attempts(1, true), "\x91\x2a");
  world.fail(20, world.last(20, Type::run).lease, "E");
  world.pass(100);
  world.fail(20, world.last(20, Type::run).lease, "E");
  world.restart();
  world.client(11, 10, true);
  world.worker(21, "w21");
  Asker asker(world);
  const json answer = asker.get("dead.redrive", {{"call", kFirst}});
  ASSERT_EQ(answer["redriven"].size(), 1u);
  EXPECT_EQ(answer["redriven"][0]["of"], kFirst);
  EXPECT_NE(answer["redriven"][0]["call"], kFirst);
  const Told run = world.last(21, Type::run);
  EXPECT_EQ(to_string(run.call), answer["redriven"][0]["call"]);
  EXPECT_EQ(run.args, "\x91\x2a");
  EXPECT_EQ(run.attempt, 1u);
  EXPECT_EQ(asker.get("dead.ls")["items"].size(), 0u);
  world.done(21, run.lease);
  EXPECT_EQ(world.store.depth("task/resize"), 0u);
  EXPECT_FALSE(world.store.keys.contains("q:task/resize:dead"));
}

TEST(BrokerDeadSet, IsBoundedAndTheOldestGoFirst) {
  BrokerOptions options;
  options.dead_max = 2;
  TaskWorld world(options);
  for (std::uint64_t seq = 1; seq <= 3; ++seq) {
    world.submit(10, seq, 1, attempts(1, true));
    world.fail(20, world.last(20, Type::run).lease, "E");
    world.pass(100);
    world.fail(20, world.last(20, Type::run).lease, "E");
  }
  Asker asker(world);
  const json items = asker.get("dead.ls")["items"];
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[0]["call"], to_string(CallId{SessionId{10}, 2}));
  EXPECT_EQ(world.store.keys.at("q:task/resize:dead").size(), 2u);
  EXPECT_EQ(asker.all("dead.ls", json::object(), 1).size(), 2u);
}

TEST(BrokerDeadSet, OldestIsInFrontAfterARestartWhateverTheOrderInTheStore) {
  TaskWorld world;
  world.submit(10, 1, 1, attempts(1, true));
  world.submit(10, 2, 1, attempts(1, true));
  const std::vector<Told> first = world.all(20, Type::run);
  ASSERT_EQ(first.size(), 2u);
  for (const Told& run : {first[1], first[0]}) {  // the second one dies before the first
    world.fail(20, run.lease, "E");
    world.pass(100);
    world.fail(20, world.last(20, Type::run).lease, "E");
    world.pass(100);
  }
  world.restart();  // the store gives them back by their ids
  Asker asker(world);
  const json items = asker.get("dead.ls")["items"];
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[0]["call"], to_string(CallId{SessionId{10}, 2}));
  EXPECT_EQ(items[1]["call"], kFirst);
}

TEST(BrokerDeadSet, PurgeEmptiesIt) {
  TaskWorld world;
  world.submit(10, 1, 1, attempts(1, true));
  world.fail(20, world.last(20, Type::run).lease, "E");
  world.pass(100);
  world.fail(20, world.last(20, Type::run).lease, "E");
  Asker asker(world);
  EXPECT_EQ(asker.get("dead.purge", {{"queue", "task/resize"}})["purged"], 1);
  EXPECT_FALSE(world.store.keys.contains("q:task/resize:dead"));
  asker.error("dead.show", Errc::unknown_call, {{"call", kFirst}});
}

}  // namespace
}  // namespace callboard::broker
