// When the broker is known to have heard us: what a worker's lease counts from.

#include "common/link.hpp"

#include <gtest/gtest.h>

namespace callboard::wire {
namespace {

struct SilentMember : LinkMember {
  void fill_hello(Hello&) override {}
  void on_welcome(Instant, const Welcome&, bool, LinkOut&) override {}
  bool on_message(Instant, std::uint64_t, std::uint32_t fields, FrameReader& in,
                  LinkOut&) override {
    return in.skip_fields(fields);
  }
  void on_tick(Instant, bool, LinkOut&) override {}
  std::int64_t next_deadline_us() const override { return kNever; }
  void on_disconnected(Instant) override {}
  void on_session_unknown(Instant, bool) override {}
  void on_ended(Instant, const Goodbye&) override {}
};

class LinkLeaseTest : public ::testing::Test {
 protected:
  LinkLeaseTest() : link_(LinkOptions{}) {
    link_.add(member_, Side::worker);
    link_.start(now(), out_);
    out_.clear();
  }
  Instant now() const { return {now_ms_ * 1000, now_ms_}; }
  template <class Fill>
  void receive(Fill fill) {
    Frame frame;
    FrameWriter writer(frame, 1);
    fill(writer);
    link_.on_frame(now(), {frame.head, frame.parts}, out_);
  }
  void welcome() {
    receive([](FrameWriter& out) {
      Welcome message;
      message.epoch = 1;
      message.heartbeat_ms = 100;
      message.lease_ms = 1000;
      write(out, message);
    });
    out_.clear();
  }
  /// Steps the clock and gives the number of the ping that was sent, or 0.
  std::uint64_t tick(std::int64_t ms) {
    now_ms_ += ms;
    link_.on_tick(now(), out_);
    std::uint64_t ping = 0;
    for (const Frame& frame : out_.frames()) {
      FrameReader in({frame.head, frame.parts});
      std::uint64_t version = 0, epoch = 0, type = 0;
      std::uint32_t fields = 0;
      EXPECT_TRUE(in.header(version, epoch));
      while (!in.at_end() && in.message(type, fields)) {
        if (static_cast<Type>(type) == Type::ping) EXPECT_TRUE(read_number(in, fields, ping));
        else in.skip_fields(fields);
      }
    }
    out_.clear();
    return ping;
  }

  SilentMember member_;
  Link link_;
  LinkOut out_;
  std::int64_t now_ms_ = 1000;
};

TEST_F(LinkLeaseTest, AWelcomeAnswersTheHelloThatWasSentBeforeIt) {
  now_ms_ += 40;
  welcome();
  EXPECT_EQ(link_.answered_us(), 1000 * 1000);
}

TEST_F(LinkLeaseTest, AnAnsweredPingCountsFromWhenItLeft) {
  welcome();
  const std::uint64_t ping = tick(100);
  ASSERT_NE(ping, 0u);
  now_ms_ += 60;
  receive([&](FrameWriter& out) { write_pong(out, ping); });
  EXPECT_EQ(link_.answered_us(), 1100 * 1000);
}

TEST_F(LinkLeaseTest, HearingTheBrokerDoesNotSayThatItHearsUs) {
  welcome();
  for (int i = 0; i < 20; ++i) {
    tick(50);
    receive([](FrameWriter& out) { write_ping(out, 7); });
  }
  EXPECT_GT(link_.last_heard_us(), 1900 * 1000);
  EXPECT_EQ(link_.answered_us(), 1000 * 1000);
}

TEST_F(LinkLeaseTest, PingsAreSentThoughOtherThingsAreSaidAllTheTime) {
  welcome();
  int pings = 0;
  for (int i = 0; i < 100; ++i) {
    receive([](FrameWriter& out) { write_ping(out, 7); });  // a frame leaves: our pong
    const std::uint64_t ping = tick(10);
    if (ping == 0) continue;
    ++pings;
    receive([&](FrameWriter& out) { write_pong(out, ping); });
  }
  EXPECT_GE(pings, 8);
  EXPECT_LE(pings, 11);
  EXPECT_GE(link_.answered_us(), 1850 * 1000);
}

TEST_F(LinkLeaseTest, APongWithAnotherNumberAnswersNothing) {
  welcome();
  const std::uint64_t ping = tick(100);
  receive([&](FrameWriter& out) { write_pong(out, ping + 1); });
  receive([&](FrameWriter& out) { write_pong(out, ping - 1); });
  EXPECT_EQ(link_.answered_us(), 1000 * 1000);
}

TEST_F(LinkLeaseTest, WhoAsksIsAnsweredAtOnceAndByNoEarlierPing) {
  welcome();
  const std::uint64_t early = tick(100);
  const std::uint64_t asked = link_.ask();
  EXPECT_EQ(tick(1), 0u) << "one at a time";
  receive([&](FrameWriter& out) { write_pong(out, early); });
  EXPECT_FALSE(link_.answered(asked));
  const std::uint64_t late = tick(1);
  ASSERT_NE(late, 0u) << "long before the next heartbeat";
  EXPECT_EQ(tick(1), 0u) << "asked once";
  receive([&](FrameWriter& out) { write_pong(out, late); });
  EXPECT_TRUE(link_.answered(asked));
  EXPECT_FALSE(link_.answered(link_.ask()));
}

TEST_F(LinkLeaseTest, WhatWasAskedOnAnEarlierConnectionIsNotAnswered) {
  welcome();
  const std::uint64_t asked = link_.ask();
  ASSERT_NE(tick(1), 0u);
  receive([](FrameWriter& out) { write_who(out); });
  out_.clear();
  welcome();
  EXPECT_FALSE(link_.answered(asked));
}

}  // namespace
}  // namespace callboard::wire
