// The client session after a lost connection, another broker, or a forgotten session.

#include "tests/unit/client_world.hpp"

namespace callboard::client {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using ClientResume = ClientWorld;

TEST_F(ClientResume, OnlyWhatTheWelcomeDoesNotClaimIsSentAgain) {
  welcome();
  const std::uint32_t handle = open_known("hits");
  for (Token token = 1; token <= 4; ++token) call(handle, token);
  tick();
  reconnect(2);
  EXPECT_THAT(submitted(), ElementsAre(3, 4));
  EXPECT_EQ(sent_[0].type, Type::open) << "handles belong to a connection";
  EXPECT_EQ(told_.settled, 0u) << "the broker has them, but has not acknowledged them";
  accepted(2);
  tick();
  EXPECT_EQ(told_.settled, 2u);
}

TEST_F(ClientResume, WhatWasNotAcknowledgedIsSentAgainToABrokerThatDoesNotHaveIt) {
  welcome();
  const std::uint32_t handle = open_known("hits");
  for (Token token = 1; token <= 2; ++token) call(handle, token);
  tick();
  reconnect(2);  // it has them, but their accepts are not committed ...
  reconnect(0, {}, true);  // ... when it dies, and its successor does not know them
  EXPECT_THAT(submitted(), ElementsAre(1, 2));
  EXPECT_THAT(told_.answers, IsEmpty());
}

TEST_F(ClientResume, HelloSaysThatTheSessionGoesOn) {
  welcome();
  const std::uint32_t handle = open_known("hits");
  for (Token token = 1; token <= 4; ++token) call(handle, token);
  tick();
  accepted(3);
  const wire::Hello hello = asked_who();
  EXPECT_TRUE(hello.resume);
  EXPECT_EQ(hello.session, kSession);
  EXPECT_EQ(hello.acked_through, 3u);
}

TEST_F(ClientResume, ASessionThatNoBrokerCouldRecordIsBegunWithTheNextOne) {
  welcome(0, {}, /*provisional=*/true);
  const std::uint32_t handle = open_known("hits");
  call(handle, 1);
  tick();
  ++epoch_;
  const wire::Hello hello = asked_who();
  EXPECT_FALSE(hello.resume) << "that one cannot know it";
  EXPECT_EQ(hello.session, kSession);
  sent_.clear();
  welcome();
  EXPECT_THAT(submitted(), ElementsAre(1));
  EXPECT_THAT(told_.answers, IsEmpty());
  EXPECT_TRUE(asked_who().resume) << "it has a record now";
}

TEST_F(ClientResume, WhatWasAcknowledgedWasRecorded) {
  welcome(0, {}, /*provisional=*/true);
  call(open_known("hits"), 1);
  tick();
  accepted(1);
  EXPECT_TRUE(asked_who().resume);
}

TEST_F(ClientResume, ASessionOfLongAgoMayHaveHadARecord) {
  welcome(0, {}, /*provisional=*/true);
  call(open_known("hits"), 1);
  tick();
  pass(11'000);
  EXPECT_TRUE(asked_who().resume);
}

TEST_F(ClientResume, ArgumentsAreTheSameWhenSentAgain) {
  welcome();
  call(open_known("hits"), 1);
  tick();
  const std::string first = sent_of(Type::submit)[0].args;
  reconnect(0);
  ASSERT_THAT(sent_of(Type::submit), SizeIs(1));
  EXPECT_EQ(sent_of(Type::submit)[0].args, first);
}

TEST_F(ClientResume, RefusedNumberThatTheWelcomeNamesIsOfferedAgain) {
  welcome();
  const std::uint32_t handle = open_known("hits");
  for (Token token = 1; token <= 3; ++token) call(handle, token);
  tick();
  reconnect(3, {2});
  EXPECT_THAT(submitted(), ElementsAre(2));
  accepted(3, {{2, 1}});
  result(2);
  EXPECT_EQ(told_.status_of(2), Errc::ok);
}

TEST_F(ClientResume, CallWithAResultIsNeverSentAgain) {
  welcome();
  const std::uint32_t handle = open_known("hits");
  call(handle, 1);
  call(handle, 2);
  tick();
  result(1);  // early: the broker died before it committed anything
  reconnect(0, {}, true);
  EXPECT_THAT(submitted(), ElementsAre(2));
}

TEST_F(ClientResume, RepeatedReconnectsSendAgainOnceEach) {
  welcome();
  const std::uint32_t handle = open_known("hits");
  call(handle, 1);
  tick();
  for (int i = 0; i < 3; ++i) {
    reconnect(0);
    EXPECT_THAT(submitted(), ElementsAre(1));
  }
  accepted(1);
  reconnect(1);
  EXPECT_THAT(submitted(), IsEmpty());
  EXPECT_EQ(session_->unanswered(), 1u);
}

TEST_F(ClientResume, DeadlineIsWhatIsLeftOfItWhenSentAgain) {
  welcome();
  auto extra = std::make_unique<CallExtra>();
  extra->has_options = true;
  extra->deadline_us = now_.mono_us + 500'000;
  call(open_known("hits"), 1, 0, std::move(extra));
  tick();
  now_.mono_us += 400'000;
  reconnect(0);
  EXPECT_EQ(sent_of(Type::submit).at(0).options.deadline_ms, 100);
}

TEST_F(ClientResume, CallThatExpiredWhileAwayIsNotSentAgain) {
  welcome();
  auto extra = std::make_unique<CallExtra>();
  extra->has_options = true;
  extra->deadline_us = now_.mono_us + 500'000;
  call(open_known("hits"), 1, 0, std::move(extra));
  tick();
  now_.mono_us += 600'000;
  reconnect(0);
  EXPECT_THAT(submitted(), IsEmpty());
  EXPECT_EQ(told_.status_of(1), Errc::expired);
}

// --- memory -------------------------------------------------------------------------------------

TEST_F(ClientResume, MemoryCallOfABrokerThatIsGoneMayHaveRun) {
  welcome();
  const std::uint32_t handle = open_known("hits");
  call(handle, 1, kMemory);
  call(handle, 2, kMemory | kRetried);
  call(handle, 3);
  tick();
  accepted(1);
  reconnect(0, {}, true);
  EXPECT_EQ(told_.status_of(1), Errc::maybe_executed);
  EXPECT_EQ(told_.status_of(2), Errc::lost);
  EXPECT_THAT(submitted(), ElementsAre(3));
}

TEST_F(ClientResume, MemoryCallOfAQueueThatTriesAgainIsLostWithItsBroker) {
  welcome();
  const std::uint32_t handle = open("hits");
  tick();
  opened(handle, wire::Durability::memory, wire::WhenFull::reject, true);
  call(handle, 1);
  tick();
  accepted(1);
  reconnect(1, {}, true);
  EXPECT_EQ(told_.status_of(1), Errc::lost);
}

TEST_F(ClientResume, MemoryCallIsSentAgainToTheSameBroker) {
  welcome();
  call(open_known("hits"), 1, kMemory);
  tick();
  reconnect(0);
  EXPECT_THAT(submitted(), ElementsAre(1));
}

TEST_F(ClientResume, MemoryCallThatHasNotLeftGoesToTheNextBroker) {
  make({.unacked_calls_max = 1});
  welcome();
  const std::uint32_t handle = open_known("hits");
  call(handle, 1, kMemory);
  call(handle, 2, kMemory);
  tick();
  reconnect(0, {}, true);
  EXPECT_EQ(told_.status_of(1), Errc::maybe_executed);
  EXPECT_THAT(submitted(), ElementsAre(2));
}

TEST_F(ClientResume, QueueThatIsInMemoryMakesItsCallsSo) {
  welcome();
  const std::uint32_t handle = open("hits");
  tick();
  opened(handle, wire::Durability::memory);
  call(handle, 1);
  tick();
  accepted(1);
  reconnect(1, {}, true);
  EXPECT_EQ(told_.status_of(1), Errc::maybe_executed);
}

TEST_F(ClientResume, CallToAQueueOfUnknownLevelIsNotSentToAnotherBroker) {
  welcome();
  call(open("hits"), 1);
  tick();  // OPENED, which would say what the queue promises, never comes
  reconnect(0, {}, true);
  EXPECT_EQ(told_.status_of(1), Errc::maybe_executed);
  EXPECT_THAT(submitted(), IsEmpty());
}

TEST_F(ClientResume, LevelOfACallThatTheNextBrokerHasIsAskedFor) {
  for (const auto level : {wire::Durability::durable, wire::Durability::memory}) {
    make({});
    welcome();
    const std::uint32_t handle = open("hits");
    call(handle, 1);
    tick();  // OPENED, which would say what the queue promises, never comes
    sent_.clear();
    reconnect(1, {}, true);
    tick();
    EXPECT_THAT(told_.answers, IsEmpty());
    EXPECT_THAT(sent_of(Type::open), SizeIs(1));
    EXPECT_THAT(submitted(), IsEmpty());
    opened(handle, level);
    if (level == wire::Durability::memory) {
      EXPECT_EQ(told_.status_of(1), Errc::maybe_executed);
    } else {
      EXPECT_THAT(told_.answers, IsEmpty());
      result(1);
      EXPECT_EQ(told_.status_of(1), Errc::ok);
    }
  }
}

TEST_F(ClientResume, AcknowledgedCallThatTheStoreForgotIsLost) {
  welcome();
  call(open_known("hits"), 1);
  tick();
  accepted(1);
  reconnect(0, {}, true);
  EXPECT_EQ(told_.status_of(1), Errc::lost);
  EXPECT_THAT(submitted(), IsEmpty());
}

// --- a forgotten session ------------------------------------------------------------------------

TEST_F(ClientResume, ForgottenSessionEndsWhatHadLeftAndKeepsWhatHadNot) {
  make({.unacked_calls_max = 1});
  welcome();
  const std::uint32_t handle = open_known("hits");
  call(handle, 1);
  call(handle, 2);
  tick();
  receive([](wire::FrameWriter& out) { wire::write_who(out); });
  sent_.clear();
  goodbye(Errc::unknown_session);
  EXPECT_EQ(told_.status_of(1), Errc::maybe_executed);
  ASSERT_THAT(sent_of(Type::hello), SizeIs(1));
  const std::uint64_t next = sent_[0].hello.session;
  EXPECT_NE(next, kSession);
  EXPECT_EQ(next >> 56, kSession >> 56) << "it belongs to the same shard";
  EXPECT_FALSE(sent_[0].hello.resume);
  EXPECT_EQ(told_.ids[2].session, SessionId{next});
  welcome();
  ASSERT_THAT(sent_of(Type::submit), SizeIs(1));
  EXPECT_EQ(sent_of(Type::submit)[0].seq, told_.ids[2].seq);
}

TEST_F(ClientResume, SessionThatTheStoreLostEndsWhatWasAcknowledgedAsLost) {
  welcome();
  const std::uint32_t handle = open_known("hits");
  call(handle, 1);
  call(handle, 2);
  tick();
  accepted(1);
  receive([](wire::FrameWriter& out) { wire::write_who(out); });
  sent_.clear();
  goodbye(Errc::lost);
  EXPECT_EQ(told_.status_of(1), Errc::lost);
  EXPECT_EQ(told_.status_of(2), Errc::maybe_executed) << "nobody has said that it was accepted";
  ASSERT_THAT(sent_of(Type::hello), SizeIs(1));
  EXPECT_NE(sent_[0].hello.session, kSession);
}

TEST_F(ClientResume, LateResultOfAForgottenSessionIsNoOnesAnswer) {
  welcome();
  call(open_known("hits"), 1);
  tick();
  receive([](wire::FrameWriter& out) { wire::write_who(out); });
  goodbye(Errc::unknown_session);
  welcome();
  result(1);
  EXPECT_EQ(told_.status_of(1), Errc::maybe_executed) << "one answer, and it stays";
}

// --- creations ----------------------------------------------------------------------------------

Creation named_creation(bool get_if_exists) {
  Creation creation;
  creation.class_name = "Counter";
  creation.args = "\x90";
  creation.options.name = "hits";
  creation.options.name_space = "web";
  creation.options.get_if_exists = get_if_exists;
  return creation;
}

TEST_F(ClientResume, UnacknowledgedCreationIsSentAgainAsItself) {
  welcome();
  session_->create(now_, named_creation(false), {"add"});
  tick();
  reconnect(0);
  EXPECT_THAT(types(), ElementsAre(Type::create));
  EXPECT_EQ(sent_[0].seq, 1u);
}

TEST_F(ClientResume, AcceptedCreationWithoutAnAnswerIsOpenedAgainById) {
  welcome();
  session_->create(now_, named_creation(false), {"add"});
  tick();
  reconnect(1);
  ASSERT_THAT(types(), ElementsAre(Type::open));
  EXPECT_EQ(sent_[0].open.kind, wire::TargetKind::actor);
  EXPECT_EQ(sent_[0].open.actor, (ActorId{SessionId{kSession}, 1}));
}

TEST_F(ClientResume, CreationThatMayHaveFoundAnActorIsOpenedAgainByName) {
  welcome();
  session_->create(now_, named_creation(true), {"add"});
  tick();
  reconnect(1);
  ASSERT_THAT(types(), ElementsAre(Type::open));
  EXPECT_EQ(sent_[0].open.kind, wire::TargetKind::name);
  EXPECT_EQ(sent_[0].open.name, "web/hits");
}

TEST_F(ClientResume, HandleThatWasFoundByNameStaysWithItsActor) {
  welcome();
  const std::uint32_t handle = open_known("hits");
  reconnect(0);
  call(handle, 1);
  tick();
  EXPECT_EQ(sent_of(Type::open).at(0).open.kind, wire::TargetKind::actor);
  EXPECT_EQ(sent_of(Type::open).at(0).open.actor, (ActorId{SessionId{9}, 1}));
}

TEST_F(ClientResume, OwnedActorThatWasLetGoIsLetGoAgain) {
  welcome();
  Creation creation;
  creation.class_name = "Counter";
  creation.args = "\x90";
  const std::uint32_t handle = session_->create(now_, std::move(creation), {});
  tick();
  wire::Opened answer;
  answer.handle = handle;
  answer.actor = ActorId{SessionId{kSession}, 1};
  receive_message(answer);
  session_->close(handle);
  tick();
  EXPECT_EQ(types().back(), Type::close);
  reconnect(1);  // whether the close arrived is not known
  EXPECT_THAT(types(), ElementsAre(Type::open, Type::close));
  pass(11'000);
  reconnect(1);
  EXPECT_THAT(types(), IsEmpty()) << "a connection that lived on after it has brought it";
}

}  // namespace
}  // namespace callboard::client
