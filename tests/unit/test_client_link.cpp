// The link: hello and its answers, silence, goodbyes, other broker runs, frames that cannot be
// read.

#include "tests/unit/client_world.hpp"

namespace callboard::client {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using State = wire::Link::State;

class ClientLink : public ClientWorld {
 protected:
  std::size_t hellos() const { return sent_of(Type::hello).size(); }
  std::size_t pings() const {
    std::size_t count = 0;
    for (const Sent& message : sent_) count += message.type == Type::ping ? 1 : 0;
    return count;
  }
  void pong() {
    receive([](wire::FrameWriter& out) { wire::write_pong(out, 1); });
  }
};

TEST_F(ClientLink, BeginsWithTheFirstAddressAndAHello) {
  EXPECT_THAT(connects_, ElementsAre(0));
  EXPECT_EQ(hellos(), 1u);
  EXPECT_EQ(sent_[0].hello.version_min, limits::kProtocolVersionMin);
  EXPECT_EQ(sent_[0].hello.version_max, limits::kProtocolVersionMax);
  EXPECT_EQ(sent_epoch_, 0u);
  EXPECT_EQ(link_->state(), State::connecting);
}

TEST_F(ClientLink, BrokerThatDoesNotAnswerIsLeftForTheNextAddress) {
  pass(400);
  EXPECT_THAT(connects_, ElementsAre(0));
  pass(200);
  EXPECT_THAT(connects_, ElementsAre(0, 1));
  EXPECT_EQ(hellos(), 2u);
}

TEST_F(ClientLink, PatienceGrowsFromRoundToRound) {
  std::int64_t before_us = now_.mono_us;
  std::vector<std::int64_t> waits_ms;
  for (int i = 0; i < 7; ++i) {
    now_.mono_us = link_->next_deadline_us();
    tick();
    waits_ms.push_back((now_.mono_us - before_us) / 1000);
    before_us = now_.mono_us;
  }
  EXPECT_THAT(waits_ms, ElementsAre(500, 500, 1000, 1000, 2000, 2000, 2000));
}

TEST_F(ClientLink, WelcomeMakesItReadyAndFramesCarryItsEpoch) {
  epoch_ = 6;
  welcome();
  EXPECT_TRUE(link_->ready());
  EXPECT_EQ(link_->epoch(), 6u);
  open("hits");
  tick();
  EXPECT_EQ(sent_epoch_, 6u);
  EXPECT_TRUE(told_.connected);
}

TEST_F(ClientLink, WhoIsAnsweredWithOneHelloOnTheSameConnection) {
  welcome();
  sent_.clear();
  receive([](wire::FrameWriter& out) { wire::write_who(out); });
  receive([](wire::FrameWriter& out) { wire::write_who(out); });
  EXPECT_EQ(hellos(), 1u);
  EXPECT_THAT(connects_, ElementsAre(0));
  EXPECT_FALSE(told_.connected);
}

TEST_F(ClientLink, NothingButTheWelcomeCountsBetweenHelloAndWelcome) {
  welcome();
  const std::uint32_t handle = open_known("hits");
  call(handle, 1);
  tick();
  receive([](wire::FrameWriter& out) { wire::write_who(out); });
  result(1);
  EXPECT_FALSE(told_.answered(1)) << "the broker tells it again after the welcome";
}

TEST_F(ClientLink, FrameOfAnOlderBrokerIsDropped) {
  epoch_ = 3;
  welcome();
  call(open_known("hits"), 1);
  tick();
  epoch_ = 2;
  result(1);
  EXPECT_FALSE(told_.answered(1));
  epoch_ = 3;
  result(1);
  EXPECT_TRUE(told_.answered(1));
}

TEST_F(ClientLink, WelcomeOfAnOlderBrokerIsNoWelcome) {
  epoch_ = 3;
  welcome();
  receive([](wire::FrameWriter& out) { wire::write_who(out); });
  epoch_ = 2;
  welcome();
  EXPECT_EQ(link_->state(), State::connecting);
  EXPECT_EQ(sent_of(Type::hello).back().hello.epoch_seen, 3u);
}

TEST_F(ClientLink, RunThatWelcomedItIsToldWhileNoLaterEpochWasSeen) {
  wire::Welcome message;
  message.epoch = epoch_ = 3;
  message.run = 77;
  receive([&](wire::FrameWriter& out) { wire::write(out, message); });
  receive([](wire::FrameWriter& out) { wire::write_who(out); });
  EXPECT_EQ(sent_of(Type::hello).back().hello.run_seen, 77u);
  receive([&](wire::FrameWriter& out) { wire::write(out, message); });
  epoch_ = 4;
  receive([](wire::FrameWriter& out) { wire::write_who(out); });
  EXPECT_EQ(sent_of(Type::hello).back().hello.epoch_seen, 4u);
  EXPECT_EQ(sent_of(Type::hello).back().hello.run_seen, 0u);
}

TEST_F(ClientLink, CommitsOfAcknowledgementsAndPongsAreToldToTheNextBroker) {
  wire::Welcome message;
  message.epoch = 1;
  message.timeline = 1;
  message.commit_no = 40;
  receive_message(message);
  receive_message(wire::Accepted{0, {}, 42});
  receive([](wire::FrameWriter& out) { wire::write_pong(out, 1, 41); });
  sent_.clear();
  receive([](wire::FrameWriter& out) { wire::write_who(out); });
  EXPECT_EQ(sent_[0].hello.commit_no, 42u);
  welcome();
  receive([](wire::FrameWriter& out) { wire::write_pong(out, 1, 45); });
  sent_.clear();
  receive([](wire::FrameWriter& out) { wire::write_who(out); });
  EXPECT_EQ(sent_[0].hello.commit_no, 45u);
}

TEST_F(ClientLink, HighestCommitSeenIsToldToTheNextBroker) {
  wire::Welcome message;
  message.epoch = 1;
  message.timeline = 2;
  message.commit_no = 40;
  receive_message(message);
  sent_.clear();
  receive([](wire::FrameWriter& out) { wire::write_who(out); });
  EXPECT_EQ(sent_[0].hello.timeline, 2u);
  EXPECT_EQ(sent_[0].hello.commit_no, 40u);
}

// --- silence ------------------------------------------------------------------------------------

TEST_F(ClientLink, IdleConnectionPingsAndAPongKeepsIt) {
  welcome();
  for (int i = 0; i < 20; ++i) {
    pass(300);
    if (pings() > 0) pong();
  }
  EXPECT_GE(pings(), 5u);
  EXPECT_THAT(connects_, ElementsAre(0));
}

TEST_F(ClientLink, SilentBrokerIsLeftForTheNextAddress) {
  welcome();
  for (int i = 0; i < 30 && connects_.size() == 1; ++i) pass(100);
  EXPECT_THAT(connects_, ElementsAre(0, 1));
  EXPECT_FALSE(told_.connected);
  EXPECT_LE(now_.mono_us, 1'000'000 + 2'200'000) << "within the lease and a little";
}

TEST_F(ClientLink, ProcessThatWasStoppedForLongDoesNotBlameTheBroker) {
  welcome();
  pass(60'000);
  EXPECT_THAT(connects_, ElementsAre(0));
  EXPECT_EQ(pings(), 1u) << "it asks first";
  pong();
  EXPECT_TRUE(link_->ready());
}

TEST_F(ClientLink, PingOfTheBrokerIsAnswered) {
  welcome();
  sent_.clear();
  receive([](wire::FrameWriter& out) { wire::write_ping(out, 9); });
  EXPECT_THAT(types(), ElementsAre(Type::pong));
}

TEST_F(ClientLink, NextDeadlineIsNeverMissed) {
  welcome();
  for (int i = 0; i < 50 && connects_.size() == 1; ++i) {
    const std::int64_t due_us = link_->next_deadline_us();
    ASSERT_NE(due_us, kNever);
    ASSERT_GE(due_us, now_.mono_us);
    now_.mono_us = due_us;
    tick();
  }
  EXPECT_THAT(connects_, ElementsAre(0, 1)) << "deadlines alone lead to the next address";
}

// --- goodbyes -----------------------------------------------------------------------------------

TEST_F(ClientLink, BrokerThatServedAndStopsIsLeftForTheNextAddressAtOnce) {
  welcome();
  goodbye(Errc::stopping);
  EXPECT_THAT(connects_, ElementsAre(0, 1));
  EXPECT_FALSE(told_.connected);
  welcome();
  EXPECT_TRUE(link_->ready());
}

TEST_F(ClientLink, BrokerThatStandsByIsLeftAfterAPause) {
  goodbye(Errc::stopping);
  EXPECT_EQ(link_->state(), State::pausing);
  EXPECT_THAT(connects_, ElementsAre(0));
  pass(100);
  EXPECT_THAT(connects_, ElementsAre(0, 1));
}

TEST_F(ClientLink, OnlyBrokerThatStopsIsTriedAgainAfterAPause) {
  make({}, 1);
  welcome();
  connects_.clear();
  goodbye(Errc::stopping);
  EXPECT_EQ(link_->state(), State::pausing);
  EXPECT_THAT(connects_, IsEmpty());
  pass(100);
  EXPECT_THAT(connects_, ElementsAre(0));
}

TEST_F(ClientLink, RefusedVersionEndsTheLinkAndItsCalls) {
  call(open("hits"), 1);
  goodbye(Errc::version_unsupported);
  EXPECT_EQ(link_->state(), State::ended);
  EXPECT_EQ(told_.status_of(1), Errc::version_unsupported);
  EXPECT_EQ(link_->next_deadline_us(), kNever);
  pass(10'000);
  EXPECT_THAT(connects_, ElementsAre(0));
}

TEST_F(ClientLink, CloseSaysGoodbyeAndEndsWhatIsUnanswered) {
  welcome();
  call(open_known("hits"), 1);
  tick();
  sent_.clear();
  link_->close(now_, {Errc::stopping, "closed"}, out_);
  collect();
  EXPECT_THAT(types(), ElementsAre(Type::goodbye));
  EXPECT_EQ(told_.status_of(1), Errc::disconnected);
}

// --- bad frames ---------------------------------------------------------------------------------

TEST_F(ClientLink, BytesThatAreNoFrameAreDropped) {
  welcome();
  for (const std::string_view bytes : {"", "\xc1", "\x93\x01\x02\x03", "hello", "\x92\xff\x01"}) {
    link_->on_frame(now_, {bytes, {}}, out_);
    tick();
  }
  EXPECT_TRUE(link_->ready());
  EXPECT_THAT(log_, SizeIs(5));
}

TEST_F(ClientLink, FrameOfAVersionThatWeDoNotSpeakIsDropped) {
  welcome();
  call(open_known("hits"), 1);
  tick();
  wire::Frame frame;
  frame.head = "\x92\x63\x01";  // version 99
  wire::FrameWriter writer(frame, 1);
  write(writer, wire::CallResult{1, Errc::ok, {"\x07", Blob()}});
  link_->on_frame(now_, {frame.head, frame.parts}, out_);
  EXPECT_FALSE(told_.answered(1));
}

TEST_F(ClientLink, MessageThatCannotBeReadBreaksTheConnectionAndNothingElse) {
  welcome();
  const std::uint32_t handle = open_known("hits");
  call(handle, 1);
  call(handle, 2);
  tick();
  receive([](wire::FrameWriter& out) {
    write(out, wire::CallResult{1, Errc::ok, {"\x07", Blob()}});
    out.message(static_cast<std::uint8_t>(Type::result), 3);
    out.str("not a number");
  });
  EXPECT_TRUE(told_.answered(1)) << "what came before it counts";
  EXPECT_THAT(connects_, ElementsAre(0, 1));
  sent_.clear();
  welcome(1);
  EXPECT_THAT(submitted(), ElementsAre(2));
}

TEST_F(ClientLink, ResultThatNamesAMissingPartBreaksTheConnection) {
  welcome();
  call(open_known("hits"), 1);
  tick();
  receive([](wire::FrameWriter& out) {
    out.message(static_cast<std::uint8_t>(Type::result), 3);
    out.uint(1);
    out.uint(0);
    out.nil();  // "the next part", and there is none
  });
  EXPECT_FALSE(told_.answered(1));
  EXPECT_THAT(connects_, ElementsAre(0, 1));
}

TEST_F(ClientLink, MessagesOfANewerPeerAreSkipped) {
  welcome();
  call(open_known("hits"), 1);
  tick();
  receive([](wire::FrameWriter& out) {
    for (const std::uint8_t type : {7, 60, 75, 120}) {
      out.message(type, 2);
      out.str("something new");
      out.array(1);
      out.nil();
    }
    write(out, wire::CallResult{1, Errc::ok, {"\x07", Blob()}});
  });
  EXPECT_TRUE(told_.answered(1));
  EXPECT_TRUE(link_->ready());
}

TEST_F(ClientLink, MessagesAboutNumbersThatAreNotOursAreHarmless) {
  welcome();
  call(open_known("hits"), 1);
  tick();
  receive([](wire::FrameWriter& out) {
    write(out, wire::CallResult{99, Errc::ok, {"\x07", Blob()}});
    write(out, wire::Refused{98, Errc::queue_full, "full", 0, 0});
    write(out, wire::Accepted{1'000'000, {{5, 5}}});
    write(out, wire::Parked{500, 3});
    write(out, wire::Parked{0, 900});
    write(out, wire::Room{500, 3});
    wire::Opened opened_nowhere;
    opened_nowhere.handle = 500;
    write(out, opened_nowhere);
    write(out, wire::CancelAnswered{{SessionId{1}, 2}, wire::CancelAnswer::killed});
    write(out, wire::AdminAnswer{77, Errc::ok, "\xc0"});
  });
  EXPECT_TRUE(link_->ready());
  EXPECT_FALSE(told_.answered(1));
  EXPECT_THAT(told_.cancels, IsEmpty());
  result(1);
  EXPECT_EQ(told_.status_of(1), Errc::ok);
}

}  // namespace
}  // namespace callboard::client
