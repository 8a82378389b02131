// The batched executor: calls of one method that stand together run together.

#include "tests/unit/worker_executor_fixture.hpp"

#include <stdexcept>
#include <string>
#include <tuple>

namespace callboard::worker {

namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Model {
 public:
  void wait() { scene->gate.pass(); }
  std::vector<int> squares(std::vector<int> numbers) {
    scene->note("squares " + std::to_string(numbers.size()));
    for (int& n : numbers) n *= n;
    return numbers;
  }
  std::vector<std::string> joined(const std::vector<std::tuple<std::string, int>>& pairs) {
    std::vector<std::string> texts;
    for (const auto& [text, n] : pairs) texts.push_back(text + std::to_string(n));
    return texts;
  }
  void count(std::vector<int> numbers) { scene->note("count " + std::to_string(numbers.size())); }
  std::vector<int> too_few(std::vector<int>) { return {1}; }
  std::vector<int> fail(std::vector<int>) { throw std::runtime_error("out of memory"); }

 private:
  friend consteval auto describe(Class<Model> c) {
    return c.name("Model").method<&Model::wait>("wait").batched<&Model::squares>("squares")
        .batched<&Model::joined>("joined").batched<&Model::count>("count")
        .batched<&Model::too_few>("too_few").batched<&Model::fail>("fail");
  }
};

class BatchExecutorTest : public ExecutorTest {
 protected:
  /// Fills the queue behind a call that waits, so that batches do not depend on timing.
  void block(Executor& model) {
    call(model, "wait");
    ASSERT_TRUE(scene_.gate.wait_inside(1));
  }
};

TEST_F(BatchExecutorTest, ClassWithABatchedMethodRunsInBatchesOfTen) {
  Executor& model = actor<Model>({});
  block(model);
  for (int i = 0; i < 25; ++i) call(model, "squares", i);
  scene_.gate.open();
  ASSERT_TRUE(host_.wait_for_outcomes(26));
  EXPECT_THAT(log(), ElementsAre("squares 10", "squares 10", "squares 5"));
  for (int i = 0; i < 25; ++i) {
    EXPECT_EQ(result<int>(static_cast<std::uint64_t>(i) + 2), i * i);
  }
}

TEST_F(BatchExecutorTest, BatchSizeOfTheOptionsIsNeverExceeded) {
  wire::ActorOptions options;
  options.max_batch_size = 3;
  Executor& model = actor<Model>(options);
  block(model);
  for (int i = 0; i < 7; ++i) call(model, "squares", i);
  scene_.gate.open();
  ASSERT_TRUE(host_.wait_for_outcomes(8));
  EXPECT_THAT(log(), ElementsAre("squares 3", "squares 3", "squares 1"));
}

TEST_F(BatchExecutorTest, AnotherMethodEndsABatchSoThatOrderIsKept) {
  Executor& model = actor<Model>({});
  block(model);
  call(model, "squares", 1);
  call(model, "squares", 2);
  call(model, "count", 3);
  call(model, "squares", 4);
  scene_.gate.open();
  ASSERT_TRUE(host_.wait_for_outcomes(5));
  EXPECT_THAT(log(), ElementsAre("squares 2", "count 1", "squares 1"));
  EXPECT_THAT(begun(), ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(BatchExecutorTest, CallsOfSeveralArgumentsComeAsTuples) {
  Executor& model = actor<Model>({});
  block(model);
  const std::uint64_t a = call(model, "joined", std::string("a"), 1);
  const std::uint64_t b = call(model, "joined", std::string("b"), 2);
  scene_.gate.open();
  EXPECT_EQ(result<std::string>(a), "a1");
  EXPECT_EQ(result<std::string>(b), "b2");
}

TEST_F(BatchExecutorTest, CallWithBadArgumentsFailsAloneAndTheRestOfTheBatchRuns) {
  Executor& model = actor<Model>({});
  block(model);
  const std::uint64_t good = call(model, "squares", 3);
  const std::uint64_t bad = call(model, "squares", std::string("four"));
  const std::uint64_t also_good = call(model, "squares", 5);
  scene_.gate.open();
  EXPECT_EQ(result<int>(good), 9);
  EXPECT_EQ(result<int>(also_good), 25);
  EXPECT_EQ(outcome(bad).status, Errc::bad_arguments);
  EXPECT_THAT(error(bad).message, HasSubstr("Model.squares, int(int)"));
  EXPECT_THAT(log(), ElementsAre("squares 2"));
}

TEST_F(BatchExecutorTest, ThrowingMethodFailsEveryCallOfItsBatch) {
  Executor& model = actor<Model>({});
  block(model);
  const std::uint64_t a = call(model, "fail", 1);
  const std::uint64_t b = call(model, "fail", 2);
  const std::uint64_t after = call(model, "squares", 2);
  scene_.gate.open();
  for (const std::uint64_t lease : {a, b}) {
    EXPECT_EQ(outcome(lease).status, Errc::task_error);
    EXPECT_EQ(error(lease).message, "out of memory");
  }
  EXPECT_EQ(result<int>(after), 4);
}

TEST_F(BatchExecutorTest, WrongNumberOfResultsFailsEveryCallOfTheBatch) {
  Executor& model = actor<Model>({});
  block(model);
  const std::uint64_t a = call(model, "too_few", 1);
  const std::uint64_t b = call(model, "too_few", 2);
  scene_.gate.open();
  for (const std::uint64_t lease : {a, b}) {
    EXPECT_EQ(error(lease).type, "callboard::WrongResultCount");
    EXPECT_THAT(error(lease).message, HasSubstr("got 2 calls and gave 1 result"));
  }
}

TEST_F(BatchExecutorTest, BatchWaitGathersCallsThatComeOneByOneUntilTheBatchIsFull) {
  wire::ActorOptions options;
  options.max_batch_size = 4;
  options.batch_wait_us = 3'600'000'000;  // only a full batch begins
  Executor& model = actor<Model>(options);
  for (int i = 0; i < 3; ++i) call(model, "squares", i);
  std::vector<GroupStats> stats;
  model.stats(stats);
  EXPECT_EQ(stats.at(0).limit, 4u);
  EXPECT_EQ(stats.at(0).queued, 3u);
  EXPECT_EQ(model.revoke(2, true), Revoked::returned) << "a call that waits has not begun";
  call(model, "squares", 3);
  ASSERT_TRUE(host_.wait_for_outcomes(4));
  EXPECT_THAT(log(), ElementsAre("squares 3"));
}

TEST_F(BatchExecutorTest, BatchWaitEndsByItself) {
  wire::ActorOptions options;
  options.batch_wait_us = 1000;
  Executor& model = actor<Model>(options);
  EXPECT_EQ(result<int>(call(model, "squares", 6)), 36);
}

TEST_F(BatchExecutorTest, StopDoesNotWaitForABatchToFill) {
  wire::ActorOptions options;
  options.batch_wait_us = 3'600'000'000;
  Executor& model = actor<Model>(options);
  const std::uint64_t lease = call(model, "squares", 6);
  stop(model);
  EXPECT_EQ(result<int>(lease), 36);
}

TEST_F(BatchExecutorTest, BatchedMethodOfASerialActorRunsWithOneCallAtATime) {
  wire::ActorOptions options;
  options.mode = wire::Mode::serial;
  Executor& model = actor<Model>(options);
  block(model);
  const std::uint64_t a = call(model, "squares", 2);
  const std::uint64_t b = call(model, "squares", 3);
  scene_.gate.open();
  EXPECT_EQ(result<int>(a), 4);
  EXPECT_EQ(result<int>(b), 9);
  EXPECT_THAT(log(), ElementsAre("squares 1", "squares 1"));
}

TEST_F(BatchExecutorTest, HundredThousandCallsKeepTheirResultsApart) {
  wire::ActorOptions options;
  options.max_batch_size = 64;
  Executor& model = actor<Model>(options);
  constexpr int kCalls = 100'000;
  for (int sent = 0; sent < kCalls; sent += 1000) {
    std::vector<Job> jobs;
    for (int i = 0; i < 1000; ++i) jobs.push_back(job("squares", (sent + i) % 1000));
    model.submit(jobs);
  }
  ASSERT_TRUE(host_.wait_for_outcomes(kCalls));
  for (int i = 0; i < kCalls; i += 997) {
    ASSERT_EQ(result<int>(static_cast<std::uint64_t>(i) + 1), (i % 1000) * (i % 1000));
  }
}

}  // namespace

}  // namespace callboard::worker
