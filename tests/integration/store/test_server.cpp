// The broker's loop with a real Redis and real sockets; what the core decides is tested elsewhere.

#include "broker/server.hpp"
#include "common/clock.hpp"
#include "common/messages.hpp"
#include "common/zmtp/dealer.hpp"
#include "tests/integration/redis_process.hpp"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace callboard::broker {
namespace {

using ::callboard::testing::RedisProcess;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using namespace std::chrono_literals;

/// A broker on a thread of its own.
class ServerThread {
 public:
  explicit ServerThread(BrokerServerOptions options) {
    options.on_ready = [this](const BrokerReady& ready) { ready_.set_value(ready); };
    server_.emplace(std::move(options));
    thread_ = std::thread([this] { status_ = server_->run(); });
  }
  ~ServerThread() { stop(); }

  /// False when it does not serve in time.
  bool ready(std::chrono::milliseconds patience = 10s) {
    if (ready_future_.wait_for(patience) != std::future_status::ready) return false;
    bound_ = ready_future_.get();
    return true;
  }
  const std::string& endpoint() const { return bound_.endpoints.front(); }
  /// The exit status.
  int stop() {
    if (!thread_.joinable()) return status_;
    server_->stop();
    thread_.join();
    return status_;
  }
  /// Waits for an end that nobody asked for.
  int join() {
    thread_.join();
    return status_;
  }
  const std::string& failure() const { return server_->failure(); }

 private:
  std::promise<BrokerReady> ready_;
  std::future<BrokerReady> ready_future_ = ready_.get_future();
  BrokerReady bound_;
  std::optional<BrokerServer> server_;
  std::thread thread_;
  int status_ = -1;
};

BrokerServerOptions options_for(const RedisProcess& redis) {
  BrokerServerOptions options;
  options.endpoints = {"tcp://127.0.0.1:0"};
  options.redis_url = redis.url();
  return options;
}

/// Says hello and gives the answer; none when none comes.
std::optional<wire::Welcome> say_hello(const std::string& endpoint, std::uint64_t session,
                                       const Witness& seen = {}) {
  zmtp::Dealer dealer;
  EXPECT_TRUE(dealer.connect(endpoint));
  wire::Hello hello;
  hello.name = "test";
  hello.session = session;
  hello.timeline = seen.timeline;
  hello.commit_no = seen.commit_no;
  hello.epoch_seen = seen.epoch;
  wire::Frame frame;
  wire::FrameWriter out(frame, 0);
  wire::write(out, hello);
  dealer.send(frame);
  const std::int64_t until_us = clock_now().mono_us + 5'000'000;
  zmtp::ArrivedFrame arrived;
  while (clock_now().mono_us < until_us) {
    if (!dealer.receive(arrived)) {
      dealer.wait(50);
      continue;
    }
    const wire::FrameView view{arrived.head, arrived.parts};
    wire::FrameReader in(view);
    std::uint64_t version = 0;
    std::uint64_t epoch = 0;
    std::uint64_t type = 0;
    std::uint32_t fields = 0;
    wire::Welcome welcome;
    if (in.header(version, epoch) && in.message(type, fields) &&
        type == static_cast<std::uint64_t>(wire::Type::welcome) && read(in, fields, welcome)) {
      return welcome;
    }
    return std::nullopt;
  }
  return std::nullopt;
}

class Server : public ::testing::Test {
 protected:
  RedisProcess redis_;
};

TEST_F(Server, WelcomesAClientAndNamesItsRealAddress) {
  redis_.start();
  ServerThread broker(options_for(redis_));
  ASSERT_TRUE(broker.ready());
  const auto welcome = say_hello(broker.endpoint(), 77);
  ASSERT_TRUE(welcome);
  EXPECT_EQ(welcome->epoch, 1u);
  ASSERT_EQ(welcome->shards.size(), 1u);
  EXPECT_THAT(welcome->shards[0].endpoints, ElementsAre(broker.endpoint()));
  EXPECT_EQ(broker.stop(), 0);
  EXPECT_EQ(broker.failure(), "");
}

TEST_F(Server, TellsTheAddressesThatItIsToldToTell) {
  redis_.start();
  BrokerServerOptions options = options_for(redis_);
  options.advertise = {"tcp://broker.example:7700"};
  ServerThread broker(options);
  ASSERT_TRUE(broker.ready());
  const auto welcome = say_hello(broker.endpoint(), 77);
  ASSERT_TRUE(welcome);
  EXPECT_THAT(welcome->shards.at(0).endpoints, ElementsAre("tcp://broker.example:7700"));
}

TEST_F(Server, AddressForAnyHostIsToldWithAName) {
  redis_.start();
  BrokerServerOptions options = options_for(redis_);
  options.endpoints = {"tcp://0.0.0.0:0"};
  ServerThread broker(options);
  ASSERT_TRUE(broker.ready());
  const std::string port = broker.endpoint().substr(broker.endpoint().rfind(':'));
  const auto welcome = say_hello("tcp://127.0.0.1" + port, 77);
  ASSERT_TRUE(welcome);
  EXPECT_THAT(welcome->shards.at(0).endpoints.at(0),
              AllOf(HasSubstr(port), Not(HasSubstr("0.0.0.0"))));
}

TEST_F(Server, EveryRunHasAHigherEpoch) {
  redis_.start();
  for (std::uint64_t run = 1; run <= 3; ++run) {
    ServerThread broker(options_for(redis_));
    ASSERT_TRUE(broker.ready());
    const auto welcome = say_hello(broker.endpoint(), 77);
    ASSERT_TRUE(welcome);
    EXPECT_EQ(welcome->epoch, run);
  }
}

TEST_F(Server, WaitsForRedisAndKeepsEarlyClientsWaitingToo) {
  BrokerServerOptions options = options_for(redis_);
  ServerThread broker(options);
  EXPECT_FALSE(broker.ready(300ms));
  redis_.start();
  ASSERT_TRUE(broker.ready());
  EXPECT_TRUE(say_hello(broker.endpoint(), 77));
}

TEST_F(Server, StopsWhileItWaitsForRedis) {
  ServerThread broker(options_for(redis_));
  EXPECT_FALSE(broker.ready(50ms));
  EXPECT_EQ(broker.stop(), 0);
}

TEST_F(Server, GoesOnWhenRedisWasAwayForAWhile) {
  redis_.set({"appendonly yes", "appendfsync always"});
  redis_.start();
  ServerThread broker(options_for(redis_));
  ASSERT_TRUE(broker.ready());
  ASSERT_TRUE(say_hello(broker.endpoint(), 77));
  redis_.kill_hard();
  std::this_thread::sleep_for(100ms);
  redis_.start();
  EXPECT_TRUE(say_hello(broker.endpoint(), 78));
  EXPECT_EQ(broker.stop(), 0);
  EXPECT_EQ(redis_.answer({"HGET", "callboard:{0}:meta", "epoch"}), "1");  // the same run
}

/// Says hello until somebody welcomes it.
wire::Welcome welcome_at_last(const std::string& endpoint, const Witness& seen = {}) {
  for (std::uint64_t session = 100; session < 140; ++session) {
    const auto welcome = say_hello(endpoint, session, seen);
    if (welcome && welcome->timeline > 1) return *welcome;
    std::this_thread::sleep_for(100ms);
  }
  return {};
}

TEST_F(Server, GoesOnInANewTimelineWhenRedisWasEmptied) {
  redis_.start();
  ServerThread broker(options_for(redis_));
  ASSERT_TRUE(broker.ready());
  ASSERT_TRUE(say_hello(broker.endpoint(), 77));
  redis_.command({"FLUSHALL"});
  const wire::Welcome welcome = welcome_at_last(broker.endpoint());
  EXPECT_EQ(welcome.timeline, 2u);
  EXPECT_EQ(welcome.epoch, 2u);
  EXPECT_EQ(broker.stop(), 0);
}

TEST_F(Server, PeerThatSawMoreThanARestoredStoreBeginsATimelineAboveItsEpoch) {
  redis_.start();  // as a backup of long ago would be: empty
  ServerThread broker(options_for(redis_));
  ASSERT_TRUE(broker.ready());
  const Witness seen{7, 1, 1234, {}};
  EXPECT_FALSE(say_hello(broker.endpoint(), 77, seen));
  const wire::Welcome welcome = welcome_at_last(broker.endpoint(), seen);
  EXPECT_EQ(welcome.timeline, 2u);
  EXPECT_EQ(welcome.epoch, 8u);
  EXPECT_GE(welcome.commit_no, 1234u);
  EXPECT_EQ(broker.stop(), 0);
}

TEST_F(Server, WitnessEndsABrokerThatInsistsOnFsync) {
  redis_.set({"appendonly yes", "appendfsync always"});
  redis_.start();
  BrokerServerOptions options = options_for(redis_);
  options.require_fsync = RequireFsync::always;
  ServerThread broker(options);
  ASSERT_TRUE(broker.ready());
  EXPECT_FALSE(say_hello(broker.endpoint(), 77, {7, 1, 1234, {}}));
  EXPECT_EQ(broker.join(), 1);
  EXPECT_THAT(broker.failure(), HasSubstr("require_fsync = always"));
}

TEST_F(Server, RefusesAPolicyThatIsWeakerThanRequired) {
  redis_.set({"appendonly yes", "appendfsync everysec"});
  redis_.start();
  BrokerServerOptions options = options_for(redis_);
  options.require_fsync = RequireFsync::always;
  ServerThread broker(options);
  EXPECT_EQ(broker.join(), 1);
  EXPECT_THAT(broker.failure(), HasSubstr("require_fsync is always"));
}

TEST_F(Server, RefusesToStartWithOneLineThatSaysWhy) {
  redis_.set({"maxmemory-policy volatile-lru"});
  redis_.start();
  {
    ServerThread broker(options_for(redis_));
    EXPECT_EQ(broker.join(), 1);
    EXPECT_THAT(broker.failure(), AllOf(HasSubstr("volatile-lru"), Not(HasSubstr("\n"))));
  }
  BrokerServerOptions options = options_for(redis_);
  options.redis_url = "http://nowhere";
  ServerThread other(options);
  EXPECT_EQ(other.join(), 1);
  EXPECT_THAT(other.failure(), HasSubstr("the address of Redis"));
}

TEST_F(Server, AddressThatIsTakenIsNamed) {
  redis_.start();
  ServerThread broker(options_for(redis_));
  ASSERT_TRUE(broker.ready());
  BrokerServerOptions options = options_for(redis_);
  options.endpoints = {broker.endpoint()};
  ServerThread second(options);
  EXPECT_EQ(second.join(), 1);
  EXPECT_THAT(second.failure(), HasSubstr(broker.endpoint()));
  EXPECT_TRUE(say_hello(broker.endpoint(), 77));  // the first one was not fenced by it
}

TEST_F(Server, ReplacedBrokerEndsAndSaysWho) {
  redis_.start();
  ServerThread first(options_for(redis_));
  ASSERT_TRUE(first.ready());
  ServerThread second(options_for(redis_));
  ASSERT_TRUE(second.ready());
  EXPECT_EQ(first.join(), 1);
  EXPECT_THAT(first.failure(), HasSubstr("another broker took over"));
  EXPECT_TRUE(say_hello(second.endpoint(), 77));
}

/// Waits until one of them serves, and gives its number; their count when none does.
std::size_t first_to_serve(const std::vector<std::unique_ptr<ServerThread>>& brokers) {
  for (int i = 0; i < 200; ++i) {
    for (std::size_t n = 0; n < brokers.size(); ++n) {
      if (brokers[n]->ready(10ms)) return n;
    }
  }
  return brokers.size();
}

TEST_F(Server, OfThoseThatBeginTogetherOneServesAndTheOthersFollowItOneByOne) {
  redis_.start();
  BrokerServerOptions options = options_for(redis_);
  options.standby = true;
  std::vector<std::unique_ptr<ServerThread>> brokers;
  for (int i = 0; i < 4; ++i) brokers.push_back(std::make_unique<ServerThread>(options));
  for (std::uint64_t epoch = 1; epoch <= 4; ++epoch) {
    const std::size_t serving = first_to_serve(brokers);
    ASSERT_LT(serving, brokers.size());
    std::this_thread::sleep_for(300ms);
    EXPECT_EQ(redis_.answer({"HGET", "callboard:{0}:meta", "epoch"}), std::to_string(epoch))
        << "nobody else took it";
    const auto welcome = say_hello(brokers[serving]->endpoint(), 77 + epoch);
    ASSERT_TRUE(welcome);
    EXPECT_EQ(welcome->epoch, epoch);
    EXPECT_EQ(brokers[serving]->stop(), 0) << brokers[serving]->failure();
    brokers.erase(brokers.begin() + static_cast<std::ptrdiff_t>(serving));
  }
}

TEST_F(Server, ProgramEndsWithZeroOnSigterm) {
  redis_.start();
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    BrokerServerOptions options = options_for(redis_);
    options.on_ready = [&](const BrokerReady&) {
      if (write(ready[1], "r", 1) != 1) _exit(3);
    };
    _exit(run_broker(options));
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  kill(child, SIGTERM);
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  close(ready[0]);
  close(ready[1]);
}

}  // namespace
}  // namespace callboard::broker
