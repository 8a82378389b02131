// DONEs that are written many into one frame are what write() makes of them one by one.

#include "common/call_messages.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace callboard::wire {
namespace {

constexpr std::uint64_t kEpoch = 3;

Frame one_by_one(const std::vector<Done>& dones) {
  Frame frame;
  FrameWriter out(frame, kEpoch);
  for (const Done& done : dones) write(out, done);
  return frame;
}

/// `taken`: how many the frame took.
Frame together(const std::vector<Done>& dones, std::size_t& taken) {
  Frame frame;
  DoneWriter writer(FrameWriter(frame, kEpoch));
  taken = 0;
  for (const Done& done : dones) {
    if (!writer.takes(done.value.size())) break;
    writer.write(done.lease, done.status, done.value.bytes, done.value.part, done.held);
    ++taken;
  }
  return frame;
}

std::string_view head_of(const Frame& frame) { return frame.head; }

TEST(CallMessages, ManyDonesAreWrittenAsOneByOne) {
  const std::string small(64, 's');
  const std::string longer(3000, 'l');
  const Blob part(std::string(limits::kPartBytesMin, 'p'));
  std::vector<Done> dones;
  for (std::uint64_t i = 0; i < 300; ++i) {
    Done done;
    done.lease = i * i * i;
    done.status = i % 7 == 0 ? Errc::task_error : Errc::ok;
    done.held = i % 11 == 0;
    if (i % 5 == 0) done.value = {part.view(), part};
    else done.value.bytes = i % 3 == 0 ? std::string_view(longer) : std::string_view(small);
    dones.push_back(std::move(done));
  }
  const Frame expected = one_by_one(dones);
  std::size_t taken = 0;
  const Frame frame = together(dones, taken);
  EXPECT_EQ(taken, dones.size());
  EXPECT_EQ(head_of(frame), head_of(expected));
  ASSERT_EQ(frame.parts.size(), expected.parts.size());
  for (const Blob& each : frame.parts) EXPECT_EQ(each.view(), part.view());
}

TEST(CallMessages, AFullFrameTakesNoMoreDones) {
  const std::string value(1000, 'v');
  Done done;
  done.value.bytes = value;
  const std::vector<Done> dones(1000, done);
  std::size_t taken = 0;
  Frame frame = together(dones, taken);
  EXPECT_LT(taken, dones.size());
  EXPECT_GE(frame.head.size(), limits::kFrameBytesTarget);
  EXPECT_LT(frame.head.size(), limits::kFrameBytesTarget + 4096);
}

TEST(CallMessages, AFrameOfManyPartsTakesNoMoreDones) {
  const Blob part(std::string(limits::kPartBytesMin, 'p'));
  Done done;
  done.value = {part.view(), part};
  const std::vector<Done> dones(limits::kFramePartsMax, done);
  std::size_t taken = 0;
  const Frame frame = together(dones, taken);
  EXPECT_EQ(taken, limits::kFramePartsMax / 2);
}

}  // namespace
}  // namespace callboard::wire
