// Idempotency keys: one execution for calls of one key and payload, whenever they come.
#include "broker_asker.hpp"

namespace callboard::broker {
namespace {

using Seqs = std::vector<std::uint64_t>;

wire::CallOptions keyed(std::string key) {
  wire::CallOptions options;
  options.idempotency_key = std::move(key);
  return options;
}

/// Client 11 beside client 10, with the actor under handle 1.
struct TwoClients : OneActor {
  explicit TwoClients(wire::ActorOptions options = {}) : OneActor(std::move(options)) {
    client(11);
    open_actor(11, {"add", "get"});
  }
};

TEST(BrokerIdempotency, SecondCallOfAKeyEndsAsTheFirstAndNeverRuns) {
  TwoClients world;
  world.submit(10, 2, 1, keyed("k"));
  world.submit(11, 1, 1, keyed("k"));
  world.submit(10, 3, 1);
  EXPECT_EQ(world.runs(20), (Seqs{2}));
  world.done(20, world.last(20, Type::run).lease, "\x07");
  EXPECT_EQ(world.result(10, 2).text, "\x07");
  EXPECT_EQ(world.result(11, 1).text, "\x07");
  EXPECT_EQ(world.runs(20), (Seqs{2, 3})) << "it held up nobody";
}

TEST(BrokerIdempotency, OutcomeIsKeptAfterTheFirstWasTaken) {
  TwoClients world;
  world.submit(10, 2, 1, keyed("k"));
  world.done(20, world.last(20, Type::run).lease, "\x07");
  world.taken(10, 2);
  world.submit(11, 1, 1, keyed("k"));
  EXPECT_EQ(world.result(11, 1).text, "\x07");
  EXPECT_EQ(world.runs(20), (Seqs{2}));
}

TEST(BrokerIdempotency, OutcomeSurvivesARestart) {
  TwoClients world;
  world.submit(10, 2, 1, keyed("k"));
  world.done(20, world.last(20, Type::run).lease, "\x07");
  world.taken(10, 2);
  world.restart();
  wire::Hello hello = world.worker_hello(21, "w0");
  hello.instance = 20;
  hello.held_actors = {{ActorId{SessionId{10}, 1}, (std::uint64_t{1} << 32) | 1, world.slot}};
  world.greet(21, hello);
  world.say(21, wire::Window{world.slot, 0, 1});
  world.client(12, 10, true);
  world.open_actor(12);
  world.submit(12, 3, 1, keyed("k"));
  EXPECT_EQ(world.result(12, 3).text, "\x07");
  EXPECT_EQ(world.runs(21), (Seqs{}));
}

TEST(BrokerIdempotency, OpenKeyIsKnownAfterARestart) {
  BrokerWorld world;
  world.worker(20, "w0");
  world.client(10);
  world.open_task(10, 1);
  for (std::uint64_t seq = 1; seq <= 2; ++seq) world.submit(10, seq, 1, keyed("k"));
  world.restart();
  world.client(11, 10, true);
  world.worker(21, "w1");
  world.pass_with(4000, {11, 21});
  ASSERT_EQ(world.runs(21), (Seqs{1}));
  world.done(21, world.last(21, Type::run).lease, "\x05");
  EXPECT_EQ(world.result(11, 1).text, "\x05");
  EXPECT_EQ(world.result(11, 2).text, "\x05");
}

// The follower has the lower number: its leader was delayed, and was numbered when it was due.
TEST(BrokerIdempotency, CallThatWaitsForItsRetryLeadsAfterARestart) {
  BrokerWorld world;
  world.worker(20, "w0");
  world.client(10);
  world.open_task(10, 1);
  wire::CallOptions leader = keyed("k");
  leader.delay_ms = 200;
  leader.max_retries = 3;
  leader.retry_on = wire::RetryOn{wire::RetryOn::Which::all, {}};
  leader.backoff_ms = {{1'000, 1'000}};
  world.submit(10, 1, 1, leader);
  world.submit(10, 2, 1, keyed("k"));
  world.pass_with(300, {10, 20});
  ASSERT_EQ(world.runs(20), (Seqs{1}));
  world.fail(20, world.last(20, Type::run).lease, "Oops");
  world.restart();
  world.client(11, 10, true);
  world.worker(21, "w1");
  world.pass_with(4'000, {11, 21});
  ASSERT_EQ(world.runs(21), (Seqs{1}));
  world.done(21, world.last(21, Type::run).lease, "\x05");
  EXPECT_EQ(world.result(11, 1).text, "\x05");
  EXPECT_EQ(world.result(11, 2).text, "\x05");
}

/// The broker starts anew; the worker of `OneActor` has begun what it was sent, and returns as 21.
void restart_beside_worker(TwoClients& world) {
  const Told start = world.last(20, Type::start);
  const std::vector<Told> runs = world.all(20, Type::run);
  world.restart();
  wire::Hello hello = world.worker_hello(21, "w0");
  hello.instance = 20;
  hello.held_actors = {{start.actor, start.incarnation, start.slot}};
  for (const Told& run : runs) {
    hello.held_calls.push_back(
        {run.lease, run.call, run.attempt, start.actor, start.incarnation, false});
  }
  world.greet(21, hello);
  world.say(21, wire::Window{world.slot, 0, 2});
  world.client(12, 10, true);
  world.client(13, 11, true);
}

// The follower has the lower number: its leader was delayed, and was numbered when it was due.
void restart_while_a_delayed_call_leads(const wire::CallOptions& follower) {
  TwoClients world;
  wire::CallOptions leader = keyed("k");
  leader.delay_ms = 200;
  world.submit(10, 2, 1, leader);
  world.submit(11, 1, 1, follower);
  world.pass(300);
  ASSERT_EQ(world.runs(20), (Seqs{2}));
  const std::uint64_t lease = world.last(20, Type::run).lease;
  restart_beside_worker(world);
  world.pass_with(4000, {12, 13, 21});
  EXPECT_EQ(world.runs(21), (Seqs{})) << "it is running already";
  world.done(21, lease, "\x07");
  EXPECT_EQ(world.result(12, 2).text, "\x07");
  EXPECT_EQ(world.result(13, 1).text, "\x07");
}

TEST(BrokerIdempotency, CallThatWasSentLeadsItsKeyAfterARestart) {
  restart_while_a_delayed_call_leads(keyed("k"));
  wire::CallOptions delayed = keyed("k");
  delayed.delay_ms = 100;
  restart_while_a_delayed_call_leads(delayed);
}

// A later call was sent meanwhile, so the watermark of the lane has passed the follower.
TEST(BrokerIdempotency, FollowerThatWasNeverSentCanBeCancelledAfterARestart) {
  TwoClients world;
  world.say(20, wire::Window{world.slot, 0, 2});
  world.submit(10, 2, 1, keyed("k"));
  world.submit(11, 1, 1, keyed("k"));
  world.submit(10, 3, 1);
  ASSERT_EQ(world.runs(20), (Seqs{2, 3}));
  restart_beside_worker(world);
  world.say(13, wire::Cancel{CallId{SessionId{11}, 1}, false});
  EXPECT_EQ(world.last(13, Type::cancel_answer).cancel, wire::CancelAnswer::cancelled_before_start);
  EXPECT_EQ(world.result(13, 1).code, Errc::cancelled);
}

TEST(BrokerIdempotency, SameKeyWithAnotherPayloadIsAnError) {
  TwoClients world;
  world.submit(10, 2, 1, keyed("k"), "\x91\x01");
  world.submit(11, 1, 1, keyed("k"), "\x91\x02");
  EXPECT_EQ(world.last(11, Type::refused).code, Errc::idempotency_conflict);
  world.done(20, world.last(20, Type::run).lease);
  world.say(11, wire::Resume{1});
  world.submit(11, 2, 1, keyed("k"), "\x91\x02");
  EXPECT_EQ(world.last(11, Type::refused).seq, 2u) << "after its end as well";
}

TEST(BrokerIdempotency, KeysOfAnotherQueueAreOtherKeys) {
  OneActor world({}, 4);
  world.create(10, 2, 2, {});
  const std::uint32_t second = world.started(20);
  EXPECT_NE(second, world.slot);
  world.submit(10, 3, 1, keyed("k"));
  world.submit(10, 4, 2, keyed("k"));
  EXPECT_EQ(world.runs(20), (Seqs{3, 4}));
}

TEST(BrokerIdempotency, KeyOfACallThatNeverBeganGoesToTheNext) {
  TwoClients world;
  world.submit(10, 2, 1);  // keeps the actor busy
  world.submit(10, 3, 1, keyed("k"));
  world.submit(11, 1, 1, keyed("k"));
  world.say(10, wire::Cancel{CallId{SessionId{10}, 3}, false});
  EXPECT_EQ(world.result(10, 3).code, Errc::cancelled);
  EXPECT_FALSE(world.has_result(11, 1));
  world.done(20, world.last(20, Type::run).lease);
  EXPECT_EQ(world.runs(20), (Seqs{2, 1}));
  world.done(20, world.last(20, Type::run).lease, "\x09");
  EXPECT_EQ(world.result(11, 1).text, "\x09");
}

TEST(BrokerIdempotency, KeyOfACallThatNeverBeganGoesToOneThatIsDue) {
  TwoClients world;
  world.submit(10, 2, 1);  // keeps the actor busy
  world.submit(10, 3, 1, keyed("k"));
  wire::CallOptions options = keyed("k");
  options.delay_ms = 60'000;
  world.submit(10, 4, 1, options);
  world.submit(11, 1, 1, keyed("k"));
  world.say(10, wire::Cancel{CallId{SessionId{10}, 3}, false});
  world.done(20, world.last(20, Type::run).lease);
  ASSERT_EQ(world.runs(20), (Seqs{2, 1})) << "nobody waits for a time that is not his";
  world.done(20, world.last(20, Type::run).lease, "\x09");
  EXPECT_EQ(world.result(11, 1).text, "\x09");
  EXPECT_EQ(world.result(10, 4).text, "\x09");
}

// An actor whose calls of one ordering key run one after the other; call 2 has key "a" and runs.
struct WithOrderingKeys : OneActor {
  WithOrderingKeys() : OneActor(by_key(), 10) { submit(10, 2, 1, in_line("a")); }
  static wire::ActorOptions by_key() {
    wire::ActorOptions options;
    options.ordering = wire::Ordering::key;
    options.max_concurrency = 10;
    return options;
  }
  static wire::CallOptions in_line(std::string key, std::string once = {}) {
    wire::CallOptions options = keyed(std::move(once));
    options.key = std::move(key);
    return options;
  }
  void cancel(std::uint64_t seq) { say(10, wire::Cancel{CallId{SessionId{10}, seq}, false}); }
};

TEST(BrokerIdempotency, HeirOfAKeyComesBehindACallOfItsOrderingKeyThatHasLeft) {
  WithOrderingKeys world;
  world.submit(10, 3, 1, world.in_line("a", "k"));
  world.submit(10, 4, 1, world.in_line("b", "k"));  // follows 3
  world.submit(10, 5, 1, world.in_line("b"));
  world.submit(10, 6, 1, world.in_line("b"));
  ASSERT_EQ(world.runs(20), (Seqs{2, 5}));
  world.cancel(3);
  EXPECT_EQ(world.runs(20), (Seqs{2, 5})) << "one of a key at a time";
  world.done(20, world.last(20, Type::run).lease);
  EXPECT_EQ(world.runs(20), (Seqs{2, 5, 4}));
  world.done(20, world.last(20, Type::run).lease);
  EXPECT_EQ(world.runs(20), (Seqs{2, 5, 4, 6}));
}

TEST(BrokerIdempotency, HeirOfAKeyGoesBeforeACallOfItsOrderingKeyThatWaitsForIt) {
  WithOrderingKeys world;
  world.submit(10, 3, 1, world.in_line("a", "k"));
  world.submit(10, 4, 1, world.in_line("b", "k"));  // follows 3
  wire::CallOptions behind = world.in_line("b");
  behind.after = {CallId{SessionId{10}, 4}};
  world.submit(10, 5, 1, behind);
  world.cancel(3);
  ASSERT_EQ(world.runs(20), (Seqs{2, 4}));
  world.done(20, world.last(20, Type::run).lease);
  EXPECT_EQ(world.runs(20), (Seqs{2, 4, 5}));
}

TEST(BrokerIdempotency, KeyOfACallThatExpiredAtItsWorkerGoesToTheNext) {
  TwoClients world;
  wire::CallOptions options = keyed("k");
  options.deadline_ms = 100;
  world.submit(10, 2, 1, options);
  world.submit(11, 1, 1, keyed("k"));
  ASSERT_EQ(world.runs(20), (Seqs{2}));
  world.pass(200);
  world.say(20, wire::Returned{world.last(20, Type::revoke).lease});
  EXPECT_EQ(world.result(10, 2).code, Errc::expired);
  ASSERT_EQ(world.runs(20), (Seqs{2, 1}));
  world.done(20, world.last(20, Type::run).lease, "\x09");
  EXPECT_EQ(world.result(11, 1).text, "\x09");
}

TEST(BrokerIdempotency, CancelOfAFollowerLeavesTheFirstAlone) {
  TwoClients world;
  world.submit(10, 2, 1, keyed("k"));
  world.submit(11, 1, 1, keyed("k"));
  world.say(11, wire::Cancel{CallId{SessionId{11}, 1}, false});
  EXPECT_EQ(world.result(11, 1).code, Errc::cancelled);
  world.done(20, world.last(20, Type::run).lease, "\x07");
  EXPECT_EQ(world.result(10, 2).text, "\x07");
}

TEST(BrokerIdempotency, OutcomeIsForgottenWhenItsTimeIsOver) {
  BrokerOptions options;
  options.dedupe_ttl_ms = 1000;
  BrokerWorld world(options);
  world.worker(20, "w0");
  world.client(10);
  world.open_task(10, 1);
  world.submit(10, 1, 1, keyed("k"));
  world.done(20, world.last(20, Type::run).lease);
  world.pass_with(62'000, {10, 20});  // outcomes of one minute go together
  world.submit(10, 2, 1, keyed("k"));
  EXPECT_EQ(world.runs(20), (Seqs{1, 2}));
}

TEST(BrokerIdempotency, TimeOfAnOutcomeBeginsWithTheEndOfItsCall) {
  BrokerOptions options;
  options.dedupe_ttl_ms = 1000;
  BrokerWorld world(options);
  world.worker(20, "w0");
  world.client(10);
  world.open_task(10, 1);
  world.submit(10, 1, 1, keyed("k"));
  world.pass_with(130'000, {10, 20});  // it runs
  world.done(20, world.last(20, Type::run).lease, "\x07");
  world.pass_with(20'000, {10, 20});  // within the minute of its end
  world.submit(10, 2, 1, keyed("k"));
  EXPECT_EQ(world.runs(20), (Seqs{1}));
  EXPECT_EQ(world.result(10, 2).text, "\x07");
}

TEST(BrokerIdempotency, EarlyResultIsNoOption) {
  TwoClients world;
  world.auto_commit = false;
  world.submit(10, 2, 1, keyed("k"));
  world.commit();
  world.done(20, world.last(20, Type::run).lease, "\x07");
  EXPECT_FALSE(world.has_result(10, 2)) << "another call may be told of it: it is recorded first";
  world.commit();
  EXPECT_EQ(world.result(10, 2).text, "\x07");
}

}  // namespace
}  // namespace callboard::broker
