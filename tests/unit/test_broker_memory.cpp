// Calls that leave the broker's memory while they wait, and come back before their turn.
#include "broker_asker.hpp"

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

namespace callboard::broker {
namespace {

using Seqs = std::vector<std::uint64_t>;

constexpr std::uint64_t kCalls = 60;
constexpr std::uint64_t kFirst = 2;  ///< seq of the first call; 1 made the actor
constexpr std::uint64_t kLast = kFirst + kCalls - 1;

Seqs seqs(std::uint64_t first, std::uint64_t last) {
  Seqs all(last - first + 1);
  std::iota(all.begin(), all.end(), first);
  return all;
}

BrokerOptions limited() {
  BrokerOptions options;
  options.memory_max = 1;
  return options;
}

/// An actor that waits for a worker, with calls of session 10 that wait for it.
struct Backlog : BrokerWorld {
  explicit Backlog(const wire::ActorOptions& actor = {}, bool journal = false)
      : BrokerWorld(limited(), journal) {
    client(10);
    create(10, 1, 1, actor);
    for (std::uint64_t seq = kFirst; seq <= kLast; ++seq) submit(10, seq, 1, {}, args_of(seq));
    let_leave();
  }
  static std::string args_of(std::uint64_t seq) { return "\x91" + std::string(1, char(seq)); }
  /// Commits, after which calls leave.
  void let_leave() {
    for (int i = 0; i < 4; ++i) {
      pass(200);
      client(40 + static_cast<std::uint64_t>(i));  // something is committed
    }
  }
  std::uint64_t stored_only() {
    const json item = Asker(*this).get("queue.ls")["items"][0];
    return item["stored_only"].get<std::uint64_t>();
  }
  std::string name() { return Asker(*this).get("queue.ls")["items"][0]["queue"]; }
  void begin(std::uint32_t window) {
    worker(20, "w0");
    started(20, window);
  }
  /// Every call that was sent is done, until nothing is sent any more.
  void drain() {
    std::size_t seen = 0;
    for (;;) {
      const auto sent = all(20, Type::run);
      if (seen == sent.size()) return;
      const Told run = sent[seen++];
      done(20, run.lease, run.args);
    }
  }
};

TEST(BrokerMemory, WithoutALimitNothingLeaves) {
  BrokerWorld world;
  world.client(10);
  world.create(10, 1, 1, {});
  for (std::uint64_t seq = kFirst; seq <= kLast; ++seq) world.submit(10, seq, 1);
  world.pass(500);
  EXPECT_EQ(Asker(world).get("queue.ls")["items"][0]["stored_only"], 0);
}

TEST(BrokerMemory, CallsBeyondTheLimitLeaveAndAreSentInOrderWithTheirArguments) {
  Backlog world;
  EXPECT_GT(world.stored_only(), kCalls / 2);
  EXPECT_EQ(world.store.depth(world.name()), kCalls);
  world.begin(3);
  world.drain();
  EXPECT_EQ(world.runs(20), seqs(kFirst, kLast));
  for (const Told& run : world.all(20, Type::run)) {
    EXPECT_EQ(run.args, Backlog::args_of(run.call.seq));
    EXPECT_EQ(world.result(10, run.call.seq).text, run.args);
  }
  EXPECT_GT(world.reads_made, 1u);
  EXPECT_EQ(world.stored_only(), 0u);
  EXPECT_EQ(world.store.depth(world.name()), 0u);
}

TEST(BrokerMemory, WhatIsOnlyInTheJournalDoesNotLeave) {
  BrokerWorld world(limited(), true);
  world.client(10);
  world.create(10, 1, 1, {});
  for (std::uint64_t seq = kFirst; seq <= kLast; ++seq) world.submit(10, seq, 1);
  EXPECT_EQ(Asker(world).get("queue.ls")["items"][0]["stored_only"], 0);
  world.pass(1000);
  EXPECT_GT(Asker(world).get("queue.ls")["items"][0]["stored_only"], kCalls / 2);
}

TEST(BrokerMemory, NothingOvertakesWhatIsBeingReadBack) {
  Backlog world;
  world.auto_read = false;
  world.begin(1000);
  const Seqs before = world.runs(20);
  EXPECT_LT(before.size(), kCalls);
  world.submit(10, kLast + 1, 1);
  EXPECT_EQ(world.runs(20), before);
  world.auto_read = true;
  world.answer_reads();
  world.drain();
  EXPECT_EQ(world.runs(20), seqs(kFirst, kLast + 1));
}

TEST(BrokerMemory, LaterCallsLeaveAsWell) {
  Backlog world;
  for (std::uint64_t seq = kLast + 1; seq <= kLast + kCalls; ++seq) world.submit(10, seq, 1);
  world.let_leave();
  EXPECT_GT(world.stored_only(), kCalls + kCalls / 2);
  world.begin(5);
  world.drain();
  EXPECT_EQ(world.runs(20), seqs(kFirst, kLast + kCalls));
}

TEST(BrokerMemory, ACallThatComesAgainIsKnownAlthoughItIsInTheStoreOnly) {
  Backlog world;
  world.client(11, 10, true);
  world.open_actor(11);
  for (std::uint64_t seq = kFirst; seq <= kLast; ++seq) world.submit(11, seq, 1);
  EXPECT_EQ(world.store.depth(world.name()), kCalls);
  world.begin(4);
  world.drain();
  EXPECT_EQ(world.runs(20), seqs(kFirst, kLast));
}

TEST(BrokerMemory, ACallIsCancelledWithoutBeingRead) {
  Backlog world;
  world.auto_read = false;
  const CallId call{SessionId{10}, kLast - 10};
  world.say(10, wire::Cancel{call, false});
  EXPECT_EQ(world.last(10, Type::cancel_answer).cancel,
            wire::CancelAnswer::cancelled_before_start);
  EXPECT_EQ(world.result(10, kLast - 10).code, Errc::cancelled);
  EXPECT_EQ(world.reads_made, 0u);
  EXPECT_EQ(world.store.depth(world.name()), kCalls - 1);
  world.auto_read = true;
  world.begin(4);
  world.drain();
  Seqs left = seqs(kFirst, kLast);
  std::erase(left, kLast - 10);
  EXPECT_EQ(world.runs(20), left);
}

TEST(BrokerMemory, ACallMayTakeTheResultOfOneThatIsInTheStoreOnly) {
  Backlog world;
  wire::CallOptions options;
  options.after = {CallId{SessionId{10}, kLast - 5}};
  world.submit(10, kLast + 1, 1, options);
  EXPECT_FALSE(world.has_result(10, kLast + 1));
  world.begin(1);
  world.drain();
  EXPECT_EQ(world.runs(20), seqs(kFirst, kLast + 1));
  EXPECT_EQ(world.result(10, kLast + 1).code, Errc::ok);
}

TEST(BrokerMemory, ACallWhoseOwnerLostInterestStillRuns) {
  Backlog world;
  world.taken(10, kLast - 5);
  world.begin(1);
  world.drain();
  EXPECT_EQ(world.runs(20), seqs(kFirst, kLast));
  EXPECT_FALSE(world.has_result(10, kLast - 5));
}

TEST(BrokerMemory, AKilledQueueEndsAllOfThem) {
  Backlog world;
  const std::string name = world.name();
  world.say(10, wire::Kill{7, 1});
  for (std::uint64_t seq = kFirst; seq <= kLast; ++seq) {
    EXPECT_EQ(world.result(10, seq).code, Errc::actor_died);
  }
  EXPECT_EQ(world.store.depth(name), 0u);
}

TEST(BrokerMemory, APurgedQueueEndsAllOfThem) {
  Backlog world;
  const std::string name = world.name();
  EXPECT_EQ(Asker(world).get("queue.purge", {{"queue", name}})["purged"], kCalls);
  EXPECT_EQ(world.store.depth(name), 0u);
  EXPECT_EQ(world.stored_only(), 0u);
}

TEST(BrokerMemory, TheListOfCallsNamesThem) {
  Backlog world;
  Asker asker(world);
  Seqs numbers;
  for (const json& item : asker.all("call.ls", {{"queue", world.name()}}, 7)) {
    numbers.push_back(item["number"].get<std::uint64_t>());
  }
  EXPECT_EQ(numbers, seqs(1, kCalls));
  const json call = asker.get("call.explain", {{"call", to_string(CallId{SessionId{10}, kLast})}});
  EXPECT_EQ(call["reasons"][0]["code"], "behind");
}

TEST(BrokerMemory, ARestartedBrokerLeavesThemInTheStore) {
  Backlog world;
  world.restart();
  EXPECT_GT(world.stored_only(), kCalls / 2);
  world.client(11, 10, true);
  world.begin(4);
  world.drain();
  EXPECT_EQ(world.runs(20), seqs(kFirst, kLast));
  EXPECT_EQ(world.store.depth(world.name()), 0u);
}

TEST(BrokerMemory, ARestartedBrokerReadsThemInPagesAsWell) {
  constexpr std::uint64_t kMany = 3000;
  BrokerOptions options;
  options.memory_max = 200'000;
  BrokerWorld world(options);
  world.client(10);
  world.create(10, 1, 1, {});
  for (std::uint64_t seq = kFirst; seq < kFirst + kMany; ++seq) world.submit(10, seq, 1);
  world.restart();
  EXPECT_EQ(Asker(world).get("queue.ls")["items"][0]["stored_only"], kMany);
  world.client(11, 10, true);
  world.worker(20, "w0");
  world.started(20, 10'000);
  EXPECT_EQ(world.runs(20), seqs(kFirst, kFirst + kMany - 1));
  EXPECT_LT(world.reads_made, kMany / 50);
}

TEST(BrokerMemory, ARestartedBrokerTakesNoneThatWasSentForOneThatWaits) {
  wire::ActorOptions actor;
  actor.max_restarts = 3;
  Backlog world(actor);
  world.begin(3);
  const auto sent = world.all(20, Type::run);
  ASSERT_GE(sent.size(), 3u);
  world.restart();
  world.client(11, 10, true);
  // Its worker is gone: nobody knows whether the three have begun, so they are not run again.
  world.pass_with(4000, {11});
  world.begin(3);
  world.drain();
  EXPECT_EQ(world.runs(20), seqs(kFirst + 3, kLast));
}

TEST(BrokerMemory, WhatTheJournalSaysCountsMoreThanTheHashAtARestart) {
  Backlog world({}, true);
  const CallId call{SessionId{10}, kLast};
  world.say(10, wire::Cancel{call, false});
  ASSERT_EQ(world.store.depth(world.name()), kCalls);  // its end is in the journal only
  world.restart();
  world.client(11, 10, true);
  world.begin(4);
  world.drain();
  EXPECT_EQ(world.runs(20), seqs(kFirst, kLast - 1));
}

TEST(BrokerMemory, ACallThatSomebodyDeletedFromTheStoreEndsAsLost) {
  Backlog world;
  const std::string name = world.name();
  world.store.keys["q:" + name + ":calls"].erase(std::to_string(kCalls));
  world.begin(4);
  world.drain();
  EXPECT_EQ(world.runs(20), seqs(kFirst, kLast - 1));
  EXPECT_EQ(world.result(10, kLast).code, Errc::lost);
}

TEST(BrokerMemory, CallsWithADeadlineStayAndExpire) {
  BrokerWorld world(limited());
  world.client(10);
  world.create(10, 1, 1, {});
  wire::CallOptions options;
  options.deadline_ms = 3000;
  for (std::uint64_t seq = kFirst; seq <= kLast; ++seq) world.submit(10, seq, 1, options);
  world.pass(1000);
  EXPECT_EQ(Asker(world).get("queue.ls")["items"][0]["stored_only"], 0);
  world.pass_with(3000, {10});
  EXPECT_EQ(world.result(10, kLast).code, Errc::expired);
}

TEST(BrokerMemory, AGoneSessionStaysUntilItsStoredCallsHaveEnded) {
  wire::ActorOptions detached;
  detached.name = "kept";
  Backlog world(detached);
  world.say(10, wire::Goodbye{});
  world.pass(1000);
  world.begin(4);
  world.drain();
  EXPECT_EQ(world.runs(20), seqs(kFirst, kLast));
  EXPECT_EQ(world.store.depth("kept"), 0u);
}

TEST(BrokerMemory, ARetriedCallComesBeforeThoseThatWereReadBackMeanwhile) {
  wire::ActorOptions retried;
  retried.max_retries = 2;
  retried.retry_on = wire::RetryOn{wire::RetryOn::Which::all, {}};
  retried.backoff_ms = {0, 0};
  Backlog world(retried);
  world.begin(1);
  const Told first = world.last(20, Type::run);
  world.fail(20, first.lease, "Flaky");
  const Told again = world.last(20, Type::run);
  EXPECT_EQ(again.call.seq, first.call.seq);
  EXPECT_EQ(again.attempt, 2u);
  world.drain();
  EXPECT_EQ(world.runs(20).size(), kCalls + 1);
}

}  // namespace
}  // namespace callboard::broker
