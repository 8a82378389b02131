// The serial executor: one call at a time, in order; held after an error that may be retried.

#include "common/clock.hpp"
#include "tests/unit/worker_executor_fixture.hpp"

#include <callboard/context.hpp>

#include <stdexcept>

namespace callboard::worker {

namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Desk {
 public:
  explicit Desk(int start) : value_(start) {
    if (start < 0) throw std::invalid_argument("a desk cannot start below zero");
    ++scene->alive;
  }
  ~Desk() {
    scene->note("destroyed");
    --scene->alive;
  }

  int add(int n) { return value_ += n; }
  void wait() { scene->gate.pass(); }
  void write(std::string line) { scene->note(std::move(line)); }
  int fail(std::string what) { throw std::out_of_range(what); }
  std::string repeat(std::string text, int times) {
    std::string all;
    for (; times > 0; --times) all += text;
    return all;
  }
  bool cancelled() {
    scene->gate.pass();
    return this_call().cancel_requested();
  }

 private:
  friend consteval auto describe(Class<Desk> c) {
    return c.name("Desk").constructor<int>().method<&Desk::add>("add").method<&Desk::wait>("wait")
        .method<&Desk::write>("write").method<&Desk::fail>("fail")
        .method<&Desk::repeat>("repeat").method<&Desk::cancelled>("cancelled");
  }

  int value_;
};

class SerialExecutorTest : public ExecutorTest {
 protected:
  /// A call that may be retried when it fails.
  Job retried(const std::string& method, const std::string& argument) {
    Job made = job(method, argument);
    wire::CallOptions options;
    options.max_retries = 2;
    options.retry_on.emplace().which = wire::RetryOn::Which::all;
    made.options = encoded(options);
    return made;
  }
};

TEST_F(SerialExecutorTest, CallsRunInOrderAndSeeEachOthersEffects) {
  Executor& desk = actor<Desk>({}, 10);
  const std::uint64_t first = call(desk, "add", 1);
  const std::uint64_t second = call(desk, "add", 2);
  EXPECT_EQ(result<int>(first), 11);
  EXPECT_EQ(result<int>(second), 13);
  EXPECT_EQ(host_.constructed.at(0).code, Errc::ok);
}

TEST_F(SerialExecutorTest, HundredThousandCallsStartInSequenceOrder) {
  Executor& desk = actor<Desk>({}, 0);
  constexpr int kCalls = 100'000;
  constexpr int kFrame = 500;
  for (int sent = 0; sent < kCalls; sent += kFrame) {
    std::vector<Job> jobs;
    for (int i = 0; i < kFrame; ++i) jobs.push_back(job("add", 1));
    desk.submit(jobs);
  }
  ASSERT_TRUE(host_.wait_for_outcomes(kCalls));
  for (std::uint64_t i = 0; i < kCalls; ++i) {
    ASSERT_EQ(host_.begun[i], i + 1);
    ASSERT_EQ(host_.order[i], i + 1);
  }
  EXPECT_EQ(result<int>(kCalls), kCalls);
  EXPECT_TRUE(host_.wait([&] { return !host_.owed; })) << "the last report announces more";
  stop(desk);
}

TEST_F(SerialExecutorTest, SubmittedJobsAreSwappedForSpareBuffers) {
  Executor& desk = actor<Desk>({}, 0);
  const std::string text(500, 'x');
  std::vector<Job> jobs;
  jobs.push_back(job("repeat", text, 1));
  desk.submit(jobs);
  EXPECT_EQ(result<std::string>(1), text);
  // The pool has several spares, and those that were freed last go first: more each time, so that
  // after a few rounds the buffer of the first call comes back.
  bool reused = false;
  std::size_t submitted = 1;
  for (std::size_t count = 1; count <= 20 && !reused; ++count) {
    jobs.clear();
    while (jobs.size() < count) jobs.push_back(job("add", 1));
    desk.submit(jobs);
    submitted += count;
    ASSERT_TRUE(host_.wait_for_outcomes(submitted));
    reused = std::any_of(jobs.begin(), jobs.end(), [&](const Job& spare) {
      return spare.args.text.capacity() >= text.size();
    });
  }
  EXPECT_TRUE(reused);
}

TEST_F(SerialExecutorTest, OnlyOneCallIsEverInside) {
  Executor& desk = actor<Desk>({}, 0);
  for (int i = 0; i < 20; ++i) call(desk, "wait");
  ASSERT_TRUE(scene_.gate.wait_inside(1));
  scene_.gate.open();
  ASSERT_TRUE(host_.wait_for_outcomes(20));
  EXPECT_EQ(scene_.gate.most_inside(), 1);
}

TEST_F(SerialExecutorTest, OutcomeOfAShortCallDoesNotWaitForTheLongOneBehindIt) {
  Executor& desk = actor<Desk>({}, 0);
  std::vector<Job> jobs;
  jobs.push_back(job("add", 1));
  jobs.push_back(job("wait"));
  desk.submit(jobs);
  ASSERT_TRUE(scene_.gate.wait_inside(1));
  EXPECT_EQ(result<int>(1), 1);
}

TEST_F(SerialExecutorTest, TwoActorsNeverBlockEachOther) {
  Executor& stuck = actor<Desk>({}, 0);
  Executor& free = actor<Desk>({}, 5);
  call(stuck, "wait");
  ASSERT_TRUE(scene_.gate.wait_inside(1));
  EXPECT_EQ(result<int>(call(free, "add", 1)), 6);
}

TEST_F(SerialExecutorTest, ThrowingConstructorIsReportedAndJobsAreReturned) {
  Executor& desk = actor<Desk>({}, -1);
  const std::uint64_t lease = call(desk, "add", 1);
  EXPECT_EQ(outcome(lease).fate, Outcome::Fate::returned);
  ASSERT_TRUE(host_.wait([&] { return !host_.constructed.empty(); }));
  const ErrorInfo& error = host_.constructed.front();
  EXPECT_EQ(error.code, Errc::constructor_failed);
  EXPECT_EQ(error.type, "std::invalid_argument");
  EXPECT_EQ(error.message, "a desk cannot start below zero");
  EXPECT_EQ(error.place, "constructor of Desk on worker-7 (pid 4711)");
  stop(desk);
  EXPECT_THAT(begun(), IsEmpty());
}

TEST_F(SerialExecutorTest, ConstructorArgumentsOfAnotherTypeAreNamed) {
  actor<Desk>({}, std::string("many"));
  ASSERT_TRUE(host_.wait([&] { return !host_.constructed.empty(); }));
  const ErrorInfo& error = host_.constructed.front();
  EXPECT_EQ(error.code, Errc::bad_arguments);
  EXPECT_THAT(error.message, HasSubstr("constructor of Desk, nil(int): argument 1"));
  EXPECT_THAT(error.message, HasSubstr("expected int, got str"));
}

TEST_F(SerialExecutorTest, RevokedCallNeverBegins) {
  Executor& desk = actor<Desk>({}, 0);
  call(desk, "wait");
  ASSERT_TRUE(scene_.gate.wait_inside(1));
  const std::uint64_t queued = call(desk, "add", 1);
  const std::uint64_t behind = call(desk, "add", 10);
  EXPECT_EQ(desk.revoke(queued, true), Revoked::returned);
  EXPECT_EQ(outcome(queued).fate, Outcome::Fate::returned);
  EXPECT_EQ(desk.revoke(queued, true), Revoked::unknown);
  scene_.gate.open();
  EXPECT_EQ(result<int>(behind), 10);
  EXPECT_THAT(begun(), ElementsAre(1, behind));
}

TEST_F(SerialExecutorTest, RunningMethodSeesThatItIsAskedToStop) {
  Executor& desk = actor<Desk>({}, 0);
  const std::uint64_t running = call(desk, "cancelled");
  ASSERT_TRUE(scene_.gate.wait_inside(1));
  EXPECT_EQ(desk.revoke(running, false), Revoked::running);
  EXPECT_EQ(desk.revoke(running, true), Revoked::stopping);
  const std::uint64_t next = call(desk, "cancelled");
  scene_.gate.open();
  EXPECT_TRUE(result<bool>(running));
  EXPECT_FALSE(result<bool>(next)) << "the next call inherited the request";
  EXPECT_EQ(desk.revoke(running, true), Revoked::unknown);
}

TEST_F(SerialExecutorTest, RetriableErrorHoldsTheLaneUntilGoOn) {
  Executor& desk = actor<Desk>({}, 0);
  std::vector<Job> jobs;
  jobs.push_back(retried("fail", "five"));
  jobs.push_back(job("add", 6));
  jobs.push_back(job("add", 7));
  desk.submit(jobs);
  const Outcome failed = outcome(1);
  EXPECT_TRUE(failed.held);
  EXPECT_EQ(failed.status, Errc::task_error);
  std::vector<GroupStats> stats;
  desk.stats(stats);
  EXPECT_TRUE(stats.at(0).held);
  EXPECT_EQ(stats.at(0).queued, 2u);
  EXPECT_THAT(begun(), ElementsAre(1));

  desk.go_on(false);
  EXPECT_EQ(result<int>(3), 13);
  EXPECT_THAT(begun(), ElementsAre(1, 2, 3));
}

TEST_F(SerialExecutorTest, HandBackReturnsEverythingUnbegunInOrderAndThenGoesOn) {
  Executor& desk = actor<Desk>({}, 0);
  std::vector<Job> jobs;
  jobs.push_back(retried("fail", "five"));
  for (int i = 0; i < 50; ++i) jobs.push_back(job("add", 1));
  desk.submit(jobs);
  ASSERT_TRUE(outcome(1).held);
  call(desk, "add", 1);  // came after the error
  desk.go_on(true);
  ASSERT_TRUE(host_.wait_for_outcomes(52));
  for (std::uint64_t lease = 2; lease <= 52; ++lease) {
    EXPECT_EQ(outcome(lease).fate, Outcome::Fate::returned);
    EXPECT_EQ(host_.order[lease - 1], lease);
  }
  // The broker sends the failed call again, and then what it got back.
  Job again = retried("write", "five again");
  again.attempt = 2;
  submit(desk, std::move(again));
  EXPECT_EQ(result<int>(call(desk, "add", 6)), 6);
  EXPECT_THAT(log(), ElementsAre("five again"));
}

TEST_F(SerialExecutorTest, ErrorThatIsNotRetriedHoldsNothing) {
  wire::ActorOptions options;
  options.max_retries = 5;
  options.retry_on.emplace();
  options.retry_on->which = wire::RetryOn::Which::listed;
  options.retry_on->types = {"std::runtime_error"};
  Executor& desk = actor<Desk>(options, 0);
  const std::uint64_t other_type = call(desk, "fail", std::string("out of range"));
  Job last_attempt = retried("fail", "third");
  last_attempt.attempt = 3;
  const std::uint64_t spent = submit(desk, std::move(last_attempt));
  const std::uint64_t after = call(desk, "add", 1);
  EXPECT_EQ(result<int>(after), 1);
  EXPECT_FALSE(outcome(other_type).held);
  EXPECT_FALSE(outcome(spent).held);
}

TEST_F(SerialExecutorTest, ActorsRetryOptionsCountWhereTheCallSaysNothing) {
  wire::ActorOptions options;
  options.max_retries = -1;
  options.retry_on.emplace();
  options.retry_on->which = wire::RetryOn::Which::listed;
  options.retry_on->types = {"std::out_of_range"};
  Executor& desk = actor<Desk>(options, 0);
  Job made = job("fail", std::string("again"));
  made.attempt = 1000;
  const std::uint64_t lease = submit(desk, std::move(made));
  EXPECT_TRUE(outcome(lease).held);
  desk.go_on(false);
  EXPECT_EQ(result<int>(call(desk, "add", 1)), 1);
}

TEST_F(SerialExecutorTest, StopRunsWhatIsQueuedThenDestroysTheObject) {
  Executor& desk = actor<Desk>({}, 0);
  call(desk, "wait");
  ASSERT_TRUE(scene_.gate.wait_inside(1));
  const std::uint64_t queued = call(desk, "add", 4);
  desk.stop(false);
  const std::uint64_t late = call(desk, "add", 1);
  EXPECT_EQ(outcome(late).fate, Outcome::Fate::returned);
  EXPECT_EQ(stops(), 0);
  scene_.gate.open();
  EXPECT_EQ(result<int>(queued), 4);
  ASSERT_TRUE(host_.wait([&] { return host_.stops == 1; }));
  EXPECT_EQ(scene_.alive, 0);
}

TEST_F(SerialExecutorTest, StopNowReturnsWhatIsQueuedAndAsksTheRunningCallToStop) {
  Executor& desk = actor<Desk>({}, 0);
  const std::uint64_t running = call(desk, "cancelled");
  ASSERT_TRUE(scene_.gate.wait_inside(1));
  const std::uint64_t queued = call(desk, "add", 4);
  desk.stop(true);
  EXPECT_EQ(outcome(queued).fate, Outcome::Fate::returned);
  EXPECT_EQ(stops(), 0);
  scene_.gate.open();
  EXPECT_TRUE(result<bool>(running));
  ASSERT_TRUE(host_.wait([&] { return host_.stops == 1; }));
  EXPECT_EQ(scene_.alive, 0);
}

TEST_F(SerialExecutorTest, StopWhileHeldReturnsWhatIsHeld) {
  Executor& desk = actor<Desk>({}, 0);
  std::vector<Job> jobs;
  jobs.push_back(retried("fail", "five"));
  jobs.push_back(job("add", 6));
  desk.submit(jobs);
  ASSERT_TRUE(outcome(1).held);
  stop(desk);
  EXPECT_EQ(outcome(2).fate, Outcome::Fate::returned);
}

TEST_F(SerialExecutorTest, ErrorThatWouldHoldAnEndingActorReturnsTheRestInstead) {
  Executor& desk = actor<Desk>({}, 0);
  std::vector<Job> jobs;
  jobs.push_back(job("wait"));
  jobs.push_back(retried("fail", "five"));
  jobs.push_back(job("add", 6));
  desk.submit(jobs);
  ASSERT_TRUE(scene_.gate.wait_inside(1));
  desk.stop(false);
  scene_.gate.open();
  ASSERT_TRUE(host_.wait([&] { return host_.stops == 1; }));
  EXPECT_TRUE(outcome(2).held);
  EXPECT_EQ(outcome(3).fate, Outcome::Fate::returned);
}

TEST_F(SerialExecutorTest, DestroyingAnExecutorWithoutStopEndsItsThreadsAndObject) {
  Executor& desk = actor<Desk>({}, 0);
  call(desk, "add", 1);
  executors_.clear();
  EXPECT_EQ(scene_.alive, 0);
  EXPECT_EQ(stops(), 1);
}

TEST_F(SerialExecutorTest, HostThatSaysWaitIsAskedAgainOnlyAfterTryAgain) {
  Executor& desk = actor<Desk>({}, 0);
  {
    const std::lock_guard lock(host_.mutex);
    host_.begins_allowed = 2;
  }
  for (int i = 0; i < 5; ++i) call(desk, "add", 1);
  ASSERT_TRUE(host_.wait_for_outcomes(2));
  std::vector<GroupStats> stats;
  desk.stats(stats);
  EXPECT_EQ(desk.revoke(4, true), Revoked::returned) << "a call that waits can be taken back";
  {
    const std::lock_guard lock(host_.mutex);
    host_.begins_allowed = SIZE_MAX;
  }
  desk.try_again();
  EXPECT_EQ(result<int>(5), 4);
  EXPECT_THAT(begun(), ElementsAre(1, 2, 3, 5));
}

TEST_F(SerialExecutorTest, StopNowEndsAnActorThatTheHostKeepsWaiting) {
  Executor& desk = actor<Desk>({}, 0);
  {
    const std::lock_guard lock(host_.mutex);
    host_.begins_allowed = 0;
  }
  const std::uint64_t lease = call(desk, "add", 1);
  stop(desk, true);
  EXPECT_NE(outcome(lease).fate, Outcome::Fate::ended);
}

TEST_F(SerialExecutorTest, BigResultTravelsAsAPartOfItsOwn) {
  Executor& desk = actor<Desk>({}, 0);
  const std::uint64_t lease = call(desk, "repeat", std::string(1024, 'y'), 64);
  EXPECT_EQ(result<std::string>(lease).size(), 65536u);
  EXPECT_TRUE(outcome(lease).value.part);
}

TEST_F(SerialExecutorTest, ArgumentsMayComeAsAMessagePart) {
  Executor& desk = actor<Desk>({}, 0);
  Job made = job("repeat", std::string("a"), 3);
  made.args = Payload(Blob(std::string(made.args.view())));
  EXPECT_EQ(result<std::string>(submit(desk, std::move(made))), "aaa");
}

TEST_F(SerialExecutorTest, ServiceTimeAndTimesOfACallAreMeasured) {
  Executor& desk = actor<Desk>({}, 0);
  const std::int64_t before = steady_us();
  const std::uint64_t lease = call(desk, "wait");
  ASSERT_TRUE(scene_.gate.wait_inside(1));
  scene_.gate.open();
  const Outcome ended = outcome(lease);
  EXPECT_GE(ended.began_us, before);
  EXPECT_GE(ended.ended_us, ended.began_us);
  EXPECT_LE(ended.ended_us, steady_us());
}

}  // namespace

}  // namespace callboard::worker
