// The threaded executor: calls begin in order and run side by side, never more than the limit; and
// the executor of tasks, which is one.

#include "tests/unit/worker_executor_fixture.hpp"

#include <callboard/context.hpp>

#include <atomic>
#include <set>
#include <stdexcept>
#include <thread>

namespace callboard::worker {

namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Hall {
 public:
  Hall() : maker_(std::this_thread::get_id()) { ++scene->alive; }
  ~Hall() {
    scene->note(maker_ == std::this_thread::get_id() ? "same thread" : "another thread");
    --scene->alive;
  }
  void wait() { scene->gate.pass(); }
  int quick(int n) { return n; }
  int fail() { throw std::runtime_error("on purpose"); }
  int slow_quick(int n) { return n; }

 private:
  friend consteval auto describe(Class<Hall> c) {
    return c.name("Hall").method<&Hall::wait>("wait").method<&Hall::quick>("quick")
        .method<&Hall::fail>("fail").method<&Hall::slow_quick>("side", {.group = "side"});
  }
  std::thread::id maker_;
};

int twice(int n) { return 2 * n; }
inline constexpr Task<&twice> twice_task{"twice"};
int fail() { throw std::runtime_error("on purpose"); }
inline constexpr Task<&fail> fail_task{"fail"};
void wait_at_gate() { scene->gate.pass(); }
inline constexpr Task<&wait_at_gate> wait_at_gate_task{"wait_at_gate"};
std::string who() {
  return std::string(this_call().queue()) + "/" + std::string(this_call().method());
}
inline constexpr Task<&who> who_task{"who"};

class ThreadedExecutorTest : public ExecutorTest {
 protected:
  static wire::ActorOptions threads(std::uint32_t n) {
    wire::ActorOptions options;
    options.mode = wire::Mode::threaded;
    options.max_concurrency = n;
    return options;
  }
};

TEST_F(ThreadedExecutorTest, AsManyRunAtOnceAsTheLimitSaysAndNeverMore) {
  Executor& hall = actor<Hall>(threads(4));
  for (int i = 0; i < 40; ++i) call(hall, "wait");
  ASSERT_TRUE(scene_.gate.wait_inside(4));
  std::vector<GroupStats> stats;
  hall.stats(stats);
  EXPECT_EQ(stats.at(0).running, 4u);
  EXPECT_EQ(stats.at(0).queued, 36u);
  for (int i = 0; i < 36; ++i) {
    scene_.gate.admit(1);
    ASSERT_TRUE(host_.wait_for_begun(5 + static_cast<std::size_t>(i)));
  }
  scene_.gate.open();
  ASSERT_TRUE(host_.wait_for_outcomes(40));
  EXPECT_EQ(scene_.gate.most_inside(), 4);
}

TEST_F(ThreadedExecutorTest, ConcurrencyThatIsAskedForMakesAPlainClassThreaded) {
  wire::ActorOptions options;
  options.max_concurrency = 3;
  Executor& hall = actor<Hall>(options);
  for (int i = 0; i < 9; ++i) call(hall, "wait");
  EXPECT_TRUE(scene_.gate.wait_inside(3));
}

TEST_F(ThreadedExecutorTest, HundredThousandCallsBeginInSequenceOrder) {
  Executor& hall = actor<Hall>(threads(4));
  constexpr int kCalls = 100'000;
  constexpr int kFrame = 1000;
  for (int sent = 0; sent < kCalls; sent += kFrame) {
    std::vector<Job> jobs;
    for (int i = 0; i < kFrame; ++i) jobs.push_back(job("quick", sent + i));
    hall.submit(jobs);
  }
  ASSERT_TRUE(host_.wait_for_outcomes(kCalls));
  for (std::uint64_t i = 0; i < kCalls; ++i) ASSERT_EQ(host_.begun[i], i + 1);
  EXPECT_EQ(result<int>(77'777), 77'776);
  EXPECT_TRUE(host_.wait([&] { return !host_.owed; })) << "the last report announces more";
}

TEST_F(ThreadedExecutorTest, AnErrorNeverHoldsTheOthers) {
  Executor& hall = actor<Hall>(threads(2));
  Job failing = job("fail");
  wire::CallOptions options;
  options.max_retries = -1;
  options.retry_on.emplace().which = wire::RetryOn::Which::all;
  failing.options = encoded(options);
  const std::uint64_t failed = submit(hall, std::move(failing));
  EXPECT_EQ(result<int>(call(hall, "quick", 5)), 5);
  EXPECT_FALSE(outcome(failed).held);
  EXPECT_EQ(error(failed).message, "on purpose");
}

TEST_F(ThreadedExecutorTest, RevokedCallNeverBeginsAndRunningOnesGoOn) {
  Executor& hall = actor<Hall>(threads(2));
  call(hall, "wait");
  call(hall, "wait");
  ASSERT_TRUE(scene_.gate.wait_inside(2));
  const std::uint64_t queued = call(hall, "quick", 1);
  EXPECT_EQ(hall.revoke(queued, true), Revoked::returned);
  EXPECT_EQ(hall.revoke(1, false), Revoked::running);
  scene_.gate.open();
  ASSERT_TRUE(host_.wait_for_outcomes(3));
  EXPECT_EQ(outcome(queued).fate, Outcome::Fate::returned);
  EXPECT_EQ(outcome(1).status, Errc::ok);
}

TEST_F(ThreadedExecutorTest, StopWaitsForAllThreadsAndTheMakerDestroysTheObject) {
  Executor& hall = actor<Hall>(threads(3));
  for (int i = 0; i < 6; ++i) call(hall, "wait");
  ASSERT_TRUE(scene_.gate.wait_inside(3));
  hall.stop(false);
  EXPECT_EQ(stops(), 0);
  EXPECT_EQ(scene_.alive, 1);
  scene_.gate.open();
  ASSERT_TRUE(host_.wait([&] { return host_.stops == 1; }));
  EXPECT_EQ(scene_.alive, 0);
  ASSERT_TRUE(host_.wait_for_outcomes(6));
  for (std::uint64_t lease = 1; lease <= 6; ++lease) {
    EXPECT_EQ(outcome(lease).fate, Outcome::Fate::ended);
  }
  EXPECT_THAT(log(), ElementsAre("same thread"));
}

TEST_F(ThreadedExecutorTest, StopNowReturnsTheQueueWhileCallsRun) {
  Executor& hall = actor<Hall>(threads(2));
  for (int i = 0; i < 5; ++i) call(hall, "wait");
  ASSERT_TRUE(scene_.gate.wait_inside(2));
  hall.stop(true);
  for (std::uint64_t lease = 3; lease <= 5; ++lease) {
    EXPECT_EQ(outcome(lease).fate, Outcome::Fate::returned);
  }
  scene_.gate.open();
  EXPECT_TRUE(host_.wait([&] { return host_.stops == 1; }));
}

TEST_F(ThreadedExecutorTest, HostThatSaysWaitHoldsAllThreadsUntilTryAgain) {
  Executor& hall = actor<Hall>(threads(3));
  {
    const std::lock_guard lock(host_.mutex);
    host_.begins_allowed = 1;
  }
  for (int i = 0; i < 6; ++i) call(hall, "quick", i);
  ASSERT_TRUE(host_.wait_for_outcomes(1));
  {
    const std::lock_guard lock(host_.mutex);
    host_.begins_allowed = 2;
  }
  hall.try_again();
  ASSERT_TRUE(host_.wait_for_outcomes(3));
  {
    const std::lock_guard lock(host_.mutex);
    host_.begins_allowed = SIZE_MAX;
  }
  hall.try_again();
  ASSERT_TRUE(host_.wait_for_outcomes(6));
  EXPECT_THAT(begun(), ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST_F(ThreadedExecutorTest, FullGroupNeverBlocksAnother) {
  wire::ActorOptions options = threads(2);
  options.groups = {{"side", 1}};
  Executor& hall = actor<Hall>(options);
  for (int i = 0; i < 5; ++i) call(hall, "wait");
  ASSERT_TRUE(scene_.gate.wait_inside(2));
  EXPECT_EQ(result<int>(call(hall, "side", 8)), 8);
  std::vector<GroupStats> stats;
  hall.stats(stats);
  ASSERT_EQ(stats.size(), 2u);
  EXPECT_EQ(stats[0].limit, 2u);
  EXPECT_EQ(stats[1].limit, 1u);
}

TEST_F(ThreadedExecutorTest, GroupOfTheActorsOptionsOrOfTheCallGoesBeforeTheMethods) {
  wire::ActorOptions options = threads(1);
  options.groups = {{"side", 1}, {"other", 2}};
  options.method_groups = {{"wait", "other"}};
  Executor& hall = actor<Hall>(options);
  call(hall, "wait");
  call(hall, "wait");
  EXPECT_TRUE(scene_.gate.wait_inside(2)) << "wait is in the group of two";
  Job asked = job("wait");
  wire::CallOptions call_options;
  call_options.group = "side";
  asked.options = encoded(call_options);
  submit(hall, std::move(asked));
  EXPECT_TRUE(scene_.gate.wait_inside(3)) << "this one asked for the group of one";
}

TEST_F(ThreadedExecutorTest, TasksRunOnAsManyThreadsAsThereAreSlots) {
  registry_.add<twice_task>().add<wait_at_gate_task>().add<who_task>();
  Executor& pool = tasks(3);
  for (int i = 0; i < 8; ++i) call(pool, "wait_at_gate");
  ASSERT_TRUE(scene_.gate.wait_inside(3));
  scene_.gate.open();
  EXPECT_EQ(result<int>(call(pool, "twice", 21)), 42);
  EXPECT_EQ(result<std::string>(call(pool, "who")), "who/who");
  EXPECT_EQ(scene_.gate.most_inside(), 3);
  stop(pool);
}

TEST_F(ThreadedExecutorTest, TaskThatMayBeRetriedHoldsNothingEvenOnASingleSlot) {
  registry_.add<fail_task>().add<twice_task>();
  Executor& pool = tasks(1);
  Job failing = job("fail");
  wire::CallOptions options;
  options.max_retries = 3;
  options.retry_on.emplace().which = wire::RetryOn::Which::all;
  failing.options = encoded(options);
  const std::uint64_t failed = submit(pool, std::move(failing));
  EXPECT_EQ(result<int>(call(pool, "twice", 4)), 8);
  EXPECT_EQ(outcome(failed).status, Errc::task_error);
  EXPECT_FALSE(outcome(failed).held);
}

TEST_F(ThreadedExecutorTest, UnknownTaskIsAnErrorThatNamesIt) {
  registry_.add<twice_task>();
  Executor& pool = tasks(1);
  const std::uint64_t lease = call(pool, "no_such_method", 1);
  EXPECT_EQ(outcome(lease).fate, Outcome::Fate::refused);
  EXPECT_EQ(outcome(lease).status, Errc::unknown_task);
  EXPECT_THAT(error(lease).message, HasSubstr("no_such_method"));
}

}  // namespace

}  // namespace callboard::worker
