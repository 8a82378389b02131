// Parked calls: a full queue that blocks takes them in their order, whatever crosses on the way.
#include "tests/unit/broker_world.hpp"

namespace callboard::broker {
namespace {

// One actor with room for one call, and calls 2 (running) and 3 (parked) of client 10.
class Parking : public testing::Test {
 protected:
  Parking() : world(one_call(), 10) {
    world.submit(10, 2, 1);
    world.submit(10, 3, 1);
    EXPECT_EQ(world.last(10, Type::parked).seq, 3u);
  }

  static wire::ActorOptions one_call() {
    wire::ActorOptions options;
    options.max_pending = 1;
    options.when_full = wire::WhenFull::block;
    return options;
  }

  // The call that was sent to the worker last ends, and its owner takes the result.
  void end_last(std::uint64_t seq) {
    world.done(20, world.last(20, Type::run).lease);
    world.taken(10, seq);
  }

  OneActor world;
};

TEST_F(Parking, CallOnItsWayDoesNotTakeTheRoomOfOneParkedBeforeIt) {
  end_last(2);
  ASSERT_EQ(world.count(10, Type::room), 1u);
  world.submit(10, 4, 1);  // it left before the client saw PARKED
  EXPECT_EQ(world.runs(20), (std::vector<std::uint64_t>{2}));
  world.submit(10, 3, 1);
  EXPECT_EQ(world.runs(20), (std::vector<std::uint64_t>{2, 3}));
  end_last(3);
  world.submit(10, 4, 1);
  EXPECT_EQ(world.runs(20), (std::vector<std::uint64_t>{2, 3, 4}));
}

TEST_F(Parking, WhatIsStillParkedKeepsItsPlaceInLine) {
  for (std::uint64_t seq = 4; seq <= 8; ++seq) world.submit(10, seq, 1);
  EXPECT_EQ(world.count(10, Type::parked), 1u) << "told once";
  for (std::uint64_t seq = 3; seq <= 8; ++seq) {
    end_last(seq - 1);
    EXPECT_EQ(world.count(10, Type::room), seq - 2) << "room for " << seq;
    world.submit(10, seq, 1);
  }
  EXPECT_EQ(world.runs(20), (std::vector<std::uint64_t>{2, 3, 4, 5, 6, 7, 8}));
}

TEST_F(Parking, OneCallMoreThanThereIsRoomForIsParkedAgain) {
  world.submit(10, 4, 1);
  end_last(2);
  world.submit(10, 3, 1);
  world.submit(10, 4, 1);
  EXPECT_EQ(world.runs(20), (std::vector<std::uint64_t>{2, 3}));
  EXPECT_EQ(world.last(10, Type::parked).seq, 4u);
  end_last(3);
  EXPECT_EQ(world.count(10, Type::room), 2u);
  world.submit(10, 4, 1);
  EXPECT_EQ(world.runs(20).back(), 4u);
}

TEST_F(Parking, CallThatWasGivenUpHoldsBackNobody) {
  end_last(2);
  world.taken(10, 3);  // room, but call 3 has been given up: its deadline passed
  world.submit(10, 4, 1);
  EXPECT_EQ(world.runs(20), (std::vector<std::uint64_t>{2, 4}));
  end_last(4);
  world.submit(10, 5, 1);
  EXPECT_EQ(world.runs(20).back(), 5u);
}

TEST_F(Parking, CallOfferedInTurnAndParkedAgainIsNotOvertaken) {
  end_last(2);             // room for 3 ...
  world.submit(10, 4, 1);  // ... granted anew: this one left before the client knew of it
  world.submit(10, 5, 1);  // and once more
  world.say(10, wire::Resume{1});  // what the client said to an earlier room
  for (std::uint64_t seq = 3; seq <= 5; ++seq) world.submit(10, seq, 1);
  for (int i = 0; i < 6 && world.runs(20).size() < 4; ++i) {
    const std::uint64_t at = world.runs(20).back();
    if (at > 2) end_last(at);
    for (std::uint64_t seq = at + 1; seq <= 5; ++seq) world.submit(10, seq, 1);
  }
  EXPECT_EQ(world.runs(20), (std::vector<std::uint64_t>{2, 3, 4, 5}));
}

TEST_F(Parking, RoomThatIsNotNeededGoesToTheNextInLine) {
  world.client(11, 11);
  world.open_actor(11);
  world.submit(11, 1, 1);
  EXPECT_EQ(world.last(11, Type::parked).seq, 1u);
  end_last(2);
  EXPECT_EQ(world.count(11, Type::room), 0u);
  world.say(10, wire::Resume{1});
  EXPECT_EQ(world.count(11, Type::room), 1u);
  world.submit(11, 1, 1);
  EXPECT_EQ(world.last(20, Type::run).call, (CallId{SessionId{11}, 1}));
}

TEST_F(Parking, AcknowledgementNamesParkedNumbersOnlyOnceTheyAreAccepted) {
  world.submit(10, 4, 1);
  EXPECT_EQ(world.last(10, Type::accepted).accepted.through, 4u);
  EXPECT_TRUE(world.last(10, Type::accepted).accepted.again.empty());
  end_last(2);
  world.submit(10, 3, 1);
  EXPECT_EQ(world.last(10, Type::accepted).accepted.again, (wire::Ranges{{3, 1}}));
}

// The client counts it among those that it must offer again, so the broker must count it too.
TEST_F(Parking, DelayedCallOnItsWayIsParkedBehindTheOneBeforeIt) {
  wire::CallOptions later;
  later.delay_ms = 100;
  world.submit(10, 4, 1, later);
  world.submit(10, 5, 1);
  world.pass(200);
  end_last(2);
  ASSERT_EQ(world.last(10, Type::room).number, 1u);
  world.submit(10, 3, 1);
  end_last(3);
  EXPECT_EQ(world.runs(20), (std::vector<std::uint64_t>{2, 3}));
  ASSERT_EQ(world.count(10, Type::room), 2u);
  world.submit(10, 4, 1, later);
  EXPECT_EQ(world.count(10, Type::room), 3u) << "it takes no room: 5 is next";
  world.submit(10, 5, 1);
  EXPECT_EQ(world.runs(20), (std::vector<std::uint64_t>{2, 3, 5}));
  end_last(5);
  world.pass(200);
  EXPECT_EQ(world.runs(20), (std::vector<std::uint64_t>{2, 3, 5, 4}));
}

TEST_F(Parking, RefusalOfADelayedCallAsksForThoseThatAreParkedBehindIt) {
  wire::CallOptions later;
  later.delay_ms = 60'000;
  world.submit(10, 4, 1, later);
  world.submit(10, 5, 1, later);
  world.submit(10, 6, 1);
  end_last(2);
  world.submit(10, 3, 1);
  end_last(3);
  world.submit(10, 4, 1, later);  // all that may be delayed
  world.submit(10, 5, 1, later);
  EXPECT_EQ(world.last(10, Type::refused).seq, 5u);
  world.submit(10, 6, 1);
  EXPECT_EQ(world.last(10, Type::refused).code, Errc::refused_before);
  EXPECT_EQ(world.last(10, Type::refused).seq, 6u);
}

TEST_F(Parking, WordThatRoomIsNotNeededForgetsNoRefusalThatIsStillOnItsWay) {
  world.say(10, wire::Kill{1, 1, false});
  ASSERT_EQ(world.count(10, Type::room), 1u);
  world.submit(10, 3, 1);
  EXPECT_EQ(world.last(10, Type::refused).seq, 3u);
  world.say(10, wire::Resume{1, 0});  // there was more room than it had calls
  world.client(12, 10, true);         // the refusal went with the connection
  EXPECT_EQ(world.last(12, Type::welcome).welcome.refused, (std::vector<std::uint64_t>{3}));
}

TEST_F(Parking, CallThatNeedsADelayedOneLeavesItsRoomToTheNext) {
  world.open_task(10, 2);
  wire::CallOptions delayed;
  delayed.delay_ms = 60'000;
  world.submit(10, 4, 2, delayed);
  world.submit(10, 5, 1);
  end_last(2);
  ASSERT_EQ(world.count(10, Type::room), 1u);
  wire::CallOptions needs;
  needs.after = {CallId{SessionId{10}, 4}};
  world.submit(10, 3, 1, needs);  // it takes its place when the other is due
  ASSERT_EQ(world.count(10, Type::room), 2u);
  world.submit(10, 5, 1);
  EXPECT_EQ(world.runs(20), (std::vector<std::uint64_t>{2, 5}));
}

TEST_F(Parking, AReconnectOffersParkedCallsAgainInOrder) {
  world.submit(10, 4, 1);
  world.client(12, 10, true);
  EXPECT_EQ(world.last(12, Type::welcome).welcome.refused, (std::vector<std::uint64_t>{3, 4}));
  world.open_actor(12);
  world.submit(12, 3, 1);
  world.submit(12, 4, 1);
  EXPECT_EQ(world.last(12, Type::parked).seq, 3u);
  world.done(20, world.last(20, Type::run).lease);
  world.taken(12, 2);
  world.submit(12, 3, 1);
  EXPECT_EQ(world.runs(20), (std::vector<std::uint64_t>{2, 3}));
}

// Its refusal was lost with the connection, so that the client offers it again.
TEST(BrokerParking, RefusedCallWhoseResultWasMissedIsNotAcceptedAfterAll) {
  wire::ActorOptions options;
  options.max_pending = 1;
  options.when_full = wire::WhenFull::reject;
  OneActor world(options);
  world.open_task(10, 2);
  world.submit(10, 2, 1);
  world.submit(10, 3, 1);
  ASSERT_EQ(world.last(10, Type::refused).seq, 3u);
  wire::CallOptions takes;
  takes.refs = {{0, CallId{SessionId{10}, 3}}};
  world.submit(10, 4, 2, takes, "\x91\xc0");
  ASSERT_EQ(world.result(10, 4).code, Errc::dependency_failed);
  world.done(20, world.last(20, Type::run).lease);
  world.client(11, 10, true);
  ASSERT_EQ(world.last(11, Type::welcome).welcome.refused, (std::vector<std::uint64_t>{3}));
  world.open_actor(11);
  for (int i = 0; i < 2; ++i) {
    world.submit(11, 3, 1);
    ASSERT_EQ(world.count(11, Type::refused), static_cast<std::size_t>(i + 1));
    EXPECT_EQ(world.last(11, Type::refused).code, Errc::refused_before);
  }
  EXPECT_EQ(world.runs(20), (std::vector<std::uint64_t>{2}));
}

}  // namespace
}  // namespace callboard::broker
