// Frames in and out over every kind of address, and peers that come and go.
#include "tests/unit/router_fixture.hpp"

#include <sys/eventfd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace callboard::broker {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Lt;
using ::testing::StartsWith;

TEST_F(RouterTest, PicksAFreePortOutsideTheRangeOfOutgoingConnections) {
  open({.endpoints = {"tcp://127.0.0.1:0", "tcp://127.0.0.1:*"}, .event_endpoint = ""});
  ASSERT_EQ(router_.endpoints().size(), 2u);
  EXPECT_NE(router_.endpoints()[0], router_.endpoints()[1]);
  for (const std::string& each : router_.endpoints()) {
    EXPECT_THAT(each, StartsWith("tcp://127.0.0.1:"));
    EXPECT_THAT(std::stoi(each.substr(each.rfind(':') + 1)), AllOf(Ge(10'000), Lt(32'768)));
  }
}

TEST_F(RouterTest, SaysWhichAddressItCannotHave) {
  open();
  Router second;
  EXPECT_THAT(second.open({.endpoints = {endpoint()}, .event_endpoint = ""}),
              AllOf(HasSubstr(endpoint()), HasSubstr("in use")));
  Router third;
  EXPECT_THAT(third.open({.endpoints = {"nonsense"}, .event_endpoint = ""}), HasSubstr("nonsense"));
}

TEST_F(RouterTest, CarriesFramesBothWaysOverEveryAddress) {
  const std::string path = ::testing::TempDir() + "callboard-router-" + std::to_string(getpid());
  open({.endpoints = {"tcp://127.0.0.1:0", "ipc://" + path}, .event_endpoint = ""});
  for (const std::string& each : router_.endpoints()) {
    arrived_.clear();
    Dealer dealer(each);
    dealer.send({"hello"});
    ASSERT_TRUE(receive_frames(1));
    EXPECT_EQ(arrived_[0].head, "hello");
    EXPECT_THAT(arrived_[0].parts, IsEmpty());
    send(arrived_[0].peer, "welcome");
    EXPECT_THAT(dealer.receive(), ElementsAre("welcome"));
  }
  unlink(path.c_str());
}

TEST_F(RouterTest, KeepsOrderAndTellsPeersApart) {
  open();
  Dealer a(endpoint());
  Dealer b(endpoint());
  for (int i = 0; i < 50; ++i) a.send({"a" + std::to_string(i)});
  b.send({"b"});
  ASSERT_TRUE(receive_frames(51));
  PeerId peer_a{};
  PeerId peer_b{};
  int next = 0;
  for (const Arrived& frame : arrived_) {
    if (frame.head == "b") {
      peer_b = frame.peer;
    } else {
      EXPECT_EQ(frame.head, "a" + std::to_string(next++));
      peer_a = frame.peer;
    }
  }
  EXPECT_NE(peer_a, peer_b);
  send(peer_b, "for b");
  send(peer_a, "for a");
  EXPECT_THAT(a.receive(), ElementsAre("for a"));
  EXPECT_THAT(b.receive(), ElementsAre("for b"));
}

TEST_F(RouterTest, PartsOfEverySizeOutliveTheFrameThatBroughtThem) {
  open();
  Dealer dealer(endpoint());
  const std::string small(100, 's');
  const std::string large(3'000'000, 'l');
  dealer.send({"head", small, large, ""});
  ASSERT_TRUE(receive_frames(1));
  receive();
  ASSERT_EQ(arrived_[0].parts.size(), 3u);
  EXPECT_TRUE(arrived_[0].parts[0].view() == small);
  EXPECT_TRUE(arrived_[0].parts[1].view() == large);
  EXPECT_EQ(arrived_[0].parts[2].size(), 0u);
  send(arrived_[0].peer, std::string(100'000, 'h'), arrived_[0].parts);
  arrived_.clear();
  const auto back = dealer.receive();
  ASSERT_EQ(back.size(), 4u);
  EXPECT_EQ(back[0], std::string(100'000, 'h'));
  EXPECT_TRUE(back[2] == large);
}

TEST_F(RouterTest, TakesNoMoreFramesAtATimeThanAsked) {
  open();
  Dealer dealer(endpoint());
  for (int i = 0; i < 30; ++i) dealer.send({"x"});
  ASSERT_TRUE(receive_until([&] { return !arrived_.empty(); }));
  ASSERT_TRUE(receive_frames(30));
  for (int i = 0; i < 30; ++i) dealer.send({"y"});
  dealer.send({"last"});
  arrived_.clear();
  const auto all_there = [&] { return !arrived_.empty() && arrived_.back().head == "last"; };
  for (int turns = 0; turns < 500 && !all_there(); ++turns) {
    const std::size_t before = arrived_.size();
    receive(7);
    EXPECT_LE(arrived_.size() - before, 7u);
    if (arrived_.size() == before) router_.wait({}, 10);
  }
  EXPECT_EQ(arrived_.size(), 31u);
}

TEST_F(RouterTest, TakesNoMoreFramesOnceTheirHeadsHaveTheBytes) {
  open();
  Dealer dealer(endpoint());
  dealer.send({"hello"});
  ASSERT_TRUE(receive_frames(1));
  for (int i = 0; i < 30; ++i) dealer.send({std::string(100, 'y'), "a part counts for nothing"});
  arrived_.clear();
  std::size_t full = 0;
  for (int turns = 0; turns < 500 && arrived_.size() < 30; ++turns) {
    const std::size_t before = arrived_.size();
    const Router::Portion got = receive(100, 250);
    EXPECT_EQ(got.frames, arrived_.size() - before);
    EXPECT_EQ(got.bytes, got.frames * 100);
    EXPECT_LE(got.frames, 3u);
    EXPECT_EQ(got.all, got.frames < 3);
    full += got.frames == 3 ? 1 : 0;
    if (got.frames == 0) router_.wait({}, 10);
  }
  EXPECT_EQ(arrived_.size(), 30u);
  EXPECT_GE(full, 1u);
}

TEST_F(RouterTest, FrameOfTooManyPartsIsCutShortAndTheNextOneIsWhole) {
  open();
  Dealer dealer(endpoint());
  dealer.send(std::vector<std::string>(limits::kFramePartsMax + 500, "p"));
  dealer.send({"next", "part"});
  ASSERT_TRUE(receive_frames(2));
  EXPECT_EQ(arrived_[0].parts.size(), limits::kFramePartsMax);
  EXPECT_EQ(arrived_[1].head, "next");
  EXPECT_EQ(arrived_[1].parts.size(), 1u);
}

TEST_F(RouterTest, PeerThatClosesIsLostWithoutAnythingBeingSent) {
  open();
  {
    Dealer dealer(endpoint());
    dealer.send({"hello"});
    ASSERT_TRUE(receive_frames(1));
    EXPECT_EQ(router_.peers(), 1u);
  }
  ASSERT_TRUE(receive_until([&] { return !lost_.empty(); }));
  EXPECT_THAT(lost_, ElementsAre(arrived_[0].peer));
  EXPECT_EQ(router_.peers(), 0u);
  send(arrived_[0].peer, "too late");
  EXPECT_EQ(lost_.size(), 1u);  // told once
}

TEST_F(RouterTest, LastFramesOfAConnectionArriveBeforeItsEndIsTold) {
  open();
  {
    Dealer dealer(endpoint(), 1000, {}, 5000);
    dealer.send({"hello"});
    ASSERT_TRUE(receive_frames(1));
    for (int i = 0; i < 30; ++i) dealer.send({"more"});
    dealer.send({"goodbye"});
  }  // closed, and all of it is under way or there
  std::size_t when_lost = 0;
  const PeerId peer = arrived_[0].peer;
  ASSERT_TRUE(receive_until([&] {
    receive(3);
    if (!lost_.empty() && when_lost == 0) when_lost = arrived_.size();
    return !lost_.empty();
  }));
  EXPECT_EQ(when_lost, 32u);
  for (const Arrived& frame : arrived_) EXPECT_EQ(frame.peer, peer);
  EXPECT_THAT(lost_, ElementsAre(peer));
}

TEST_F(RouterTest, FrameForAPeerThatIsGoneDoesNotHideItsLastOnes) {
  open();
  PeerId peer{};
  {
    Dealer dealer(endpoint(), 1000, {}, 5000);
    dealer.send({"hello"});
    ASSERT_TRUE(receive_frames(1));
    peer = arrived_[0].peer;
    dealer.send({"goodbye"});
  }
  for (int i = 0; i < 50; ++i) {
    send(peer, "are you there?");
    router_.wait({}, 1);
  }
  ASSERT_TRUE(receive_until([&] { return !lost_.empty(); }));
  ASSERT_EQ(arrived_.size(), 2u);
  EXPECT_EQ(arrived_[1].peer, peer);
}

TEST_F(RouterTest, ManyPeersThatComeAndGoLeaveNothingBehind) {
  open();
  for (int round = 0; round < 20; ++round) {
    arrived_.clear();
    std::vector<std::unique_ptr<Dealer>> dealers;
    for (int i = 0; i < 5; ++i) {
      dealers.push_back(std::make_unique<Dealer>(endpoint()));
      dealers.back()->send({"hello"});
    }
    ASSERT_TRUE(receive_frames(5));
    for (const Arrived& frame : arrived_) send(frame.peer, "welcome");
    for (const auto& dealer : dealers) ASSERT_THAT(dealer->receive(), ElementsAre("welcome"));
  }
  EXPECT_TRUE(receive_until([&] { return lost_.size() == 100; }));
  EXPECT_EQ(router_.peers(), 0u);
}

TEST_F(RouterTest, SameIdentityOnANewConnectionIsANewPeer) {
  open();
  {
    Dealer dealer(endpoint(), 1000, "chosen");
    dealer.send({"first"});
    ASSERT_TRUE(receive_frames(1));
  }
  Dealer dealer(endpoint(), 1000, "chosen");
  dealer.send({"second"});
  ASSERT_TRUE(receive_until([&] { return arrived_.size() == 2 && lost_.size() == 1; }));
  EXPECT_EQ(lost_[0], arrived_[0].peer);
  EXPECT_NE(arrived_[0].peer, arrived_[1].peer);
  send(arrived_[1].peer, "welcome");
  EXPECT_THAT(dealer.receive(), ElementsAre("welcome"));
}

TEST_F(RouterTest, IdentityThatComesOnASecondConnectionEndsTheFirst) {
  open();
  Dealer first(endpoint(), 1000, "chosen");
  first.send({"first"});
  ASSERT_TRUE(receive_frames(1));
  Dealer second(endpoint(), 1000, "chosen");
  second.send({"second"});
  ASSERT_TRUE(receive_frames(2));
  EXPECT_THAT(lost_, ElementsAre(arrived_[0].peer));
  send(arrived_[1].peer, "welcome");
  EXPECT_THAT(second.receive(), ElementsAre("welcome"));
}

TEST_F(RouterTest, PeerThatNeverReadsIsGivenUpAndTheOthersGoOn) {
  RouterOptions options;
  options.unread_messages_max = 50;
  open(options);
  Dealer deaf(endpoint(), 1);
  Dealer other(endpoint());
  deaf.send({"deaf"});
  other.send({"other"});
  ASSERT_TRUE(receive_frames(2));
  const PeerId deaf_peer = arrived_[arrived_[0].head == "deaf" ? 0 : 1].peer;
  const PeerId other_peer = arrived_[arrived_[0].head == "deaf" ? 1 : 0].peer;
  // Kernel buffers take some megabytes before anything has to wait.
  for (int i = 0; i < 100'000 && lost_.empty(); ++i) send(deaf_peer, std::string(8000, 'x'));
  EXPECT_THAT(lost_, ElementsAre(deaf_peer));
  send(other_peer, "still there");
  EXPECT_THAT(other.receive(), ElementsAre("still there"));
  // It is there after all: it reads, finds its connection at its end, and is a new peer on the
  // next. What it says to the old one is lost.
  ASSERT_TRUE(receive_until([&] {
    deaf.read_all();
    deaf.send({"sorry"});
    return arrived_.size() >= 3;
  }));
  EXPECT_NE(arrived_[2].peer, deaf_peer);
}

TEST_F(RouterTest, PeerForWhichTooManyBytesWaitIsGivenUp) {
  RouterOptions options;
  options.unread_bytes_max = 64u << 20;
  open(options);
  Dealer deaf(endpoint(), 1);
  deaf.send({"deaf"});
  ASSERT_TRUE(receive_frames(1));
  const Blob large(std::string(16u << 20, 'x'));
  int sent = 0;
  for (; sent < 100 && lost_.empty(); ++sent) send(arrived_[0].peer, "head", {large});
  EXPECT_THAT(lost_, ElementsAre(arrived_[0].peer));
  EXPECT_LE(sent, 10);
}

TEST_F(RouterTest, WaitEndsForFramesForWatchedFilesAndForTime) {
  open();
  WatchedFd watched{eventfd(0, EFD_NONBLOCK), true, false, false};
  router_.wait({&watched, 1}, 0);
  EXPECT_FALSE(watched.ready);
  eventfd_write(watched.fd, 1);
  router_.wait({&watched, 1}, -1);
  EXPECT_TRUE(watched.ready);
  eventfd_t ignored = 0;
  eventfd_read(watched.fd, &ignored);
  Dealer dealer(endpoint());
  dealer.send({"hello"});
  router_.wait({&watched, 1}, -1);
  EXPECT_FALSE(watched.ready);
  ASSERT_TRUE(receive_frames(1));
  close(watched.fd);
}

TEST_F(RouterTest, PublishesToWhoeverSubscribed) {
  open({.endpoints = {"tcp://127.0.0.1:0"}, .event_endpoint = "tcp://127.0.0.1:0"});
  void* context = zmq_ctx_new();
  void* subscriber = zmq_socket(context, ZMQ_SUB);
  const int timeout_ms = 20;
  zmq_setsockopt(subscriber, ZMQ_RCVTIMEO, &timeout_ms, sizeof timeout_ms);
  zmq_setsockopt(subscriber, ZMQ_SUBSCRIBE, "actor", 5);
  ASSERT_EQ(zmq_connect(subscriber, router_.event_endpoint().c_str()), 0);
  char topic[64];
  int got = -1;
  for (int tries = 0; tries < 250 && got < 0; ++tries) {  // until the subscription has arrived
    router_.publish({"worker", "not asked for"});
    router_.publish({"actor", "info"});
    got = zmq_recv(subscriber, topic, sizeof topic, 0);
  }
  ASSERT_EQ(got, 5);
  EXPECT_EQ(std::string(topic, 5), "actor");
  ASSERT_EQ(zmq_recv(subscriber, topic, sizeof topic, 0), 4);
  EXPECT_EQ(std::string(topic, 4), "info");
  zmq_close(subscriber);
  zmq_ctx_term(context);
}

}  // namespace
}  // namespace callboard::broker
