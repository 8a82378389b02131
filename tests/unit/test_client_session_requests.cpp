// What a client asks beside calls: cancel, kill, verbs, announced waits; and the end of a session.

#include "tests/unit/client_world.hpp"

namespace callboard::client {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

using ClientRequests = ClientWorld;

TEST_F(ClientRequests, CallThatHasNotLeftIsCancelledHere) {
  const std::uint32_t handle = open("hits");
  const std::uint64_t seq = call(handle, 1);
  session_->cancel(50, {SessionId{kSession}, seq}, false);
  EXPECT_EQ(told_.status_of(1), Errc::cancelled);
  EXPECT_THAT(told_.cancels, ElementsAre(Pair(50, wire::CancelAnswer::cancelled_before_start)));
  welcome();
  EXPECT_THAT(submitted(), IsEmpty());
}

TEST_F(ClientRequests, BrokerAnswersTheCancelOfACallThatHasLeft) {
  welcome();
  const CallId id{SessionId{kSession}, call(open_known("hits"), 1)};
  tick();
  session_->cancel(50, id, true);
  tick();
  ASSERT_THAT(sent_of(Type::cancel), SizeIs(1));
  EXPECT_EQ(sent_of(Type::cancel)[0].call, id);
  EXPECT_TRUE(sent_of(Type::cancel)[0].flag);
  receive_message(wire::CancelAnswered{id, wire::CancelAnswer::too_late});
  EXPECT_THAT(told_.cancels, ElementsAre(Pair(50, wire::CancelAnswer::too_late)));
  EXPECT_FALSE(told_.answered(1)) << "its result is another matter";
}

TEST_F(ClientRequests, UnansweredCancelIsAskedAgainAfterAReconnect) {
  welcome();
  const CallId id{SessionId{kSession}, call(open_known("hits"), 1)};
  tick();
  session_->cancel(50, id, false);
  tick();
  reconnect(1);
  EXPECT_THAT(sent_of(Type::cancel), SizeIs(1));
}

TEST_F(ClientRequests, AdminRequestIsAnsweredOrEndsWithTheConnection) {
  welcome();
  session_->admin(1, "queue.ls", "");
  session_->admin(2, "queue.purge", "");
  tick();
  EXPECT_THAT(sent_of(Type::admin), SizeIs(2));
  receive_message(wire::AdminAnswer{1, Errc::ok, "\x90"});
  reconnect(0);
  ASSERT_THAT(told_.requests, SizeIs(2));
  EXPECT_EQ(told_.requests[0].bytes, "\x90");
  EXPECT_EQ(told_.requests[1].status, Errc::disconnected);
  EXPECT_THAT(sent_of(Type::admin), IsEmpty()) << "whether it was done is not known";
}

TEST_F(ClientRequests, KillIsAskedAgainAfterAReconnect) {
  welcome();
  const std::uint32_t handle = open_known("hits");
  session_->kill(7, handle, false);
  tick();
  EXPECT_THAT(sent_of(Type::kill), SizeIs(1));
  reconnect(0);
  EXPECT_THAT(types(), ElementsAre(Type::open, Type::kill));
  receive_message(wire::AdminAnswer{7, Errc::ok, "\xc0"});
  ASSERT_THAT(told_.requests, SizeIs(1));
  EXPECT_EQ(told_.requests[0].status, Errc::ok);
}

TEST_F(ClientRequests, KillThroughAHandleThatWasLetGoNeverHitsTheNextOfItsNumber) {
  welcome();
  const std::uint32_t handle = open_known("hits");
  session_->kill(7, handle, false);
  session_->close(handle);
  tick();
  ASSERT_EQ(open("another"), handle);
  reconnect(0);
  EXPECT_THAT(sent_of(Type::kill), IsEmpty());
  ASSERT_THAT(told_.requests, SizeIs(1));
  EXPECT_EQ(told_.requests[0].status, Errc::disconnected);
}

TEST_F(ClientRequests, BlockingWaitIsAnnouncedBehindTheCallAndAgainAfterAReconnect) {
  welcome();
  const std::uint32_t handle = open_known("hits");
  const CallId self{SessionId{5}, 6};
  const CallId other{SessionId{kSession}, call(handle, 1)};
  session_->waiting(self, other, true);
  tick();
  EXPECT_EQ(types().back(), Type::waiting);
  reconnect(1);
  ASSERT_THAT(sent_of(Type::waiting), SizeIs(1));
  EXPECT_EQ(sent_of(Type::waiting)[0].other, other);
  session_->waiting(self, other, false);
  tick();
  EXPECT_FALSE(sent_of(Type::waiting).back().flag);
}

TEST_F(ClientRequests, EndAnswersEverythingAndWhatComesAfterIt) {
  const std::uint32_t handle = open("hits");
  call(handle, 1);
  session_->admin(2, "queue.ls", "");
  session_->cancel(3, {SessionId{9}, 9}, false);
  session_->end(Errc::disconnected, "closed");
  EXPECT_EQ(told_.status_of(1), Errc::disconnected);
  ASSERT_THAT(told_.requests, SizeIs(1));
  EXPECT_THAT(told_.cancels, ElementsAre(Pair(3, wire::CancelAnswer::unknown)));
  call(handle, 4);
  EXPECT_EQ(told_.status_of(4), Errc::disconnected);
}

}  // namespace
}  // namespace callboard::client
