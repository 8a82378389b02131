// Delayed calls: when they get their number, what they hold up meanwhile, what is kept of them.
#include "broker_asker.hpp"

#include <gmock/gmock.h>

namespace callboard::broker {
namespace {

using Seqs = std::vector<std::uint64_t>;
using testing::HasSubstr;

const std::string kActor = "~" + to_string(ActorId{SessionId{10}, 1});

wire::CallOptions later(std::int64_t ms) {
  wire::CallOptions options;
  options.delay_ms = ms;
  return options;
}

TEST(BrokerDelays, DelayedCallHoldsUpNobodyAndTakesItsTurnWhenItIsDue) {
  OneActor world;
  world.submit(10, 2, 1, later(1000));
  world.submit(10, 3, 1);
  EXPECT_EQ(world.runs(20), (Seqs{3}));
  EXPECT_EQ(world.store.depth(kActor), 1u) << "it is not in line yet";
  world.pass(900);
  world.submit(10, 4, 1);
  world.pass(200);
  world.submit(10, 5, 1);
  for (int i = 0; i < 4; ++i) world.done(20, world.last(20, Type::run).lease);
  EXPECT_EQ(world.runs(20), (Seqs{3, 4, 2, 5})) << "in line since it was due";
  EXPECT_FALSE(world.store.keys.contains("q:" + kActor + ":delayed"));
}

TEST(BrokerDelays, DelayedCallSurvivesARestartAndIsDueAtTheSameTime) {
  OneActor world;
  world.submit(10, 2, 1, later(5000));
  EXPECT_EQ(world.store.keys.at("q:" + kActor + ":delayed").size(), 1u);
  world.pass(3000);
  world.restart();
  world.client(11, 10, true);
  wire::Hello hello = world.worker_hello(21, "w0");
  hello.instance = 20;
  world.greet(21, hello);
  world.pass(1900);
  EXPECT_EQ(world.runs(21), (Seqs{}));
}

TEST(BrokerDelays, DelayOfATaskOutlivesTheBroker) {
  BrokerWorld world;
  world.worker(20, "w0");
  world.client(10);
  world.open_task(10, 1);
  world.submit(10, 1, 1, later(5000));
  world.pass(3000);
  world.restart();
  world.client(11, 10, true);
  world.worker(21, "w1");
  world.pass(1900);
  EXPECT_EQ(world.runs(21), (Seqs{}));
  world.pass(200);
  EXPECT_EQ(world.runs(21), (Seqs{1}));
  world.done(21, world.last(21, Type::run).lease, "\x07");
  EXPECT_EQ(world.result(11, 1).text, "\x07");
}

TEST(BrokerDelays, CallForATimeWaitsForThatTime) {
  OneActor world;
  wire::CallOptions options;
  options.at_ms = world.now.wall_ms + 1000;
  world.submit(10, 2, 1, options);
  world.pass(900);
  EXPECT_EQ(world.runs(20), (Seqs{}));
  EXPECT_EQ(world.store.keys.at("q:" + kActor + ":delayed").size(), 1u);
  world.pass(200);
  EXPECT_EQ(world.runs(20), (Seqs{2}));
  EXPECT_FALSE(world.store.keys.contains("q:" + kActor + ":delayed"));
}

TEST(BrokerDelays, TimeThatHasPassedIsNow) {
  OneActor world;
  wire::CallOptions options;
  options.at_ms = world.now.wall_ms - 1000;
  world.submit(10, 2, 1, options);
  EXPECT_EQ(world.runs(20), (Seqs{2}));
}

TEST(BrokerDelays, ADelayAndATimeTogetherAreRefused) {
  OneActor world;
  wire::CallOptions options = later(10);
  options.at_ms = world.now.wall_ms;
  world.submit(10, 2, 1, options);
  EXPECT_EQ(world.last(10, Type::refused).code, Errc::invalid_option);
}

TEST(BrokerDelays, CancelledDelayNeverBegins) {
  OneActor world;
  world.submit(10, 2, 1, later(100));
  world.say(10, wire::Cancel{CallId{SessionId{10}, 2}, false});
  EXPECT_EQ(world.last(10, Type::cancel_answer).cancel, wire::CancelAnswer::cancelled_before_start);
  EXPECT_EQ(world.result(10, 2).code, Errc::cancelled);
  world.pass(300);
  EXPECT_EQ(world.runs(20), (Seqs{}));
  EXPECT_FALSE(world.store.keys.contains("q:" + kActor + ":delayed"));
}

TEST(BrokerDelays, DeadlinePassesWhileItWaits) {
  OneActor world;
  wire::CallOptions options = later(1000);
  options.deadline_ms = 200;
  world.submit(10, 2, 1, options);
  world.pass(300);
  EXPECT_EQ(world.result(10, 2).code, Errc::expired);
  world.pass(1000);
  EXPECT_EQ(world.runs(20), (Seqs{}));
}

TEST(BrokerDelays, KilledActorEndsItsDelayedCallsToo) {
  OneActor world;
  world.submit(10, 2, 1, later(1000));
  world.say(10, wire::Kill{5, 1, false});
  EXPECT_EQ(world.result(10, 2).code, Errc::actor_died);
}

TEST(BrokerDelays, DelayedCallsHaveABoundOfTheirOwn) {
  wire::ActorOptions options;
  options.max_pending = 2;
  OneActor world(options);
  for (std::uint64_t seq = 2; seq <= 4; ++seq) world.submit(10, seq, 1, later(1000));
  EXPECT_EQ(world.last(10, Type::refused).seq, 4u);
  EXPECT_EQ(world.last(10, Type::refused).code, Errc::queue_full);
}

TEST(BrokerDelays, WaitingForAnotherCallAndForTheTimeNeedsBoth) {
  OneActor world({}, 2);
  world.submit(10, 2, 1);
  wire::CallOptions options = later(500);
  options.after = {CallId{SessionId{10}, 2}};
  world.submit(10, 3, 1, options);
  world.done(20, world.last(20, Type::run).lease);
  EXPECT_EQ(world.runs(20), (Seqs{2}));
  world.pass(600);
  EXPECT_EQ(world.runs(20), (Seqs{2, 3}));
}

// Numbered before the call that it needs, it would hold up its lane for ever: what it waits for
// would come to stand behind it.
TEST(BrokerDelays, CallThatNeedsADelayedOneStandsBehindIt) {
  OneActor world;
  world.submit(10, 2, 1, later(500));
  wire::CallOptions options;
  options.after = {CallId{SessionId{10}, 2}};
  world.submit(10, 3, 1, options);
  world.submit(10, 4, 1);
  ASSERT_EQ(world.runs(20), (Seqs{4})) << "nobody waits for a time that is not his";
  world.done(20, world.last(20, Type::run).lease);
  world.pass(600);
  ASSERT_EQ(world.runs(20), (Seqs{4, 2}));
  world.done(20, world.last(20, Type::run).lease);
  EXPECT_EQ(world.runs(20), (Seqs{4, 2, 3}));
}

TEST(BrokerDelays, CallThatNeedsAFollowerOfADelayedOneStandsBehindIt) {
  OneActor world;
  wire::CallOptions options = later(500);
  options.idempotency_key = "k";
  world.submit(10, 2, 1, options);
  options.delay_ms.reset();
  world.submit(10, 3, 1, options);
  wire::CallOptions after;
  after.after = {CallId{SessionId{10}, 3}};
  world.submit(10, 4, 1, after);
  world.pass(600);
  ASSERT_EQ(world.runs(20), (Seqs{2}));
  world.done(20, world.last(20, Type::run).lease);
  EXPECT_EQ(world.runs(20), (Seqs{2, 4}));
}

TEST(BrokerDelays, OverdueCallsAreNumberedInTheOrderOfTheirTimes) {
  OneActor world;
  world.submit(10, 2, 1, later(4000));
  world.submit(10, 3, 1, later(1000));
  world.submit(10, 4, 1, later(3000));
  world.now.mono_us += 10'000'000;  // no broker for a while
  world.now.wall_ms += 10'000;
  const Told start = world.last(20, Type::start);
  world.restart();
  world.client(11, 10, true);
  wire::Hello hello = world.worker_hello(21, "w0");
  hello.instance = 20;
  hello.held_actors = {{start.actor, start.incarnation, start.slot}};
  world.greet(21, hello);
  world.say(21, wire::Window{world.slot, 0, 3});
  world.pass(100);
  EXPECT_EQ(world.runs(21), (Seqs{3, 4, 2}));
}

TEST(BrokerDelays, ExplainSaysWhenItIsDue) {
  OneActor world;
  Asker asker(world);
  world.submit(10, 2, 1, later(5000));
  const json told = asker.get("call.explain", {{"call", to_string(CallId{SessionId{10}, 2})}});
  EXPECT_EQ(told["reasons"][0]["code"], "delay");
  EXPECT_THAT(told["text"].get<std::string>(), HasSubstr("due in 5"));
  EXPECT_EQ(asker.get("queue.inspect", {{"queue", kActor}})["delayed"], 1);
}

}  // namespace
}  // namespace callboard::broker
