// The worker session: starts, calls, results and the end. What becomes of them when the broker
// comes and goes is in test_worker_session_resume.cpp.

#include "worker_session_fixture.hpp"

#include <gmock/gmock.h>

#include <memory>

namespace callboard::worker::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

// --- hello -------------------------------------------------------------------------------------

TEST_F(WorkerSessionTest, HelloSaysWhatTheProcessIsAndOffers) {
  offer_.classes.push_back({"Counter", wire::Mode::serial, {"add"}, {"int(int)"}});
  const wire::Hello said = hello();
  EXPECT_EQ(said.role, wire::Role::worker);
  EXPECT_EQ(said.name, "worker-0");
  EXPECT_EQ(said.supervisor, "worker");
  EXPECT_EQ(said.instance, 99u);
  EXPECT_EQ(said.task_slots, 2u);
  ASSERT_EQ(said.classes.size(), 1u);
  EXPECT_EQ(said.classes[0].name, "Counter");
  EXPECT_THAT(said.tasks, ElementsAre("resize", "rotate"));
  EXPECT_THAT(said.held_actors, IsEmpty());
  EXPECT_THAT(said.held_calls, IsEmpty());
}

TEST_F(WorkerSessionTest, TaskFunctionsAreNumberedAsTheHelloListsThem) {
  connect();
  wire::Run call = run_message(1, 0);
  call.method = 1;
  ASSERT_TRUE(receive(call));
  turn();
  EXPECT_THAT(executors_.lines[0].methods, ElementsAre("resize", "rotate"));
  ASSERT_EQ(executors_.lines[0].queued.size(), 1u);
  EXPECT_EQ(executors_.lines[0].queued[0].method, 1u);
}

// --- actors ------------------------------------------------------------------------------------

TEST_F(WorkerSessionTest, AnActorThatStartedIsToldWithItsWindow) {
  connect();
  const Told told = start_actor(4, 8);
  EXPECT_THAT(told.started, ElementsAre(Pair(4u, Errc::ok)));
  EXPECT_EQ(told.window(4), 8 + limits::kPrefetchStart);
}

TEST_F(WorkerSessionTest, NoWindowIsToldBeforeTheConstructorHasEnded) {
  connect();
  ASSERT_TRUE(receive(start_message(4)));
  EXPECT_EQ(turn().window(4), -1);
}

TEST_F(WorkerSessionTest, AConstructorThatThrowsIsToldAndItsExecutorStopped) {
  connect();
  ASSERT_TRUE(receive(start_message(4)));
  session().started(4, failure(Errc::constructor_failed, "no"), {});
  EXPECT_THAT(turn().started, ElementsAre(Pair(4u, Errc::constructor_failed)));
  EXPECT_EQ(executors_.lines[4].stops, 1);
  session().stopped(4);
  EXPECT_THAT(turn().stopped, ElementsAre(4u));
  EXPECT_EQ(session().actors(), 0u);
}

TEST_F(WorkerSessionTest, AStartWithAnOptionThatMakesNoSenseFailsWithoutAnExecutor) {
  connect();
  wire::Frame frame;
  wire::FrameWriter out(frame, 1);
  out.message(static_cast<std::uint8_t>(wire::Type::start), 8);
  out.uint(4);
  out.uint(5);
  out.uint(7);
  out.uint(3);
  out.str("Counter");
  out.str("hits");
  out.body({"\x90", {}});
  out.map(1);
  out.uint(250);  // no such option
  out.uint(1);
  ASSERT_TRUE(receive_frame(frame));
  const Told told = turn();
  EXPECT_THAT(told.started, ElementsAre(Pair(4u, Errc::invalid_option)));
  EXPECT_FALSE(executors_.lines.contains(4));
}

TEST_F(WorkerSessionTest, AStartThatArrivesTwiceStartsOneActor) {
  connect();
  start_actor(4);
  ASSERT_TRUE(receive(start_message(4)));
  EXPECT_THAT(turn().started, IsEmpty());
  EXPECT_EQ(session().actors(), 1u);
}

TEST_F(WorkerSessionTest, AnActorThatIsStoppedIsToldOnceItHasStopped) {
  connect();
  start_actor(4);
  ASSERT_TRUE(receive(wire::Stop{4, true}));
  EXPECT_THAT(turn().stopped, IsEmpty());
  EXPECT_TRUE(executors_.lines[4].stopped_now);
  session().stopped(4);
  EXPECT_THAT(turn().stopped, ElementsAre(4u));
}

TEST_F(WorkerSessionTest, StoppingAnActorThatIsNotHereIsAnsweredAtOnce) {
  connect();
  ASSERT_TRUE(receive(wire::Stop{77, false}));
  EXPECT_THAT(turn().stopped, ElementsAre(77u));
}

TEST_F(WorkerSessionTest, AMethodTableThatIsToldAnewKeepsTheExecutorsNumbers) {
  connect();
  start_actor(4);
  hello();
  welcome();
  // The broker's queue numbers them in another order now, and knows one more.
  ASSERT_TRUE(receive(wire::MethodTable{4, {"b", "c", "a"}}));
  wire::Run call = run_message(1, 4);
  call.method = 2;
  ASSERT_TRUE(receive(call));
  turn();
  EXPECT_THAT(executors_.lines[4].methods, ElementsAre("a", "b", "c"));
  ASSERT_EQ(executors_.lines[4].queued.size(), 1u);
  EXPECT_EQ(executors_.lines[4].queued[0].method, 0u);
}

// --- calls -------------------------------------------------------------------------------------

TEST_F(WorkerSessionTest, ACallReachesItsExecutorWithEverythingItCarries) {
  connect();
  start_actor(4);
  wire::Run call = run_message(1, 4);
  call.method = 1;
  call.attempt = 2;
  call.deadline_ms = 50;
  call.args.bytes = "\x91\x05";
  call.options = "\x81\x02\x03";
  ASSERT_TRUE(receive(call));
  turn();
  ASSERT_EQ(executors_.lines[4].queued.size(), 1u);
  const Job& job = executors_.lines[4].queued[0];
  EXPECT_EQ(job.lease, 1u);
  EXPECT_EQ(job.slot, 4u);
  EXPECT_EQ(job.method, 1u);
  EXPECT_EQ(job.call, call.call);
  EXPECT_EQ(job.attempt, 2u);
  EXPECT_EQ(job.deadline_us, now_us_ + 50'000);
  EXPECT_EQ(job.args.view(), "\x91\x05");
  EXPECT_EQ(std::string_view(job.options), "\x81\x02\x03");
}

TEST_F(WorkerSessionTest, ACallWithoutDeadlineNeverExpires) {
  connect();
  start_actor(4);
  ASSERT_TRUE(run(1, 4));
  turn();
  EXPECT_EQ(executors_.lines[4].queued.at(0).deadline_us, kNever);
}

TEST_F(WorkerSessionTest, ABigArgumentIsHandedOnWithoutACopy) {
  connect();
  start_actor(4);
  const Blob big(std::string(limits::kPartBytesMin, 'x'));
  wire::Run call = run_message(1, 4);
  call.args = {big.view(), big};
  ASSERT_TRUE(receive(call));
  turn();
  EXPECT_EQ(executors_.lines[4].queued.at(0).args.view().data(), big.view().data());
}

TEST_F(WorkerSessionTest, AResultIsToldAndKeptUntilTheBrokerForgetsIt) {
  connect();
  start_actor(4);
  ASSERT_TRUE(run(1, 4));
  turn();
  executors_.begin(4);
  executors_.end(4, "\x05");
  const Told told = turn();
  ASSERT_EQ(told.dones.size(), 1u);
  EXPECT_EQ(told.dones[0].lease, 1u);
  EXPECT_EQ(told.dones[0].status, Errc::ok);
  EXPECT_EQ(told.values[0], "\x05");
  EXPECT_EQ(session().calls(), 1u);
  EXPECT_THAT(executors_.released, IsEmpty());
  ASSERT_TRUE(forget(1));
  EXPECT_THAT(turn().dones, IsEmpty());
  EXPECT_EQ(session().calls(), 0u);
  EXPECT_THAT(executors_.released, ElementsAre(1u));
}

TEST_F(WorkerSessionTest, TheRecorderSlotOfARunningCallIsNotFreedByAForget) {
  connect();
  start_actor(4);
  ASSERT_TRUE(run(1, 4));
  turn();
  executors_.begin(4);
  ASSERT_TRUE(forget(0, UINT64_MAX));
  turn();
  EXPECT_THAT(executors_.released, IsEmpty());
  EXPECT_EQ(session().calls(), 1u);
}

TEST_F(WorkerSessionTest, ForgettingARangeFreesWhatLiesInIt) {
  connect();
  start_actor(4, 10);
  for (std::uint64_t lease = 1; lease <= 6; ++lease) ASSERT_TRUE(run(lease, 4));
  turn();
  for (int i = 0; i < 6; ++i) {
    executors_.begin(4);
    executors_.end(4, "\x05");
  }
  turn();
  ASSERT_TRUE(receive(wire::Forget{{{1, 2}, {5, 1}}}));
  turn();
  EXPECT_THAT(executors_.released, ElementsAre(1u, 2u, 5u));
  ASSERT_TRUE(receive(wire::Forget{{{0, UINT64_MAX}}}));
  turn();
  EXPECT_EQ(session().calls(), 0u);
}

TEST_F(WorkerSessionTest, ARunThatArrivesTwiceRunsOnce) {
  connect();
  start_actor(4, 10);
  ASSERT_TRUE(run(1, 4));
  ASSERT_TRUE(run(1, 4));
  turn();
  EXPECT_EQ(executors_.lines[4].queued.size(), 1u);
  executors_.begin(4);
  executors_.end(4, "\x05");
  turn();
  ASSERT_TRUE(forget(1));
  ASSERT_TRUE(run(1, 4));  // late, when it is long forgotten
  turn();
  EXPECT_EQ(executors_.lines[4].queued.size(), 0u);
  EXPECT_EQ(session().counters().repeated, 2u);
}

TEST_F(WorkerSessionTest, CallsOfDifferentActorsMayArriveOutOfTheOrderOfTheirLeases) {
  connect();
  start_actor(4);
  start_actor(5);
  ASSERT_TRUE(run(2, 5));
  ASSERT_TRUE(run(1, 4));
  ASSERT_TRUE(run(3, 5));
  turn();
  EXPECT_EQ(executors_.lines[4].queued.size(), 1u);
  EXPECT_EQ(executors_.lines[5].queued.size(), 2u);
}

TEST_F(WorkerSessionTest, ACallForAnActorThatIsNotHereIsHandedBack) {
  connect();
  ASSERT_TRUE(run(1, 31));
  EXPECT_THAT(turn().returned, ElementsAre(1u));
  EXPECT_EQ(session().calls(), 0u);
}

TEST_F(WorkerSessionTest, ACallWithAMethodNumberThatWasNeverToldFails) {
  connect();
  start_actor(4);
  wire::Run call = run_message(1, 4);
  call.method = 9;
  ASSERT_TRUE(receive(call));
  const Told told = turn();
  ASSERT_EQ(told.dones.size(), 1u);
  EXPECT_EQ(told.dones[0].status, Errc::unknown_method);
  EXPECT_EQ(wire::decode_error(told.values[0], Errc::internal).code, Errc::unknown_method);
}

TEST_F(WorkerSessionTest, ACallThatTheExecutorHandsBackIsReturned) {
  connect();
  start_actor(4);
  ASSERT_TRUE(run(1, 4));
  turn();
  executors_.revoke(4, 1, false);
  EXPECT_THAT(turn().returned, ElementsAre(1u));
  EXPECT_EQ(session().calls(), 0u);
}

TEST_F(WorkerSessionTest, AnExpiredCallIsToldAsEndedThoughItNeverBegan) {
  connect();
  start_actor(4);
  ASSERT_TRUE(run(1, 4));
  turn();
  Outcome refused(executors_.lines[4].queued.front(), Outcome::Fate::refused);
  refused.status = Errc::expired;
  executors_.lines[4].queued.clear();
  executors_.outcomes.push_back(std::move(refused));
  const Told told = turn();
  ASSERT_EQ(told.dones.size(), 1u);
  EXPECT_EQ(told.dones[0].status, Errc::expired);
}

TEST_F(WorkerSessionTest, AMessageThatLiesIsRefusedAndAnUnknownOneIsSkipped) {
  connect();
  wire::Frame truncated;
  wire::FrameWriter out(truncated, 1);
  out.message(static_cast<std::uint8_t>(wire::Type::run), 9);
  out.uint(1);
  out.str("not a slot");
  EXPECT_FALSE(receive_frame(truncated));
  wire::Frame unknown;
  wire::FrameWriter other(unknown, 1);
  other.message(79, 2);
  other.str("from a newer broker");
  other.map(0);
  EXPECT_TRUE(receive_frame(unknown));
}

// --- revoke, go on -----------------------------------------------------------------------------

TEST_F(WorkerSessionTest, RevokingACallThatHasNotBegunTakesItBack) {
  connect();
  start_actor(4, 2);
  ASSERT_TRUE(run(1, 4));
  ASSERT_TRUE(receive(wire::Revoke{1, true}));  // in the same frame as the run
  const Told told = turn();
  ASSERT_EQ(told.answers.size(), 1u);
  EXPECT_EQ(told.answers[0].answer, wire::CancelAnswer::cancelled_before_start);
  EXPECT_THAT(told.returned, ElementsAre(1u));
}

TEST_F(WorkerSessionTest, RevokingARunningCallAsksItToStopOnlyWhenThatIsMeant) {
  connect();
  start_actor(4, 2);
  ASSERT_TRUE(run(1, 4));
  turn();
  executors_.begin(4);
  ASSERT_TRUE(receive(wire::Revoke{1, false}));
  ASSERT_TRUE(receive(wire::Revoke{1, true}));
  const Told told = turn();
  ASSERT_EQ(told.answers.size(), 2u);
  EXPECT_EQ(told.answers[0].answer, wire::CancelAnswer::too_late);
  EXPECT_EQ(told.answers[1].answer, wire::CancelAnswer::stopping);
}

TEST_F(WorkerSessionTest, RevokingACallThatHasEndedIsTooLateAndAnUnknownOneUnknown) {
  connect();
  start_actor(4, 2);
  ASSERT_TRUE(run(1, 4));
  turn();
  executors_.begin(4);
  executors_.end(4, "\x05");
  turn();
  ASSERT_TRUE(receive(wire::Revoke{1, true}));
  ASSERT_TRUE(receive(wire::Forget{{{1, 1}}}));
  ASSERT_TRUE(receive(wire::Revoke{1, true}));
  const Told told = turn();
  ASSERT_EQ(told.answers.size(), 2u);
  EXPECT_EQ(told.answers[0].answer, wire::CancelAnswer::too_late);
  EXPECT_EQ(told.answers[1].answer, wire::CancelAnswer::unknown);
}

TEST_F(WorkerSessionTest, ACallThatIsRevokedTwiceAtOnceGivesTheSameAnswerTwice) {
  connect();
  start_actor(4, 2);
  ASSERT_TRUE(run(1, 4));
  turn();
  ASSERT_TRUE(receive(wire::Revoke{1, true}));
  ASSERT_TRUE(receive(wire::Revoke{1, true}));
  const Told told = turn();
  ASSERT_EQ(told.answers.size(), 2u);
  EXPECT_EQ(told.answers[0].answer, wire::CancelAnswer::cancelled_before_start);
  EXPECT_EQ(told.answers[1].answer, wire::CancelAnswer::cancelled_before_start);
}

TEST_F(WorkerSessionTest, ACallThatIsRevokedTwiceBeforeItsRunArrivesGivesTheSameAnswerTwice) {
  connect();
  start_actor(4, 2);
  ASSERT_TRUE(receive(wire::Revoke{1, true, Errc::expired}));
  ASSERT_TRUE(receive(wire::Revoke{1, true, Errc::cancelled}));
  const Told told = turn();
  ASSERT_EQ(told.answers.size(), 2u);
  EXPECT_EQ(told.answers[0].answer, wire::CancelAnswer::cancelled_before_start);
  EXPECT_EQ(told.answers[1].answer, wire::CancelAnswer::cancelled_before_start);
  EXPECT_EQ(told.returned, (std::vector<std::uint64_t>{1}));
}

TEST_F(WorkerSessionTest, ACallThatIsRevokedBeforeItsRunArrivesNeverBegins) {
  connect();
  start_actor(4, 2);
  ASSERT_TRUE(receive(wire::Revoke{1, true}));
  const Told told = turn();
  ASSERT_EQ(told.answers.size(), 1u);
  EXPECT_EQ(told.answers[0].answer, wire::CancelAnswer::cancelled_before_start);
  EXPECT_EQ(told.returned, (std::vector<std::uint64_t>{1}));
  ASSERT_TRUE(run(1, 4));
  turn();
  EXPECT_THAT(executors_.lines[4].queued, IsEmpty());
  ASSERT_TRUE(forget(1));
  EXPECT_EQ(session().calls(), 0u);
}

TEST_F(WorkerSessionTest, AHeldLaneGoesOnOnlyWhenTheBrokerSaysSo) {
  connect();
  start_actor(4);
  ASSERT_TRUE(run(1, 4));
  ASSERT_TRUE(run(2, 4));
  turn();
  executors_.begin(4);
  executors_.end(4, "\x80", Errc::task_error, true);
  const Told told = turn();
  ASSERT_EQ(told.dones.size(), 1u);
  EXPECT_TRUE(told.dones[0].held);
  EXPECT_EQ(executors_.lines[4].go_on, 0);
  ASSERT_TRUE(receive(wire::GoOn{4, true}));
  EXPECT_EQ(executors_.lines[4].hand_back, 1);
  EXPECT_THAT(turn().returned, ElementsAre(2u));
  ASSERT_TRUE(receive(wire::GoOn{4, true}));  // nobody asked
  EXPECT_EQ(executors_.lines[4].go_on, 1);
}

TEST_F(WorkerSessionTest, ALaneHeldForAResultThatIsConfirmedHandsBackAndGoesOn) {
  connect();
  start_actor(4);
  ASSERT_TRUE(run(1, 4));
  turn();
  executors_.begin(4);
  executors_.end(4, "\x80", Errc::task_error, true);
  turn();
  ASSERT_TRUE(run(2, 4));
  ASSERT_TRUE(forget(1));  // the answer was lost with an old connection
  EXPECT_EQ(executors_.lines[4].go_on, 1);
  EXPECT_EQ(executors_.lines[4].hand_back, 1);
  EXPECT_THAT(turn().returned, ElementsAre(2u));
  ASSERT_TRUE(receive(wire::GoOn{4, true}));  // it came after all
  EXPECT_EQ(executors_.lines[4].go_on, 1);
}

TEST_F(WorkerSessionTest, AnAnsweredLaneIsNotDisturbedByTheWordToForget) {
  connect();
  start_actor(4);
  ASSERT_TRUE(run(1, 4));
  turn();
  executors_.begin(4);
  executors_.end(4, "\x80", Errc::task_error, true);
  turn();
  ASSERT_TRUE(receive(wire::GoOn{4, true}));
  ASSERT_TRUE(run(2, 4));
  ASSERT_TRUE(forget(1));
  EXPECT_EQ(executors_.lines[4].go_on, 1);
  EXPECT_THAT(turn().returned, ElementsAre());
}

TEST_F(WorkerSessionTest, ALaneHeldForAResultThatIsNotConfirmedStaysHeldAfterANewHello) {
  connect();
  start_actor(4);
  ASSERT_TRUE(run(1, 4));
  turn();
  executors_.begin(4);
  executors_.end(4, "\x80", Errc::task_error, true);
  turn();
  hello();
  const Told told = welcome(true);
  ASSERT_EQ(told.dones.size(), 1u);
  EXPECT_TRUE(told.dones[0].held);
  EXPECT_EQ(executors_.lines[4].go_on, 0);
}

// --- the end -----------------------------------------------------------------------------------

TEST_F(WorkerSessionTest, DrainingHandsBackWhatHasNotBegunAndTakesNothingNew) {
  connect();
  start_actor(4);
  ASSERT_TRUE(run(1, 4));
  ASSERT_TRUE(run(2, 4));
  turn();
  executors_.begin(4);
  session().drain();
  Told told = turn();
  EXPECT_THAT(told.returned, ElementsAre(2u));
  EXPECT_EQ(told.window(4), 0);
  EXPECT_EQ(told.window(0), 0);
  EXPECT_FALSE(session().drained());
  ASSERT_TRUE(run(3, 4));
  EXPECT_THAT(turn().returned, ElementsAre(3u));
  executors_.end(4, "\x05");
  EXPECT_EQ(turn().dones.size(), 1u);
  EXPECT_FALSE(session().drained()) << "the broker has not confirmed the result";
  EXPECT_FALSE(session().owes_nothing());
  ASSERT_TRUE(forget(1));
  turn();
  EXPECT_TRUE(session().drained());
  EXPECT_TRUE(session().owes_nothing()) << "its goodbye says so";
}

TEST_F(WorkerSessionTest, AnActorIsRefusedWhileDraining) {
  connect();
  session().drain();
  ASSERT_TRUE(receive(start_message(4)));
  EXPECT_THAT(turn().started, ElementsAre(Pair(4u, Errc::stopping)));
  EXPECT_FALSE(executors_.lines.contains(4));
}

TEST_F(WorkerSessionTest, AStatusReportIsSentOnce) {
  connect();
  session().report("\x80");
  EXPECT_THAT(turn().statuses, ElementsAre("\x80"));
  EXPECT_THAT(turn().statuses, IsEmpty());
}

}  // namespace
}  // namespace callboard::worker::testing
