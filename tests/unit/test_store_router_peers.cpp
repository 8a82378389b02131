// Peers that fall silent, break, or mean no good: they are noticed, and cost the others nothing.
#include "tests/unit/router_fixture.hpp"

#include "common/clock.hpp"

#include <sys/resource.h>

#include <atomic>
#include <cerrno>
#include <thread>

namespace callboard::broker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_F(RouterTest, WhoSendsCommandsWithoutEndDoesNotHoldUpTheLoop) {
  const std::string name = "@callboard-flood-" + std::to_string(getpid());
  open({.endpoints = {"ipc://" + name}, .event_endpoint = ""});
  const BarePeer peer(name);
  peer.introduce();
  std::string commands;
  while (commands.size() < 64 * 1024) commands += zmtp::pong("no answer to anything");
  std::atomic<bool> stop{false};
  std::atomic<bool> began{false};
  std::thread flood([&] {
    // It ends by itself, so that a loop that is held up fails the test instead of hanging it.
    for (int i = 0; i < 10'000 && !stop.load(); ++i) {
      if (peer.say(commands) < 0) break;
      began.store(true);
    }
    stop.store(true);
  });
  for (int turns = 0; turns < 200 && !stop.load(); ++turns) {
    router_.wait({}, 1);
    receive();
  }
  EXPECT_TRUE(began.load());
  EXPECT_FALSE(stop.exchange(true));
  ::shutdown(peer.fd(), SHUT_RDWR);
  flood.join();
}

TEST_F(RouterTest, AcceptsAgainWhenThereAreFilesAgain) {
  const std::string name = "@callboard-files-" + std::to_string(getpid());
  open({.endpoints = {"ipc://" + name}, .event_endpoint = ""});
  const BarePeer peer(name);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  const int next = ::dup(0);
  ::close(next);
  none.rlim_cur = static_cast<rlim_t>(next);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  router_.wait({}, 100);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  const std::int64_t began_us = clock_now().mono_us;
  router_.wait({}, 10'000);  // nobody else is connected whose silence it looks after
  router_.wait({}, 1000);
  receive();
  EXPECT_LT(clock_now().mono_us - began_us, 5'000'000);
  char first = 0;
  EXPECT_EQ(::recv(peer.fd(), &first, 1, MSG_DONTWAIT), 1);  // its greeting
}

TEST_F(RouterTest, PeerThatTakesNothingAnyMoreIsLostThoughItMaySpeak) {
  const std::string name = "@callboard-deaf-" + std::to_string(getpid());
  open({.endpoints = {"ipc://" + name}, .event_endpoint = ""});
  const BarePeer peer(name);
  peer.introduce();
  peer.say(std::string("\0\5hello", 7));
  ASSERT_TRUE(receive_frames(1));
  ASSERT_EQ(::shutdown(peer.fd(), SHUT_RD), 0);
  send(arrived_[0].peer, "nobody will read it");
  EXPECT_TRUE(receive_until([&] { return !lost_.empty(); }));
}

class RouterSilence : public RouterTest {
 protected:
  void open_with(std::int64_t silence_us) {
    RouterOptions options;
    options.endpoints = {"ipc://" + name_};
    options.quiet_us = 20'000;
    options.silence_us = silence_us;
    open(options);
  }
  static void begin(const BarePeer& peer) {
    peer.introduce();
    peer.say(std::string("\0\5hello", 7));
  }

  const std::string name_ = "@callboard-silence-" + std::to_string(getpid());
};

TEST_F(RouterSilence, PeerThatSaysNothingIsAskedAndLostWhenItDoesNotAnswer) {
  open_with(200'000);
  BarePeer silent(name_);
  begin(silent);
  ASSERT_TRUE(receive_frames(1));
  int asked = 0;
  ASSERT_TRUE(receive_until([&] {
    asked += silent.pings();
    return !lost_.empty();
  }));
  EXPECT_EQ(asked, 1);  // nobody is asked again before he has answered
  EXPECT_THAT(lost_, ElementsAre(arrived_[0].peer));
}

TEST_F(RouterSilence, PeerThatAnswersIsAskedAgainAndKept) {
  open_with(4'000'000);
  BarePeer peer(name_);
  begin(peer);
  Dealer dealer(endpoint());  // ZeroMQ's library answers by itself
  dealer.send({"hello"});
  ASSERT_TRUE(receive_frames(2));
  int asked = 0;
  ASSERT_TRUE(receive_until([&] {
    for (int pings = peer.pings(); pings > 0; --pings, ++asked) peer.say(zmtp::pong(""));
    return asked >= 10;
  }));
  EXPECT_THAT(lost_, IsEmpty());
}

TEST_F(RouterSilence, NobodyIsLostForWhatWasNotHeardWhileNoFramesWereTaken) {
  open_with(200'000);
  BarePeer peer(name_);
  begin(peer);
  ASSERT_TRUE(receive_frames(1));
  ASSERT_TRUE(receive_until([&] { return peer.pings() > 0; }));
  // Twice as long as anybody may be silent.
  for (int i = 0; i < 40; ++i) router_.wait({}, 10, false);
  // It has not answered, and is asked anew.
  ASSERT_TRUE(receive_until([&] { return peer.pings() > 0; }));
  EXPECT_THAT(lost_, IsEmpty());
}

}  // namespace
}  // namespace callboard::broker
