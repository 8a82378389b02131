// A new broker run on what the store holds, and workers that come back.
#include "broker_world.hpp"

namespace callboard::broker {
namespace {

using Seqs = std::vector<std::uint64_t>;

wire::Hello held(OneActor& world, std::uint64_t peer, std::vector<Told> calls, bool ended) {
  wire::Hello hello = world.worker_hello(20, "w0");
  const ActorId actor{SessionId{10}, 1};
  const std::uint64_t incarnation = world.last(20, Type::start).incarnation;
  hello.held_actors = {{actor, incarnation, world.slot}};
  for (const Told& run : calls) {
    hello.held_calls.push_back({run.lease, run.call, run.attempt, actor, incarnation, ended});
  }
  (void)peer;
  return hello;
}

TEST(BrokerRecovery, RestartedBrokerGoesOnWhereTheOldOneStopped) {
  OneActor world({}, 2);
  for (std::uint64_t seq = 2; seq <= 5; ++seq) world.submit(10, seq, 1);
  const auto sent = world.all(20, Type::run);
  ASSERT_EQ(sent.size(), 2u);
  const wire::Hello hello = held(world, 21, {sent[0]}, false);
  world.restart();
  world.client(11, 10, true);
  EXPECT_EQ(world.last(11, Type::welcome).welcome.accepted_through, 5u);
  world.greet(21, hello);
  world.say(21, wire::Window{world.slot, 0, 10});
  // 2 is still running there; 3 was sent but never begun; 4 and 5 follow.
  EXPECT_EQ(world.runs(21), (Seqs{3, 4, 5}));
  world.done(21, sent[0].lease, "\x09");
  EXPECT_EQ(world.result(11, 2).text, "\x09");
}

TEST(BrokerRecovery, ConstructorThatThrowsAfterItsWorkerCameBackEndsTheActor) {
  for (const bool restart : {true, false}) {
    BrokerWorld world;
    world.worker(20, "w0");
    world.client(10);
    world.create(10, 1, 1, {});
    world.submit(10, 2, 1);
    const Told start = world.last(20, Type::start);
    wire::Hello hello = world.worker_hello(20, "w0");
    hello.held_actors = {{start.actor, start.incarnation, start.slot}};
    if (restart) {
      world.restart();
      world.client(10, 10, true);
    }
    world.greet(21, hello);
    const std::string error = wire::encode(ErrorInfo());
    world.say(21, wire::Started{start.slot, Errc::constructor_failed, error});
    world.say(21, wire::Stopped{start.slot});
    EXPECT_EQ(world.result(10, 2).code, Errc::constructor_failed);
    world.create(10, 3, 3, {});
    EXPECT_EQ(world.count(21, Type::start), 1u) << "it goes on with other actors";
  }
}

// The broker that the outer call was in the memory of is gone, its actor is busy with it still.
TEST(BrokerRecovery, WaitInsideACallThatNobodyKnowsForItsOwnActorIsADeadlock) {
  OneActor world;
  wire::CallOptions memory;
  memory.durability = wire::Durability::memory;
  world.submit(10, 2, 1, memory);
  const CallId outer = world.last(20, Type::run).call;
  const wire::Hello hello = held(world, 21, {world.last(20, Type::run)}, false);
  world.restart();
  world.client(11, 10, true);
  world.greet(21, hello);
  world.open_actor(21);
  wire::CallOptions nested;
  nested.parent = outer;
  world.submit(21, 1, 1, nested);
  world.say(21, wire::Waiting{outer, CallId{SessionId{20}, 1}, true});
  EXPECT_EQ(world.result(21, 1).code, Errc::deadlock);
}

TEST(BrokerRecovery, CallsThatOnlyTheJournalHoldsAreFoundAndThoseThatEndedAreNot) {
  OneActor world({}, 2, true);
  for (std::uint64_t seq = 2; seq <= 5; ++seq) world.submit(10, seq, 1);
  const auto sent = world.all(20, Type::run);
  ASSERT_EQ(sent.size(), 2u);
  world.done(20, sent[0].lease);
  world.taken(10, 2);
  for (const auto& [key, fields] : world.store.keys) EXPECT_FALSE(key.ends_with(":calls")) << key;
  ASSERT_TRUE(world.store.keys.contains("journal"));
  const wire::Hello hello = held(world, 21, {sent[1]}, false);
  world.restart();
  world.client(11, 10, true);
  EXPECT_EQ(world.last(11, Type::welcome).welcome.accepted_through, 5u);
  world.greet(21, hello);
  world.say(21, wire::Window{world.slot, 0, 10});
  EXPECT_EQ(world.runs(21), (Seqs{4, 5}));
  EXPECT_FALSE(world.has_result(11, 2));
  world.pass(100);
  std::size_t unfinished = 0;
  for (const auto& [key, fields] : world.store.keys) {
    if (key.ends_with(":calls")) unfinished += fields.size();
  }
  EXPECT_EQ(unfinished, 3u);
  EXPECT_FALSE(world.store.keys.contains("journal"));
}

TEST(BrokerRecovery, SentCallWhoseWorkerNeverComesBackIsUncertain) {
  wire::ActorOptions options;
  options.max_restarts = -1;
  OneActor world(options);
  world.submit(10, 2, 1);
  world.submit(10, 3, 1);
  world.restart();
  world.client(11, 10, true);
  world.worker(22, "w9");
  for (int i = 0; i < 30; ++i) {
    world.pass(100);
    world.say(22, wire::Window{0, 0, 2});
  }
  EXPECT_EQ(world.result(11, 2).code, Errc::maybe_executed);
  world.started(22);
  EXPECT_EQ(world.runs(22), (Seqs{3}));
}

TEST(BrokerRecovery, LaneHeldForAResultThatWasHeardBeforeHandsBackWhatStandsBehindTheRetry) {
  OneActor world({}, 2);
  wire::CallOptions options;
  options.max_retries = 2;
  options.retry_on = wire::RetryOn{wire::RetryOn::Which::all, {}};
  options.backoff_ms = {{10, 10}};
  world.submit(10, 2, 1, options);
  world.submit(10, 3, 1, options);
  const Told start = world.last(20, Type::start);
  const std::vector<Told> sent = world.all(20, Type::run);
  ASSERT_EQ(sent.size(), 2u);
  world.fail(20, sent[0].lease, "Oops", true);  // on record, and its answer is lost
  world.restart();
  wire::Hello hello = world.worker_hello(21, "w0");
  hello.instance = 20;
  hello.held_actors = {{start.actor, start.incarnation, start.slot}};
  wire::HeldCall failed;
  failed.lease = sent[0].lease;
  failed.call = CallId{SessionId{10}, 2};
  failed.attempt = 1;
  failed.actor = start.actor;
  failed.incarnation = start.incarnation;
  failed.ended = true;
  wire::HeldCall behind = failed;
  behind.lease = sent[1].lease;
  behind.call = CallId{SessionId{10}, 3};
  behind.ended = false;
  hello.held_calls = {failed, behind};
  world.greet(21, hello);
  world.say(21, wire::Window{start.slot, 0, 2});
  world.pass_with(500, {21});
  ASSERT_EQ(world.count(21, Type::go_on), 1u);
  EXPECT_TRUE(world.last(21, Type::go_on).flag) << "hand back";
  EXPECT_EQ(world.runs(21), (std::vector<std::uint64_t>{}));
  world.say(21, wire::Returned{behind.lease});
  EXPECT_EQ(world.runs(21), (std::vector<std::uint64_t>{2, 3}));
}

// The retry of level memory waits for no commit of its own; the answer for the held lane waits for
// that of the call behind.
TEST(BrokerRecovery, RetryAtAWorkerThatCameBackGoesBehindTheAnswerForItsHeldLane) {
  OneActor world({}, 1);
  wire::CallOptions memory;
  memory.durability = wire::Durability::memory;
  memory.max_retries = 2;
  memory.retry_on = wire::RetryOn{wire::RetryOn::Which::all, {}};
  memory.backoff_ms = {{10, 10}};
  world.submit(10, 2, 1, memory);
  const Told start = world.last(20, Type::start);
  const Told run = world.last(20, Type::run);
  world.fail(20, run.lease, "Oops", true);
  world.auto_commit = false;
  world.submit(10, 3, 1);
  world.pass_with(100, {10, 20});
  wire::Hello hello = world.worker_hello(20, "w0");
  hello.resume = true;
  hello.held_actors = {{start.actor, start.incarnation, start.slot}};
  hello.held_calls = {{run.lease, run.call, run.attempt, start.actor, start.incarnation, true}};
  world.greet(21, hello);
  world.say(21, wire::Window{start.slot, 0, 1});
  EXPECT_EQ(world.count(21, Type::go_on), 0u) << "nothing of it is to be seen before the commit";
  EXPECT_EQ(world.runs(21), (Seqs{}));
  world.commit();
  EXPECT_EQ(world.count(21, Type::go_on), 1u);
  EXPECT_EQ(world.runs(21), (Seqs{2}));
}

TEST(BrokerRecovery, ActorThatLivedNowhereWhenTheBrokerStoppedIsPlacedAtOnce) {
  OneActor world;  // with no restarts: moving it on purpose must not cost one
  world.say(20, wire::Goodbye{});
  world.submit(10, 2, 1);
  world.restart();
  world.client(11, 10, true);
  world.worker(22, "w9");
  world.started(22);
  EXPECT_EQ(world.runs(22), (Seqs{2}));
}

TEST(BrokerRecovery, EarlyResultThatNobodyRecordedIsDeliveredAgainByItsWorker) {
  OneActor world;
  world.submit(10, 2, 1);
  const Told run = world.last(20, Type::run);
  world.done(20, run.lease, "\x07");
  const wire::Hello hello = held(world, 21, {run}, true);
  world.restart();
  world.client(11, 10, true);
  world.greet(21, hello);
  world.done(21, run.lease, "\x07");
  EXPECT_EQ(world.result(11, 2).text, "\x07");
}

TEST(BrokerRecovery, RecordedResultsSurvive) {
  OneActor world;
  world.submit(10, 2, 1);
  world.done(20, world.last(20, Type::run).lease, "\x07");
  world.pass(200);
  world.restart();
  world.client(11, 10, true);
  EXPECT_EQ(world.result(11, 2).text, "\x07");
  world.taken(11, 2);
  EXPECT_FALSE(world.store.keys.contains("results:000000000000000a"));
}

TEST(BrokerRecovery, ReconnectedWorkerKeepsItsActorAndGivesBackWhatItHasNotBegun) {
  OneActor world({}, 3);
  for (std::uint64_t seq = 2; seq <= 4; ++seq) world.submit(10, seq, 1);
  const auto sent = world.all(20, Type::run);
  const wire::Hello hello = held(world, 21, {sent[0]}, false);
  world.greet(21, hello);
  world.say(21, wire::Window{world.slot, 0, 3});
  EXPECT_EQ(world.runs(21), (Seqs{3, 4}));
  EXPECT_EQ(world.count(21, Type::start), 0u);
}

TEST(BrokerRecovery, DeadQueuesResultOutlivesIt) {
  OneActor world;
  world.submit(10, 2, 1);
  world.submit(10, 3, 1);
  world.say(10, wire::Kill{1, 1, false});
  world.restart();
  world.client(11, 10, true);
  EXPECT_EQ(world.result(11, 3).code, Errc::actor_died);
}

TEST(BrokerRecovery, StoreIsEmptyAgainWhenEverythingWasTaken) {
  OneActor world({}, 4);
  for (std::uint64_t seq = 2; seq <= 9; ++seq) world.submit(10, seq, 1);
  for (std::size_t i = 0; i < 8; ++i) {
    world.done(20, world.all(20, Type::run)[i].lease);
    world.taken(10, i + 2);
  }
  world.say(10, wire::Goodbye{});
  world.say(20, wire::Stopped{world.slot});
  world.pass(300);
  for (const auto& [key, fields] : world.store.keys) {
    EXPECT_TRUE(key == "classes" || key == "workers" || key == "queues" || key == "runs" ||
                key == "q:task/resize")
        << key;
  }
}

/// Its worker comes back on another connection and tells again what it has not been told to forget.
void come_back(OneActor& world, std::uint64_t peer, const std::vector<Told>& calls) {
  wire::Hello hello = held(world, peer, calls, true);
  hello.instance = 20;
  world.greet(peer, hello);
  for (const Told& run : calls) world.done(peer, run.lease, "\x07");
}

TEST(BrokerRecovery, ResultToldEarlyIsKeptByAWorkerThatComesBackUntilItIsOnRecord) {
  OneActor world;
  world.submit(10, 2, 1);
  const Told run = world.last(20, Type::run);
  world.auto_commit = false;
  world.done(20, run.lease, "\x07");
  ASSERT_TRUE(world.has_result(10, 2)) << "told early";
  come_back(world, 21, {run});
  world.pass(100);
  EXPECT_EQ(world.count(21, Type::forget), 0u) << "the next broker would let it begin again";
  world.auto_commit = true;
  world.pass_with(1'000, {10, 21});
  EXPECT_EQ(world.last(21, Type::forget).ranges, (wire::Ranges{{run.lease, 1}}));
}

TEST(BrokerRecovery, ResultThatItsOwnerHasTakenIsKeptByAWorkerThatComesBackUntilThatIsOnRecord) {
  OneActor world;
  world.submit(10, 2, 1);
  const Told run = world.last(20, Type::run);
  world.auto_commit = false;
  world.done(20, run.lease, "\x07");
  world.taken(10, 2);
  come_back(world, 21, {run});
  world.pass(100);
  EXPECT_EQ(world.count(21, Type::forget), 0u);
  world.auto_commit = true;
  world.pass_with(1'000, {10, 21});
  EXPECT_EQ(world.last(21, Type::forget).ranges, (wire::Ranges{{run.lease, 1}}));
}

// The broker that asked the call back is gone, and so is its reason; what stands behind it may have
// begun.
TEST(BrokerRecovery, CallThatAnEarlierRunAskedBackEndsAsThatRunMeantIt) {
  for (const Errc why : {Errc::cancelled, Errc::deadlock, Errc::expired}) {
    OneActor world({}, 2);
    world.submit(10, 2, 1);
    const Told run = world.last(20, Type::run);
    const wire::Hello hello = held(world, 21, {run}, true);
    world.restart();
    world.client(11, 10, true);
    world.greet(21, hello);
    world.auto_commit = false;
    world.say(21, wire::Returned{run.lease, why});
    EXPECT_EQ(world.count(21, Type::forget), 0u) << "not on record";
    world.auto_commit = true;
    world.pass(20);
    EXPECT_EQ(world.result(11, 2).code, why);
    EXPECT_EQ(world.runs(21), (Seqs{}));
    EXPECT_EQ(world.last(21, Type::forget).ranges, (wire::Ranges{{run.lease, 1}}));
  }
}

// Its deadline passed while it ran: the next broker knows the end of the call, and not its key.
TEST(BrokerRecovery, KeyOfACallThatEndedForItsOwnerAndStillRunsStaysBusy) {
  wire::ActorOptions actor;
  actor.ordering = wire::Ordering::key;
  actor.max_concurrency = 2;
  OneActor world(actor, 2);
  wire::CallOptions options;
  options.key = "k";
  wire::CallOptions soon = options;
  soon.deadline_ms = 100;
  world.submit(10, 2, 1, soon);
  world.submit(10, 3, 1, options);
  const Told run = world.last(20, Type::run);
  ASSERT_EQ(world.runs(20), (Seqs{2}));
  world.pass(200);
  world.say(20, wire::RevokeAnswer{run.lease, wire::CancelAnswer::stopping});
  ASSERT_EQ(world.result(10, 2).code, Errc::deadline_exceeded);
  const wire::Hello hello = held(world, 21, {run}, false);
  world.restart();
  world.client(11, 10, true);
  world.greet(21, hello);
  world.say(21, wire::Window{world.slot, 0, 2});
  world.pass_with(1'000, {11, 21});
  EXPECT_EQ(world.runs(21), (Seqs{})) << "2 still runs";
  EXPECT_EQ(world.count(21, Type::forget), 0u) << "nobody would hear of its end";
  world.done(21, run.lease, "\x07");
  EXPECT_EQ(world.runs(21), (Seqs{3}));
  world.pass_with(100, {11, 21});
  EXPECT_EQ(world.last(21, Type::forget).ranges, (wire::Ranges{{run.lease, 1}}));
}

TEST(BrokerRecovery, KeyOfACallThatStillRunsIsFreeWhenItsWorkerIsLost) {
  wire::ActorOptions actor;
  actor.ordering = wire::Ordering::key;
  actor.max_concurrency = 2;
  actor.max_restarts = -1;
  OneActor world(actor, 2);
  wire::CallOptions options;
  options.key = "k";
  wire::CallOptions memory = options;
  memory.durability = wire::Durability::memory;
  world.submit(10, 2, 1, memory);
  world.submit(10, 3, 1, options);
  const wire::Hello hello = held(world, 21, {world.last(20, Type::run)}, false);
  world.restart();  // the next run knows nothing of 2
  world.client(11, 10, true);
  world.greet(21, hello);
  world.say(21, wire::Window{world.slot, 0, 2});
  world.pass_with(1'000, {11, 21});
  EXPECT_EQ(world.runs(21), (Seqs{})) << "2 still runs";
  world.worker(22, "w9");
  world.pass_with(4'000, {11, 22});
  world.started(22, 2);
  EXPECT_EQ(world.runs(22), (Seqs{3}));
}

TEST(BrokerRecovery, CallOfAKilledActorThatMayBeRetriedIsNotUncertainAfterARestart) {
  OneActor world;
  wire::CallOptions options;
  options.max_retries = 3;
  world.submit(10, 2, 1);
  world.submit(10, 3, 1, options);
  world.say(20, wire::Window{world.slot, 0, 2});
  ASSERT_EQ(world.runs(20), (Seqs{2, 3}));
  wire::Kill kill;
  kill.handle = 1;
  world.say(10, kill);  // its worker has not said what has begun
  world.restart();
  world.client(11, 10, true);
  world.pass_with(4'000, {11});
  EXPECT_EQ(world.result(11, 2).code, Errc::maybe_executed);
  EXPECT_EQ(world.result(11, 3).code, Errc::actor_died);
}

TEST(BrokerRecovery, CallInAGroupOfAKilledActorIsUncertainAfterARestart) {
  wire::ActorOptions actor;
  actor.groups = {{"io", 1}};
  OneActor world(actor);
  world.say(20, wire::Window{world.slot, 1, 1});
  wire::CallOptions options;
  options.group = "io";
  world.submit(10, 2, 1, options);
  ASSERT_EQ(world.runs(20), (Seqs{2}));
  wire::Kill kill;
  kill.handle = 1;
  world.say(10, kill);
  world.restart();
  world.client(11, 10, true);
  world.pass_with(4'000, {11});
  EXPECT_EQ(world.result(11, 2).code, Errc::maybe_executed) << "it may have begun";
}

TEST(BrokerRecovery, RetriesThatAreTheActorsDefaultOutliveItsEnd) {
  wire::ActorOptions options;
  options.max_retries = 3;
  OneActor world(options);
  world.submit(10, 2, 1);
  wire::Kill kill;
  kill.handle = 1;
  world.say(10, kill);
  world.restart();
  world.client(11, 10, true);
  world.pass_with(4'000, {11});
  EXPECT_EQ(world.result(11, 2).code, Errc::actor_died);
}

// Both take the result of 2, which its owner has released; 5 lacks another one as well.
TEST(BrokerRecovery, ResultThatACallNeedsOutlivesTheEndOfAnotherThatNeededIt) {
  wire::ActorOptions actor;
  actor.max_restarts = -1;
  OneActor world(actor);
  for (const std::uint64_t seq : {2, 3}) {
    world.submit(10, seq, 1);
    world.done(20, world.last(20, Type::run).lease, "\x07");
  }
  wire::CallOptions takes;
  takes.refs = {{0, CallId{SessionId{10}, 2}}};
  wire::CallOptions lacks = takes;
  lacks.after = {CallId{SessionId{10}, 3}};
  world.submit(10, 4, 1);  // keeps the actor busy
  world.submit(10, 5, 1, lacks, "\x91\xc0");
  world.submit(10, 6, 1, takes, "\x91\xc0");
  world.taken(10, 2);
  ASSERT_EQ(world.runs(20), (Seqs{2, 3, 4}));
  world.store.keys["results:000000000000000a"].erase("3");
  world.restart();
  world.client(11, 10, true);
  EXPECT_EQ(world.result(11, 5).code, Errc::dependency_failed);
  world.worker(22, "w9");
  world.pass_with(4'000, {11, 22});
  world.started(22);
  ASSERT_EQ(world.runs(22), (Seqs{6}));
  EXPECT_TRUE(world.store.keys.contains("results:000000000000000a"));
  world.done(22, world.last(22, Type::run).lease, "\x08");
  for (const std::uint64_t seq : {4, 5, 6}) world.taken(11, seq);
  EXPECT_FALSE(world.store.keys.contains("results:000000000000000a")) << "nobody needs any now";
}

TEST(BrokerRecovery, CallThatHasBegunAndWhoseArgumentIsGoneIsUncertain) {
  wire::ActorOptions actor;
  actor.max_restarts = -1;
  OneActor world(actor);
  world.submit(10, 2, 1);
  world.done(20, world.last(20, Type::run).lease, "\x07");
  wire::CallOptions options;
  options.max_retries = 3;
  options.refs = {{0, CallId{SessionId{10}, 2}}};
  world.submit(10, 3, 1, options, "\x91\xc0");
  ASSERT_EQ(world.runs(20), (Seqs{2, 3}));
  // It ended, which its dead worker knows, and its argument was released.
  world.store.keys.erase("results:000000000000000a");
  world.restart();
  world.client(11, 10, true);
  world.pass_with(4'000, {11});
  EXPECT_EQ(world.result(11, 3).code, Errc::maybe_executed);
}

}  // namespace
}  // namespace callboard::broker
