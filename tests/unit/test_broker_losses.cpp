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

// A worker that ended in order left calls in doubt that had been sent to it at the last moment.
TEST(BrokerLosses, RunThatCrossesTheGoodbyeOfADrainedWorkerGoesElsewhere) {
  OneActor world;  // its calls start at most once
  world.submit(10, 2, 1);
  ASSERT_EQ(world.runs(20), (Seqs{2}));
  world.say(20, wire::Goodbye{Errc::stopping, "drained"});
  EXPECT_FALSE(world.has_result(10, 2));
  world.worker(21, "w1");
  world.started(21);
  EXPECT_EQ(world.runs(21), (Seqs{2}));
}

TEST(BrokerLosses, RunThatCrossesTheEndOfItsActorAtADrainingWorkerGoesElsewhere) {
  OneActor world;
  world.submit(10, 2, 1);
  ASSERT_EQ(world.runs(20), (Seqs{2}));
  world.say(20, wire::Stopped{world.slot});
  EXPECT_FALSE(world.has_result(10, 2));
  world.say(20, wire::Returned{world.last(20, Type::run).lease});  // it had no such actor any more
  world.worker(21, "w1");
  world.started(21);
  EXPECT_EQ(world.runs(21), (Seqs{2}));
}

TEST(BrokerLosses, RunOfAWorkerThatLeavesWithoutHavingDrainedIsInDoubt) {
  OneActor world;
  world.submit(10, 2, 1);
  ASSERT_EQ(world.runs(20), (Seqs{2}));
  world.say(20, wire::Goodbye{});
  EXPECT_EQ(world.result(10, 2).code, Errc::maybe_executed);
}

TEST(BrokerLosses, RunWhoseConnectionEndedBeforeItsCommitIsNotUncertain) {
  OneActor world(lives_on());
  world.auto_commit = false;
  world.submit(10, 2, 1);  // its RUN waits
  world.step(PeerLost{PeerId{20}});
  world.auto_commit = true;
  world.commit();
  world.pass_with(3'000, {10});
  EXPECT_FALSE(world.has_result(10, 2));
  world.worker(21, "w1");
  world.started(21);
  EXPECT_EQ(world.runs(21), (Seqs{2}));
}

// The queue of the actor is gone by the time that its worker tells of the call.
TEST(BrokerLosses, CallOutlivesItsActorAtAWorkerThatComesBackWithoutIt) {
  OneActor world;
  const Told start = world.last(20, Type::start);
  world.submit(10, 2, 1);
  const Told run = world.last(20, Type::run);
  world.say(10, wire::Cancel{run.call, false});
  wire::Hello hello = world.worker_hello(20, "w0");
  hello.held_calls = {{run.lease, run.call, run.attempt, start.actor, start.incarnation, true}};
  world.greet(21, hello);
  EXPECT_EQ(world.last(21, Type::revoke).lease, run.lease);
  world.done(21, run.lease, "\x07");
  EXPECT_TRUE(world.has_result(10, 2));
  world.open_task(10, 2);
  for (std::uint64_t seq = 3; seq <= 5; ++seq) world.submit(10, seq, 2);
  EXPECT_EQ(world.runs(21), (Seqs{3, 4})) << "both slots are free";
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

// The next run would find the start of the call, and an actor whose worker does not hold it.
TEST(BrokerLosses, EarlyResultIsOnRecordBeforeTheActorLivesAnew) {
  OneActor world(lives_on());
  world.submit(10, 2, 1);
  world.done(20, world.last(20, Type::run).lease, "\x07");
  ASSERT_EQ(world.result(10, 2).text, "\x07");  // and no word that it was taken
  world.supervisor(30);
  wire::ChildDied died;
  died.worker = "w0";
  died.instance = 20;
  died.signal = 9;
  world.say(30, died);
  world.worker(21, "w1");
  const Told start = world.last(21, Type::start);
  world.started(21);
  world.restart();
  wire::Hello hello = world.worker_hello(22, "w1");
  hello.instance = 21;
  hello.held_actors = {{start.actor, start.incarnation, start.slot}};
  world.greet(22, hello);
  world.say(22, wire::Window{start.slot, 0, 1});
  EXPECT_EQ(world.runs(22), (Seqs{})) << "it has run";
  world.client(12, 10, true);
  EXPECT_EQ(world.result(12, 2).text, "\x07");
}

TEST(BrokerLosses, ReportThatListsAnEarlierAttemptDoesNotChargeTheOneThatNeverBegan) {
  OneActor world(lives_on());
  wire::CallOptions options;
  options.max_retries = 1;
  options.retry_on = wire::RetryOn{wire::RetryOn::Which::all, {}};
  options.backoff_ms = {{10, 10}};
  world.submit(10, 2, 1, options);
  const std::uint64_t first = world.last(20, Type::run).lease;
  world.fail(20, first, "Oops", true);
  world.pass(100);
  ASSERT_EQ(world.last(20, Type::run).attempt, 2u);
  world.supervisor(30);
  wire::ChildDied died;
  died.worker = "w0";
  died.instance = 20;
  died.signal = 9;
  wire::HeldCall earlier;
  earlier.lease = first;
  earlier.call = CallId{SessionId{10}, 2};
  earlier.attempt = 1;
  died.begun = {earlier};
  world.say(30, died);
  world.worker(21, "w1");
  world.started(21);
  ASSERT_EQ(world.runs(21), (Seqs{2}));
  EXPECT_EQ(world.last(21, Type::run).attempt, 2u);
}

/// The START that a worker was sent last ends with a constructor that throws.
void constructor_throws(BrokerWorld& world, std::uint64_t peer) {
  ErrorInfo error;
  error.code = Errc::constructor_failed;
  error.message = "it throws";
  const std::string bytes = wire::encode(error);
  wire::Started message;
  message.slot = world.last(peer, Type::start).slot;
  message.code = Errc::constructor_failed;
  message.error = bytes;
  world.say(peer, message);
}

/// Starts of replicas that the worker was sent, each of which fails; at most `most`.
std::size_t failing_starts(BrokerWorld& world, std::uint64_t peer, std::size_t most,
                           const std::vector<std::uint64_t>& peers) {
  std::size_t failed = world.count(peer, Type::start) - 1;
  for (int i = 0; i < 600 && failed < most; ++i) {
    if (world.count(peer, Type::start) > failed) {
      constructor_throws(world, peer);
      ++failed;
    }
    world.pass_with(500, peers);
  }
  return failed;
}

TEST(BrokerLosses, DeploymentEndsWhenNoReplicaCanBeConstructedAgain) {
  wire::ActorOptions options;
  options.replicas = 1;
  OneActor world(options);
  world.say(20, wire::Stopped{world.slot});  // it lived, and its worker is about to end
  world.worker(21, "w1");
  wire::ChildDied died;
  died.worker = "w1";
  died.instance = 21;
  world.started(21);
  world.supervisor(30);
  world.say(30, died);
  world.submit(10, 2, 1);
  world.worker(22, "w2");
  EXPECT_EQ(failing_starts(world, 22, 20, {10, 22, 30}), limits::kBadStartsMax - 1)
      << "the loss itself is the first";
  EXPECT_EQ(world.result(10, 2).code, Errc::constructor_failed);
}

TEST(BrokerLosses, ReplicaIsTriedForEverWhileAnotherLives) {
  wire::ActorOptions options;
  options.replicas = 2;
  OneActor world(options);
  world.worker(21, "w1");
  world.started(21);
  world.supervisor(30);
  wire::ChildDied died;
  died.worker = "w1";
  died.instance = 21;
  world.say(30, died);
  world.worker(22, "w2");
  EXPECT_EQ(failing_starts(world, 22, 10, {10, 20, 22, 30}), 10u);
  world.submit(10, 2, 1);
  EXPECT_EQ(world.runs(20), (Seqs{2}));
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
  world.greet(21, hello);
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
  world.greet(21, hello);
  world.fail(21, first.lease, "E");  // its FORGET was lost with the broker
  EXPECT_FALSE(world.has_result(11, 2));
}

}  // namespace
}  // namespace callboard::broker
