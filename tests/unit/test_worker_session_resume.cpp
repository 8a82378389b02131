// The worker session and a broker that comes and goes: what a hello lists, what is told again.

#include "worker_session_fixture.hpp"

#include <gmock/gmock.h>

#include <memory>

namespace callboard::worker::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

TEST_F(WorkerSessionTest, AHelloListsWhatHasBegunAndTakesBackTheRestForGood) {
  connect();
  start_actor(4);
  for (std::uint64_t lease = 1; lease <= 4; ++lease) ASSERT_TRUE(run(lease, 4));
  turn();
  executors_.begin(4);
  executors_.end(4, "\x05");
  turn();
  executors_.begin(4);
  const wire::Hello said = hello();
  ASSERT_EQ(said.held_actors.size(), 1u);
  EXPECT_EQ(said.held_actors[0].slot, 4u);
  EXPECT_EQ(said.held_actors[0].incarnation, 3u);
  ASSERT_EQ(said.held_calls.size(), 2u);
  EXPECT_EQ(said.held_calls[0].lease, 1u);
  EXPECT_TRUE(said.held_calls[0].ended);
  EXPECT_EQ(said.held_calls[1].lease, 2u);
  EXPECT_FALSE(said.held_calls[1].ended);
  EXPECT_EQ(said.held_calls[1].call, (CallId{SessionId{9}, 102}));
  EXPECT_EQ(said.held_calls[1].actor, (ActorId{SessionId{5}, 4}));
  EXPECT_THAT(executors_.lines[4].queued, IsEmpty());
  const Told told = welcome();
  EXPECT_THAT(told.returned, IsEmpty()) << "the hello has said it";
}

TEST_F(WorkerSessionTest, ACallThatCameJustBeforeTheHelloIsTakenBackToo) {
  connect();
  start_actor(4);
  ASSERT_TRUE(run(1, 4));  // not handed to the executor yet: the turn has not ended
  EXPECT_THAT(hello().held_calls, IsEmpty());
  welcome();
  EXPECT_THAT(executors_.lines[4].queued, IsEmpty());
}

TEST_F(WorkerSessionTest, WhatArrivesBetweenHelloAndWelcomeIsIgnored) {
  connect();
  start_actor(4);
  hello();
  ASSERT_TRUE(run(1, 4));
  const Told told = welcome();
  EXPECT_THAT(executors_.lines[4].queued, IsEmpty());
  EXPECT_THAT(told.returned, IsEmpty());
  EXPECT_EQ(session().calls(), 0u);
}

TEST_F(WorkerSessionTest, ResultsAreToldAgainAfterEveryWelcomeUnderTheirLease) {
  connect();
  start_actor(4, 10);
  for (std::uint64_t lease = 1; lease <= 3; ++lease) ASSERT_TRUE(run(lease, 4));
  turn();
  for (int i = 0; i < 3; ++i) {
    executors_.begin(4);
    executors_.end(4, std::string(1, static_cast<char>(i)));
  }
  turn();
  ASSERT_TRUE(forget(2));
  turn();
  for (const bool new_epoch : {false, true}) {
    hello();
    const Told told = welcome(new_epoch);
    ASSERT_EQ(told.dones.size(), 2u);
    EXPECT_EQ(told.dones[0].lease, 1u);
    EXPECT_EQ(told.dones[1].lease, 3u);
    EXPECT_EQ(told.values[1], std::string(1, '\x02'));
  }
}

TEST_F(WorkerSessionTest, ACallThatEndsWhileTheBrokerIsAwayIsToldWhenItIsBack) {
  connect();
  start_actor(4);
  ASSERT_TRUE(run(1, 4));
  turn();
  executors_.begin(4);
  session().on_disconnected(now());
  executors_.end(4, "\x05");
  EXPECT_THAT(turn(false).dones, IsEmpty());
  EXPECT_EQ(hello().held_calls.size(), 1u);
  EXPECT_EQ(welcome(true).dones.size(), 1u);
}

TEST_F(WorkerSessionTest, AnExpiredCallIsForgottenByAHelloSinceItNeverBegan) {
  connect();
  start_actor(4);
  ASSERT_TRUE(run(1, 4));
  turn();
  Outcome refused(executors_.lines[4].queued.front(), Outcome::Fate::refused);
  refused.status = Errc::expired;
  executors_.lines[4].queued.clear();
  executors_.outcomes.push_back(std::move(refused));
  turn();
  EXPECT_THAT(hello().held_calls, IsEmpty());
  EXPECT_EQ(session().calls(), 0u);
}

TEST_F(WorkerSessionTest, ANewBrokerMayUseANumberAgainThatTheOldOneUsed) {
  connect();
  start_actor(4);
  ASSERT_TRUE(run(1, 4));
  turn();
  hello();  // takes the call back
  welcome(true);
  ASSERT_TRUE(receive(wire::MethodTable{4, {"a"}}));
  wire::Run other = run_message(1, 4);
  other.call = {SessionId{9}, 555};
  ASSERT_TRUE(receive(other));
  turn();
  ASSERT_EQ(executors_.lines[4].queued.size(), 1u);
  EXPECT_EQ(executors_.lines[4].queued[0].call, other.call);
}

TEST_F(WorkerSessionTest, AnOutcomeOfATakenBackCallDoesNotEndAnotherOfTheSameNumber) {
  connect();
  start_actor(4);
  ASSERT_TRUE(run(1, 4));
  turn();
  const Job old = executors_.lines[4].queued.front();
  session().outcomes({});
  hello();
  executors_.outcomes.clear();
  welcome(true);
  ASSERT_TRUE(receive(wire::MethodTable{4, {"a"}}));
  wire::Run other = run_message(1, 4);
  other.call = {SessionId{9}, 555};
  ASSERT_TRUE(receive(other));
  turn();
  executors_.outcomes.emplace_back(old, Outcome::Fate::returned);  // it comes late
  EXPECT_THAT(turn().returned, IsEmpty());
  EXPECT_EQ(session().calls(), 1u);
}

TEST_F(WorkerSessionTest, ResultsOfAnActorThatIsGoneStillSayWhoseTheyWere) {
  connect();
  start_actor(4);
  ASSERT_TRUE(run(1, 4));
  turn();
  executors_.begin(4);
  executors_.end(4, "\x05");
  turn();
  ASSERT_TRUE(receive(wire::Stop{4, false}));
  session().stopped(4);
  turn();
  const wire::Hello said = hello();
  EXPECT_THAT(said.held_actors, IsEmpty());
  ASSERT_EQ(said.held_calls.size(), 1u);
  EXPECT_EQ(said.held_calls[0].actor, (ActorId{SessionId{5}, 4}));
}

TEST_F(WorkerSessionTest, AnActorWhoseConstructorStillRunsIsListed) {
  connect();
  ASSERT_TRUE(receive(start_message(4)));
  EXPECT_EQ(hello().held_actors.size(), 1u);
}

TEST_F(WorkerSessionTest, ACallThatWasRevokedIsKeptUntilABrokerKnowsOfItsEnd) {
  connect();
  start_actor(4, 2);
  for (const std::uint64_t lease : {1u, 2u}) ASSERT_TRUE(run(lease, 4));
  turn();
  ASSERT_TRUE(receive(wire::Revoke{1, true, Errc::deadlock}));
  EXPECT_THAT(turn().returned, ElementsAre(1u));
  executors_.begin(4);  // what stood behind it
  for (int connection = 0; connection < 2; ++connection) {
    const wire::Hello said = hello();
    ASSERT_EQ(said.held_calls.size(), 2u);
    EXPECT_EQ(said.held_calls[0].lease, 1u);
    EXPECT_TRUE(said.held_calls[0].ended) << "else it would be sent again, behind the other";
    const Told told = welcome(true);
    EXPECT_THAT(told.returned, ElementsAre(1u));
    EXPECT_THAT(told.whys, ElementsAre(Errc::deadlock));
    EXPECT_THAT(told.dones, IsEmpty());
  }
  ASSERT_TRUE(forget(1));
  EXPECT_EQ(hello().held_calls.size(), 1u);
}

TEST_F(WorkerSessionTest, ARevokeThatOvertookItsRunIsKeptToo) {
  connect();
  start_actor(4, 2);
  ASSERT_TRUE(receive(wire::Revoke{1, true, Errc::expired}));
  const Told told = turn();
  EXPECT_THAT(told.returned, ElementsAre(1u));
  EXPECT_THAT(told.whys, ElementsAre(Errc::expired));
  ASSERT_TRUE(run(1, 4));
  turn();
  const wire::Hello said = hello();
  ASSERT_EQ(said.held_calls.size(), 1u);
  EXPECT_EQ(said.held_calls[0].call, (CallId{SessionId{9}, 101}));
  EXPECT_THAT(welcome(true).whys, ElementsAre(Errc::expired));
  EXPECT_THAT(executors_.lines[4].queued, IsEmpty());
}

}  // namespace
}  // namespace callboard::worker::testing
