#include "common/shared_peer.hpp"
#include "tests/unit/shared_memory_fixture.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace callboard {
namespace {

class SharedPeerTest : public SharedMemoryTest {
 protected:
  /// Says what there is to say between both ends. Returns the number of frames.
  static int talk(wire::SharedPeer& broker, wire::SharedPeer& peer) {
    int frames = 0;
    wire::Frame frame;
    wire::SharedPeer* to = &peer;
    wire::SharedPeer* from = &broker;
    for (bool more = broker.offer(frame); more; ++frames) {
      EXPECT_TRUE(wire::SharedPeer::is_ours(frame.head));
      wire::Frame answer;
      more = to->on_frame(frame.head, answer);
      frame = std::move(answer);
      std::swap(to, from);
    }
    return frames;
  }
};

TEST_F(SharedPeerTest, ReferencesArePutInForWhatIsSharedAndTheRestStays) {
  const auto one = memory();
  const auto other = memory();
  wire::SharedPeer broker(*one, false);
  wire::SharedPeer peer(*other);
  ASSERT_EQ(talk(broker, peer), 3);
  const Blob shared = other->share(value('b'));  // as a caller keeps it until it is answered
  std::vector<Blob> parts = {Blob(value('a')), shared};
  peer.put_references(parts);
  EXPECT_EQ(parts[0].view(), value('a'));
  EXPECT_LT(parts[1].size(), 200u);
  ASSERT_TRUE(broker.resolve(parts));
  EXPECT_EQ(parts[1].view(), value('b'));
}

TEST_F(SharedPeerTest, BothEndsKnowAfterThreeFramesThatTheyShareMemory) {
  const auto one = memory();
  const auto other = memory();
  wire::SharedPeer broker(*one, false);
  wire::SharedPeer peer(*other);
  const Blob part = other->share(value('a'));
  EXPECT_FALSE(peer.reference_to(part)) << "not before it is known";
  EXPECT_EQ(talk(broker, peer), 3);
  const auto reference = peer.reference_to(part);
  ASSERT_TRUE(reference);
  EXPECT_LT(reference->size(), 200u);
  std::vector<Blob> parts = {Blob(*reference), Blob(value('b'))};
  ASSERT_TRUE(broker.resolve(parts));
  EXPECT_EQ(parts[0].view(), value('a'));
  EXPECT_EQ(parts[1].view(), value('b'));
  // And the other way; the broker passes on what it got.
  const auto back = broker.reference_to(parts[0]);
  ASSERT_TRUE(back);
  std::vector<Blob> returned = {Blob(*back)};
  ASSERT_TRUE(peer.resolve(returned));
  EXPECT_EQ(returned[0].view(), value('a'));
}

TEST_F(SharedPeerTest, EndsThatCannotReadEachOtherSendTheBytes) {
  const auto one = memory();
  const std::string mine = std::exchange(folder_, folder_ + "/elsewhere");
  std::filesystem::create_directory(folder_);
  const auto other = memory();
  wire::SharedPeer broker(*one, false);
  wire::SharedPeer peer(*other);
  EXPECT_EQ(talk(broker, peer), 1) << "nothing was found, so nothing is answered";
  EXPECT_FALSE(peer.reference_to(other->share(value('a'))));
  EXPECT_FALSE(broker.reference_to(one->share(value('a'))));
  folder_ = mine;
}

TEST_F(SharedPeerTest, ANewConnectionKnowsNothingOfTheOneBefore) {
  const auto one = memory();
  const auto other = memory();
  wire::SharedPeer broker(*one, false);
  wire::SharedPeer peer(*other);
  talk(broker, peer);
  const Blob part = other->share(value('a'));
  peer.forget();
  broker.forget();
  EXPECT_FALSE(peer.reference_to(part));
  EXPECT_EQ(talk(broker, peer), 3);
  EXPECT_TRUE(peer.reference_to(part));
}

TEST_F(SharedPeerTest, AValueThatNobodyHoldsAnyMoreComesEmpty) {
  const auto one = memory();
  const auto other = memory();
  wire::SharedPeer broker(*one, false);
  wire::SharedPeer peer(*other);
  talk(broker, peer);
  Blob part = other->share(value('a'));
  std::vector<Blob> parts = {Blob(*peer.reference_to(part))};
  part = Blob();
  ASSERT_TRUE(broker.resolve(parts));
  EXPECT_TRUE(parts[0]);
  EXPECT_EQ(parts[0].size(), 0u);
}

TEST_F(SharedPeerTest, WhatCannotBeReadIsSaid) {
  const auto one = memory();
  const auto other = memory();
  wire::SharedPeer broker(*one, false);
  wire::SharedPeer peer(*other);
  talk(broker, peer);
  std::vector<Blob> parts = {Blob(std::string("\x91\x01"))};
  for (unsigned i = 0; i < wire::SharedPeer::kFailuresMax; ++i) {
    EXPECT_FALSE(broker.off());
    EXPECT_FALSE(broker.resolve(parts));
    broker.failed();
    peer.forget();
    EXPECT_EQ(talk(broker, peer), broker.off() ? 0 : 3) << "another try may go well";
  }
  EXPECT_TRUE(broker.off());
  parts = {Blob(std::string("as it is"))};
  EXPECT_TRUE(broker.resolve(parts));
  EXPECT_EQ(parts[0].view(), "as it is");
}

TEST_F(SharedPeerTest, OnlyWholeMessagesAreKeptFromTheCore) {
  const auto one = memory();
  wire::SharedPeer broker(*one, false);
  wire::Frame frame;
  ASSERT_TRUE(broker.offer(frame));
  EXPECT_TRUE(wire::SharedPeer::is_ours(frame.head));
  EXPECT_FALSE(wire::SharedPeer::is_ours(frame.head.substr(0, frame.head.size() - 1)));
  EXPECT_FALSE(wire::SharedPeer::is_ours(std::string("\x92\x01\x07\x91\x07")));
  EXPECT_FALSE(wire::SharedPeer::is_ours(std::string("\x92\x01\x07\x91\x04")));
  EXPECT_FALSE(wire::SharedPeer::is_ours(""));
}

TEST_F(SharedPeerTest, AnEndThatIsGoneIsNoReader) {
  SharedMemoryOptions options;
  options.folder = folder_;
  options.bytes_max = kPoolBytes;
  SharedMemory giver(options);
  const auto taker = memory();
  {
    wire::SharedPeer broker(giver, false);
    wire::SharedPeer peer(*taker);
    talk(broker, peer);
    EXPECT_TRUE(giver.share(value('a')));
  }
  EXPECT_FALSE(giver.share(value('a')));
}

}  // namespace
}  // namespace callboard
