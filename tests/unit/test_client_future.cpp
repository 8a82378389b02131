// Futures as such, without a broker: waiting, waking, following, many at once, callbacks.

#include "client/callbacks.hpp"
#include "client/future_state.hpp"

#include <callboard/callboard.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace callboard::client {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

StatePtr make_state() { return client::make_state(nullptr, true); }

void finish(FutureState& state, std::string_view bytes = "\x07") {
  if (state.finish(Errc::ok, {bytes, Blob()})) state.wake();
  state.run_followers();
  AnyReady::announce();
}

TEST(ClientFuture, GetGivesTheValueAsOftenAsItIsAsked) {
  const StatePtr state = make_state();
  const Future<int> future(state);
  EXPECT_FALSE(future.ready());
  finish(*state);
  EXPECT_TRUE(future.ready());
  EXPECT_EQ(future.get(), 7);
  EXPECT_EQ(Future<int>(future).get(), 7);
  EXPECT_FALSE(future.error());
}

TEST(ClientFuture, ErrorIsThrownAsItsClassAndCanBeReadWithoutThat) {
  const StatePtr state = make_state();
  const Future<int> future(state);
  state->finish_error(Errc::actor_died, "it was killed");
  EXPECT_THROW(future.get(), ActorDied);
  ASSERT_TRUE(future.error());
  EXPECT_EQ(future.error()->code, Errc::actor_died);
  EXPECT_EQ(future.error()->message, "it was killed");
}

TEST(ClientFuture, ResultOfAnotherTypeIsAnErrorThatNamesBoth) {
  const StatePtr state = make_state();
  finish(*state, "\xa1x");
  try {
    Future<int>(state).get();
    FAIL() << "it did not throw";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Errc::bad_arguments);
    EXPECT_EQ(error.info().message, "the result does not fit: expected int, got str");
  }
}

TEST(ClientFuture, TimedWaitEndsInTimeAndAnUntimedOneWithTheAnswer) {
  const StatePtr state = make_state();
  const Future<int> future(state);
  EXPECT_FALSE(future.wait(0ms));
  EXPECT_FALSE(future.wait(5ms));
  EXPECT_THROW(future.get(-1s), Timeout);
  std::thread answerer([&] {
    std::this_thread::sleep_for(10ms);
    finish(*state);
  });
  EXPECT_EQ(future.get(std::chrono::hours(1'000'000)), 7) << "no overflow";
  answerer.join();
}

TEST(ClientFuture, AllWhoWaitAreWoken) {
  const StatePtr state = make_state();
  std::atomic<int> sum{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) threads.emplace_back([&] { sum += Future<int>(state).get(); });
  std::this_thread::sleep_for(5ms);
  finish(*state);
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(sum, 56);
}

TEST(ClientFuture, FutureOfNothingSaysSo) {
  const Future<int> nothing;
  EXPECT_FALSE(nothing.valid());
  EXPECT_THROW(nothing.get(), Error);
  EXPECT_THROW(nothing.wait(1ms), Error);
  EXPECT_THROW(nothing.cancel(), Error);
}

TEST(ClientFuture, FollowersRunInTheirOrderAndAtOnceWhenItIsLate) {
  const StatePtr state = make_state();
  std::vector<int> order;
  state->follow([&] { order.push_back(1); });
  state->follow([&] { order.push_back(2); });
  finish(*state);
  state->follow([&] { order.push_back(3); });
  EXPECT_THAT(order, ElementsAre(1, 2, 3));
}

TEST(ClientFuture, FollowerRunsOnceHoweverTheRaceWithTheAnswerEnds) {
  for (int round = 0; round < 200; ++round) {
    const StatePtr state = make_state();
    std::atomic<int> runs{0};
    std::thread answerer([&] { finish(*state); });
    for (int i = 0; i < 4; ++i) state->follow([&] { ++runs; });
    answerer.join();
    EXPECT_EQ(runs, 4);
  }
}

/// The answer is there, and what follows it is run a moment later, as when a queue refuses many.
TEST(ClientFuture, FollowersOfSeveralThreadsRunOnceAndNotOnEachOthersThreads) {
  constexpr int kEach = 3;
  for (int round = 0; round < 200; ++round) {
    const StatePtr state = make_state();
    std::atomic<int> runs{0};
    std::atomic<int> elsewhere{0};
    static thread_local bool answers = false;
    std::thread answerer([&] {
      answers = true;
      state->finish(Errc::ok, {"\x07", Blob()});
      std::this_thread::yield();
      state->run_followers();
    });
    const auto follow = [&] {
      const auto mine = std::this_thread::get_id();
      for (int i = 0; i < kEach; ++i) {
        state->follow([&, mine] {
          ++runs;
          if (std::this_thread::get_id() != mine && !answers) ++elsewhere;
        });
      }
    };
    std::thread other(follow);
    follow();
    other.join();
    answerer.join();
    EXPECT_EQ(runs, 2 * kEach);
    EXPECT_EQ(elsewhere, 0);
  }
}

/// Whoever answers lets go of it, and then what follows does, while follow() may still be at work.
TEST(ClientFuture, FollowerMayHoldTheOnlyShareInItsFuture) {
  constexpr int kRounds = 20'000;
  std::atomic<FutureState*> asked{nullptr};
  std::atomic<int> runs{0};
  std::thread answerer([&asked] {
    for (int round = 0; round < kRounds; ++round) {
      FutureState* state = nullptr;
      while ((state = asked.exchange(nullptr)) == nullptr) std::this_thread::yield();
      const StatePtr answers = state->release();
      answers->finish(Errc::ok, {"\x07", Blob()});
      answers->run_followers();
    }
  });
  for (int round = 0; round < kRounds; ++round) {
    auto* const state = new FutureState(true);
    state->keep();
    asked = state;
    state->follow([&runs, own = StatePtr(state)] { ++runs; });
    while (runs.load() <= round) std::this_thread::yield();
  }
  answerer.join();
  EXPECT_EQ(runs, kRounds);
}

TEST(ClientFuture, FollowersOfAFutureThatNeverEndsAreLetGo) {
  const auto held = std::make_shared<int>(1);
  {
    const StatePtr state = make_state();
    state->follow([held] {});
    EXPECT_EQ(held.use_count(), 2);
  }
  EXPECT_EQ(held.use_count(), 1);
}

TEST(ClientFuture, WaitAnyFindsTheOneThatBecomesReady) {
  std::vector<StatePtr> states;
  std::vector<Future<int>> futures;
  for (int i = 0; i < 5; ++i) futures.emplace_back(states.emplace_back(make_state()));
  EXPECT_EQ(wait_any(futures, 1ms), std::nullopt);
  std::thread answerer([&] {
    std::this_thread::sleep_for(5ms);
    finish(*states[3]);
  });
  EXPECT_EQ(wait_any(futures), 3u);
  answerer.join();
  EXPECT_THROW(wait_any(std::vector<Future<int>>()), Error);
}

TEST(ClientFuture, WaitAllNeedsEveryOne) {
  std::vector<StatePtr> states;
  std::vector<Future<int>> futures;
  for (int i = 0; i < 3; ++i) futures.emplace_back(states.emplace_back(make_state()));
  finish(*states[0]);
  finish(*states[2]);
  EXPECT_FALSE(wait_all(futures, 1ms));
  finish(*states[1]);
  EXPECT_TRUE(wait_all(futures, 1ms));
  wait_all(std::vector<Future<int>>());
}

TEST(ClientFuture, AsCompletedGivesEachOnceAsItComes) {
  std::vector<StatePtr> states;
  std::vector<Future<int>> futures;
  for (int i = 0; i < 4; ++i) futures.emplace_back(states.emplace_back(make_state()));
  finish(*states[2], "\x02");
  std::thread answerer([&] {
    for (const std::size_t i : {3u, 0u, 1u}) {
      std::this_thread::sleep_for(3ms);
      const char bytes[] = {static_cast<char>(i)};
      finish(*states[i], {bytes, 1});
    }
  });
  std::vector<int> order;
  for (const auto& done : as_completed(futures)) order.push_back(done.get());
  answerer.join();
  EXPECT_THAT(order, ElementsAre(2, 3, 0, 1));
}

TEST(ClientFuture, IdIsTheCallsOnceItHasOne) {
  const StatePtr state = make_state();
  state->number({SessionId{5}, 9});
  EXPECT_EQ(Future<int>(state).id(), (CallId{SessionId{5}, 9}));
  state->number({SessionId{6}, 2});
  EXPECT_EQ(Future<int>(state).id(), (CallId{SessionId{6}, 2}));
}

// --- callbacks ----------------------------------------------------------------------------------

TEST(ClientCallbacks, FunctionsRunOneAfterTheOtherInAThreadOfTheirOwn) {
  Callbacks callbacks;
  std::vector<int> order;
  std::thread::id where;
  for (int i = 0; i < 5; ++i) {
    callbacks.run([&, i] {
      order.push_back(i);
      where = std::this_thread::get_id();
    });
  }
  callbacks.stop();  // lets it finish
  EXPECT_THAT(order, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_NE(where, std::this_thread::get_id());
}

TEST(ClientCallbacks, AfterTheEndFunctionsRunWhereTheyAreGiven) {
  Callbacks callbacks;
  callbacks.stop();
  callbacks.stop();
  std::thread::id where;
  callbacks.run([&] { where = std::this_thread::get_id(); });
  EXPECT_EQ(where, std::this_thread::get_id());
}

TEST(ClientCallbacks, FunctionMayEndItsOwnCallbacks) {
  auto callbacks = std::make_unique<Callbacks>();
  std::atomic<bool> ended{false};
  callbacks->run([&] {
    callbacks.reset();
    ended = true;
  });
  while (!ended) std::this_thread::sleep_for(1ms);
}

// --- a client without a broker ------------------------------------------------------------------

TEST(ClientAlone, OutsideOfACallTheContextIsEmpty) {
  const ThisCall call = this_call();
  EXPECT_FALSE(call);
  EXPECT_FALSE(call.id());
  EXPECT_EQ(call.attempt(), 0u);
  EXPECT_FALSE(call.deadline_remaining());
  EXPECT_TRUE(call.headers().empty());
  EXPECT_FALSE(call.cancel_requested());
  EXPECT_THROW(call.client(), Error);
}

TEST(ClientAlone, OptionsThatMakeNoSenseAreRefusedWhereTheyAreGiven) {
  ClientOptions options;
  options.endpoints = {"tcp://127.0.0.1:9"};
  options.close_timeout = 0ms;
  Client client(std::move(options));
  EXPECT_THROW(client.create_encoded("X", {.max_restarts = -2}, "\x90"), Error);
  const AnyActor actor = client.get_actor("x");
  EXPECT_THROW(actor.with({.deadline = -1ms}), Error);
  EXPECT_THROW(actor.with({.backoff = Backoff{2s, 1s}}), Error);
  EXPECT_THROW(AnyActor().call<int>("x"), Error);
}

TEST(ClientAlone, CallsBeyondTheBoundOfWhatWaitsHereGiveUpInTime) {
  ClientOptions options;
  options.endpoints = {"tcp://127.0.0.1:9"};
  options.close_timeout = 0ms;
  options.max_unaccepted_calls = 3;
  options.block_timeout = 20ms;
  Client client(std::move(options));
  const AnyActor actor = client.get_actor("x");
  std::vector<Future<int>> futures;
  for (int i = 0; i < 5; ++i) futures.push_back(actor.call<int>("add", i));
  EXPECT_FALSE(futures[2].ready());
  ASSERT_TRUE(futures[3].error());
  EXPECT_EQ(futures[3].error()->code, Errc::queue_full);
  EXPECT_EQ(futures[4].error()->code, Errc::queue_full);
  const auto late = actor.with({.deadline = 10ms, .block_timeout = 10s}).call<int>("add", 1);
  ASSERT_TRUE(late.error());
  EXPECT_EQ(late.error()->code, Errc::expired);
}

TEST(ClientAlone, WhatFollowsACallThatIsRefusedHereRuns) {
  ClientOptions options;
  options.endpoints = {"tcp://127.0.0.1:9"};
  options.close_timeout = 0ms;
  options.max_unaccepted_calls = 1;
  options.block_timeout = 0ms;
  Client client(std::move(options));
  const AnyActor actor = client.get_actor("x");
  const auto waits = actor.call<int>("add", 1);
  Errc told = Errc::ok;
  actor.call<int>("add", 2).then([&](const Future<int>& future) { told = future.error()->code; });
  client.close();
  EXPECT_EQ(told, Errc::queue_full);
}

TEST(ClientAlone, BlockedCallerIsSetFreeWhenTheClientEnds) {
  ClientOptions options;
  options.endpoints = {"tcp://127.0.0.1:9"};
  options.close_timeout = 0ms;
  options.max_unaccepted_calls = 1;
  auto client = std::make_unique<Client>(std::move(options));
  const AnyActor actor = client->get_actor("x");
  const auto first = actor.call<int>("add", 1);
  std::thread blocked([&] {
    const auto second = actor.call<int>("add", 1);
    EXPECT_EQ(second.error()->code, Errc::disconnected);
  });
  std::this_thread::sleep_for(20ms);
  client.reset();
  blocked.join();
  EXPECT_EQ(first.error()->code, Errc::disconnected);
}

TEST(ClientAlone, ContinuationsOfWhatWasUnansweredRunBeforeCloseReturns) {
  ClientOptions options;
  options.endpoints = {"tcp://127.0.0.1:9"};
  options.close_timeout = 0ms;
  Client client(std::move(options));
  std::atomic<int> ran{0};
  for (int i = 0; i < 10; ++i) {
    client.get_actor("x").call<int>("add", i).then([&](const Future<int>& future) {
      ran += future.error() ? 1 : 0;
    });
  }
  client.close();
  EXPECT_EQ(ran, 10);
  client.close();
  EXPECT_EQ(client.get_actor("x").call<int>("add", 1).error()->code, Errc::disconnected);
}

TEST(ClientAlone, ManyClientsComeAndGo) {
  for (int i = 0; i < 20; ++i) {
    ClientOptions options;
    options.endpoints = {"tcp://127.0.0.1:9", "ipc:///tmp/there-is-none"};
    options.close_timeout = 0ms;
    Client client(std::move(options));
    if (i % 2 == 0) (void)client.get_actor("x").call<int>("add", 1);
  }
}

}  // namespace
}  // namespace callboard::client
