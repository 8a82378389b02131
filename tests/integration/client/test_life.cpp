// The C++ client in trouble: cancel, deadlines, full queues, ends, a broker that comes and goes.

#include "app.hpp"
#include "system.hpp"

#include <callboard/asio.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <gmock/gmock.h>

#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace client_app {
namespace {

using namespace std::chrono_literals;
using callboard::CancelAnswer;
using callboard::Errc;
using callboard::Future;
using ::testing::AnyOf;

class ClientLife : public WithSystem {
 protected:
  static Errc code_of(const callboard::FutureBase& future) {
    if (!future.wait(kPatience)) return Errc::timeout;
    const auto error = future.error();
    return error ? error->code : Errc::ok;
  }
};

// --- cancel and deadlines -----------------------------------------------------------------------

TEST_F(ClientLife, CallThatWaitsIsCancelledAndNeverRuns) {
  const auto hits = client_.actor<Counter>({}, 0);
  const auto busy = hits.call<&Counter::nap>(200);
  const auto waits = hits.call<&Counter::add>(1);
  EXPECT_EQ(waits.cancel(), CancelAnswer::cancelled_before_start);
  EXPECT_EQ(code_of(waits), Errc::cancelled);
  EXPECT_THROW(waits.get(), callboard::Cancelled);
  EXPECT_EQ(busy.get(kPatience), 200);
  EXPECT_EQ(hits.call<&Counter::get>().get(kPatience), 0);
  EXPECT_EQ(busy.cancel(), CancelAnswer::too_late);
}

TEST_F(ClientLife, RunningMethodHearsThatItIsCancelled) {
  const auto hits = client_.actor<Counter>({}, 0);
  const auto runs = hits.call<&Counter::wait_for_cancel>();
  std::this_thread::sleep_for(50ms);
  EXPECT_THAT(runs.cancel(), AnyOf(CancelAnswer::stopping, CancelAnswer::cancelled_before_start));
  EXPECT_NE(code_of(runs), Errc::ok);
}

TEST_F(ClientLife, CallOfAnotherClientCanBeCancelledById) {
  const auto hits = client_.actor<Counter>({}, 0);
  const auto busy = hits.call<&Counter::nap>(300);
  const auto waits = hits.call<&Counter::add>(1);
  ASSERT_TRUE(waits.id());
  hits.opened().get(kPatience);
  callboard::Client other(endpoint());
  // The other connection may be faster than the call's own.
  CancelAnswer answer = CancelAnswer::unknown;
  ASSERT_TRUE(eventually([&] {
    answer = other.cancel(waits.id());
    return answer != CancelAnswer::unknown;
  }));
  EXPECT_EQ(answer, CancelAnswer::cancelled_before_start);
  EXPECT_EQ(code_of(waits), Errc::cancelled);
}

TEST_F(ClientLife, DeadlineEndsACallThatHasNotBegun) {
  const auto hits = client_.actor<Counter>({}, 0);
  const auto busy = hits.call<&Counter::nap>(400);
  const auto late = hits.with({.deadline = 100ms}).call<&Counter::add>(1);
  EXPECT_EQ(code_of(late), Errc::expired);
  EXPECT_THROW(late.get(), callboard::DeadlineExceeded);
  busy.wait();
  EXPECT_EQ(hits.call<&Counter::get>().get(kPatience), 0);
}

TEST_F(ClientLife, DeadlineOfARunningCallDoesNotKeepItsCallerWaiting) {
  const auto hits = client_.actor<Counter>({}, 0);
  hits.opened().get(kPatience);
  hits.call<&Counter::get>().get(kPatience);
  const auto slow = hits.with({.deadline = 300ms}).call<&Counter::nap>(1500);
  EXPECT_EQ(code_of(slow), Errc::deadline_exceeded);
}

// --- full queues --------------------------------------------------------------------------------

TEST_F(ClientLife, FullQueueRefusesAndGoesOnWhenTheRefusalWasSeen) {
  const auto hits = client_.actor<Counter>({.max_pending = 3}, 0);
  hits.call<&Counter::get>().get(kPatience);
  std::vector<Future<int>> futures;
  futures.push_back(hits.call<&Counter::nap>(300));
  for (int i = 0; i < 10; ++i) futures.push_back(hits.call<&Counter::add>(1));
  int full = 0;
  int before = 0;
  int ran = 0;
  for (const auto& future : futures) {
    const Errc code = code_of(future);
    if (code == Errc::queue_full || code == Errc::refused_before) {
      try {
        future.get();
      } catch (const callboard::Refused& refused) {
        EXPECT_GT(refused.retry_after(), 0ms);
      }
    }
    full += code == Errc::queue_full ? 1 : 0;
    before += code == Errc::refused_before ? 1 : 0;
    ran += code == Errc::ok ? 1 : 0;
  }
  EXPECT_GE(full, 1);
  EXPECT_GE(ran, 3);
  EXPECT_EQ(full + before + ran, 11);
  EXPECT_TRUE(eventually([&] { return code_of(hits.call<&Counter::get>()) == Errc::ok; }));
  EXPECT_EQ(hits.call<&Counter::get>().get(kPatience), ran - 1);
}

TEST_F(ClientLife, FullQueueThatBlocksSlowsItsCallersAndLosesNothing) {
  const auto hits =
      client_.actor<Counter>({.max_pending = 10, .when_full = callboard::WhenFull::block}, 0);
  std::vector<std::thread> threads;
  std::atomic<int> failed{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      int last = 0;
      std::vector<Future<int>> futures;
      for (int i = 0; i < 500; ++i) futures.push_back(hits.call<&Counter::add>(1));
      for (const auto& future : futures) {
        const int total = future.get(kPatience);
        failed += total <= last ? 1 : 0;
        last = total;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(failed, 0) << "each thread's calls ran in its order";
  EXPECT_EQ(hits.call<&Counter::get>().get(kPatience), 2000);
}

TEST_F(ClientLife, BlockedCallGivesUpAfterItsTime) {
  const auto hits =
      client_.actor<Counter>({.max_pending = 1, .when_full = callboard::WhenFull::block}, 0);
  hits.call<&Counter::get>().get(kPatience);
  const auto busy = hits.call<&Counter::nap>(1500);
  const auto parked = hits.call<&Counter::add>(1);
  const auto impatient = hits.with({.block_timeout = 50ms});
  std::optional<Errc> code;
  for (int i = 0; i < 20 && code != Errc::queue_full; ++i) {
    const auto refused = impatient.call<&Counter::add>(1);
    if (refused.wait(100ms) && refused.error()) code = refused.error()->code;
  }
  EXPECT_EQ(code, Errc::queue_full);
  EXPECT_EQ(busy.get(kPatience), 1500);
  EXPECT_GT(parked.get(kPatience), 0);
}

// --- ends ---------------------------------------------------------------------------------------

TEST_F(ClientLife, FuturesOutliveTheirClient) {
  std::optional<Future<int>> answered;
  std::optional<Future<int>> unanswered;
  {
    callboard::Client mine(endpoint());
    const auto hits = mine.actor<Counter>({}, 0);
    answered = hits.call<&Counter::add>(1);
    answered->wait();
    unanswered = hits.call<&Counter::nap>(2000);
  }
  EXPECT_EQ(answered->get(), 1);
  EXPECT_THROW(unanswered->get(), callboard::Disconnected);
  EXPECT_EQ(unanswered->cancel(), CancelAnswer::too_late);
}

TEST_F(ClientLife, HandlesOutliveTheirClientAndFail) {
  std::optional<callboard::Actor<Counter>> hits;
  {
    callboard::Client mine(endpoint());
    hits = mine.actor<Counter>({}, 0);
  }
  EXPECT_EQ(code_of(hits->call<&Counter::get>()), Errc::disconnected);
  EXPECT_EQ(code_of(hits->kill()), Errc::disconnected);
}

TEST_F(ClientLife, WhatWasSentJustBeforeTheEndStillRuns) {
  const auto hits =
      client_.actor<Counter>({.name = "sent", .lifetime = callboard::Lifetime::owned}, 0);
  hits.opened().get(kPatience);
  {
    callboard::Client mine(endpoint());
    const auto same = mine.get_actor<Counter>("sent");
    for (int i = 0; i < 100; ++i) same.send<&Counter::add>(1);
  }
  EXPECT_TRUE(eventually([&] { return hits.call<&Counter::get>().get(kPatience) == 100; }));
}

TEST_F(ClientLife, ClientWithoutABrokerEndsWithoutHanging) {
  callboard::ClientOptions options;
  options.endpoints = {"tcp://127.0.0.1:9"};
  options.close_timeout = 50ms;
  const auto began = std::chrono::steady_clock::now();
  Future<int> future;
  {
    callboard::Client lonely(std::move(options));
    EXPECT_FALSE(lonely.wait_connected(20ms));
    future = lonely.get_actor<Counter>("x").call<&Counter::get>();
    EXPECT_FALSE(future.wait(20ms));
    EXPECT_TRUE(future.id());
  }
  EXPECT_EQ(code_of(future), Errc::disconnected);
  EXPECT_LT(std::chrono::steady_clock::now() - began, 5s);
}

TEST_F(ClientLife, AddressThatIsNoneIsRefusedAtOnce) {
  EXPECT_THROW(callboard::Client("127.0.0.1:7700"), callboard::Error);
  EXPECT_THROW(callboard::Client(""), callboard::Error);
}

TEST_F(ClientLife, OwnedActorStopsWithItsLastHandle) {
  callboard::ActorId id;
  {
    const auto hits = client_.actor<Counter>({}, 0);
    hits.call<&Counter::get>().get(kPatience);
    id = hits.id();
    const auto lent = client_.get_actor(id);
    EXPECT_EQ(lent.call<int>("get").get(kPatience), 0);
  }
  EXPECT_TRUE(eventually(
      [&] { return code_of(client_.get_actor(id).call<int>("get")) == Errc::actor_died; }));
}

TEST_F(ClientLife, AdminVerbsAreAnsweredOrRefused) {
  EXPECT_NE(client_.admin("queue.ls").get(kPatience).bytes, "");
  EXPECT_EQ(code_of(client_.admin("no.such.verb")), Errc::unknown_verb);
}

// --- coroutines of the user ---------------------------------------------------------------------

callboard::Async<int> add_twice(callboard::Actor<Counter> hits) {
  const Future<int> first = hits.call<&Counter::add>(1);
  const int before = co_await first;
  co_return before * 100 + co_await hits.call<&Counter::add>(1);
}

boost::asio::awaitable<std::string> plain(callboard::Actor<Counter> hits) {
  try {
    co_await callboard::async_get(hits.call<&Counter::fail>("x"), boost::asio::use_awaitable);
  } catch (const callboard::TaskError& error) {
    co_return error.remote_type();
  }
  co_return "";
}

TEST_F(ClientLife, FuturesAreAwaitedFromAnyExecutor) {
  const auto hits = client_.actor<Counter>({}, 0);
  boost::asio::io_context io;
  auto added = boost::asio::co_spawn(io, add_twice(hits), boost::asio::use_future);
  auto failed = boost::asio::co_spawn(io, plain(hits), boost::asio::use_future);
  io.run();
  EXPECT_EQ(added.get() / 100, 1);
  EXPECT_EQ(failed.get(), "std::out_of_range");
}

// --- a broker that comes and goes ---------------------------------------------------------------

TEST_F(ClientLife, CallsGoOnOverAKilledBroker) {
  const auto hits = client_.actor<Counter>({}, 0);
  std::vector<Future<int>> futures;
  std::thread killer([&] {
    std::this_thread::sleep_for(200ms);
    ::kill(system_->processes().broker, SIGKILL);
  });
  const auto until = std::chrono::steady_clock::now() + 1500ms;
  while (std::chrono::steady_clock::now() < until) {
    futures.push_back(hits.call<&Counter::add>(1));
    std::this_thread::sleep_for(1ms);
  }
  killer.join();
  int last = 0;
  for (const auto& future : futures) {
    ASSERT_EQ(code_of(future), Errc::ok) << future.error()->message;
    EXPECT_EQ(future.get(), last + 1) << "in order, each exactly once";
    last = future.get();
  }
}

}  // namespace
}  // namespace client_app
