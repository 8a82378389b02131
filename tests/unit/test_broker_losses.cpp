// What the simulator found: calls that are lost, late, stopped or in doubt when something dies.
#include "tests/unit/broker_world.hpp"

namespace callboard::broker {
namespace {

using Seqs = std::vector<std::uint64_t>;

wire::CallOptions with_deadline(std::int64_t ms, std::int32_t retries = 0) {
  wire::CallOptions options;
  options.deadline_ms = ms;
  options.max_retries = retries;
  return options;
}

wire::ActorOptions lives_on() {
  wire::ActorOptions options;
  options.max_restarts = -1;
  return options;
}

TEST(BrokerLosses, RunThatStillWaitsForItsCommitIsNotUncertain) {
  OneActor world(lives_on());
  world.auto_commit = false;
  world.submit(10, 2, 1);  // its RUN waits
  world.pass(3'000);       // and its worker is silent for too long
  world.auto_commit = true;
  world.commit();
  EXPECT_FALSE(world.has_result(10, 2));
  world.worker(21, "w1");
  world.started(21);
  EXPECT_EQ(world.runs(21), (Seqs{2}));
  EXPECT_EQ(world.last(21, Type::run).attempt, 1u);
}

TEST(BrokerLosses, RevokeDoesNotWaitForTheCommitThatItsRunWaitsFor) {
  OneActor world;
  world.auto_commit = false;
  world.submit(10, 2, 1, with_deadline(50));
  EXPECT_EQ(world.count(20, Type::run), 0u);
  world.pass(100);
  ASSERT_EQ(world.count(20, Type::revoke), 1u);
  world.say(20, wire::Returned{world.last(20, Type::revoke).lease});
  world.auto_commit = true;
  world.commit();
  EXPECT_EQ(world.result(10, 2).code, Errc::expired);
}

TEST(BrokerLosses, CallWhoseDeadlinePassedIsNotSentAgainWhenItsWorkerIsLost) {
  OneActor world(lives_on());
  world.submit(10, 2, 1, with_deadline(100, 3));
  world.pass(3'000);
  EXPECT_EQ(world.result(10, 2).code, Errc::deadline_exceeded);
  world.worker(21, "w1");
  world.started(21);
  EXPECT_EQ(world.count(21, Type::run), 0u);
}

TEST(BrokerLosses, CallThatExpiredWhileTheBrokerWasAwayIsNotSentToAWorkerThatJoins) {
  wire::CallOptions options = with_deadline(100, 3);
  BrokerWorld world;
  world.client(10);
  world.open_task(10, 1);
  world.submit(10, 1, 1, options);
  world.restart();
  world.now.mono_us += 1'000'000;
  world.now.wall_ms += 1'000;
  world.worker(20, "w0");
  EXPECT_EQ(world.count(20, Type::run), 0u);
  world.client(11, 10, true);
  EXPECT_EQ(world.result(11, 1).code, Errc::expired);
}

TEST(BrokerLosses, CancelOfACallThatMayHaveRunAtMostOnceLeavesItUncertain) {
  OneActor world(lives_on());
  world.submit(10, 2, 1);
  world.say(10, wire::Cancel{CallId{SessionId{10}, 2}, false});
  world.pass(3'000);
  EXPECT_EQ(world.result(10, 2).code, Errc::maybe_executed);
}

TEST(BrokerLosses, FailureOfADurableDependencyIsNotToldBeforeItIsCommitted) {
  OneActor world({}, 2);
  wire::CallOptions memory;
  memory.durability = wire::Durability::memory;
  memory.after = {CallId{SessionId{10}, 2}};
  world.submit(10, 2, 1);
  world.submit(10, 3, 1, memory);
  world.auto_commit = false;
  world.fail(20, world.last(20, Type::run).lease, "E");
  EXPECT_FALSE(world.has_result(10, 3));
  world.commit();
  EXPECT_EQ(world.result(10, 3).code, Errc::dependency_failed);
}

TEST(BrokerLosses, NewClientIsWelcomedWhenItsSessionIsStored) {
  BrokerWorld world;
  world.auto_commit = false;
  world.client(10);
  EXPECT_EQ(world.count(10, Type::welcome), 0u);
  world.commit();
  EXPECT_EQ(world.count(10, Type::welcome), 1u);
  world.auto_commit = true;
  world.restart();
  world.client(11, 10, true);
  EXPECT_EQ(world.count(11, Type::welcome), 1u) << "the next run knows it";
}

TEST(BrokerLosses, ReplicaThatIsBeingWaitedForIsStillWaitedForByTheNextRun) {
  wire::ActorOptions options;
  options.replicas = 2;
  OneActor world(options);
  const Told start = world.last(20, Type::start);
  world.submit(10, 2, 1);
  wire::Hello hello = world.worker_hello(20, "w0");
  hello.held_actors = {{start.actor, start.incarnation, start.slot}};
  const Told run = world.last(20, Type::run);
  hello.held_calls = {{run.lease, run.call, run.attempt, start.actor, start.incarnation, true}};
  world.restart();
  world.worker(30, "w1");  // the other replica is placed there: the record is written again
  world.restart();
  world.send(
      21, [&](auto& out) { wire::write(out, hello); }, true);
  EXPECT_EQ(world.count(21, Type::stop), 0u);
  world.worker(31, "w1");
  world.pass(4'000);
  EXPECT_EQ(world.count(31, Type::run) + world.count(21, Type::run), 0u) << "it began once";
}

TEST(BrokerLosses, ResultOfAnEarlierAttemptIsNotTakenForTheOneThatIsOut) {
  wire::CallOptions options;
  options.max_retries = 1;
  options.retry_on.emplace();
  options.retry_on->which = wire::RetryOn::Which::all;
  options.backoff_ms = {1, 1};
  OneActor world(lives_on());
  world.submit(10, 2, 1, options);
  const Told first = world.last(20, Type::run);
  wire::Hello hello = world.worker_hello(20, "w0");
  const Told start = world.last(20, Type::start);
  hello.held_actors = {{start.actor, start.incarnation, start.slot}};
  hello.held_calls = {
      {first.lease, first.call, first.attempt, start.actor, start.incarnation, true}};
  world.fail(20, first.lease, "E");
  world.pass(40);
  ASSERT_EQ(world.last(20, Type::run).attempt, 2u);
  world.restart();
  world.client(11, 10, true);
  world.send(
      21, [&](auto& out) { wire::write(out, hello); }, true);
  world.fail(21, first.lease, "E");  // its FORGET was lost with the broker
  EXPECT_FALSE(world.has_result(11, 2));
}

}  // namespace
}  // namespace callboard::broker
