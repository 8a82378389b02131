// A call's bytes on their way between threads.

#include "worker/text_buffer.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>

namespace callboard::worker {
namespace {

TEST(WorkerTextBuffer, HoldsWhatItWasAssignedLast) {
  TextBuffer buffer;
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(std::string_view(buffer), "");
  buffer.assign("one");
  EXPECT_EQ(std::string_view(buffer), "one");
  const std::string longer(1000, 'x');
  buffer.assign(longer);
  EXPECT_EQ(std::string_view(buffer), longer);
  buffer.assign("");
  EXPECT_TRUE(buffer.empty());
}

TEST(WorkerTextBuffer, SwapsBytesAndMemory) {
  TextBuffer one("one");
  TextBuffer two(std::string_view(std::string(500, '2')));
  const char* const memory = one.data();
  one.swap(two);
  EXPECT_EQ(std::string_view(one), std::string(500, '2'));
  EXPECT_EQ(std::string_view(two), "one");
  EXPECT_EQ(two.data(), memory);
}

TEST(WorkerTextBuffer, IsCopiedAndMoved) {
  TextBuffer one("one");
  TextBuffer copy = one;
  one.assign("other");
  EXPECT_EQ(std::string_view(copy), "one");
  const TextBuffer moved = std::move(copy);
  EXPECT_EQ(std::string_view(moved), "one");
  one = moved;
  EXPECT_EQ(std::string_view(one), "one");
}

TEST(WorkerTextBuffer, KeepsMemoryUpToABound) {
  TextBuffer buffer(std::string_view(std::string(100, 'x')));
  const char* const memory = buffer.data();
  buffer.trim(1024);
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.data(), memory);
  buffer.assign(std::string(2000, 'x'));
  buffer.trim(1024);
  EXPECT_TRUE(buffer.empty());
  EXPECT_EQ(buffer.capacity(), 0u);
}

}  // namespace
}  // namespace callboard::worker
