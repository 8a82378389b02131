// SUBMITs in one go and RESULTs in one go are what they are one by one.

#include "common/call_run.hpp"
#include "common/messages.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace callboard::wire {
namespace {

std::vector<std::string> heads(LinkOut& out) {
  std::vector<std::string> all;
  for (const Frame& frame : out.frames()) all.push_back(frame.head);
  return all;
}

TEST(CallRun, WritesTheFramesThatSingleMessagesWouldFill) {
  LinkOut run_out;
  LinkOut single_out;
  const std::string options = "\x81\x01\x02";
  {
    CallRun run(run_out);
    for (std::uint64_t i = 0; i < 3000; ++i) {
      // Sizes around what is made room for, and beyond it.
      const std::string args(i % 7 == 0 ? 5000 : i % 333, static_cast<char>('a' + i % 26));
      Submit message;
      message.seq = i * i * i * i + 1;
      message.handle = static_cast<std::uint32_t>(i % 300);
      message.method = static_cast<std::uint32_t>(i % 150);
      message.args.bytes = args;
      if (i % 3 == 0) message.options = options;
      FrameWriter writer = single_out.message();
      write(writer, message);
      run.write(message.seq, message.handle, message.method, args, message.options);
    }
  }
  ASSERT_GT(single_out.frames().size(), 2u);
  EXPECT_EQ(heads(run_out), heads(single_out));
}

TEST(CallRun, OthersMayWriteBetweenRuns) {
  LinkOut out;
  CallRun run(out);
  run.write(1, 0, 0, "\x90", {});
  run.close();
  FrameWriter writer = out.message();
  write(writer, Close{7});
  run.write(2, 0, 0, "\x90", {});
  run.close();
  ASSERT_EQ(out.frames().size(), 1u);
  FrameReader in(FrameView{out.frames()[0].head, {}});
  std::uint64_t version = 0;
  std::uint64_t epoch = 0;
  ASSERT_TRUE(in.header(version, epoch));
  std::vector<std::uint64_t> types;
  while (!in.at_end()) {
    std::uint64_t type = 0;
    std::uint32_t fields = 0;
    ASSERT_TRUE(in.message(type, fields) && in.skip_fields(fields));
    types.push_back(type);
  }
  const auto submit = static_cast<std::uint64_t>(Type::submit);
  EXPECT_EQ(types, (std::vector<std::uint64_t>{submit, static_cast<std::uint64_t>(Type::close),
                                               submit}));
}

TEST(CallRun, MoreOfATypeAreTakenOnlyWhileTheyFollow) {
  LinkOut out;
  for (const std::uint64_t seq : {5u, 6u, 700u}) {
    FrameWriter writer = out.message();
    write(writer, CallResult{seq, Errc::ok, {"\xc0", Blob()}});
  }
  FrameWriter writer = out.message();
  write(writer, Accepted{9, {}, 0});
  FrameReader in(FrameView{out.frames()[0].head, {}});
  std::uint64_t number = 0;
  ASSERT_TRUE(in.header(number, number));
  std::uint64_t type = 0;
  std::uint32_t fields = 0;
  ASSERT_TRUE(in.message(type, fields));
  std::vector<std::uint64_t> seqs;
  CallResult message;
  do {
    ASSERT_TRUE(read_result(in, fields, message));
    seqs.push_back(message.seq);
  } while (in.message_of(static_cast<std::uint8_t>(Type::result), fields));
  EXPECT_EQ(seqs, (std::vector<std::uint64_t>{5, 6, 700}));
  ASSERT_TRUE(in.ok() && in.message(type, fields));
  EXPECT_EQ(type, static_cast<std::uint64_t>(Type::accepted));
}

TEST(CallRun, GlanceSeesAMessageSomeLengthsAheadOnlyWhereOneBegins) {
  LinkOut out;
  for (const std::uint64_t seq : {5u, 6u, 7u}) {
    FrameWriter writer = out.message();
    write(writer, CallResult{seq, Errc::ok, {"\xc0", Blob()}});
  }
  FrameReader in(FrameView{out.frames()[0].head, {}});
  std::uint64_t number = 0;
  ASSERT_TRUE(in.header(number, number));
  const std::size_t all = in.rest().size();
  ASSERT_EQ(all % 3, 0u);
  const auto type = static_cast<std::uint8_t>(Type::result);
  Reader ahead;
  for (std::size_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(in.glance(type, i * all / 3, ahead) && ahead.uint(number));
    EXPECT_EQ(number, 5 + i);
  }
  EXPECT_FALSE(in.glance(type, 1, ahead)) << "none begins there";
  EXPECT_FALSE(in.glance(static_cast<std::uint8_t>(Type::accepted), 0, ahead));
  EXPECT_FALSE(in.glance(type, all - 1, ahead)) << "too short";
  EXPECT_FALSE(in.glance(type, SIZE_MAX, ahead));
  EXPECT_EQ(in.rest().size(), all) << "nothing was read";
}

}  // namespace
}  // namespace callboard::wire
