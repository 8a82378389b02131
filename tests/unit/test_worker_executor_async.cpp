// The async executor: coroutines and plain methods on one event loop.

#include "tests/unit/worker_executor_fixture.hpp"

#include <callboard/asio.hpp>
#include <callboard/context.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <list>
#include <set>
#include <stdexcept>
#include <thread>

namespace callboard::worker {

namespace {

namespace asio = boost::asio;
using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// Long enough that only a cancellation or another call ends the wait.
constexpr std::chrono::hours kLong{1};

class Lounge {
 public:
  Lounge() : threads_{std::this_thread::get_id()} { ++scene->alive; }
  ~Lounge() {
    note_thread();
    scene->note("threads " + std::to_string(threads_.size()));
    --scene->alive;
  }

  /// Waits for release(), without holding up the loop.
  Async<int> wait(int n) {
    note_thread();
    ++inside_;
    most_ = std::max(most_, inside_);
    auto timer = std::make_shared<asio::steady_timer>(co_await asio::this_coro::executor, kLong);
    waiting_.push_back(timer);
    scene->note("waits " + std::to_string(n));
    boost::system::error_code ended;
    co_await timer->async_wait(asio::redirect_error(asio::use_awaitable, ended));
    note_thread();
    std::erase(waiting_, timer);
    --inside_;
    if (this_call().cancel_requested()) throw boost::system::system_error(ended);
    co_return n;
  }
  /// Wakes the one that has waited longest, or everybody.
  int release(bool all) {
    int released = 0;
    for (const auto& timer : waiting_) {
      timer->cancel();
      ++released;
      if (!all) break;
    }
    return released;
  }
  int most() { return most_; }
  Async<int> quick(int n) {
    note_thread();
    co_return n + 1;
  }
  Async<std::string> greet(const std::string& name) {
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
    co_return "hello " + name;
  }
  Async<void> fail() {
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
    throw std::domain_error("late");
  }
  Async<void> sleep() {
    asio::steady_timer timer(co_await asio::this_coro::executor, kLong);
    co_await timer.async_wait(asio::use_awaitable);
  }
  /// Answers with a value although it was asked to stop.
  Async<std::string> stubborn() {
    try {
      co_await sleep();
    } catch (const boost::system::system_error&) {
    }
    co_return "finished all the same";
  }
  /// Keeps the whole loop from turning.
  Async<void> block() {
    scene->gate.pass();
    co_return;
  }
  void block_plain() { scene->gate.pass(); }
  int plain(int n) {
    note_thread();
    return -n;
  }
  Async<void> leave_behind() {
    asio::co_spawn(co_await asio::this_coro::executor, sleep(), asio::detached);
  }
  Async<void> leave_thrower() {
    asio::post(co_await asio::this_coro::executor, [] { throw std::runtime_error("stray"); });
  }

 private:
  friend consteval auto describe(Class<Lounge> c) {
    return c.name("Lounge").method<&Lounge::wait>("wait").method<&Lounge::release>("release")
        .method<&Lounge::most>("most").method<&Lounge::quick>("quick")
        .method<&Lounge::greet>("greet").method<&Lounge::fail>("fail")
        .method<&Lounge::sleep>("sleep").method<&Lounge::stubborn>("stubborn")
        .method<&Lounge::block>("block", {.group = "blocking"})
        .method<&Lounge::block_plain>("block_plain").method<&Lounge::plain>("plain")
        .method<&Lounge::leave_behind>("leave_behind")
        .method<&Lounge::leave_thrower>("leave_thrower");
  }

  void note_thread() { threads_.insert(std::this_thread::get_id()); }

  std::set<std::thread::id> threads_;
  std::vector<std::shared_ptr<asio::steady_timer>> waiting_;
  int inside_ = 0;
  int most_ = 0;
};

Async<int> later(int n) {
  co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
  co_return n;
}
inline constexpr Task<&later> later_task{"later"};
void hold() { scene->gate.pass(); }
inline constexpr Task<&hold> hold_task{"hold"};

class AsyncExecutorTest : public ExecutorTest {
 protected:
  AsyncExecutorTest() { environment_.loop_warn_ms = 3'600'000; }

  static wire::ActorOptions limit(std::uint32_t n) {
    wire::ActorOptions options;
    options.max_concurrency = n;
    return options;
  }
};

TEST_F(AsyncExecutorTest, CoroutinesTakeTurnsOnOneThread) {
  Executor& lounge = actor<Lounge>({});
  for (int i = 0; i < 100; ++i) call(lounge, "wait", i);
  const std::uint64_t quick = call(lounge, "quick", 1);
  EXPECT_EQ(result<int>(quick), 2) << "the others only wait";
  const std::uint64_t most = call(lounge, "most");
  EXPECT_EQ(result<int>(most), 100);
  EXPECT_EQ(result<int>(call(lounge, "release", true)), 100);
  ASSERT_TRUE(host_.wait_for_outcomes(103));
  EXPECT_EQ(result<int>(37), 36);
  stop(lounge);
  EXPECT_EQ(log().back(), "threads 1");
}

TEST_F(AsyncExecutorTest, NoMoreCoroutinesRunThanTheLimitAndTheNextBeginsWhenOneEnds) {
  Executor& lounge = actor<Lounge>(limit(3));
  for (int i = 0; i < 9; ++i) call(lounge, "wait", i);
  ASSERT_TRUE(host_.wait_for_begun(3));
  std::vector<GroupStats> stats;
  lounge.stats(stats);
  EXPECT_EQ(stats.at(0).limit, 3u);
  EXPECT_EQ(lounge.revoke(1, true), Revoked::stopping);
  ASSERT_TRUE(host_.wait_for_begun(4));
  for (std::uint64_t lease = 2; lease <= 9; ++lease) lounge.revoke(lease, true);
  ASSERT_TRUE(host_.wait_for_outcomes(9));
  EXPECT_EQ(result<int>(call(lounge, "most")), 3);
  EXPECT_THAT(begun(), ElementsAre(1, 2, 3, 4, 10)) << "what had not begun was returned";
}

TEST_F(AsyncExecutorTest, HundredThousandCoroutinesBeginInSequenceOrder) {
  Executor& lounge = actor<Lounge>(limit(100));
  constexpr int kCalls = 100'000;
  for (int sent = 0; sent < kCalls; sent += 1000) {
    std::vector<Job> jobs;
    for (int i = 0; i < 1000; ++i) jobs.push_back(job(i % 3 == 0 ? "plain" : "quick", sent + i));
    lounge.submit(jobs);
  }
  ASSERT_TRUE(host_.wait_for_outcomes(kCalls));
  for (std::uint64_t i = 0; i < kCalls; ++i) ASSERT_EQ(host_.begun[i], i + 1);
  EXPECT_EQ(result<int>(50'002), 50'002);
  EXPECT_TRUE(host_.wait([&] { return !host_.owed; })) << "the last report announces more";
}

TEST_F(AsyncExecutorTest, ReferenceParametersLiveAsLongAsTheCoroutine) {
  Executor& lounge = actor<Lounge>({});
  const std::string name(200, 'n');
  EXPECT_EQ(result<std::string>(call(lounge, "greet", name)), "hello " + name);
}

TEST_F(AsyncExecutorTest, ExceptionAfterAWaitBecomesTheCallsError) {
  Executor& lounge = actor<Lounge>({});
  const std::uint64_t lease = call(lounge, "fail");
  EXPECT_EQ(error(lease).code, Errc::task_error);
  EXPECT_EQ(error(lease).type, "std::domain_error");
  EXPECT_EQ(error(lease).message, "late");
  EXPECT_EQ(error(lease).place, "Lounge.fail on worker-7 (pid 4711)");
}

TEST_F(AsyncExecutorTest, BadArgumentsOfACoroutineAreNamed) {
  Executor& lounge = actor<Lounge>({});
  const std::uint64_t lease = call(lounge, "greet", 5);
  EXPECT_EQ(error(lease).code, Errc::bad_arguments);
  EXPECT_THAT(error(lease).message,
              HasSubstr("Lounge.greet, str(str): argument 1: expected str, got int"));
}

TEST_F(AsyncExecutorTest, CancelledCoroutineEndsAsCancelled) {
  Executor& lounge = actor<Lounge>({});
  const std::uint64_t lease = call(lounge, "sleep");
  ASSERT_TRUE(host_.wait_for_begun(1));
  EXPECT_EQ(lounge.revoke(lease, false), Revoked::running);
  EXPECT_EQ(lounge.revoke(lease, true), Revoked::stopping);
  EXPECT_EQ(outcome(lease).status, Errc::cancelled);
  EXPECT_EQ(lounge.revoke(lease, true), Revoked::unknown);
}

TEST_F(AsyncExecutorTest, CoroutineThatAnswersAlthoughItWasCancelledHasAResult) {
  Executor& lounge = actor<Lounge>({});
  const std::uint64_t lease = call(lounge, "stubborn");
  ASSERT_TRUE(host_.wait_for_begun(1));
  lounge.revoke(lease, true);
  EXPECT_EQ(result<std::string>(lease), "finished all the same");
}

TEST_F(AsyncExecutorTest, CancellationOfOneCallDoesNotTouchTheNextInItsPlace) {
  Executor& lounge = actor<Lounge>(limit(1));
  for (int round = 0; round < 50; ++round) {
    const std::uint64_t lease = call(lounge, "sleep");
    ASSERT_TRUE(host_.wait_for_begun(static_cast<std::size_t>(2 * round + 1)));
    lounge.revoke(lease, true);
    EXPECT_EQ(result<int>(call(lounge, "quick", round)), round + 1);
    EXPECT_EQ(outcome(lease).status, Errc::cancelled);
  }
}

TEST_F(AsyncExecutorTest, DeadlineOfARunningCoroutineCancelsIt) {
  Executor& lounge = actor<Lounge>({});
  Job late = job("sleep");
  late.deadline_us = steady_now_us() + 20'000;
  Job never = job("sleep");
  never.deadline_us = steady_now_us() + 3'600'000'000;
  const std::uint64_t untouched = submit(lounge, std::move(never));
  const std::uint64_t lease = submit(lounge, std::move(late));
  // On a slow machine it may have passed before the call began.
  EXPECT_THAT(outcome(lease).status, AnyOf(Errc::deadline_exceeded, Errc::expired));
  const std::lock_guard lock(host_.mutex);
  EXPECT_FALSE(host_.outcomes.contains(untouched));
}

TEST_F(AsyncExecutorTest, PlainMethodsRunOnTheSameThread) {
  Executor& lounge = actor<Lounge>({});
  EXPECT_EQ(result<int>(call(lounge, "plain", 4)), -4);
  EXPECT_EQ(result<int>(call(lounge, "quick", 4)), 5);
  stop(lounge);
  EXPECT_THAT(log(), ElementsAre("threads 1"));
}

TEST_F(AsyncExecutorTest, SerialLimitHoldsAfterAnErrorThatMayBeRetried) {
  Executor& lounge = actor<Lounge>(limit(1));
  Job failing = job("fail");
  wire::CallOptions options;
  options.max_retries = 1;
  options.retry_on.emplace().which = wire::RetryOn::Which::all;
  failing.options = encoded(options);
  std::vector<Job> jobs;
  jobs.push_back(std::move(failing));
  jobs.push_back(job("quick", 1));
  lounge.submit(jobs);
  EXPECT_TRUE(outcome(1).held);
  EXPECT_THAT(begun(), ElementsAre(1));
  lounge.go_on(false);
  EXPECT_EQ(result<int>(2), 2);
}

TEST_F(AsyncExecutorTest, MethodThatBlocksTheLoopIsNamedWhileItBlocksAndAfterwards) {
  environment_.loop_warn_ms = 5;
  Executor& lounge = actor<Lounge>({});
  const std::uint64_t lease = call(lounge, "block");
  ASSERT_TRUE(host_.wait([&] { return !host_.stalls.empty(); }));
  {
    const std::lock_guard lock(host_.mutex);
    EXPECT_EQ(host_.stalls[0].method, "Lounge.block");
    EXPECT_FALSE(host_.stalls[0].over);
    EXPECT_GE(host_.stalls[0].ms, 5);
    EXPECT_FALSE(host_.outcomes.contains(lease)) << "it still blocks";
  }
  scene_.gate.open();
  ASSERT_TRUE(host_.wait([&] { return host_.stalls.size() >= 2; }));
  const std::lock_guard lock(host_.mutex);
  EXPECT_TRUE(host_.stalls[1].over);
  EXPECT_EQ(host_.stalls[1].method, "Lounge.block");
  EXPECT_GE(host_.stalls[1].ms, host_.stalls[0].ms);
}

TEST_F(AsyncExecutorTest, PlainMethodThatBlocksTheLoopIsNamedToo) {
  environment_.loop_warn_ms = 5;
  Executor& lounge = actor<Lounge>({});
  call(lounge, "block_plain");
  ASSERT_TRUE(host_.wait([&] { return !host_.stalls.empty(); }));
  const std::lock_guard lock(host_.mutex);
  EXPECT_EQ(host_.stalls[0].method, "Lounge.block_plain");
}

TEST_F(AsyncExecutorTest, WaitingCoroutineIsNoStall) {
  environment_.loop_warn_ms = 5;
  Executor& lounge = actor<Lounge>({});
  const std::uint64_t lease = call(lounge, "wait", 1);
  ASSERT_TRUE(scene_.wait_for_lines(1));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  lounge.revoke(lease, true);
  outcome(lease);
  const std::lock_guard lock(host_.mutex);
  for (const NotingHost::Stall& stall : host_.stalls) {
    EXPECT_LT(stall.ms, 50) << "a slow machine may stall a little, the wait does not";
  }
}

TEST_F(AsyncExecutorTest, GroupHasALoopOfItsOwnSoThatABlockedOneHoldsUpNobodyElse) {
  wire::ActorOptions options;
  options.groups = {{"blocking", 2}};
  Executor& lounge = actor<Lounge>(options);
  call(lounge, "block");
  ASSERT_TRUE(scene_.gate.wait_inside(1));
  EXPECT_EQ(result<int>(call(lounge, "quick", 1)), 2);
}

TEST_F(AsyncExecutorTest, TwoActorsNeverBlockEachOther) {
  Executor& stuck = actor<Lounge>({});
  Executor& free = actor<Lounge>({});
  call(stuck, "block");
  ASSERT_TRUE(scene_.gate.wait_inside(1));
  EXPECT_EQ(result<int>(call(free, "quick", 1)), 2);
}

TEST_F(AsyncExecutorTest, RunningCallOfABlockedLoopSeesThatItIsAskedToStop) {
  Executor& lounge = actor<Lounge>({});
  const std::uint64_t blocked = call(lounge, "block");
  ASSERT_TRUE(scene_.gate.wait_inside(1));
  const std::uint64_t queued = call(lounge, "quick", 1);
  EXPECT_EQ(lounge.revoke(queued, true), Revoked::returned) << "the loop need not turn for that";
  EXPECT_EQ(outcome(queued).fate, Outcome::Fate::returned);
  EXPECT_EQ(lounge.revoke(blocked, true), Revoked::stopping);
  scene_.gate.open();
  EXPECT_EQ(outcome(blocked).status, Errc::ok);
}

TEST_F(AsyncExecutorTest, StopWaitsForRunningCoroutines) {
  Executor& lounge = actor<Lounge>({});
  const std::uint64_t waiting = call(lounge, "wait", 7);
  ASSERT_TRUE(scene_.wait_for_lines(1));
  const std::uint64_t released = call(lounge, "release", true);
  lounge.stop(false);
  EXPECT_EQ(result<int>(released), 1);
  EXPECT_EQ(result<int>(waiting), 7);
  ASSERT_TRUE(host_.wait([&] { return host_.stops == 1; }));
  EXPECT_EQ(scene_.alive, 0);
}

TEST_F(AsyncExecutorTest, StopNowCancelsRunningCoroutinesAndReturnsTheRest) {
  Executor& lounge = actor<Lounge>(limit(10));
  for (int i = 0; i < 20; ++i) call(lounge, "sleep");
  ASSERT_TRUE(host_.wait_for_begun(10));
  stop(lounge, true);
  for (std::uint64_t lease = 1; lease <= 10; ++lease) {
    EXPECT_EQ(outcome(lease).status, Errc::cancelled);
  }
  for (std::uint64_t lease = 11; lease <= 20; ++lease) {
    EXPECT_EQ(outcome(lease).fate, Outcome::Fate::returned);
  }
  EXPECT_EQ(scene_.alive, 0);
}

TEST_F(AsyncExecutorTest, WhatAMethodLeftBehindIsDestroyedWithTheActor) {
  Executor& lounge = actor<Lounge>({});
  outcome(call(lounge, "leave_behind"));
  stop(lounge);
  EXPECT_EQ(scene_.alive, 0);
}

TEST_F(AsyncExecutorTest, StrayExceptionOfAHandlerIsReportedAndTheLoopGoesOn) {
  Executor& lounge = actor<Lounge>({});
  outcome(call(lounge, "leave_thrower"));
  ASSERT_TRUE(host_.wait([&] { return !host_.strays.empty(); }));
  EXPECT_EQ(host_.strays[0].message, "stray");
  EXPECT_EQ(result<int>(call(lounge, "quick", 1)), 2);
}

TEST_F(AsyncExecutorTest, HostThatSaysWaitIsAskedAgainAfterTryAgain) {
  Executor& lounge = actor<Lounge>({});
  {
    const std::lock_guard lock(host_.mutex);
    host_.begins_allowed = 1;
  }
  call(lounge, "quick", 1);
  const std::uint64_t second = call(lounge, "quick", 2);
  outcome(1);
  {
    const std::lock_guard lock(host_.mutex);
    host_.begins_allowed = SIZE_MAX;
  }
  lounge.try_again();
  EXPECT_EQ(result<int>(second), 3);
}

TEST_F(AsyncExecutorTest, CoroutineOfAThreadedActorIsRefusedWithAReason) {
  wire::ActorOptions options;
  options.mode = wire::Mode::threaded;
  options.max_concurrency = 2;
  Executor& lounge = actor<Lounge>(options);
  const std::uint64_t lease = call(lounge, "quick", 1);
  EXPECT_EQ(outcome(lease).fate, Outcome::Fate::refused);
  EXPECT_EQ(error(lease).code, Errc::invalid_option);
  EXPECT_EQ(result<int>(call(lounge, "plain", 1)), -1);
}

TEST_F(AsyncExecutorTest, TasksThatAreCoroutinesHaveALoopBesideTheThreads) {
  registry_.add<later_task>().add<hold_task>();
  Executor& pool = tasks(1);
  call(pool, "hold");
  ASSERT_TRUE(scene_.gate.wait_inside(1));
  EXPECT_EQ(result<int>(call(pool, "later", 5)), 5);
  scene_.gate.open();
  stop(pool);
}

TEST_F(AsyncExecutorTest, ManyRoundsOfWaitingCoroutinesAllEnd) {
  Executor& lounge = actor<Lounge>(limit(11));
  for (int round = 0; round < 200; ++round) {
    for (int i = 0; i < 10; ++i) call(lounge, "wait", i);
    EXPECT_EQ(result<int>(call(lounge, "release", true)), 10);
  }
  stop(lounge);
  EXPECT_EQ(scene_.alive, 0);
}

}  // namespace

}  // namespace callboard::worker
