// Tasks that a broker run before this one has sent: their records name the process that they went
// to, and that process, or who saw it die, says what became of them.
#include "broker_world.hpp"

#include <string>

namespace callboard::broker {
namespace {

using Seqs = std::vector<std::uint64_t>;

constexpr char kSent[] = "q:task/resize:sent";

wire::CallOptions retried(std::int32_t times) {
  wire::CallOptions options;
  options.max_retries = times;
  return options;
}

/// Worker 20 with two slots for tasks, and client 10 whose handle 1 is the task.
struct Tasks : BrokerWorld {
  explicit Tasks(BrokerOptions options = {}, bool journal = false)
      : BrokerWorld(std::move(options), journal) {
    worker(20, "w0");
    client(10);
    open_task(10, 1);
  }
  /// At most once, unless the options say otherwise: tasks are tried again by default.
  void task(std::uint64_t seq, wire::CallOptions options = {}) {
    if (!options.max_retries) options.max_retries = 0;
    submit(10, seq, 1, options);
  }
  /// The next broker run, whose client is 11; no worker has said hello to it.
  void begin_anew() {
    restart();
    client(11, 10, true);
  }
  /// The process of peer 20 on a new connection. It lists what of `begun` it has begun.
  void come_back(std::uint64_t peer, const std::vector<Told>& begun = {}) {
    wire::Hello hello = worker_hello(20, "w0");
    hello.session = peer;
    for (const Told& run : begun) {
      hello.held_calls.push_back({run.lease, run.call, run.attempt, {}, 0, false});
    }
    greet(peer, hello);
  }
  /// A supervisor tells how the process of peer 20 died, and what it had begun.
  void tell_death(const std::vector<Told>& begun, std::int32_t signal = 0) {
    supervisor(30);
    wire::ChildDied died;
    died.worker = "w0";
    died.instance = 20;
    died.signal = signal;
    for (const Told& run : begun) {
      died.begun.push_back({run.lease, run.call, run.attempt, {}, 0, false});
    }
    say(30, died);
  }
};

TEST(BrokerSentTasks, TaskThatItsWorkerDoesNotListWasNeverBegunAndGoesOut) {
  Tasks world;
  for (std::uint64_t seq = 1; seq <= 3; ++seq) world.task(seq);
  const auto sent = world.all(20, Type::run);
  ASSERT_EQ(world.runs(20), (Seqs{1, 2}));
  world.begin_anew();
  world.come_back(21, {sent[1]});
  EXPECT_EQ(world.runs(21), (Seqs{1})) << "2 runs there still, and 3 stands behind 1";
  EXPECT_EQ(world.last(21, Type::run).attempt, 1u);
  world.done(21, sent[1].lease, "\x07");
  EXPECT_EQ(world.result(11, 2).text, "\x07");
  EXPECT_EQ(world.runs(21), (Seqs{1, 3}));
  world.pass_with(4'000, {11, 21});
  EXPECT_FALSE(world.has_result(11, 1)) << "the end of recovery says nothing of it any more";
}

TEST(BrokerSentTasks, TaskThatIsTriedAgainGoesOutAtOnceAndIsNotCharged) {
  Tasks world;
  world.task(1, retried(1));
  world.begin_anew();
  world.come_back(21);
  ASSERT_EQ(world.runs(21), (Seqs{1}));
  EXPECT_EQ(world.last(21, Type::run).attempt, 1u);
}

TEST(BrokerSentTasks, OthersOfItsNameOrHostDoNotSpeakForAProcess) {
  Tasks world;
  world.task(1);
  world.begin_anew();
  world.worker(21, "w0");  // another process
  world.worker(22, "w1");
  EXPECT_EQ(world.runs(21), (Seqs{}));
  EXPECT_EQ(world.runs(22), (Seqs{}));
  world.pass_with(2'000, {11, 21, 22});
  EXPECT_FALSE(world.has_result(11, 1)) << "its worker has the time of a lease to come back";
  world.pass_with(1'000, {11, 21, 22});
  EXPECT_EQ(world.result(11, 1).code, Errc::maybe_executed);
}

TEST(BrokerSentTasks, RecordOfATaskNamesTheProcessThatItWasSentToLast) {
  Tasks world;
  world.task(1);
  ASSERT_EQ(world.runs(20), (Seqs{1}));
  world.worker(21, "w1");
  world.say(20, wire::Goodbye{Errc::stopping, "drained"});
  ASSERT_EQ(world.runs(21), (Seqs{1})) << "it had not begun there";
  world.begin_anew();
  world.come_back(22);
  EXPECT_EQ(world.runs(22), (Seqs{})) << "the other may have begun it";
  wire::Hello other = world.worker_hello(21, "w1");
  other.session = 23;
  world.greet(23, other);
  EXPECT_EQ(world.runs(22), (Seqs{1}));
}

TEST(BrokerSentTasks, TaskThatWasSentAgainAfterARestartIsFoundByTheRunAfterIt) {
  for (const bool journal : {false, true}) {
    Tasks world({}, journal);
    world.task(1);
    world.begin_anew();
    world.come_back(21);
    ASSERT_EQ(world.runs(21), (Seqs{1}));
    world.restart();
    world.client(12, 10, true);
    world.come_back(22);
    EXPECT_EQ(world.runs(22), (Seqs{1}));
    world.done(22, world.last(22, Type::run).lease, "\x07");
    EXPECT_EQ(world.result(12, 1).text, "\x07");
    world.taken(12, 1);
    world.pass_with(200, {12, 22});
    EXPECT_FALSE(world.store.keys.contains(kSent));
  }
}

TEST(BrokerSentTasks, ReportOfADeathSaysWhatTheProcessHadBegun) {
  Tasks world;
  world.task(1);
  world.task(2);
  const auto sent = world.all(20, Type::run);
  world.begin_anew();
  world.worker(22, "w1");
  world.tell_death({sent[0]});
  EXPECT_EQ(world.result(11, 1).code, Errc::maybe_executed);
  EXPECT_EQ(world.runs(22), (Seqs{2}));
}

TEST(BrokerSentTasks, ReportOfADeathChargesWhatWasBegunOnly) {
  Tasks world;
  world.task(1, retried(1));
  world.task(2, retried(1));
  const auto sent = world.all(20, Type::run);
  world.begin_anew();
  world.worker(22, "w1");
  world.tell_death({sent[0]}, 11);
  world.pass_with(500, {11, 22});
  const auto runs = world.all(22, Type::run);
  ASSERT_EQ(runs.size(), 2u);
  for (const Told& run : runs) EXPECT_EQ(run.attempt, run.call.seq == 1 ? 2u : 1u);
}

TEST(BrokerSentTasks, ReportThatListsAnEarlierAttemptOnlySaysThatTheLastOneNeverBegan) {
  Tasks world;
  wire::CallOptions options = retried(1);
  options.retry_on = wire::RetryOn{wire::RetryOn::Which::all, {}};
  options.backoff_ms = {{10, 10}};
  world.task(1, options);
  const Told first = world.last(20, Type::run);
  world.fail(20, first.lease, "Oops");
  world.pass(100);
  ASSERT_EQ(world.last(20, Type::run).attempt, 2u);
  world.begin_anew();
  world.worker(22, "w1");
  world.tell_death({first}, 9);
  ASSERT_EQ(world.runs(22), (Seqs{1}));
  EXPECT_EQ(world.last(22, Type::run).attempt, 2u);
}

TEST(BrokerSentTasks, RecordsOfEarlierVersionsLeaveATaskInDoubt) {
  Tasks world;
  world.task(1);
  std::string& record = world.store.keys[kSent]["1"];
  ASSERT_EQ(record.front(), '\x97');
  ASSERT_EQ(record.back(), '\x14') << "the number of peer 20";
  record.front() = '\x96';
  record.pop_back();
  world.begin_anew();
  world.come_back(21);
  EXPECT_EQ(world.runs(21), (Seqs{}));
  world.pass_with(3'000, {11, 21});
  EXPECT_EQ(world.result(11, 1).code, Errc::maybe_executed);
}

TEST(BrokerSentTasks, RecordsOfOtherCallsNameNobody) {
  wire::ActorOptions options;
  options.ordering = wire::Ordering::none;
  OneActor world(options);
  world.submit(10, 2, 1);
  ASSERT_EQ(world.runs(20), (Seqs{2}));
  bool found = false;
  for (const auto& [key, fields] : world.store.keys) {
    if (!key.ends_with(":sent")) continue;
    found = true;
    for (const auto& [number, record] : fields) EXPECT_EQ(record.front(), '\x96');
  }
  EXPECT_TRUE(found);
}

TEST(BrokerSentTasks, TaskWhoseDeadlinePassedMeanwhileHasExpired) {
  Tasks world;
  wire::CallOptions options;
  options.deadline_ms = 300;
  world.task(1, options);
  ASSERT_EQ(world.runs(20), (Seqs{1}));
  world.begin_anew();
  world.pass(500);
  EXPECT_FALSE(world.has_result(11, 1)) << "it may have begun";
  world.come_back(21);
  EXPECT_EQ(world.result(11, 1).code, Errc::expired);
  EXPECT_EQ(world.runs(21), (Seqs{}));
}

TEST(BrokerSentTasks, TaskThatWasCancelledMeanwhileDoesNotGoOut) {
  Tasks world;
  world.task(1);
  world.begin_anew();
  world.say(11, wire::Cancel{CallId{SessionId{10}, 1}, false});
  EXPECT_FALSE(world.has_result(11, 1));
  world.come_back(21);
  EXPECT_EQ(world.result(11, 1).code, Errc::cancelled);
  EXPECT_EQ(world.last(11, Type::cancel_answer).cancel, wire::CancelAnswer::cancelled_before_start);
  EXPECT_EQ(world.runs(21), (Seqs{}));
}

TEST(BrokerSentTasks, CallOfAnActorThatWasCancelledMeanwhileDoesNotGoOut) {
  OneActor world;
  world.submit(10, 2, 1);
  const Told start = world.last(20, Type::start);
  world.restart();
  world.client(11, 10, true);
  world.say(11, wire::Cancel{CallId{SessionId{10}, 2}, false});
  wire::Hello hello = world.worker_hello(20, "w0");
  hello.held_actors = {{start.actor, start.incarnation, start.slot}};
  world.greet(21, hello);
  world.say(21, wire::Window{start.slot, 0, 1});
  EXPECT_EQ(world.result(11, 2).code, Errc::cancelled);
  EXPECT_EQ(world.runs(21), (Seqs{}));
}

TEST(BrokerSentTasks, WhatWasPutBackGoesBeforeOthersOfItsPriority) {
  Tasks world;
  wire::CallOptions urgent;
  urgent.priority = 3;
  for (std::uint64_t seq = 1; seq <= 3; ++seq) world.task(seq);
  world.task(4, urgent);
  ASSERT_EQ(world.runs(20), (Seqs{1, 2}));
  world.begin_anew();
  world.come_back(21);
  for (std::size_t i = 0; i < 4; ++i) {
    ASSERT_GT(world.count(21, Type::run), i);
    world.done(21, world.all(21, Type::run)[i].lease);
  }
  EXPECT_EQ(world.runs(21), (Seqs{4, 1, 2, 3}));
}

TEST(BrokerSentTasks, CallsOfOneIdempotencyKeyWaitForTheOneThatIsPutBack) {
  Tasks world;
  wire::CallOptions keyed;
  keyed.idempotency_key = "k";
  world.task(1, keyed);
  world.task(2, keyed);
  ASSERT_EQ(world.runs(20), (Seqs{1}));
  world.begin_anew();
  world.come_back(21);
  ASSERT_EQ(world.runs(21), (Seqs{1}));
  world.done(21, world.last(21, Type::run).lease, "\x07");
  EXPECT_EQ(world.result(11, 1).text, "\x07");
  EXPECT_EQ(world.result(11, 2).text, "\x07");
  EXPECT_EQ(world.runs(21), (Seqs{1}));
}

// Its worker may have done it, and been told to forget it by a commit that is undone.
TEST(BrokerSentTasks, WhereTheStoreWentBackAWorkerKnowsOnlyWhatItHas) {
  Tasks world;
  world.task(1);
  world.begin_timeline();
  world.client(11, 10, true);
  world.come_back(21);
  EXPECT_EQ(world.runs(21), (Seqs{}));
  world.pass_with(3'000, {11, 21});
  EXPECT_EQ(world.result(11, 1).code, Errc::maybe_executed);
}

TEST(BrokerSentTasks, TaskOfWhichOnlyTheStoreHasTheArgumentsIsReadBeforeItGoesOut) {
  BrokerOptions options;
  options.memory_max = 1;
  Tasks world(options);
  const std::string args = "\x91\x2a";
  for (std::uint64_t seq = 1; seq <= 3; ++seq) world.submit(10, seq, 1, {}, args);
  ASSERT_EQ(world.runs(20), (Seqs{1, 2}));
  world.begin_anew();
  world.come_back(21);
  ASSERT_EQ(world.runs(21), (Seqs{1, 2}));
  EXPECT_GT(world.reads_made, 0u);
  for (const Told& run : world.all(21, Type::run)) {
    EXPECT_EQ(run.args, args);
    EXPECT_EQ(run.attempt, 1u);
    world.done(21, run.lease);
  }
  EXPECT_EQ(world.runs(21), (Seqs{1, 2, 3}));
}

}  // namespace
}  // namespace callboard::broker
