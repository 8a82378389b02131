// Order, retries, dependencies, deployments, tasks, keys.
#include "broker_world.hpp"

namespace callboard::broker {
namespace {

using Seqs = std::vector<std::uint64_t>;

TEST(BrokerDispatch, NeverHasMoreCallsOutThanTheWindow) {
  OneActor world({}, 3);
  for (std::uint64_t seq = 2; seq <= 9; ++seq) world.submit(10, seq, 1);
  EXPECT_EQ(world.runs(20), (Seqs{2, 3, 4}));
  world.done(20, world.all(20, Type::run)[0].lease);
  EXPECT_EQ(world.runs(20), (Seqs{2, 3, 4, 5}));
  world.say(20, wire::Window{world.slot, 0, 5});
  EXPECT_EQ(world.runs(20), (Seqs{2, 3, 4, 5, 6, 7}));
}

TEST(BrokerDispatch, RetriedCallStaysAtTheHeadAndWhatWasSentAheadComesBackBehindIt) {
  OneActor world({}, 3);
  wire::CallOptions options;
  options.max_retries = 2;
  options.retry_on = wire::RetryOn{wire::RetryOn::Which::all, {}};
  options.backoff_ms = {{10, 10}};
  for (std::uint64_t seq = 2; seq <= 6; ++seq) world.submit(10, seq, 1, options);
  const auto sent = world.all(20, Type::run);
  ASSERT_EQ(world.runs(20), (Seqs{2, 3, 4}));
  world.fail(20, sent[0].lease, "Oops", true);
  EXPECT_TRUE(world.last(20, Type::go_on).flag) << "hand back";
  world.pass(100);
  EXPECT_EQ(world.runs(20), (Seqs{2, 3, 4})) << "nothing starts before all is handed back";
  world.say(20, wire::Returned{sent[1].lease});
  world.say(20, wire::Returned{sent[2].lease});
  EXPECT_EQ(world.runs(20), (Seqs{2, 3, 4, 2, 3, 4}));
  EXPECT_EQ(world.all(20, Type::run)[3].attempt, 2u);
  EXPECT_EQ(world.all(20, Type::run)[4].attempt, 1u) << "never begun: not an attempt";
}

TEST(BrokerDispatch, HeldLaneIsToldToGoOnOnlyWhenTheRetryIsOnRecord) {
  OneActor world({}, 2);
  wire::CallOptions options;
  options.max_retries = 2;
  options.retry_on = wire::RetryOn{wire::RetryOn::Which::all, {}};
  world.submit(10, 2, 1, options);
  world.submit(10, 3, 1, options);
  ASSERT_EQ(world.runs(20), (Seqs{2, 3}));
  world.auto_commit = false;
  world.fail(20, world.all(20, Type::run)[0].lease, "Oops", true);
  EXPECT_EQ(world.count(20, Type::go_on), 0u);
  EXPECT_EQ(world.count(20, Type::forget), 0u);
  world.commit();
  EXPECT_EQ(world.count(20, Type::go_on), 1u);
  EXPECT_EQ(world.count(20, Type::forget), 1u);
}

TEST(BrokerDispatch, ResultOfAHeldLaneIsNotForgottenBeforeTheLaneIsAnswered) {
  OneActor world({}, 2);
  wire::CallOptions options;
  options.max_retries = 2;
  options.retry_on = wire::RetryOn{wire::RetryOn::Which::all, {}};
  options.durability = wire::Durability::memory;
  world.submit(10, 2, 1, options);
  ASSERT_EQ(world.runs(20), (Seqs{2}));
  world.auto_commit = false;
  world.submit(10, 3, 1);  // durable: what is told to its slot waits for its commit
  world.fail(20, world.all(20, Type::run)[0].lease, "Oops", true);
  EXPECT_EQ(world.count(20, Type::go_on), 0u);
  EXPECT_EQ(world.count(20, Type::forget), 0u);
  world.commit();
  EXPECT_EQ(world.count(20, Type::go_on), 1u);
  EXPECT_EQ(world.count(20, Type::forget), 1u);
}

TEST(BrokerDispatch, SpentRetriesGiveTheLastError) {
  OneActor world;
  wire::CallOptions options;
  options.max_retries = 1;
  options.retry_on = wire::RetryOn{wire::RetryOn::Which::listed, {"Oops"}};
  options.backoff_ms = {{1, 1}};
  world.submit(10, 2, 1, options);
  world.fail(20, world.last(20, Type::run).lease, "Oops", true);
  world.pass(40);
  ASSERT_EQ(world.runs(20), (Seqs{2, 2}));
  world.fail(20, world.last(20, Type::run).lease, "Oops", true);
  EXPECT_EQ(world.result(10, 2).code, Errc::task_error);
  EXPECT_FALSE(world.last(20, Type::go_on).flag);
}

TEST(BrokerDispatch, ErrorThatIsNotListedIsNotRetried) {
  OneActor world;
  wire::CallOptions options;
  options.max_retries = 5;
  options.retry_on = wire::RetryOn{wire::RetryOn::Which::listed, {"Oops"}};
  world.submit(10, 2, 1, options);
  world.fail(20, world.last(20, Type::run).lease, "Other");
  EXPECT_EQ(world.result(10, 2).code, Errc::task_error);
}

TEST(BrokerDispatch, WaitingDependencyHoldsTheLaneAndItsResultIsSplicedIn) {
  OneActor world({}, 10);
  wire::ActorOptions other;
  world.create(10, 2, 2, other);
  world.started(20, 10);
  world.submit(10, 3, 2);
  wire::CallOptions options;
  options.refs = {{1, CallId{SessionId{10}, 3}}};
  std::string args;
  wire::Writer out(args);
  out.array(3);
  out.bin("\x05");
  out.nil();
  out.bin("\xa1x");
  world.submit(10, 4, 1, options, args);
  world.submit(10, 5, 1);
  EXPECT_EQ(world.runs(20), (Seqs{3}));
  world.done(20, world.last(20, Type::run).lease, "\x2a");
  EXPECT_EQ(world.runs(20), (Seqs{3, 4, 5}));
  EXPECT_EQ(world.all(20, Type::run)[1].args, "\x93\x05\x2a\xa1x");
}

TEST(BrokerDispatch, WithOrderingNoneAWaitingCallIsOvertaken) {
  wire::ActorOptions options;
  options.ordering = wire::Ordering::none;
  OneActor world(options, 10);
  world.create(10, 2, 2, {});
  world.started(20, 10);
  world.submit(10, 3, 2);
  wire::CallOptions waits;
  waits.after = {CallId{SessionId{10}, 3}};
  world.submit(10, 4, 1, waits);
  world.submit(10, 5, 1);
  EXPECT_EQ(world.runs(20), (Seqs{3, 5}));
  world.done(20, world.all(20, Type::run)[0].lease);
  EXPECT_EQ(world.runs(20), (Seqs{3, 5, 4}));
}

TEST(BrokerDispatch, FailedDependencyFailsItsDependentsAtOnceWithTheChainOfCauses) {
  OneActor world({}, 1);
  world.create(10, 2, 2, {});
  world.started(20, 1);
  world.submit(10, 3, 2);
  wire::CallOptions first;
  first.after = {CallId{SessionId{10}, 3}};
  wire::CallOptions second;
  second.after = {CallId{SessionId{10}, 4}};
  world.submit(10, 4, 1, first);
  world.submit(10, 5, 1, second);
  world.fail(20, world.last(20, Type::run).lease, "Oops");
  EXPECT_EQ(world.result(10, 4).code, Errc::dependency_failed);
  const ErrorInfo error = wire::decode_error(world.result(10, 5).text, Errc::internal);
  EXPECT_EQ(error.code, Errc::dependency_failed);
  EXPECT_NE(error.causes.find("dependency_failed"), std::string::npos);
  EXPECT_NE(error.causes.find("task_error: it failed"), std::string::npos) << error.causes;
  world.submit(10, 6, 1, second);
  EXPECT_EQ(world.result(10, 6).code, Errc::dependency_failed) << "also when it failed before";
}

TEST(BrokerDispatch, CallsOfOneKeyRunOneAfterTheOtherAndOtherKeysInParallel) {
  wire::ActorOptions options;
  options.ordering = wire::Ordering::key;
  options.max_concurrency = 10;
  OneActor world(options, 10);
  wire::CallOptions a, b;
  a.key = "a";
  b.key = "b";
  world.submit(10, 2, 1, a);
  world.submit(10, 3, 1, a);
  world.submit(10, 4, 1, b);
  world.submit(10, 5, 1, a);
  world.submit(10, 6, 1);
  EXPECT_EQ(world.runs(20), (Seqs{2, 4, 6}));
  world.done(20, world.all(20, Type::run)[0].lease);
  EXPECT_EQ(world.runs(20), (Seqs{2, 4, 6, 3}));
  world.done(20, world.all(20, Type::run)[3].lease);
  EXPECT_EQ(world.runs(20), (Seqs{2, 4, 6, 3, 5}));
}

TEST(BrokerDispatch, HigherPriorityGoesFirstAndFullGroupsDoNotBlockOthers) {
  wire::ActorOptions options;
  options.groups = {{"io", 1}};
  OneActor world(options, 1);
  world.say(20, wire::Window{world.slot, 1, 1});
  wire::CallOptions io, urgent;
  io.group = "io";
  urgent.priority = 5;
  world.submit(10, 2, 1);
  world.submit(10, 3, 1);
  world.submit(10, 4, 1, io);
  world.submit(10, 5, 1, urgent);
  EXPECT_EQ(world.runs(20), (Seqs{2, 4}));
  world.done(20, world.all(20, Type::run)[0].lease);
  EXPECT_EQ(world.runs(20), (Seqs{2, 4, 5}));
}

TEST(BrokerDispatch, ReplicasSitInDifferentWorkersAndTakeCallsAsTheyAreFree) {
  BrokerWorld world;
  world.worker(20, "w0");
  world.worker(21, "w1");
  world.client(10);
  wire::ActorOptions options;
  options.name = "web";
  options.replicas = 3;
  world.create(10, 1, 1, options);
  EXPECT_EQ(world.count(20, Type::start), 1u);
  EXPECT_EQ(world.count(21, Type::start), 1u);
  world.started(20);
  world.started(21);
  for (std::uint64_t seq = 2; seq <= 5; ++seq) world.submit(10, seq, 1);
  EXPECT_EQ(world.runs(20).size() + world.runs(21).size(), 2u);
  world.worker(22, "w2");
  world.started(22);
  EXPECT_EQ(world.runs(22), (Seqs{4})) << "a new replica takes backlog at once";
}

TEST(BrokerDispatch, TasksRunOnAnyWorkerThatHasThemWithinItsSlots) {
  BrokerWorld world;
  world.worker(20, "w0");
  world.worker(21, "w1");
  world.client(10);
  world.open_task(10, 1);
  for (std::uint64_t seq = 1; seq <= 6; ++seq) world.submit(10, seq, 1);
  EXPECT_EQ(world.runs(20).size(), 2u);
  EXPECT_EQ(world.runs(21).size(), 2u);
  world.done(20, world.last(20, Type::run).lease);
  EXPECT_EQ(world.runs(20), (Seqs{1, 3, 5}));
  EXPECT_EQ(world.last(20, Type::run).slot, 0u);
}

TEST(BrokerDispatch, TaskThatComesBackWhenNoWorkerIsLeftRunsOnTheNextOneThatJoins) {
  BrokerWorld world;
  world.worker(20, "w0");
  world.client(10);
  world.open_task(10, 1);
  wire::CallOptions again;
  again.max_retries = -1;
  world.submit(10, 1, 1, again);
  ASSERT_EQ(world.runs(20), (Seqs{1}));
  world.say(20, wire::Goodbye{});
  world.worker(21, "w1");
  EXPECT_EQ(world.runs(21), (Seqs{1}));
}

TEST(BrokerDispatch, WaitingRaisesALowPriorityUntilItsTurnComes) {
  BrokerOptions broker;
  broker.priority_ageing_ms = 100;
  BrokerWorld world(broker);
  world.worker(20, "w0");
  world.client(10);
  wire::ActorOptions actor;
  actor.max_concurrency = 1;
  world.create(10, 1, 1, actor);
  world.started(20);
  wire::CallOptions low, high;
  low.priority = 0;
  high.priority = 5;
  world.submit(10, 2, 1, high);
  world.submit(10, 3, 1, low);
  std::uint64_t seq = 4;
  // Higher ones keep coming, each before the one before it has ended.
  for (; world.runs(20).back() != 3 && seq < 100; ++seq) {
    world.submit(10, seq, 1, high);
    world.pass(100);
    world.say(20, wire::Window{1, 0, 1});
    world.done(20, world.last(20, Type::run).lease);
  }
  EXPECT_EQ(world.runs(20).back(), 3u);
  EXPECT_GE(seq, 8u) << "five levels take five times as long";
  EXPECT_LE(seq, 13u);
}

TEST(BrokerDispatch, PausedQueueKeepsItsCalls) {
  OneActor world;
  std::string info;
  wire::Writer out(info);
  out.map(1);
  out.str("queue");
  out.str("~" + to_string(ActorId{SessionId{10}, 1}));
  world.say(10, wire::Admin{1, "queue.pause", info});
  ASSERT_EQ(world.last(10, Type::admin_answer).code, Errc::ok);
  world.submit(10, 2, 1);
  EXPECT_EQ(world.runs(20), (Seqs{}));
  world.say(10, wire::Admin{2, "queue.resume", info});
  EXPECT_EQ(world.runs(20), (Seqs{2}));
}

}  // namespace
}  // namespace callboard::broker
