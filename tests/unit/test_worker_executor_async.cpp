// The async executor: coroutines and plain methods on one event loop.

#include "common/clock.hpp"
#include "tests/unit/worker_lounge.hpp"

namespace callboard::worker {

namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using AsyncExecutorTest = LoungeTest;

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
  // The last first: one that ends lets the next begin.
  for (std::uint64_t lease = 9; lease >= 2; --lease) lounge.revoke(lease, true);
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
  late.deadline_us = steady_us() + 20'000;
  Job never = job("sleep");
  never.deadline_us = steady_us() + 3'600'000'000;
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
