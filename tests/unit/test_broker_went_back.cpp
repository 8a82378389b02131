// A store that went back in time: who notices, and what the next run makes of it.
#include "broker_world.hpp"

#include <gmock/gmock.h>

#include <set>
#include <string>
#include <utility>

namespace callboard::broker {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using Seqs = std::vector<std::uint64_t>;

void hello(BrokerWorld& world, std::uint64_t peer, std::uint64_t timeline, std::uint64_t commit_no,
           std::uint64_t epoch, bool resume = false) {
  wire::Hello message;
  message.session = peer;
  message.resume = resume;
  message.timeline = timeline;
  message.commit_no = commit_no;
  message.epoch_seen = epoch;
  world.send(
      peer, [&](auto& out) { wire::write(out, message); }, true);
}

TEST(BrokerWentBack, PeerThatSawWhatTheStoreHasIsWelcome) {
  OneActor world;
  hello(world, 11, 1, world.commit_no, 1);
  EXPECT_EQ(world.count(11, Type::welcome), 1u);
  EXPECT_FALSE(world.ahead);
}

TEST(BrokerWentBack, PeerThatSawALaterCommitIsAWitnessAndNotWelcomed) {
  OneActor world;
  hello(world, 11, 1, world.commit_no + 1, 1);
  ASSERT_TRUE(world.ahead);
  EXPECT_EQ(world.ahead->commit_no, world.commit_no + 1);
  EXPECT_EQ(world.ahead->timeline, 1u);
  EXPECT_EQ(world.count(11, Type::welcome), 0u);
  EXPECT_EQ(world.last(11, Type::goodbye).code, Errc::stopping);
}

TEST(BrokerWentBack, PeerOfAnEarlierRunIsComparedWithWhereThisOneBegan) {
  OneActor world;
  const std::uint64_t began = world.commit_no;
  world.restart();
  world.worker(22, "w9");
  world.client(12);
  world.open_task(12, 1);
  world.submit(12, 1, 1);
  ASSERT_GT(world.commit_no, began);
  hello(world, 11, 1, began, 1);
  EXPECT_FALSE(world.ahead);
  hello(world, 13, 1, began + 1, 1);  // of the first run: the store should have had it at the start
  EXPECT_TRUE(world.ahead);
}

TEST(BrokerWentBack, PeerThatSawALaterEpochOrTimelineIsAWitness) {
  for (const auto& [timeline, epoch] : {std::pair{1, 7}, std::pair{2, 1}}) {
    OneActor world;
    hello(world, 11, static_cast<std::uint64_t>(timeline), 0, static_cast<std::uint64_t>(epoch));
    ASSERT_TRUE(world.ahead);
    EXPECT_EQ(world.ahead->epoch, static_cast<std::uint64_t>(epoch));
    EXPECT_EQ(world.ahead->timeline, static_cast<std::uint64_t>(timeline));
  }
}

/// A peer that was welcomed by that run in that epoch says hello; whether it is a witness.
bool is_witness(BrokerWorld& world, std::uint64_t peer, std::uint64_t epoch, std::uint64_t run) {
  world.ahead.reset();
  wire::Hello message;
  message.session = peer;
  message.timeline = 1;
  message.epoch_seen = epoch;
  message.run_seen = run;
  world.greet(peer, message);
  return world.ahead.has_value();
}

// Two runs on copies of one store have the same epoch, and the later one may have committed more.
TEST(BrokerWentBack, PeerOfAnotherRunOfTheSameEpochIsAWitness) {
  OneActor world;
  const std::uint64_t run = world.last(10, Type::welcome).welcome.run;
  ASSERT_NE(run, 0u);
  EXPECT_FALSE(is_witness(world, 11, 1, run));
  EXPECT_TRUE(is_witness(world, 12, 1, run + 2));
  EXPECT_FALSE(is_witness(world, 13, 1, 0)) << "it was not welcomed";
}

TEST(BrokerWentBack, RunsOfEarlierEpochsAreRemembered) {
  OneActor world;
  const std::uint64_t run = world.last(10, Type::welcome).welcome.run;
  world.restart();
  world.client(10);
  EXPECT_NE(world.last(10, Type::welcome).welcome.run, run);
  EXPECT_FALSE(is_witness(world, 11, 1, run));
  EXPECT_TRUE(is_witness(world, 12, 1, run + 2));
}

TEST(BrokerWentBack, StoreRemembersTheLatestRunsOnly) {
  BrokerWorld world;
  for (std::size_t i = 0; i < limits::kRunsRemembered + 10; ++i) {
    world.worker(20, "w0");  // its classes are a first commit
    world.restart();
  }
  world.worker(20, "w0");
  EXPECT_EQ(world.store.keys["runs"].size(), limits::kRunsRemembered);
}

TEST(BrokerWentBack, NumbersThatNobodyCanHaveSeenAreRefused) {
  OneActor world;
  hello(world, 11, 1, 0, UINT64_MAX);
  EXPECT_FALSE(world.ahead);
  EXPECT_EQ(world.last(11, Type::goodbye).code, Errc::invalid_option);
}

TEST(BrokerWentBack, AcknowledgementsAndPongsTellWhereTheStoreIs) {
  OneActor world;
  world.auto_commit = false;
  world.submit(10, 2, 1);
  world.commit();
  EXPECT_EQ(world.last(10, Type::accepted).accepted.commit_no, world.commit_no);
}

TEST(BrokerWentBack, NumbersOfTheNewTimelineWereNeverGivenOutBefore) {
  wire::ActorOptions named;
  named.name = "hits";
  OneActor world(named);
  world.submit(10, 2, 1);
  EXPECT_TRUE(world.store.keys["q:hits:calls"].contains("1"));
  world.begin_timeline();
  EXPECT_THAT(world.log, Contains(HasSubstr("the store went back in time: a test says so")));
  world.client(11, 10, true);
  wire::Open open;
  open.handle = 1;
  open.name = "hits";
  open.methods = {"add", "get"};
  world.say(11, open);
  world.submit(11, 3, 1);
  EXPECT_TRUE(world.store.keys["q:hits:calls"].contains("1"));
  EXPECT_TRUE(world.store.keys["q:hits:calls"].contains(
      std::to_string((1ull << limits::kTimelineShift) + 1)));
}

TEST(BrokerWentBack, SessionThatTheStoreLostIsToldThatItIsLost) {
  BrokerWorld world;
  world.begin_timeline();
  hello(world, 11, 1, 0, 1, true);
  EXPECT_EQ(world.last(11, Type::goodbye).code, Errc::lost);
  hello(world, 12, 2, 0, 1, true);  // welcomed in this timeline: it has expired
  EXPECT_EQ(world.last(12, Type::goodbye).code, Errc::unknown_session);
}

TEST(BrokerWentBack, ActorThatTheStoreDoesNotKnowIsStopped) {
  BrokerWorld world;
  world.worker(20, "w0");
  world.client(10);
  const StoreModel before = world.store;
  world.create(10, 1, 1, {});
  world.started(20);
  wire::Hello back = world.worker_hello(20, "w0");
  const Told start = world.last(20, Type::start);
  back.held_actors = {{start.actor, start.incarnation, start.slot}};
  world.store = before;
  world.begin_timeline();
  world.send(
      21, [&](auto& out) { wire::write(out, back); }, true);
  EXPECT_EQ(world.last(21, Type::stop).slot, start.slot);
}

TEST(BrokerWentBack, CallThatAWorkerHasBegunIsNotBegunAgainThoughTheStoreTakesItForUnsent) {
  OneActor world({}, 0);
  world.submit(10, 2, 1);
  world.submit(10, 3, 1);
  const StoreModel before = world.store;  // accepted, not sent
  world.say(20, wire::Window{world.slot, 0, 1});
  const Told run = world.last(20, Type::run);
  ASSERT_EQ(run.call.seq, 2u);
  wire::Hello back = world.worker_hello(20, "w0");
  const Told start = world.last(20, Type::start);
  back.held_actors = {{start.actor, start.incarnation, start.slot}};
  back.held_calls = {{run.lease, run.call, 1, start.actor, start.incarnation, false}};
  world.store = before;
  world.begin_timeline();
  world.client(11, 10, true);
  world.send(
      21, [&](auto& out) { wire::write(out, back); }, true);
  world.say(21, wire::Window{world.slot, 0, 1});
  EXPECT_EQ(world.runs(21), Seqs{});
  world.done(21, run.lease, "\x09");
  EXPECT_EQ(world.result(11, 2).text, "\x09");
  EXPECT_EQ(world.runs(21), (Seqs{3}));
}

TEST(BrokerWentBack, IncarnationsOfRunsWithTheSameEpochDiffer) {
  std::set<std::uint64_t> seen;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    BrokerOptions options;
    Broker broker(options, seed);
    Effects effects;
    Instant now{1'000'000, 1'700'000'000'000};
    broker.loaded(now, effects);
    const auto tell = [&](std::uint64_t peer, std::uint64_t epoch, auto write) {
      wire::Frame frame;
      wire::FrameWriter out(frame, epoch);
      write(out);
      broker.step(now, FrameArrived{PeerId{peer}, wire::FrameView{frame.head, frame.parts}},
                  effects);
    };
    wire::Hello worker;
    worker.role = wire::Role::worker;
    worker.name = "w0";
    worker.session = 20;
    worker.classes = {{"Counter", wire::Mode::serial, {"add"}, {}}};
    tell(20, 0, [&](auto& out) { wire::write(out, worker); });
    wire::Hello client;
    client.session = 10;
    tell(10, 0, [&](auto& out) { wire::write(out, client); });
    wire::Create create;
    create.seq = 1;
    create.handle = 1;
    create.class_name = "Counter";
    create.args.bytes = "\x90";
    tell(10, 1, [&](auto& out) { wire::write(out, create); });
    std::uint64_t commit_no = 0;
    ASSERT_TRUE(broker.has_batch());
    for (const auto& key : broker.take_batch(commit_no).keys()) {
      if (key.name != "actors") continue;
      for (const auto& [field, value] : key.sets) {
        // The record ends with its instances: [replica, incarnation, restarts, placed].
        wire::Reader in(value);
        std::uint32_t n = 0;
        ASSERT_TRUE(in.array(n));
        for (std::uint32_t i = 0; i + 1 < n; ++i) ASSERT_TRUE(in.skip());
        std::uint64_t replica = 0;
        std::uint64_t incarnation = 0;
        ASSERT_TRUE(in.array(n) && in.array(n) && in.uint(replica) && in.uint(incarnation));
        EXPECT_EQ(incarnation >> 32, 1u);
        seen.insert(incarnation);
      }
    }
  }
  EXPECT_EQ(seen.size(), 8u);
}

}  // namespace
}  // namespace callboard::broker
