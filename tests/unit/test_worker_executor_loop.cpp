// Event loops as a resource: who blocks one is named, who has one of its own is not held up, and
// what is left on one when its actor stops goes with it.

#include "client/future_state.hpp"
#include "tests/unit/worker_lounge.hpp"

#include <callboard/future.hpp>

namespace callboard::worker {

namespace {

Async<int> later(int n) {
  co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
  co_return n;
}
inline constexpr Task<&later> later_task{"later"};
void hold() { scene->gate.pass(); }
inline constexpr Task<&hold> hold_task{"hold"};

/// What readers wait for.
client::StatePtr pending;

class Reader {
 public:
  Async<int> read() {
    const Future<int> future(pending);
    scene->note("reads");
    const std::uint64_t mine = this_call().id().seq;
    const int n = co_await future;
    co_return this_call().id().seq == mine ? n : -1;
  }
  Async<void> leave_reading() {
    asio::co_spawn(co_await asio::this_coro::executor, read(), asio::detached);
  }

 private:
  friend consteval auto describe(Class<Reader> c) {
    return c.name("Reader").method<&Reader::read>("read")
        .method<&Reader::leave_reading>("leave_reading");
  }
};

using EventLoopTest = LoungeTest;

class AwaitedFutureTest : public LoungeTest {
 protected:
  AwaitedFutureTest() { pending = client::make_state(nullptr, false); }
  ~AwaitedFutureTest() override {
    executors_.clear();
    pending.reset();
  }
  static void answer(int n) {
    const std::string bytes = encode(n);
    pending->finish(Errc::ok, wire::Body{bytes, {}});
    pending->run_followers();
  }
};

TEST_F(AwaitedFutureTest, ValueComesToTheCoroutineOnItsOwnLoop) {
  Executor& reader = actor<Reader>({});
  const std::uint64_t first = call(reader, "read");
  const std::uint64_t second = call(reader, "read");
  ASSERT_TRUE(scene_.wait_for_lines(2));
  answer(17);
  EXPECT_EQ(result<int>(first), 17);
  EXPECT_EQ(result<int>(second), 17);
}

TEST_F(AwaitedFutureTest, CancellingTheCallEndsTheWaitAndALateAnswerIsForNobody) {
  Executor& reader = actor<Reader>({});
  const std::uint64_t lease = call(reader, "read");
  ASSERT_TRUE(scene_.wait_for_lines(1));
  EXPECT_EQ(reader.revoke(lease, true), Revoked::stopping);
  EXPECT_EQ(outcome(lease).status, Errc::cancelled);
  answer(17);
  EXPECT_EQ(result<int>(call(reader, "read")), 17);
}

TEST_F(AwaitedFutureTest, AnswerThatComesAfterTheActorIsGoneHarmsNobody) {
  Executor& reader = actor<Reader>({});
  outcome(call(reader, "leave_reading"));
  ASSERT_TRUE(scene_.wait_for_lines(1));
  stop(reader);
  executors_.clear();
  answer(17);
}

TEST_F(EventLoopTest, MethodThatBlocksTheLoopIsNamedWhileItBlocksAndAfterwards) {
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

TEST_F(EventLoopTest, PlainMethodThatBlocksTheLoopIsNamedToo) {
  environment_.loop_warn_ms = 5;
  Executor& lounge = actor<Lounge>({});
  call(lounge, "block_plain");
  ASSERT_TRUE(host_.wait([&] { return !host_.stalls.empty(); }));
  const std::lock_guard lock(host_.mutex);
  EXPECT_EQ(host_.stalls[0].method, "Lounge.block_plain");
}

TEST_F(EventLoopTest, WaitingCoroutineIsNoStall) {
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

TEST_F(EventLoopTest, GroupHasALoopOfItsOwnSoThatABlockedOneHoldsUpNobodyElse) {
  wire::ActorOptions options;
  options.groups = {{"blocking", 2}};
  Executor& lounge = actor<Lounge>(options);
  call(lounge, "block");
  ASSERT_TRUE(scene_.gate.wait_inside(1));
  EXPECT_EQ(result<int>(call(lounge, "quick", 1)), 2);
}

TEST_F(EventLoopTest, TwoActorsNeverBlockEachOther) {
  Executor& stuck = actor<Lounge>({});
  Executor& free = actor<Lounge>({});
  call(stuck, "block");
  ASSERT_TRUE(scene_.gate.wait_inside(1));
  EXPECT_EQ(result<int>(call(free, "quick", 1)), 2);
}

TEST_F(EventLoopTest, RunningCallOfABlockedLoopSeesThatItIsAskedToStop) {
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

TEST_F(EventLoopTest, StopWaitsForRunningCoroutines) {
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

TEST_F(EventLoopTest, StopNowCancelsRunningCoroutinesAndReturnsTheRest) {
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

TEST_F(EventLoopTest, WhatAMethodLeftBehindIsDestroyedWithTheActor) {
  Executor& lounge = actor<Lounge>({});
  outcome(call(lounge, "leave_behind"));
  stop(lounge);
  EXPECT_EQ(scene_.alive, 0);
}

TEST_F(EventLoopTest, StrayExceptionOfAHandlerIsReportedAndTheLoopGoesOn) {
  Executor& lounge = actor<Lounge>({});
  outcome(call(lounge, "leave_thrower"));
  ASSERT_TRUE(host_.wait([&] { return !host_.strays.empty(); }));
  EXPECT_EQ(host_.strays[0].message, "stray");
  EXPECT_EQ(result<int>(call(lounge, "quick", 1)), 2);
}

TEST_F(EventLoopTest, HandlerThatRunsAtOnceThrowsWhereTheLoopIsRun) {
  Executor& lounge = actor<Lounge>({});
  EXPECT_TRUE(result<bool>(call(lounge, "dispatch_thrower")));
  ASSERT_TRUE(host_.wait([&] { return !host_.strays.empty(); }));
  EXPECT_EQ(host_.strays[0].message, "dispatched");
  EXPECT_EQ(result<int>(call(lounge, "quick", 1)), 2);
}

TEST_F(EventLoopTest, OutcomesDoNotWaitForAMethodThatBlocksTheLoopBehindThem) {
  Executor& lounge = actor<Lounge>({});
  std::vector<Job> jobs;
  jobs.push_back(job("quick", 1));
  jobs.push_back(job("block_plain"));
  lounge.submit(jobs);
  ASSERT_TRUE(scene_.gate.wait_inside(1));
  EXPECT_TRUE(host_.wait([&] { return host_.outcomes.count(1) == 1; })) << "it ended at once";
  scene_.gate.open();
  ASSERT_TRUE(host_.wait_for_outcomes(2));
}

TEST_F(EventLoopTest, OutcomesOfABusyLoopDoNotWaitForAMethodThatBlocksItEither) {
  Executor& lounge = actor<Lounge>({});
  constexpr int kWaiting = 100;
  for (int i = 0; i < kWaiting; ++i) call(lounge, "wait", i);
  ASSERT_TRUE(host_.wait_for_begun(kWaiting));
  std::vector<Job> jobs;
  jobs.push_back(job("quick", 1));
  const std::uint64_t quick = jobs.back().lease;
  jobs.push_back(job("block"));
  lounge.submit(jobs);
  ASSERT_TRUE(scene_.gate.wait_inside(1));
  EXPECT_TRUE(host_.wait([&] { return host_.outcomes.count(quick) == 1; }))
      << "what runs behind it may wait for it";
  scene_.gate.open();
  EXPECT_EQ(result<int>(call(lounge, "release", true)), kWaiting);
  ASSERT_TRUE(host_.wait_for_outcomes(kWaiting + 3));
}

TEST_F(EventLoopTest, OutcomeDoesNotWaitForTheNextCallInItsPlace) {
  Executor& lounge = actor<Lounge>(limit(1));
  std::vector<Job> jobs;
  jobs.push_back(job("greet", "you"));
  jobs.push_back(job("block_plain"));
  lounge.submit(jobs);
  ASSERT_TRUE(scene_.gate.wait_inside(1));
  EXPECT_TRUE(host_.wait([&] { return host_.outcomes.count(1) == 1; }));
  scene_.gate.open();
  ASSERT_TRUE(host_.wait_for_outcomes(2));
}

TEST_F(EventLoopTest, TasksThatAreCoroutinesHaveALoopBesideTheThreads) {
  registry_.add<later_task>().add<hold_task>();
  Executor& pool = tasks(1);
  call(pool, "hold");
  ASSERT_TRUE(scene_.gate.wait_inside(1));
  EXPECT_EQ(result<int>(call(pool, "later", 5)), 5);
  scene_.gate.open();
  stop(pool);
}

}  // namespace

}  // namespace callboard::worker
