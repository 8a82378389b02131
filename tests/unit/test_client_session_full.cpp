// The client session and queues that are full: refusals, parking, room.

#include "client/core/full_queue.hpp"
#include "tests/unit/client_world.hpp"

namespace callboard::client {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

class ClientFull : public ClientWorld {
 protected:
  ClientFull() {
    welcome();
    handle_ = open_known("hits", wire::WhenFull::block);
    other_ = open_known("other");
    sent_.clear();
  }

  std::uint32_t handle_ = 0;
  std::uint32_t other_ = 0;
};

// --- refused ------------------------------------------------------------------------------------

TEST_F(ClientFull, RefusalIsToldApartAndResumedWhenItsUserHasSeenIt) {
  call(handle_, 1);
  tick();
  refused(1, Errc::queue_full);
  ASSERT_THAT(told_.refusals, SizeIs(1));
  EXPECT_EQ(told_.refusals[0].status, Errc::queue_full);
  EXPECT_THAT(told_.refused_handles, ElementsAre(handle_));
  EXPECT_THAT(sent_of(Type::resume), IsEmpty());
  session_->resume(handle_);
  tick();
  ASSERT_THAT(sent_of(Type::resume), SizeIs(1));
  EXPECT_EQ(sent_of(Type::resume)[0].handle, handle_);
  EXPECT_EQ(sent_of(Type::resume)[0].seen, 1u);
}

TEST_F(ClientFull, CallsSubmittedBeforeTheRefusalCouldBeSeenAreRefusedToo) {
  call(handle_, 1);
  tick();
  refused(1, Errc::queue_full);
  call(handle_, 2);  // submitted before resume(): its user did not know
  call(other_, 3);
  session_->resume(handle_);
  call(handle_, 4);
  tick();
  EXPECT_EQ(told_.status_of(2), Errc::refused_before);
  EXPECT_THAT(types(), ElementsAre(Type::submit, Type::submit, Type::resume, Type::submit));
  EXPECT_EQ(sent_[1].handle, other_);
  EXPECT_EQ(sent_[3].seq, told_.ids[4].seq);
}

// Two refusals were told before their user said that it has seen them.
TEST_F(ClientFull, ResumeForWhatWasSeenAlreadyRefusesNothing) {
  call(handle_, 1);
  tick();
  refused(1, Errc::queue_full);
  session_->resume(handle_);
  call(handle_, 2);
  tick();
  parked(handle_, 2);
  call(handle_, 3);  // it waits in the client
  tick();
  session_->resume(handle_);
  EXPECT_FALSE(told_.answered(3));
}

TEST_F(ClientFull, CallsThatTheBrokerRefusesBehindARefusalNeedNoResumeOfTheirOwn) {
  call(handle_, 1);
  call(handle_, 2);
  tick();
  refused(1, Errc::queue_full);
  refused(2, Errc::refused_before);
  EXPECT_THAT(told_.refusals, SizeIs(1));
  EXPECT_EQ(told_.status_of(2), Errc::refused_before);
}

TEST_F(ClientFull, EveryRefusedCallIsToldWhenToTryAgain) {
  const auto told_ms = [](const std::string& bytes) {
    return wire::decode_error(bytes, Errc::internal).retry_after_ms;
  };
  call(handle_, 1);
  call(handle_, 2);
  tick();
  call(handle_, 3);  // has not left yet
  refused(1, Errc::queue_full, 70);
  refused(2, Errc::refused_before, 50);
  session_->resume(handle_);
  tick();
  ASSERT_THAT(told_.refusals, SizeIs(1));
  EXPECT_EQ(told_ms(told_.refusals[0].bytes), 70);
  ASSERT_THAT(told_.answers, SizeIs(2));
  EXPECT_EQ(told_ms(told_.answers[0].bytes), 70);
  EXPECT_EQ(told_ms(told_.answers[1].bytes), 70);
  call(handle_, 4);
  tick();
  refused(told_.ids[4].seq, Errc::too_large);
  ASSERT_THAT(told_.refusals, SizeIs(2));
  EXPECT_EQ(told_ms(told_.refusals[1].bytes), 0) << "time does not cure it";
}

TEST_F(ClientFull, CallBehindARefusalIsNotOfferedAgainAfterAReconnect) {
  call(handle_, 1);
  call(handle_, 2);
  tick();
  refused(1, Errc::queue_full);
  session_->resume(handle_);
  reconnect(2, {2});  // the broker forgot that it was refusing, and would take it now
  EXPECT_EQ(told_.status_of(2), Errc::refused_before);
  EXPECT_THAT(submitted(), IsEmpty());
}

TEST_F(ClientFull, CallWhoseRefusalWasLostBehindAResumeIsNotTakenForAccepted) {
  call(handle_, 1);
  call(handle_, 2);
  tick();
  refused(1, Errc::queue_full);
  session_->resume(handle_);
  tick();
  reconnect(2);  // the refusal of 2 is lost, and forgotten at the broker: it heard the resume
  EXPECT_EQ(told_.status_of(2), Errc::refused_before);
  EXPECT_THAT(submitted(), IsEmpty());
}

TEST_F(ClientFull, RefusalThatItsUserHasNotSeenOutlivesTheSession) {
  call(handle_, 1);
  tick();
  refused(1, Errc::queue_full);
  receive([](wire::FrameWriter& out) { wire::write_who(out); });
  goodbye(Errc::unknown_session);
  call(handle_, 2);  // its user has not seen the refusal of 1
  session_->resume(handle_);
  call(handle_, 3);
  sent_.clear();
  welcome();
  EXPECT_EQ(told_.status_of(2), Errc::refused_before);
  ASSERT_THAT(sent_of(Type::submit), SizeIs(1));
  EXPECT_EQ(sent_of(Type::submit)[0].seq, told_.ids[3].seq);
}

TEST_F(ClientFull, CallsOfAQueueThatIsGoneAreRefusedEachForThatReason) {
  call(handle_, 1);
  call(handle_, 2);
  tick();
  refused(1, Errc::actor_died);
  EXPECT_EQ(told_.status_of(1), Errc::actor_died);
  EXPECT_THAT(told_.refusals, IsEmpty()) << "there is nothing to resume";
  refused(2, Errc::actor_died);
  EXPECT_EQ(told_.status_of(2), Errc::actor_died);
}

TEST_F(ClientFull, UnexpectedRefusalOfWhatFollowsIsResumedToo) {
  call(handle_, 1);
  tick();
  refused(1, Errc::refused_before);
  EXPECT_THAT(told_.refusals, SizeIs(1)) << "the broker is refusing, and must be told to stop";
}

// --- what need not be sent ----------------------------------------------------------------------

TEST_F(ClientFull, FullQueueIsToldWithTheTimeAndTheRoomThatTheBrokerExpects) {
  call(other_, 1);
  call(other_, 2);
  tick();
  refused(1, Errc::queue_full, 70, 9);
  ASSERT_THAT(told_.full, SizeIs(1));
  EXPECT_EQ(told_.full[0].first, other_);
  EXPECT_EQ(told_.full[0].second.now_us, now_.mono_us);
  EXPECT_EQ(told_.full[0].second.retry_after_us, 70'000);
  EXPECT_EQ(told_.full[0].second.room, 9u);
  EXPECT_TRUE(told_.full[0].second.all);
  refused(2, Errc::refused_before, 50);
  EXPECT_THAT(told_.full, SizeIs(1));
}

TEST_F(ClientFull, RefusalForAnotherReasonSaysNothingOfTheQueue) {
  call(other_, 1);
  tick();
  refused(1, Errc::queue_full, 50);  // its bytes, its key, its delay, or results not taken
  EXPECT_THAT(told_.full, IsEmpty());
}

TEST_F(ClientFull, CallsThatWaitByDefaultAreNotConcerned) {
  call(handle_, 1, kReject);
  tick();
  refused(1, Errc::queue_full, 70, 1);
  ASSERT_THAT(told_.full, SizeIs(1));
  EXPECT_FALSE(told_.full[0].second.all);
}

TEST_F(ClientFull, ProgressOfAFullQueueIsTold) {
  for (Token token = 1; token <= 6; ++token) call(other_, token);
  tick();
  accepted(2);
  result(1);
  EXPECT_THAT(told_.progress, IsEmpty()) << "it was not full";
  refused(5, Errc::queue_full, 70, 1);
  ASSERT_THAT(told_.full, SizeIs(1));
  EXPECT_EQ(told_.full[0].second.progress.settled, 3u) << "the refused one, too";
  EXPECT_EQ(told_.full[0].second.progress.accepted, 2u);
  EXPECT_EQ(told_.full[0].second.progress.ended, 1u);
  told_.progress.clear();
  receive([](wire::FrameWriter& out) {
    write(out, wire::Accepted{3, {}});
    write(out, wire::CallResult{3, Errc::ok, {"\x07", Blob()}});
    write(out, wire::CallResult{4, Errc::task_error, {"\x80", Blob()}});
    write(out, wire::Refused{6, Errc::refused_before, "no", 0, 0});
  });
  ASSERT_THAT(told_.progress, SizeIs(1)) << "once for all of a turn";
  EXPECT_EQ(told_.progress[0].first, other_);
  EXPECT_EQ(told_.progress[0].second.settled, 6u);
  EXPECT_EQ(told_.progress[0].second.accepted, 4u);
  EXPECT_EQ(told_.progress[0].second.ended, 3u);
}

TEST_F(ClientFull, RoomOrANewConnectionIsTheEndOfWhatIsKnown) {
  call(handle_, 1, kReject);
  tick();
  refused(1, Errc::queue_full, 70, 1);
  session_->resume(handle_);
  room(handle_, 1);
  EXPECT_THAT(told_.not_full, ElementsAre(handle_));
  call(other_, 2);
  tick();
  refused(2, Errc::queue_full, 70, 1);
  reconnect(2, {});
  EXPECT_THAT(told_.not_full, ElementsAre(handle_, other_));
  reconnect(2, {});
  EXPECT_THAT(told_.not_full, ElementsAre(handle_, other_));
}

TEST_F(ClientFull, QueueThatIsGoneIsNotTakenForFull) {
  call(other_, 1);
  tick();
  refused(1, Errc::queue_full, 70, 1);
  session_->resume(other_);
  call(other_, 2);  // one that is asked all the same
  tick();
  refused(2, Errc::actor_died);
  EXPECT_THAT(told_.not_full, ElementsAre(other_));
}

/// So many of a hundred calls are not refused.
std::uint64_t passing(FullQueue& full, std::int64_t now_us) {
  std::uint64_t passed = 0;
  for (int i = 0; i < 100; ++i) passed += full.refuses(now_us, 0) ? 0 : 1;
  return passed;
}

TEST(FullQueue, RefusesAllUntilTheTimeHasPassed) {
  FullQueue full;
  EXPECT_FALSE(full.refuses(1'000, 0));
  full.refused({.now_us = 1'000, .retry_after_us = 5'000, .room = 10, .all = true}, "hits");
  EXPECT_EQ(passing(full, 1'000), 0u);
  EXPECT_TRUE(full.refuses(5'999, kReject | kNoResult));
  EXPECT_FALSE(full.refuses(6'000, 0));
}

TEST(FullQueue, ThenAsManyMayBeUnansweredAsTheBrokerExpectsAndOneMoreForEachAccepted) {
  FullQueue full;
  full.refused({.now_us = 0, .retry_after_us = 5'000, .room = 10, .all = true}, "hits");
  EXPECT_EQ(passing(full, 5'000), 10u);
  EXPECT_EQ(passing(full, 50'000), 0u) << "whatever the time";
  full.progressed({.settled = 4, .accepted = 4, .ended = 0});
  EXPECT_EQ(passing(full, 50'000), 8u);
  full.progressed({.settled = 8, .accepted = 4, .ended = 0});
  EXPECT_EQ(passing(full, 50'000), 4u) << "those that were refused make room for others only";
}

TEST(FullQueue, HalfAsManyAfterEachRefusalButAlwaysOne) {
  FullQueue full;
  FullTold told{.now_us = 0, .retry_after_us = 5'000, .room = 10, .all = true, .progress = {}};
  full.refused(told, "hits");
  for (const std::uint64_t passes : {10, 5, 2, 1, 1, 1}) {
    told.now_us += 5'000;
    EXPECT_EQ(passing(full, told.now_us), passes);
    told.progress.settled += passes;
    full.refused(told, "hits");
  }
}

TEST(FullQueue, NothingIsKnownAfterAWhileInWhichNothingHadToBeRefused) {
  FullQueue full;
  full.refused({.now_us = 0, .retry_after_us = 5'000, .room = 10, .all = true}, "hits");
  EXPECT_FALSE(full.refuses(199'999, 0));
  EXPECT_TRUE(full.known());
  EXPECT_EQ(passing(full, 200'000), 100u);
  EXPECT_FALSE(full.known());
}

TEST(FullQueue, CallThatWasNotSubmittedInTheEndMakesRoomForAnother) {
  FullQueue full;
  full.refused({.now_us = 0, .retry_after_us = 5'000, .room = 1, .all = true}, "hits");
  EXPECT_FALSE(full.refuses(5'000, 0));
  EXPECT_TRUE(full.refuses(5'000, 0));
  full.withdrawn();
  EXPECT_FALSE(full.refuses(5'000, 0));
}

TEST(FullQueue, SaysWhenToTryAgain) {
  FullQueue full;
  full.refused({.now_us = 0, .retry_after_us = 5'000, .room = 10, .all = true}, "hits");
  for (const std::int64_t left_ms : {5, 4, 4, 1}) {
    const std::int64_t now_us = 5'001 - left_ms * 1000;
    const ErrorInfo error = wire::decode_error(full.error(now_us), Errc::internal);
    EXPECT_EQ(error.code, Errc::queue_full);
    EXPECT_EQ(error.place, "hits");
    EXPECT_EQ(error.retry_after_ms, left_ms);
  }
}

TEST(FullQueue, CallsThatWaitOrAreBoundedApartPass) {
  FullQueue full;
  FullTold told{.now_us = 0, .retry_after_us = 5'000, .room = 10, .all = true};
  full.refused(told, "hits");
  EXPECT_FALSE(full.refuses(0, kBlock));
  EXPECT_FALSE(full.refuses(0, kBoundedApart));
  EXPECT_TRUE(full.refuses(0, 0));
  told.all = false;
  full.refused(told, "hits");
  EXPECT_FALSE(full.refuses(0, 0)) << "the queue's default is to wait";
  EXPECT_TRUE(full.refuses(0, kReject));
}

TEST(FullQueue, AsManyPassBeforeTheTimeAsHaveEnded) {
  FullQueue full;
  FullTold told{.now_us = 0, .retry_after_us = 5'000, .room = 10, .all = true, .progress = {}};
  full.refused(told, "hits");
  full.progressed({.settled = 2, .accepted = 2, .ended = 2});
  EXPECT_EQ(passing(full, 1), 2u);
  full.progressed({.settled = 3, .accepted = 3, .ended = 3});
  told.progress.ended = 3;
  full.refused(told, "hits");
  EXPECT_EQ(passing(full, 1), 0u) << "others had the room";
}

// --- parked -------------------------------------------------------------------------------------

TEST_F(ClientFull, ParkedCallsAreOfferedAgainInTheirOrderAsThereIsRoom) {
  for (Token token = 1; token <= 5; ++token) call(handle_, token);
  tick();
  parked(handle_, 3);
  accepted(5);
  EXPECT_THAT(told_.parked, ElementsAre(Pair(handle_, true)));
  sent_.clear();
  room(handle_, 1);
  EXPECT_THAT(submitted(), ElementsAre(3));
  accepted(5, {{3, 1}});
  sent_.clear();
  room(handle_, 7);
  EXPECT_THAT(submitted(), ElementsAre(4, 5));
  accepted(5, {{4, 2}});
  for (const std::uint64_t seq : {1, 2, 3, 4, 5}) result(seq);
  for (Token token = 1; token <= 5; ++token) EXPECT_EQ(told_.status_of(token), Errc::ok);
  EXPECT_THAT(told_.parked, ElementsAre(Pair(handle_, true), Pair(handle_, false)));
}

TEST_F(ClientFull, ArgumentsSurviveParkingAndTheAcknowledgementOfLaterCalls) {
  call(handle_, 1);
  call(other_, 2);
  tick();
  const std::string args = sent_of(Type::submit)[0].args;
  parked(handle_, 1);
  accepted(2);
  sent_.clear();
  room(handle_, 1);
  ASSERT_THAT(sent_of(Type::submit), SizeIs(1));
  EXPECT_EQ(sent_of(Type::submit)[0].args, args);
}

TEST_F(ClientFull, CallsOfOtherQueuesGoOnWhileOneIsFull) {
  call(handle_, 1);
  tick();
  parked(handle_, 1);
  sent_.clear();
  call(handle_, 2);
  call(other_, 3);
  tick();
  EXPECT_THAT(submitted(), ElementsAre(3));
}

TEST_F(ClientFull, CallsMadeWhileTheQueueIsFullFollowTheParkedOnes) {
  call(handle_, 1);
  call(handle_, 2);
  tick();
  parked(handle_, 1);
  accepted(2);
  call(handle_, 3);
  call(handle_, 4);
  tick();
  sent_.clear();
  room(handle_, 100);
  accepted(2, {{1, 2}});
  const auto sent = sent_of(Type::submit);
  ASSERT_THAT(sent, SizeIs(4));
  EXPECT_THAT(submitted(), ElementsAre(1, 2, told_.ids[3].seq, told_.ids[4].seq));
  EXPECT_GT(told_.ids[3].seq, 4u) << "their own numbers had been passed";
  EXPECT_EQ(types().back(), Type::resume) << "what is left of the room goes back";
}

TEST_F(ClientFull, RoomThatIsNotNeededIsGivenBack) {
  call(handle_, 1);
  tick();
  parked(handle_, 1);
  sent_.clear();
  room(handle_, 10);
  EXPECT_THAT(submitted(), ElementsAre(1));
  EXPECT_THAT(sent_of(Type::resume), SizeIs(1));
}

TEST_F(ClientFull, QueueThatIsFullAgainParksTheRestOnceMore) {
  for (Token token = 1; token <= 3; ++token) call(handle_, token);
  tick();
  parked(handle_, 1);
  accepted(3);
  sent_.clear();
  room(handle_, 3);
  EXPECT_THAT(submitted(), ElementsAre(1, 2, 3));
  parked(handle_, 2);  // the first took more bytes than there were
  accepted(3, {{1, 1}});
  sent_.clear();
  room(handle_, 3);
  EXPECT_THAT(submitted(), ElementsAre(2, 3));
}

TEST_F(ClientFull, ParkedCallThatExpiresIsNotOfferedAgain) {
  auto extra = std::make_unique<CallExtra>();
  extra->has_options = true;
  extra->deadline_us = now_.mono_us + 300'000;
  call(handle_, 1, 0, std::move(extra));
  call(handle_, 2);
  tick();
  parked(handle_, 1);
  pass(400);
  EXPECT_EQ(told_.status_of(1), Errc::expired);
  ASSERT_THAT(sent_of(Type::taken), SizeIs(1)) << "the broker keeps its place in line otherwise";
  EXPECT_THAT(sent_of(Type::taken)[0].ranges, ElementsAre(Pair(1, 1)));
  sent_.clear();
  room(handle_, 5);
  EXPECT_THAT(submitted(), ElementsAre(2));
}

TEST_F(ClientFull, ParkedCallsAreOfferedAgainAfterAReconnect) {
  for (Token token = 1; token <= 3; ++token) call(handle_, token);
  tick();
  parked(handle_, 2);
  accepted(3);
  reconnect(3, {2, 3});
  EXPECT_THAT(submitted(), ElementsAre(2, 3));
  EXPECT_THAT(told_.parked, ElementsAre(Pair(handle_, true), Pair(handle_, false)));
}

TEST_F(ClientFull, ParkedMemoryCallWasNeverTakenAndGoesToTheNextBroker) {
  call(handle_, 1, kMemory);
  tick();
  parked(handle_, 1);
  reconnect(0, {}, true);
  EXPECT_THAT(submitted(), ElementsAre(1));
  EXPECT_FALSE(told_.answered(1));
}

TEST_F(ClientFull, RefusalOfAParkedCallThatWasOfferedAgainIsItsAnswer) {
  call(handle_, 1);
  tick();
  parked(handle_, 1);
  accepted(1);
  room(handle_, UINT32_MAX);  // the actor was killed: everyone may ask again, and hear why not
  refused(1, Errc::actor_died);
  EXPECT_EQ(told_.status_of(1), Errc::actor_died);
  EXPECT_EQ(session_->unanswered(), 0u);
}

TEST_F(ClientFull, ManyParkedCallsAllArriveOnceAndInOrder) {
  constexpr Token kCalls = 500;
  for (Token token = 1; token <= kCalls; ++token) call(handle_, token);
  tick();
  std::uint64_t next = 1;  // the broker has room for 7 at a time
  parked(handle_, 1);
  accepted(kCalls);
  sent_.clear();
  for (int round = 0; round < 200 && next <= kCalls; ++round) {
    room(handle_, 7);
    const auto seqs = submitted();
    sent_.clear();
    ASSERT_FALSE(seqs.empty());
    for (const std::uint64_t seq : seqs) ASSERT_EQ(seq, next++) << "in order, and none twice";
    accepted(kCalls, {{seqs.front(), seqs.size()}});
  }
  EXPECT_EQ(next, kCalls + 1);
  EXPECT_EQ(told_.settled, kCalls);
}

}  // namespace
}  // namespace callboard::client
