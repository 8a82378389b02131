// The client session in good weather: order, windows, answers, handles, dependencies.

#include "tests/unit/client_world.hpp"

namespace callboard::client {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

using ClientSession = ClientWorld;

std::string encoded(std::string_view text) {
  std::string bytes;
  wire::Writer out(bytes);
  out.str(text);
  return bytes;
}

TEST_F(ClientSession, HelloComesFirstAndCallsFollowTheWelcome) {
  const std::uint32_t handle = open("hits");
  call(handle, 1);
  tick();
  EXPECT_THAT(types(), ElementsAre(Type::hello));
  EXPECT_EQ(sent_[0].hello.session, kSession);
  EXPECT_FALSE(sent_[0].hello.resume);

  welcome();
  EXPECT_THAT(types(), ElementsAre(Type::hello, Type::open, Type::submit));
  EXPECT_EQ(sent_[1].open.name, "hits");
  EXPECT_THAT(sent_[1].open.methods, ElementsAre("add", "get"));
  EXPECT_EQ(sent_[2].seq, 1u);
}

TEST_F(ClientSession, CallsLeaveInTheOrderOfSubmitUnderTheirNumbers) {
  welcome();
  const std::uint32_t first = open("first");
  const std::uint32_t second = open("second");
  for (Token token = 1; token <= 4; ++token) call(token % 2 == 0 ? first : second, token);
  tick();
  EXPECT_THAT(submitted(), ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(told_.ids[3], (CallId{SessionId{kSession}, 3}));
}

TEST_F(ClientSession, ResultIsToldOnceHoweverOftenItArrives) {
  welcome();
  call(open_known("hits"), 5);
  tick();
  result(1, "\x2a");
  result(1, "\x2b");
  ASSERT_THAT(told_.answers, SizeIs(1));
  EXPECT_EQ(told_.answers[0].token, 5u);
  EXPECT_EQ(told_.answers[0].bytes, "\x2a");
  EXPECT_EQ(session_->repeated_answers(), 1u);
  EXPECT_EQ(session_->unanswered(), 0u);
}

TEST_F(ClientSession, TakenIsSaidInRangesWithTheNextFrame) {
  welcome();
  const std::uint32_t handle = open_known("hits");
  for (Token token = 1; token <= 5; ++token) call(handle, token);
  tick();
  sent_.clear();
  for (const std::uint64_t seq : {1, 2, 3, 5}) result(seq);
  EXPECT_THAT(sent_, IsEmpty()) << "it waits for company";
  call(handle, 6);
  tick();
  ASSERT_THAT(types(), ElementsAre(Type::taken, Type::submit)) << "first, for it makes room";
  EXPECT_THAT(sent_[0].ranges, ElementsAre(Pair(1, 3), Pair(5, 1)));
}

TEST_F(ClientSession, TakenIsSaidSoonWhenNothingElseLeaves) {
  welcome();
  call(open_known("hits"), 1);
  tick();
  result(1);
  sent_.clear();
  const std::int64_t due_us = session_->next_deadline_us();
  ASSERT_LT(due_us, now_.mono_us + limits::kSettleMs * 1000 / 2);
  now_.mono_us = due_us;
  tick();
  EXPECT_THAT(types(), ElementsAre(Type::taken));
  EXPECT_EQ(session_->next_deadline_us(), kNever);
}

TEST_F(ClientSession, NoMoreThanTheWindowIsUnacknowledged) {
  make({.unacked_calls_max = 3});
  welcome();
  const std::uint32_t handle = open_known("hits");
  for (Token token = 1; token <= 5; ++token) call(handle, token);
  tick();
  EXPECT_THAT(submitted(), ElementsAre(1, 2, 3));
  accepted(2);
  EXPECT_THAT(submitted(), ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(ClientSession, ByteWindowHoldsBackButLetsOneBigCallPass) {
  make({.unacked_bytes_max = 10});
  welcome();
  const std::uint32_t handle = open_known("hits");
  call(handle, 1);
  call(handle, 2);
  tick();
  EXPECT_THAT(submitted(), ElementsAre(1));
  accepted(1);
  EXPECT_THAT(submitted(), ElementsAre(1, 2));
}

TEST_F(ClientSession, CallsWithoutResultAreForgottenOnceAccepted) {
  welcome();
  const std::uint32_t handle = open_known("hits");
  call(handle, 0, kNoResult);
  tick();
  EXPECT_EQ(session_->unanswered(), 1u);
  accepted(1);
  EXPECT_EQ(session_->unanswered(), 0u);
  EXPECT_EQ(told_.settled, 1u);
  EXPECT_THAT(told_.answers, IsEmpty());
}

TEST_F(ClientSession, DeadlineLeavesAsWhatIsLeftOfIt) {
  const std::uint32_t handle = open("hits");
  auto extra = std::make_unique<CallExtra>();
  extra->has_options = true;
  extra->deadline_us = now_.mono_us + 500'000;
  call(handle, 1, 0, std::move(extra));
  pass(200);
  welcome();
  ASSERT_THAT(sent_of(Type::submit), SizeIs(1));
  EXPECT_EQ(sent_of(Type::submit)[0].options.deadline_ms, 300);
}

TEST_F(ClientSession, CallThatCannotLeaveBeforeItsDeadlineExpires) {
  const std::uint32_t handle = open("hits");
  auto extra = std::make_unique<CallExtra>();
  extra->has_options = true;
  extra->deadline_us = now_.mono_us + 150'000;
  call(handle, 1, 0, std::move(extra));
  pass(100);
  EXPECT_FALSE(told_.answered(1));
  pass(100);
  EXPECT_EQ(told_.status_of(1), Errc::expired);
  welcome();
  EXPECT_THAT(submitted(), IsEmpty());
}

// --- handles ------------------------------------------------------------------------------------

TEST_F(ClientSession, CreationTakesANumberAndItsCallsFollow) {
  welcome();
  Creation creation;
  creation.class_name = "Counter";
  creation.args = "\x90";
  creation.options.name = "hits";
  const std::uint32_t handle = session_->create(now_, std::move(creation), {"add"});
  call(handle, 1);
  tick();
  EXPECT_THAT(types(), ElementsAre(Type::hello, Type::create, Type::submit));
  EXPECT_EQ(sent_[1].seq, 1u);
  EXPECT_EQ(sent_[1].actor.name, "hits");
  EXPECT_EQ(sent_[2].seq, 2u);
  EXPECT_EQ(session_->actor_of(handle), (ActorId{SessionId{kSession}, 1}));
}

TEST_F(ClientSession, CallsOfAFailedCreationFailForItsReason) {
  welcome();
  Creation creation;
  creation.class_name = "Counter";
  creation.args = "\x90";
  creation.options.name = "hits";
  const std::uint32_t handle = session_->create(now_, std::move(creation), {"add"});
  tick();
  wire::Opened answer;
  answer.handle = handle;
  answer.code = Errc::name_taken;
  answer.text = "an actor is named hits";
  receive_message(answer);
  call(handle, 1);
  tick();
  EXPECT_EQ(told_.status_of(1), Errc::name_taken);
  EXPECT_THAT(submitted(), IsEmpty());
}

TEST_F(ClientSession, NameThatLedNowhereIsTriedAgainWithTheNextCall) {
  welcome();
  const std::uint32_t handle = open("hits");
  tick();
  wire::Opened answer;
  answer.handle = handle;
  answer.code = Errc::unknown_actor;
  receive_message(answer);
  sent_.clear();
  call(handle, 1);
  tick();
  EXPECT_THAT(types(), ElementsAre(Type::open, Type::submit));
}

TEST_F(ClientSession, NewMethodsAreAnnouncedBeforeTheirFirstCall) {
  welcome();
  const std::uint32_t handle = open_known("hits");
  sent_.clear();
  session_->add_methods(handle, {"clear"});
  call(handle, 1);
  tick();
  EXPECT_THAT(types(), ElementsAre(Type::methods, Type::submit));
  EXPECT_THAT(sent_[0].names, ElementsAre("clear"));
}

TEST_F(ClientSession, HandleIsClosedOnceItsCallsAreAccepted) {
  welcome();
  const std::uint32_t handle = open_known("hits");
  call(handle, 1);
  session_->close(handle);
  tick();
  EXPECT_THAT(sent_of(Type::close), IsEmpty());
  accepted(1);
  tick();
  EXPECT_THAT(sent_of(Type::close), SizeIs(1));
  result(1);
  EXPECT_EQ(told_.status_of(1), Errc::ok) << "its result still comes";
}

TEST_F(ClientSession, NumberOfAClosedHandleIsUsedAgainOnceItsAnswerCame) {
  welcome();
  const std::uint32_t first = open("first");
  tick();
  session_->close(first);
  tick();
  EXPECT_NE(open("second"), first) << "OPENED of the first is still on its way";
  opened(first);
  EXPECT_EQ(open("third"), first);
}

// --- dependencies -------------------------------------------------------------------------------

std::unique_ptr<CallExtra> takes(std::shared_ptr<TestDependency> dependency) {
  auto extra = std::make_unique<CallExtra>();
  extra->arguments.push_back({encoded("first"), nullptr});
  extra->arguments.push_back({{}, std::move(dependency)});
  return extra;
}

TEST_F(ClientSession, PendingDependencyTravelsAsReference) {
  welcome();
  const std::uint32_t handle = open_known("hits");
  auto dependency = std::make_shared<TestDependency>();
  dependency->call = {SessionId{kSession}, call(handle, 1)};
  call(handle, 2, 0, takes(dependency));
  tick();
  const Sent message = sent_of(Type::submit).at(1);
  ASSERT_THAT(message.options.refs, SizeIs(1));
  EXPECT_EQ(message.options.refs[0].index, 1u);
  EXPECT_EQ(message.options.refs[0].call, dependency->call);
  wire::Reader in(message.args);
  std::uint32_t n = 0;
  std::string_view first, second;
  ASSERT_TRUE(in.array(n) && n == 2 && in.bin(first) && in.bin(second));
  EXPECT_EQ(first, encoded("first"));
  EXPECT_EQ(second, "");
}

TEST_F(ClientSession, KnownDependencyTravelsAsValue) {
  const std::uint32_t handle = open("hits");
  auto dependency = std::make_shared<TestDependency>();
  dependency->call = {SessionId{kSession}, 99};
  call(handle, 1, 0, takes(dependency));
  dependency->now = Dependency::State::value;
  dependency->value = encoded("second");
  welcome();
  const Sent message = sent_of(Type::submit).at(0);
  EXPECT_THAT(message.options.refs, IsEmpty());
  wire::Reader in(message.args);
  std::uint32_t n = 0;
  std::string first, second;
  ASSERT_TRUE(in.array(n) && n == 2 && in.str(first) && in.str(second));
  EXPECT_EQ(second, "second");
}

TEST_F(ClientSession, FailedDependencyFailsTheCallWithTheChainOfCauses) {
  const std::uint32_t handle = open("hits");
  auto dependency = std::make_shared<TestDependency>();
  dependency->call = {SessionId{kSession}, 99};
  call(handle, 1, 0, takes(dependency));
  dependency->now = Dependency::State::failed;
  ErrorInfo cause;
  cause.code = Errc::task_error;
  cause.message = "broken";
  cause.causes = "cancelled: by hand";
  dependency->value = wire::encode(cause);
  welcome();
  EXPECT_EQ(told_.status_of(1), Errc::dependency_failed);
  const ErrorInfo error = wire::decode_error(told_.answers[0].bytes, Errc::internal);
  EXPECT_THAT(error.causes, ::testing::StartsWith("task_error: broken"));
  EXPECT_THAT(error.causes, ::testing::EndsWith("\ncancelled: by hand"));
}

TEST_F(ClientSession, DependentWaitsUntilACallThatMayBeParkedIsAccepted) {
  welcome();
  const std::uint32_t blocking = open_known("blocking", wire::WhenFull::block);
  const std::uint32_t other = open_known("other");
  auto dependency = std::make_shared<TestDependency>();
  dependency->call = {SessionId{kSession}, call(blocking, 1)};
  call(other, 2, 0, takes(dependency));
  call(blocking, 3);
  tick();
  EXPECT_THAT(submitted(), ElementsAre(1, 3)) << "others go on";
  accepted(3);
  tick();
  EXPECT_THAT(submitted(), ElementsAre(1, 3, 4));
  EXPECT_EQ(told_.ids[2], (CallId{SessionId{kSession}, 4})) << "it got a new number";
}

TEST_F(ClientSession, HeldCallKeepsItsPlaceAmongTheCallsOfItsQueue) {
  welcome();
  const std::uint32_t blocking = open_known("blocking", wire::WhenFull::block);
  const std::uint32_t other = open_known("other");
  auto dependency = std::make_shared<TestDependency>();
  dependency->call = {SessionId{kSession}, call(blocking, 1)};
  call(other, 2, 0, takes(dependency));
  call(other, 3);
  tick();
  EXPECT_THAT(submitted(), ElementsAre(1));
  accepted(1);
  call(other, 4);
  tick();
  const auto sent = sent_of(Type::submit);
  ASSERT_THAT(sent, SizeIs(4));
  EXPECT_EQ(sent[1].seq, told_.ids[2].seq);
  EXPECT_EQ(sent[2].seq, told_.ids[3].seq);
  EXPECT_EQ(sent[3].seq, told_.ids[4].seq);
}

}  // namespace
}  // namespace callboard::client
