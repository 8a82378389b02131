// Calls of the C++ client against a real system: values, errors, futures, handles.

#include "app.hpp"
#include "system.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <future>
#include <numeric>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace client_app {
namespace {

using namespace std::chrono_literals;
using callboard::Errc;
using callboard::Future;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class ClientCalls : public WithSystem {};

TEST_F(ClientCalls, TypedCallsGiveTypedResults) {
  const auto hits = client_.actor<Counter>({}, 10);
  EXPECT_EQ(hits.call<&Counter::add>(5).get(kPatience), 15);
  EXPECT_EQ(hits.call<&Counter::greet>("you").get(kPatience), "hello you!");
  EXPECT_EQ(hits.call<&Counter::greet>("you", 2).get(kPatience), "hello you!hello you!");
  hits.call<&Counter::nap>(1).get(kPatience);
  EXPECT_EQ(client_.call(twice_task, 21).get(kPatience), 42);
}

TEST_F(ClientCalls, CallsThatGatherBehindManyUnansweredOnesAreAllAnsweredInOrder) {
  const auto hits = client_.actor<Counter>({.durability = callboard::Durability::memory}, 0);
  std::vector<Future<int>> sums;
  std::atomic<int> told{0};
  for (int i = 0; i < 5000; ++i) {
    sums.push_back(hits.call<&Counter::add>(1));
    sums.back().then([&told](const Future<int>&) { ++told; });
    if (i % 7 == 0) std::this_thread::yield();
  }
  for (int i = 0; i < 5000; ++i) {
    ASSERT_EQ(sums[static_cast<std::size_t>(i)].get(kPatience), i + 1);
  }
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (told < 5000 && std::chrono::steady_clock::now() < until) std::this_thread::yield();
  EXPECT_EQ(told, 5000);
}

TEST_F(ClientCalls, FewCallsAreAnsweredWhileManyOthersAreUnanswered) {
  const auto slow = client_.actor<Counter>({.durability = callboard::Durability::memory}, 0);
  const auto quick = client_.actor<Counter>({.durability = callboard::Durability::memory}, 0);
  std::vector<Future<int>> naps;
  for (int i = 0; i < 200; ++i) naps.push_back(slow.call<&Counter::nap>(5));
  for (int i = 1; i <= 50; ++i) {
    const auto sum = quick.call<&Counter::add>(1);
    if (i % 2 == 0) {
      ASSERT_EQ(sum.get(kPatience), i);
      continue;
    }
    const std::vector<callboard::FutureBase> one{sum};
    ASSERT_TRUE(callboard::wait_any(one, kPatience));
    ASSERT_EQ(sum.get(), i);
  }
  for (const auto& nap : naps) nap.get(kPatience);
}

// A thread that waits for one call at a time works for the connection's own (Connection::drive).

TEST_F(ClientCalls, OneCallAtATimeIsAnsweredWhateverElseHappensBetween) {
  const auto hits = client_.actor<Counter>({.durability = callboard::Durability::memory}, 0);
  std::atomic<int> told{0};
  int expected = 0;
  for (int i = 0; i < 300; ++i) {
    ASSERT_EQ(hits.call<&Counter::add>(1).get(kPatience), ++expected);
    if (i % 10 == 3) {  // nobody waits for this one
      hits.call<&Counter::add>(1).then([&told](const Future<int>&) { ++told; });
      ++expected;
    }
    if (i % 10 == 6) {
      hits.send<&Counter::add>(1);
      ++expected;
    }
    if (i % 50 == 20) std::this_thread::sleep_for(30ms);  // the turns are taken back meanwhile
    if (i % 50 == 30) {
      EXPECT_EQ(client_.get_actor<Counter>(hits.id()).call<&Counter::get>().get(kPatience),
                expected);
    }
  }
  EXPECT_TRUE(eventually([&] { return told == 30; }));
}

TEST_F(ClientCalls, ResultThatNobodyWaitsForComesBySoon) {
  const auto hits = client_.actor<Counter>({.durability = callboard::Durability::memory}, 0);
  for (int i = 0; i < 20; ++i) {
    hits.call<&Counter::get>().get(kPatience);
    const auto alone = hits.call<&Counter::get>();
    EXPECT_TRUE(eventually([&] { return alone.ready(); }));
  }
}

TEST_F(ClientCalls, WaitsOfOneThreadEndInTimeAndTheResultIsTakenAllTheSame) {
  const auto hits = client_.actor<Counter>({.durability = callboard::Durability::memory}, 0);
  for (int i = 1; i <= 10; ++i) {
    ASSERT_EQ(hits.call<&Counter::add>(1).get(kPatience), i);
    const auto nap = hits.call<&Counter::nap>(30);
    EXPECT_FALSE(nap.wait(1ms));
    if (i % 2 == 0) EXPECT_NO_THROW(nap.get(kPatience));
    else EXPECT_TRUE(eventually([&] { return nap.ready(); }));
  }
}

TEST_F(ClientCalls, ThreadsThatEachMakeOneCallAtATimeShareTheConnection) {
  const auto hits = client_.actor<Counter>({.durability = callboard::Durability::memory}, 0);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      int last = 0;
      for (int i = 0; i < 200; ++i) {
        const int sum = hits.call<&Counter::add>(1).get(kPatience);
        wrong += sum <= last ? 1 : 0;
        last = sum;
        if (i % 40 == t * 10) std::this_thread::sleep_for(3ms);  // the others are fewer then
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(hits.call<&Counter::get>().get(kPatience), 800);
}

TEST_F(ClientCalls, ManyCallsFollowOneThatIsWaitedFor) {
  const auto hits = client_.actor<Counter>({.durability = callboard::Durability::memory}, 0);
  int expected = 0;
  for (int round = 0; round < 20; ++round) {
    ASSERT_EQ(hits.call<&Counter::add>(1).get(kPatience), ++expected);
    std::vector<Future<int>> sums;
    for (int i = 0; i < 100; ++i) sums.push_back(hits.call<&Counter::add>(1));
    for (const auto& sum : sums) ASSERT_EQ(sum.get(kPatience), ++expected);
  }
}

// A thread that waits again and again with many calls unanswered does so too (Lending::steady).

class SteadyThread : public ClientCalls {
 protected:
  /// Keeps `window` calls unanswered and takes their results in order. Gives how many results were
  /// brought in by this thread itself while many were unanswered.
  int keep_calling(int calls, int window) {
    int own = 0;
    std::deque<Future<int>> waiting;
    const auto land = [&] {
      ASSERT_EQ(waiting.front().get(kPatience), ++landed_);
      waiting.pop_front();
    };
    for (int i = 0; i < calls; ++i) {
      if (static_cast<int>(waiting.size()) == window) {
        land();
        while (!waiting.empty() && waiting.front().ready()) land();
      }
      waiting.push_back(hits_.call<&Counter::add>(1));
      asks_ = true;  // of one that is ready already it is told at once
      callboard::detail::notify_when_ready(
          waiting.back().state(), [this, &own, &waiting, me = std::this_thread::get_id()] {
            if (std::this_thread::get_id() == me && !asks_ && waiting.size() > 10) ++own;
          });
      asks_ = false;
    }
    while (!waiting.empty()) land();
    return own;
  }

  const callboard::Actor<Counter> hits_ =
      client_.actor<Counter>({.durability = callboard::Durability::memory}, 0);
  int landed_ = 0;
  std::atomic<bool> asks_{false};
};

TEST_F(SteadyThread, BringsInItsResultsByItself) {
#if defined(__SANITIZE_THREAD__)
  for (int i = 0; i < 10; ++i) keep_calling(2000, 100);
  GTEST_SKIP() << "ThreadSanitizer slows threads down so unevenly that another may bring in more";
#endif
  EXPECT_TRUE(eventually([&] { return keep_calling(2000, 100) > 500; }));
}

TEST_F(SteadyThread, LeavesNothingBehindThatNobodyWaitsFor) {
  for (int i = 0; i < 20; ++i) {
    keep_calling(500, 50);
    std::atomic<int> told{0};
    for (int n = 0; n < 10; ++n) {
      hits_.call<&Counter::add>(1).then([&told](const Future<int>&) { ++told; });
      ++landed_;
    }
    EXPECT_TRUE(eventually([&] { return told == 10; })) << "and this thread does not wait";
  }
}

TEST_F(SteadyThread, SharesTheConnectionWithOthersThatWait) {
  const auto other = client_.actor<Counter>({.durability = callboard::Durability::memory}, 0);
  std::atomic<bool> over{false};
  std::thread beside([&] {
    for (int i = 1; !over; ++i) ASSERT_EQ(other.call<&Counter::add>(1).get(kPatience), i);
  });
  keep_calling(3000, 100);
  over = true;
  beside.join();
}

TEST_F(SteadyThread, MayAskOtherThingsOfTheBrokerMeanwhile) {
  for (int i = 0; i < 5; ++i) {
    keep_calling(500, 50);
    const auto more = client_.actor<Counter>({.durability = callboard::Durability::memory}, i);
    ASSERT_EQ(more.call<&Counter::add>(1).get(kPatience), i + 1);
    keep_calling(500, 50);
    EXPECT_FALSE(client_.admin("stats").get(kPatience).bytes.empty());
  }
}

TEST_F(ClientCalls, ClientThatIsClosedSetsFreeTheThreadThatWorksForIt) {
  callboard::Client other(endpoint());
  const auto hits = other.actor<Counter>({.durability = callboard::Durability::memory}, 0);
  for (int i = 0; i < 5; ++i) hits.call<&Counter::get>().get(kPatience);
  std::atomic<bool> waits{false};
  std::thread waiter([&] {
    hits.call<&Counter::get>().get(kPatience);
    const auto nap = hits.call<&Counter::nap>(2'000);
    waits = true;
    EXPECT_THROW(nap.get(kPatience), callboard::Disconnected);
  });
  EXPECT_TRUE(eventually([&] { return waits.load(); }));
  std::this_thread::sleep_for(10ms);
  other.close();
  waiter.join();
}

TEST_F(ClientCalls, ActorIsFoundByNameWithAndWithoutItsClass) {
  const auto made = client_.actor<Counter>({.name = "found", .name_space = "calls"}, 1);
  EXPECT_EQ(made.call<&Counter::add>(1).get(kPatience), 2);
  EXPECT_EQ(client_.get_actor("calls/found").call<int>("add", 1).get(kPatience), 3);
  EXPECT_EQ(client_.get_actor<Counter>("calls/found").call<&Counter::add>(1).get(kPatience), 4);
  EXPECT_EQ(client_.get_actor<Counter>(made.id()).call<&Counter::get>().get(kPatience), 4);
  EXPECT_EQ(client_.get_actor("calls/found").id(), made.id());
  made.kill().get(kPatience);
}

TEST_F(ClientCalls, ExceptionOfTheMethodArrivesWithTypeMessageAndPlace) {
  const auto hits = client_.actor<Counter>({}, 0);
  const Future<void> failed = hits.call<&Counter::fail>("too far");
  try {
    failed.get(kPatience);
    FAIL() << "it did not throw";
  } catch (const callboard::TaskError& error) {
    EXPECT_EQ(error.remote_type(), "std::out_of_range");
    EXPECT_EQ(error.info().message, "too far");
    EXPECT_THAT(error.info().place, HasSubstr("Counter.fail"));
  }
  ASSERT_TRUE(failed.error());
  EXPECT_EQ(failed.error()->code, Errc::task_error);
  EXPECT_EQ(hits.call<&Counter::get>().get(kPatience), 0) << "the actor goes on";
}

TEST_F(ClientCalls, WrongArgumentsAreNamedWithBothTypes) {
  const auto hits =
      client_.actor<Counter>({.name = "typed", .lifetime = callboard::Lifetime::owned}, 0);
  const auto any = client_.get_actor("typed");
  const auto message = [](const auto& future) {
    try {
      future.get(kPatience);
    } catch (const callboard::Error& error) {
      return std::string(name_of(error.code())) + ": " + error.info().message;
    }
    return std::string("no error");
  };
  EXPECT_THAT(message(any.call<int>("add", "one")), HasSubstr("expected int, got str"));
  EXPECT_THAT(message(any.call<int>("add")), HasSubstr("takes 1 argument, got 0"));
  EXPECT_THAT(message(any.call<int>("subtract", 1)), StartsWith("unknown_method"));
  EXPECT_THAT(message(any.call<std::string>("add", 1)), HasSubstr("expected str, got int"));
  EXPECT_EQ(hits.call<&Counter::get>().get(kPatience), 1);
}

TEST_F(ClientCalls, WhatIsNotThereFailsWithItsOwnError) {
  const auto code = [](const auto& future) {
    EXPECT_TRUE(future.wait(kPatience));
    const auto error = future.error();
    return error ? error->code : Errc::ok;
  };
  EXPECT_EQ(code(client_.get_actor("nobody").call<int>("add", 1)), Errc::unknown_actor);
  EXPECT_EQ(code(client_.get_actor("nobody").opened()), Errc::unknown_actor);
  EXPECT_EQ(code(client_.actor<Nowhere>().call<&Nowhere::run>()), Errc::unknown_class);
  EXPECT_EQ(code(client_.actor<Broken>().call<&Broken::run>()), Errc::constructor_failed);
  EXPECT_EQ(code(client_.call_encoded("no.such.task", "\x90")), Errc::unknown_task);
  const auto first = client_.actor<Counter>({.name = "taken"}, 0);
  first.opened().get(kPatience);
  EXPECT_EQ(code(client_.actor<Counter>({.name = "taken"}, 0).call<&Counter::get>()),
            Errc::name_taken);
  first.kill().get(kPatience);
  EXPECT_EQ(code(first.call<&Counter::get>()), Errc::actor_died);
}

TEST_F(ClientCalls, NameThatIsMadeLaterLeadsToItsActorThen) {
  const auto early = client_.get_actor("later");
  EXPECT_THROW(early.call<int>("get").get(kPatience), callboard::Error);
  const auto made =
      client_.actor<Counter>({.name = "later", .lifetime = callboard::Lifetime::owned}, 7);
  made.opened().get(kPatience);
  EXPECT_EQ(early.call<int>("get").get(kPatience), 7);
}

TEST_F(ClientCalls, BigValuesTravelUnharmed) {
  const auto hits = client_.actor<Counter>({}, 0);
  for (const std::size_t size : {16'383u, 16'384u, 1u << 20, 20u << 20}) {
    callboard::Bytes bytes;
    bytes.data.resize(size);
    for (std::size_t i = 0; i < size; i += 97) bytes.data[i] = static_cast<char>(i);
    EXPECT_EQ(hits.call<&Counter::echo>(bytes).get(kPatience), bytes);
  }
}

TEST_F(ClientCalls, BigValuesAndSmallOnesMayBeMixed) {
  const auto hits = client_.actor<Counter>({}, 0);
  std::vector<Future<callboard::Bytes>> futures;
  for (int i = 0; i < 200; ++i) {
    futures.push_back(hits.call<&Counter::echo>(
        callboard::Bytes{std::string(i % 3 == 0 ? 40'000 : 10, static_cast<char>(i))}));
  }
  for (int i = 0; i < 200; ++i) {
    const auto bytes = futures[static_cast<std::size_t>(i)].get(kPatience);
    ASSERT_EQ(bytes.data, std::string(i % 3 == 0 ? 40'000 : 10, static_cast<char>(i)));
  }
}

// --- futures as arguments -----------------------------------------------------------------------

TEST_F(ClientCalls, FutureIsAnArgumentBeforeAndAfterItIsReady) {
  const Future<int> first = client_.call(twice_task, 1);
  Future<int> chain = first;
  for (int i = 0; i < 10; ++i) chain = client_.call(twice_task, chain);
  EXPECT_EQ(chain.get(kPatience), 2048);
  EXPECT_EQ(first.get(kPatience), 2);
  EXPECT_EQ(client_.call(sum_task, first, 3).get(kPatience), 5);
  EXPECT_EQ(client_.call(sum_task, chain, client_.call(twice_task, 4)).get(kPatience), 2056);
}

TEST_F(ClientCalls, ValueGoesFromActorToActorWithoutPassingHere) {
  const auto first = client_.actor<Counter>({}, 5);
  const auto second = client_.actor<Counter>({}, 0);
  EXPECT_EQ(second.call<&Counter::add>(first.call<&Counter::add_slowly>(1, 50)).get(kPatience), 6);
}

TEST_F(ClientCalls, FailedDependencyFailsItsDependentsWithTheChainOfCauses) {
  const Future<int> bad = client_.call({.max_retries = 0}, fail_task, 7);
  const Future<int> next = client_.call(twice_task, bad);
  const Future<int> last = client_.call(twice_task, next);
  ASSERT_TRUE(last.wait(kPatience));
  EXPECT_EQ(last.error()->code, Errc::dependency_failed);
  EXPECT_THAT(last.error()->causes, HasSubstr("dependency_failed"));
  EXPECT_THAT(last.error()->causes, HasSubstr("not 7"));
  const Future<int> late = client_.call(twice_task, bad);  // known by now
  ASSERT_TRUE(late.wait(kPatience));
  EXPECT_EQ(late.error()->code, Errc::dependency_failed);
  EXPECT_THAT(late.error()->causes, HasSubstr("not 7"));
}

TEST_F(ClientCalls, CallWaitsForThoseItIsToFollow) {
  const auto hits = client_.actor<Counter>({}, 0);
  const Future<int> slow = hits.call<&Counter::add_slowly>(1, 100);
  const auto other = client_.actor<Counter>({}, 0);
  const Future<int> after = other.with({.after = {slow}}).call<&Counter::add>(1);
  EXPECT_EQ(after.get(kPatience), 1);
  EXPECT_TRUE(slow.ready());
}

// --- handles as values --------------------------------------------------------------------------

TEST_F(ClientCalls, HandlesTravelAsArgumentsAndResults) {
  const auto counter = client_.actor<Counter>({}, 100);
  const auto caller = client_.actor<Caller>({}, counter);
  EXPECT_EQ(caller.call<&Caller::add_through>(5).get(kPatience), 105);
  const auto back = caller.call<&Caller::counter>().get(kPatience);
  EXPECT_EQ(back.id(), counter.id());
  EXPECT_EQ(back.call<&Counter::get>().get(kPatience), 105);
}

TEST_F(ClientCalls, CoroutineSeesTheFailureOfTheCallThatItAwaits) {
  const auto counter = client_.actor<Counter>({}, 0);
  const auto caller = client_.actor<Caller>({}, counter);
  EXPECT_EQ(caller.call<&Caller::failure_through>().get(kPatience), "std::out_of_range: from afar");
}

TEST_F(ClientCalls, DeadlineAndHeadersAreInheritedByCallsInsideCalls) {
  const auto counter = client_.actor<Counter>({}, 0);
  const auto caller = client_.actor<Caller>({}, counter);
  const auto [attempt, left, colour] =
      caller.with({.deadline = 25s, .headers = {{"colour", "green"}}})
          .call<&Caller::context_through>()
          .get(kPatience);
  EXPECT_EQ(attempt, 1);
  EXPECT_GT(left, 0);
  EXPECT_LE(left, 25'000);
  EXPECT_EQ(colour, "green");
  const auto [plain_attempt, none, nothing] = counter.call<&Counter::context>().get(kPatience);
  EXPECT_EQ(none, -1);
  EXPECT_EQ(nothing, "");
}

TEST_F(ClientCalls, WaitForOneselfFailsAtOnce) {
  const auto counter = client_.actor<Counter>({}, 0);
  const auto failed = counter.call<&Counter::wait_for_myself>(counter);
  ASSERT_TRUE(failed.wait(kPatience));
  ASSERT_TRUE(failed.error());
  EXPECT_THAT(failed.error()->message + failed.error()->type, HasSubstr("Deadlock"));
  EXPECT_EQ(counter.call<&Counter::get>().get(kPatience), 0);
}

// --- waiting ------------------------------------------------------------------------------------

TEST_F(ClientCalls, TimedGetGivesUpAndTheCallGoesOn) {
  const auto hits = client_.actor<Counter>({}, 0);
  const Future<int> slow = hits.call<&Counter::add_slowly>(1, 200);
  EXPECT_THROW(slow.get(1ms), callboard::Timeout);
  EXPECT_FALSE(slow.wait(1ms));
  EXPECT_EQ(slow.get(kPatience), 1);
}

TEST_F(ClientCalls, FirstToBeReadyIsFoundAndAllComeInTheirOrder) {
  std::vector<Future<int>> futures;
  for (const int ms : {300, 10, 150}) {
    futures.push_back(client_.actor<Counter>({}, 0).call<&Counter::nap>(ms));
  }
  EXPECT_EQ(*wait_any(futures, kPatience), 1u);
  std::vector<int> order;
  for (const auto& done : callboard::as_completed(futures)) order.push_back(done.get());
  EXPECT_THAT(order, ElementsAre(10, 150, 300));
  EXPECT_TRUE(wait_all(futures, 0ms));
}

TEST_F(ClientCalls, ContinuationRunsWithTheReadyFuture) {
  const auto hits = client_.actor<Counter>({}, 0);
  std::promise<int> seen;
  hits.call<&Counter::add>(3).then([&](Future<int> ready) { seen.set_value(ready.get()); });
  EXPECT_EQ(seen.get_future().get(), 3);
  std::promise<std::thread::id> where;
  const Future<int> ready = hits.call<&Counter::add>(0);
  ready.wait();
  ready.then([&](const Future<int>&) { where.set_value(std::this_thread::get_id()); });
  EXPECT_NE(where.get_future().get(), std::this_thread::get_id());
}

TEST_F(ClientCalls, ContinuationMayCallAndWait) {
  const auto hits = client_.actor<Counter>({}, 0);
  std::promise<int> seen;
  hits.call<&Counter::add>(1).then(
      [&](const Future<int>&) { seen.set_value(hits.call<&Counter::add>(1).get()); });
  EXPECT_EQ(seen.get_future().get(), 2);
}

// --- many ---------------------------------------------------------------------------------------

TEST_F(ClientCalls, ThousandsFromManyThreadsKeepTheOrderOfEachThread) {
  constexpr int kThreads = 8;
  constexpr int kCalls = 2'000;
  const auto hits = client_.actor<Counter>({}, 0);
  std::vector<std::thread> threads;
  std::vector<std::vector<int>> totals(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      std::vector<Future<int>> futures;
      for (int i = 0; i < kCalls; ++i) futures.push_back(hits.call<&Counter::add>(1));
      for (auto& future : futures) totals[static_cast<std::size_t>(t)].push_back(future.get());
    });
  }
  for (auto& thread : threads) thread.join();
  std::set<int> seen;
  for (const auto& mine : totals) {
    EXPECT_TRUE(std::is_sorted(mine.begin(), mine.end()));
    seen.insert(mine.begin(), mine.end());
  }
  EXPECT_EQ(seen.size(), static_cast<std::size_t>(kThreads * kCalls)) << "none ran twice";
  EXPECT_EQ(*seen.rbegin(), kThreads * kCalls);
  EXPECT_TRUE(eventually([&] { return client_.unanswered() == 0; }));
}

TEST_F(ClientCalls, CallsWithoutAResultRunInTheirOrderToo) {
  const auto hits = client_.actor<Counter>({}, 0);
  for (int i = 0; i < 1000; ++i) hits.send<&Counter::add>(1);
  EXPECT_EQ(hits.call<&Counter::get>().get(kPatience), 1000);
}

TEST_F(ClientCalls, FuturesMayBeDroppedUnseen) {
  const auto hits = client_.actor<Counter>({}, 0);
  for (int i = 0; i < 1000; ++i) (void)hits.call<&Counter::add>(1);
  EXPECT_EQ(hits.call<&Counter::get>().get(kPatience), 1000);
}

}  // namespace
}  // namespace client_app
