// Results: early ones, recorded ones, releases; the end of workers, deadlines, cancels.
#include "broker_world.hpp"

namespace callboard::broker {
namespace {

using Seqs = std::vector<std::uint64_t>;

std::string unnamed(std::uint64_t session) {
  return "~" + to_string(ActorId{SessionId{session}, 1});
}

TEST(BrokerResults, AtMostOnceResultIsToldEarlyAndNeedsNoResultWriteWhenItIsTaken) {
  OneActor world;
  world.submit(10, 2, 1);
  const auto lease = world.last(20, Type::run).lease;
  world.auto_commit = false;
  world.done(20, lease, "\x07");
  EXPECT_EQ(world.result(10, 2).text, "\x07");
  EXPECT_EQ(world.count(20, Type::forget), 0u) << "the worker keeps it until it is taken";
  world.taken(10, 2);
  EXPECT_EQ(world.count(20, Type::forget), 0u);
  world.commit();
  EXPECT_EQ(world.last(20, Type::forget).ranges, (wire::Ranges{{lease, 1}}));
  EXPECT_EQ(world.store.depth(unnamed(10)), 0u);
  EXPECT_FALSE(world.store.keys.contains("results:000000000000000a"));
}

TEST(BrokerResults, UntakenEarlyResultIsRecordedSoon) {
  OneActor world;
  world.submit(10, 2, 1);
  world.done(20, world.last(20, Type::run).lease, "\x07");
  EXPECT_EQ(world.store.depth(unnamed(10)), 1u);
  world.pass(200);
  EXPECT_EQ(world.store.depth(unnamed(10)), 0u);
  EXPECT_EQ(world.store.keys.at("results:000000000000000a").size(), 1u);
  EXPECT_EQ(world.count(20, Type::forget), 1u);
  world.taken(10, 2);
  EXPECT_FALSE(world.store.keys.contains("results:000000000000000a"));
}

TEST(BrokerResults, ResultOfARetryableCallIsToldOnlyAfterItsCommit) {
  OneActor world;
  wire::CallOptions options;
  options.max_retries = 1;
  world.submit(10, 2, 1, options);
  world.auto_commit = false;
  world.done(20, world.last(20, Type::run).lease, "\x07");
  EXPECT_FALSE(world.has_result(10, 2));
  world.commit();
  EXPECT_TRUE(world.has_result(10, 2));
}

TEST(BrokerResults, ResultWaitsForAnOwnerThatIsAway) {
  OneActor world;
  world.submit(10, 2, 1);
  world.step(PeerLost{PeerId{10}});
  world.done(20, world.last(20, Type::run).lease, "\x07");
  EXPECT_EQ(world.store.keys.at("results:000000000000000a").size(), 1u);
  world.client(11, 10, true);
  EXPECT_EQ(world.result(11, 2).text, "\x07");
}

TEST(BrokerResults, FireAndForgetLeavesNothing) {
  OneActor world;
  wire::CallOptions options;
  options.no_result = true;
  world.submit(10, 2, 1, options);
  world.done(20, world.last(20, Type::run).lease);
  EXPECT_FALSE(world.has_result(10, 2));
  EXPECT_EQ(world.store.depth(unnamed(10)), 0u);
}

/// A broker whose confirmations wait for frames, with an actor of level memory.
class RidingConfirmations : public BrokerWorld {
 public:
  RidingConfirmations() : BrokerWorld([] {
    BrokerOptions options;
    options.confirm_delay_us = 2000;
    return options;
  }()) {
    worker(20, "w0");
    client(10);
    wire::ActorOptions options;
    options.max_concurrency = 1;
    options.durability = wire::Durability::memory;
    create(10, 1, 1, options);
    started(20, 8);
    pass(20);
    told.clear();
  }
};

TEST(BrokerResults, AcknowledgementRidesOnTheResult) {
  RidingConfirmations world;
  world.submit(10, 2, 1);
  EXPECT_EQ(world.count(10, Type::accepted), 0u);
  world.done(20, world.last(20, Type::run).lease, "\x07");
  EXPECT_TRUE(world.has_result(10, 2));
  EXPECT_EQ(world.last(10, Type::accepted).accepted.through, 2u);
}

TEST(BrokerResults, AcknowledgementDoesNotWaitLongForAResult) {
  RidingConfirmations world;
  world.submit(10, 2, 1);
  EXPECT_LE(world.broker->next_deadline_us(), world.now.mono_us + 2000);
  world.pass(20);
  EXPECT_EQ(world.last(10, Type::accepted).accepted.through, 2u);
  EXPECT_EQ(world.count(10, Type::accepted), 1u);
}

TEST(BrokerResults, CallWithoutAResultIsAcknowledgedAtOnce) {
  RidingConfirmations world;
  wire::CallOptions options;
  options.no_result = true;
  world.submit(10, 2, 1, options);
  EXPECT_EQ(world.last(10, Type::accepted).accepted.through, 2u);
}

TEST(BrokerResults, AcknowledgementThatWaitsIsNotToldToAnOwnerThatIsGone) {
  RidingConfirmations world;
  world.submit(10, 2, 1);
  world.step(PeerLost{PeerId{10}});
  world.pass(20);
  EXPECT_EQ(world.count(10, Type::accepted), 0u);
  world.client(11, 10, true);
  EXPECT_EQ(world.last(11, Type::welcome).welcome.accepted_through, 2u);
  EXPECT_EQ(world.last(11, Type::accepted).accepted.through, 2u);
}

TEST(BrokerResults, WorkerForgetsAResultWithTheNextCall) {
  RidingConfirmations world;
  world.submit(10, 2, 1);
  const auto lease = world.last(20, Type::run).lease;
  world.done(20, lease);
  EXPECT_EQ(world.count(20, Type::forget), 0u);
  world.submit(10, 3, 1);
  EXPECT_EQ(world.last(20, Type::forget).ranges, (wire::Ranges{{lease, 1}}));
}

TEST(BrokerResults, WorkerForgetsAResultSoonWhenNoCallFollows) {
  RidingConfirmations world;
  world.submit(10, 2, 1);
  world.done(20, world.last(20, Type::run).lease);
  EXPECT_LE(world.broker->next_deadline_us(), world.now.mono_us + 2000);
  world.pass(20);
  EXPECT_EQ(world.count(20, Type::forget), 1u);
  world.pass(40);
  EXPECT_EQ(world.count(20, Type::forget), 1u);
}

TEST(BrokerResults, LateResultOfALostWorkerChangesNothing) {
  wire::ActorOptions options;
  options.max_restarts = 1;
  OneActor world(options);
  world.submit(10, 2, 1);
  const auto lease = world.last(20, Type::run).lease;
  world.pass(3000);
  EXPECT_EQ(world.result(10, 2).code, Errc::maybe_executed);
  world.done(20, lease, "\x07");
  EXPECT_EQ(world.result(10, 2).code, Errc::maybe_executed);
  EXPECT_GE(world.count(20, Type::who), 1u) << "it is asked who it is: its lease was over";
}

TEST(BrokerResults, SupervisorsReportSaysWhatBeganAndOnlyThatIsUncertain) {
  wire::ActorOptions options;
  options.max_restarts = -1;
  OneActor world(options, 3);
  world.supervisor(30);
  world.worker(21, "w1");
  for (std::uint64_t seq = 2; seq <= 5; ++seq) world.submit(10, seq, 1);
  wire::ChildDied died;
  died.worker = "w0";
  died.instance = 20;
  died.signal = 9;
  wire::HeldCall begun;
  begun.call = CallId{SessionId{10}, 2};
  begun.lease = world.all(20, Type::run)[0].lease;
  died.begun = {begun};
  world.say(30, died);
  EXPECT_EQ(world.result(10, 2).code, Errc::maybe_executed);
  EXPECT_GT(world.last(21, Type::start).incarnation, world.last(20, Type::start).incarnation);
  world.started(21, 10);
  EXPECT_EQ(world.runs(21), (Seqs{3, 4, 5}));
  EXPECT_EQ(world.last(21, Type::run).attempt, 1u);
}

TEST(BrokerResults, CrashedTaskIsTriedAgainElsewhere) {
  BrokerWorld world;
  world.worker(20, "w0");
  world.client(10);
  world.open_task(10, 1);
  world.submit(10, 1, 1);
  ASSERT_EQ(world.runs(20), (Seqs{1}));
  world.worker(21, "w1");
  world.pass(1000);
  world.say(21, wire::Window{0, 0, 2});
  world.pass(2000);
  world.say(21, wire::Window{0, 0, 2});
  world.pass(1000);
  EXPECT_EQ(world.runs(21), (Seqs{1}));
  EXPECT_EQ(world.last(21, Type::run).attempt, 2u);
}

TEST(BrokerResults, ActorWithoutRestartsFailsWhatWaits) {
  OneActor world;
  world.supervisor(30);
  world.submit(10, 2, 1);
  world.submit(10, 3, 1);
  wire::ChildDied died;
  died.worker = "w0";
  died.instance = 20;
  died.signal = 11;
  world.say(30, died);
  EXPECT_EQ(world.result(10, 2).code, Errc::actor_died);
  EXPECT_EQ(world.result(10, 3).code, Errc::actor_died);
  world.submit(10, 4, 1);
  EXPECT_EQ(world.last(10, Type::refused).code, Errc::actor_died);
}

TEST(BrokerResults, ThrowingConstructorFailsTheCallsWithItsMessage) {
  BrokerWorld world;
  world.worker(20, "w0");
  world.client(10);
  world.create(10, 1, 1, {});
  world.submit(10, 2, 1);
  ErrorInfo error;
  error.code = Errc::constructor_failed;
  error.message = "no disk";
  const std::string bytes = wire::encode(error);
  world.say(20, wire::Started{world.last(20, Type::start).slot, Errc::constructor_failed, bytes});
  EXPECT_EQ(world.result(10, 2).code, Errc::constructor_failed);
  EXPECT_NE(world.result(10, 2).text.find("no disk"), std::string::npos);
}

TEST(BrokerResults, ActorWhoseStartCrossedTheEndOfItsWorkerIsStartedElsewhere) {
  BrokerWorld world;
  world.worker(20, "w0");
  world.client(10);
  world.create(10, 1, 1, {});  // no restarts: this must not cost one
  world.submit(10, 2, 1);
  ErrorInfo error;
  error.code = Errc::stopping;
  const std::string bytes = wire::encode(error);
  world.say(20, wire::Started{world.last(20, Type::start).slot, Errc::stopping, bytes});
  EXPECT_EQ(world.count(20, Type::start), 1u) << "not again at a worker that ends";
  world.worker(22, "w9");
  world.started(22);
  EXPECT_EQ(world.runs(22), (Seqs{2}));
}

TEST(BrokerResults, WaitingCallExpiresAndItsLaneGoesOn) {
  OneActor world;
  wire::CallOptions soon;
  soon.deadline_ms = 100;
  world.submit(10, 2, 1);
  world.submit(10, 3, 1, soon);
  world.submit(10, 4, 1);
  world.pass(200);
  EXPECT_EQ(world.result(10, 3).code, Errc::expired);
  world.done(20, world.last(20, Type::run).lease);
  EXPECT_EQ(world.runs(20), (Seqs{2, 4}));
}

TEST(BrokerResults, CallThatRunsPastItsDeadlineFailsButHoldsItsLane) {
  OneActor world;
  wire::CallOptions soon;
  soon.deadline_ms = 100;
  world.submit(10, 2, 1, soon);
  world.submit(10, 3, 1);
  const auto lease = world.last(20, Type::run).lease;
  world.pass(200);
  EXPECT_EQ(world.last(20, Type::revoke).lease, lease);
  world.say(20, wire::RevokeAnswer{lease, wire::CancelAnswer::stopping});
  EXPECT_EQ(world.result(10, 2).code, Errc::deadline_exceeded);
  EXPECT_EQ(world.runs(20), (Seqs{2}));
  world.done(20, lease, "\x01");
  EXPECT_EQ(world.result(10, 2).code, Errc::deadline_exceeded) << "a result never changes";
  EXPECT_EQ(world.runs(20), (Seqs{2, 3}));
}

TEST(BrokerResults, CallWhoseEndWasDecidedWhileItRanIsForgottenWhenThatIsOnRecord) {
  OneActor world;
  wire::CallOptions soon;
  soon.deadline_ms = 100;
  world.submit(10, 2, 1, soon);
  const auto lease = world.last(20, Type::run).lease;
  world.auto_commit = false;
  world.pass(200);
  world.say(20, wire::RevokeAnswer{lease, wire::CancelAnswer::stopping});
  world.done(20, lease, "\x01");
  world.pass(100);
  EXPECT_EQ(world.count(20, Type::forget), 0u) << "the next broker would say that it never began";
  world.auto_commit = true;
  world.pass_with(1'000, {10, 20});
  EXPECT_EQ(world.last(20, Type::forget).ranges, (wire::Ranges{{lease, 1}}));
}

TEST(BrokerResults, CallBehindACancelledOneLeavesWhenTheCancelIsOnRecord) {
  OneActor world({}, 2);
  world.submit(10, 2, 1);
  world.submit(10, 3, 1);
  world.submit(10, 4, 1);  // durable, and waits
  wire::CallOptions options;
  options.durability = wire::Durability::memory;
  world.submit(10, 5, 1, options);
  ASSERT_EQ(world.runs(20), (std::vector<std::uint64_t>{2, 3}));
  world.auto_commit = false;
  world.say(10, wire::Cancel{CallId{SessionId{10}, 4}, false});
  world.done(20, world.all(20, Type::run)[0].lease);
  EXPECT_EQ(world.runs(20), (std::vector<std::uint64_t>{2, 3}))
      << "the next broker would let 4 begin, after 5";
  world.commit();
  EXPECT_EQ(world.runs(20), (std::vector<std::uint64_t>{2, 3, 5}));
}

TEST(BrokerResults, CancelHasADefiniteAnswerInEachState) {
  OneActor world({}, 2);
  for (std::uint64_t seq = 2; seq <= 4; ++seq) world.submit(10, seq, 1);
  const auto sent = world.all(20, Type::run);
  const auto cancel = [&](std::uint64_t seq) {
    world.say(10, wire::Cancel{CallId{SessionId{10}, seq}, false});
  };
  cancel(4);
  EXPECT_EQ(world.last(10, Type::cancel_answer).cancel, wire::CancelAnswer::cancelled_before_start);
  EXPECT_EQ(world.result(10, 4).code, Errc::cancelled);
  cancel(3);
  EXPECT_EQ(world.last(20, Type::revoke).lease, sent[1].lease);
  world.say(20, wire::Returned{sent[1].lease});
  EXPECT_EQ(world.last(10, Type::cancel_answer).cancel, wire::CancelAnswer::cancelled_before_start);
  cancel(2);
  world.say(20, wire::RevokeAnswer{sent[0].lease, wire::CancelAnswer::stopping});
  EXPECT_EQ(world.last(10, Type::cancel_answer).cancel, wire::CancelAnswer::stopping);
  world.done(20, sent[0].lease, "\x01");
  cancel(2);
  EXPECT_EQ(world.last(10, Type::cancel_answer).cancel, wire::CancelAnswer::too_late);
  cancel(99);
  EXPECT_EQ(world.last(10, Type::cancel_answer).cancel, wire::CancelAnswer::unknown);
}

TEST(BrokerResults, BlockingWaitForOnesOwnActorIsADeadlockAtOnce) {
  OneActor world;
  world.submit(10, 2, 1);
  // Inside call 2 the worker's own session (20) calls the same actor and waits.
  world.open_actor(20);
  wire::CallOptions nested;
  nested.parent = CallId{SessionId{10}, 2};
  world.submit(20, 1, 1, nested);
  world.say(20, wire::Waiting{CallId{SessionId{10}, 2}, CallId{SessionId{20}, 1}, true});
  EXPECT_EQ(world.result(20, 1).code, Errc::deadlock);
}

TEST(BrokerResults, OwnedActorEndsWithItsSessionAndANamedOneDoesNot) {
  OneActor world;
  wire::ActorOptions named;
  named.name = "hits";
  world.create(10, 2, 2, named);
  const auto named_slot = world.started(20);
  world.submit(10, 3, 1);
  world.say(10, wire::Goodbye{});
  EXPECT_EQ(world.count(20, Type::stop), 0u) << "accepted calls finish first";
  world.done(20, world.last(20, Type::run).lease);
  EXPECT_EQ(world.last(20, Type::stop).slot, world.slot);
  EXPECT_EQ(world.count(20, Type::stop), 1u);
  EXPECT_NE(named_slot, world.slot);
  world.say(20, wire::Stopped{world.slot});
  world.pass(200);
  EXPECT_FALSE(world.store.keys["queues"].contains(unnamed(10)));
  EXPECT_TRUE(world.store.keys["queues"].contains("hits"));
}

TEST(BrokerResults, KilledActorsNameIsFreeOnceItIsGoneAndNumbersGoOn) {
  wire::ActorOptions options;
  options.name = "hits";
  OneActor world(options);
  world.submit(10, 2, 1);
  world.submit(10, 3, 1);
  world.say(10, wire::Kill{7, 1, false});
  EXPECT_EQ(world.result(10, 3).code, Errc::actor_died);
  world.create(10, 4, 2, options);
  EXPECT_EQ(world.last(10, Type::opened).opened.code, Errc::name_taken);
  world.say(20, wire::Stopped{world.slot});
  world.create(10, 5, 3, options);
  EXPECT_EQ(world.last(10, Type::opened).opened.code, Errc::ok);
  world.started(20);
  world.submit(10, 6, 3);
  EXPECT_TRUE(world.store.keys.at("q:hits:calls").contains("3"));
}

TEST(BrokerResults, TwoLivingWorkersOfOneNameAreNotAllowed) {
  OneActor world;
  world.worker(21, "w0");
  EXPECT_EQ(world.last(21, Type::goodbye).code, Errc::name_taken);
  world.submit(10, 2, 1);
  EXPECT_EQ(world.runs(20), (Seqs{2}));
}

}  // namespace
}  // namespace callboard::broker
