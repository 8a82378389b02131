// Silence: whose it is. A broker that could not hear for a while blames nobody for it.
#include "tests/unit/broker_world.hpp"

namespace callboard::broker {
namespace {

constexpr std::int64_t kLong = 60'000;  ///< milliseconds; more than any lease or grace

void stand_still(BrokerWorld& world, std::int64_t ms = kLong) {
  world.now.mono_us += ms * kMicrosPerMilli;
  world.now.wall_ms += ms;
}

void ping(BrokerWorld& world, std::uint64_t peer) {
  world.send(peer, [](auto& out) { wire::write_ping(out, 1); });
}

TEST(BrokerSilence, WorkerWhoseFramesWaitedWhileTheBrokerStoodStillIsNotLost) {
  OneActor world;
  world.submit(10, 2, 1);
  stand_still(world);
  ping(world, 10);  // frames of others are in front
  world.step(Tick{});
  ping(world, 20);
  world.pass(1'000);
  world.done(20, world.last(20, Type::run).lease);
  EXPECT_EQ(world.result(10, 2).code, Errc::ok);
}

TEST(BrokerSilence, WorkerThatSaysNothingAfterThatEitherIsLost) {
  OneActor world;
  world.submit(10, 2, 1);
  stand_still(world);
  world.pass(3'000);
  EXPECT_EQ(world.result(10, 2).code, Errc::maybe_executed);
}

TEST(BrokerSilence, BrokerThatTakesNoFramesBecauseItsStoreIsSlowLosesNoWorker) {
  OneActor world({}, 4);
  world.submit(10, 2, 1);
  world.auto_commit = false;
  wire::CallOptions options;
  const std::string load(8 << 20, 'x');
  std::string args = "\x91\xc6";
  for (int shift = 24; shift >= 0; shift -= 8) {
    args.push_back(static_cast<char>(load.size() >> shift & 0xff));
  }
  args += load;
  std::uint64_t seq = 2;
  while (!world.broker->congested()) world.submit(10, ++seq, 1, options, args);
  world.pass(10'000);
  ASSERT_TRUE(world.broker->congested());
  world.auto_commit = true;
  world.commit();
  ping(world, 20);
  for (const Told& run : world.all(20, Type::run)) world.done(20, run.lease);
  world.pass_with(3'000, {10, 20});
  EXPECT_EQ(world.result(10, 2).code, Errc::ok);
  EXPECT_EQ(world.result(10, seq).code, Errc::ok);
}

TEST(BrokerSilence, NewBrokerThatStandsStillHearsTheWorkersBeforeItGivesThemUp) {
  OneActor world;
  world.submit(10, 2, 1);
  const Told run = world.last(20, Type::run);
  wire::Hello hello = world.worker_hello(20, "w0");
  const ActorId actor{SessionId{10}, 1};
  const std::uint64_t incarnation = world.last(20, Type::start).incarnation;
  hello.held_actors = {{actor, incarnation, world.slot}};
  hello.held_calls.push_back({run.lease, run.call, run.attempt, actor, incarnation, false});
  world.restart();
  stand_still(world);
  world.client(11, 10, true);  // its session waited too
  world.greet(21, hello);
  world.done(21, run.lease);
  EXPECT_EQ(world.result(11, 2).code, Errc::ok);
}

TEST(BrokerSilence, SessionIsNotGoneBecauseTheBrokerStoodStill) {
  OneActor world;
  world.step(PeerLost{PeerId{10}});
  stand_still(world);
  world.step(Tick{});
  world.client(11, 10, true);
  EXPECT_EQ(world.count(11, Type::welcome), 1u);
}

}  // namespace
}  // namespace callboard::broker
