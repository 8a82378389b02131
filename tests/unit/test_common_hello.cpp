// Hello and welcome: the two messages that must be understood across versions.

#include "tests/unit/message_samples.hpp"

#include <gtest/gtest.h>

namespace callboard::wire {
namespace {

// Reads the only message of a frame.
bool read_hello(const Frame& frame, Hello& hello) {
  FrameReader in({frame.head, frame.parts});
  std::uint64_t number = 0;
  std::uint32_t fields = 0;
  return in.header(number, number) && in.message(number, fields) && read(in, fields, hello) &&
         in.at_end() && in.ok();
}

// A hello of version 1 with a map of `keys` entries to come.
FrameWriter begin_hello(Frame& frame, std::size_t keys) {
  FrameWriter out(frame, 0);
  out.message(static_cast<std::uint8_t>(Type::hello), 4);
  out.uint(1), out.uint(1), out.uint(0);
  out.map(keys);
  return out;
}

TEST(Hello, UnknownKeysAreSkipped) {
  Frame frame;
  FrameWriter out = begin_hello(frame, 3);
  out.str("shape"), out.array(1), out.map(0);
  out.str("session"), out.uint(5);
  out.str("colour"), out.str("red");
  Hello hello;
  EXPECT_TRUE(read_hello(frame, hello));
  EXPECT_EQ(hello.session, 5u);
}

TEST(Hello, AKnownKeyWithTheWrongKindOfValueFails) {
  for (const char* key : {"role", "name", "session", "resume", "classes", "tasks", "held_calls",
                          "held_actors", "task_slots", "acked_through", "supervisor"}) {
    Frame frame;
    FrameWriter out = begin_hello(frame, 1);
    out.str(key), out.f64(1.5);
    Hello hello;
    EXPECT_FALSE(read_hello(frame, hello)) << key;
  }
}

TEST(Hello, AnotherVersionIsReadFarEnoughToAnswerIt) {
  Frame frame;
  FrameWriter out(frame, 0);
  out.message(static_cast<std::uint8_t>(Type::hello), 5);
  out.uint(8), out.uint(9), out.uint(0);
  out.str("not a map in version 8"), out.nil();
  Hello hello;
  EXPECT_TRUE(read_hello(frame, hello));
  EXPECT_EQ(hello.version_min, 8u);
  EXPECT_EQ(hello.version_max, 9u);
}

TEST(Hello, ARequiredFeatureThatIsNotKnownIsReadFarEnoughToAnswerIt) {
  Frame frame;
  FrameWriter out(frame, 0);
  out.message(static_cast<std::uint8_t>(Type::hello), 4);
  out.uint(1), out.uint(1), out.uint(1ull << 40);
  out.str("not a map with this feature");
  Hello hello;
  EXPECT_TRUE(read_hello(frame, hello));
  EXPECT_EQ(hello.features, 1ull << 40);
}

TEST(Hello, WhatIsNotSaidHasItsDefault) {
  Frame frame;
  begin_hello(frame, 0);
  Hello hello;
  hello.name = "left over";
  hello.tasks = {"left over"};
  EXPECT_TRUE(read_hello(frame, hello));
  EXPECT_TRUE(hello.name.empty() && hello.tasks.empty() && hello.role == Role::client);
}

}  // namespace
}  // namespace callboard::wire
