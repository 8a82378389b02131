// Each demo fails where what it promises is not there: the same code, with a plan that breaks the
// promise, on a real system.
#include "examples/backpressure/demo.hpp"
#include "examples/balancer/demo.hpp"
#include "examples/depth/demo.hpp"
#include "examples/flags/demo.hpp"
#include "examples/offload/demo.hpp"
#include "examples/order/demo.hpp"
#include "examples/ran.hpp"
#include "examples/replicas/demo.hpp"
#include "examples/report.hpp"
#include "examples/sleepers/demo.hpp"
#include "examples/theatre.hpp"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <unistd.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace demos {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

/// One system for all tests of the suite.
class WrongPlan : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    TheatreOptions options;
    options.workers = 2;
    options.library = DEMOS_LIBRARY;
    theatre_ = std::make_unique<Theatre>(options);
  }
  static void TearDownTestSuite() { theatre_.reset(); }

  const Stage& stage() const { return theatre_->stage(); }
  Report report_;

 private:
  static std::unique_ptr<Theatre> theatre_;
};

std::unique_ptr<Theatre> WrongPlan::theatre_;

TEST_F(WrongPlan, OneReplicaNeitherAlternatesNorComputesInParallel) {
  show_replicas(stage(), report_, {.replicas = 1});
  EXPECT_THAT(report_.failures(),
              ElementsAre(StartsWith("process ids"), StartsWith("  of that, both at once")));
}

TEST_F(WrongPlan, SleepersOneAtATimeAreNotAtOnce) {
  show_sleepers(stage(), report_, {.max_concurrency = 1, .sleep_s = 0.2});
  EXPECT_THAT(report_.failures(), Contains(StartsWith("async")));
  EXPECT_THAT(report_.failures(), Contains(StartsWith("threaded")));
  EXPECT_THAT(report_.failures(), Contains(StartsWith("two async replicas")));
  EXPECT_THAT(report_.failures(), Not(Contains(StartsWith("serial"))));
}

TEST_F(WrongPlan, SleepersInOneReplicaAreNotInTwoProcesses) {
  show_sleepers(stage(), report_, {.replicas = 1, .sleep_s = 0.2});
  EXPECT_THAT(report_.failures(), Contains(StartsWith("  processes")));
  EXPECT_THAT(report_.failures(), Not(Contains(StartsWith("two async replicas"))));
}

TEST_F(WrongPlan, OneWrongByteInOneFlagIsFound) {
  const auto copy = fs::path(testing::TempDir()) / ("flags-" + std::to_string(::getpid()));
  fs::create_directories(copy);
  fs::path first;
  for (const auto& file : fs::directory_iterator(flags_folder())) {
    if (file.path().extension() != ".png") continue;
    const auto name = copy / file.path().filename();
    fs::copy(file.path(), name);
    if (first.empty() || name < first) first = name;
  }
  std::fstream flag(first, std::ios::in | std::ios::out | std::ios::binary);
  flag.seekg(100);
  const char byte = static_cast<char>(flag.peek() ^ 1);
  flag.seekp(100).put(byte);
  flag.close();

  show_flags(stage(), report_, {.delay = 20ms, .served = copy});
  EXPECT_THAT(report_.failures(), Contains(HasSubstr("measured 19 right")).Times(3));
  fs::remove_all(copy);
}

TEST_F(WrongPlan, FlagsFetchedOneByOneAreNotFetchedAtOnce) {
  show_flags(stage(), report_, {.max_concurrency = 1, .delay = 20ms, .served = {}});
  EXPECT_THAT(report_.failures(), ElementsAre(StartsWith("async"), StartsWith("threaded")));
}

TEST_F(WrongPlan, PrioritiesBreakTheOrderOfAppends) {
  show_order(stage(), report_, {.mixed_priorities = true});
  EXPECT_THAT(report_.failures(), ElementsAre(StartsWith("out of their client's order")));
}

TEST_F(WrongPlan, BalancerThatTakesOneRequestAtATimeIsFound) {
  show_balancer(stage(), report_, {.max_concurrency = 1});
  EXPECT_THAT(report_.failures(), ElementsAre(StartsWith("requests at once")));
}

TEST_F(WrongPlan, WorkInTheEventLoopStallsIt) {
  show_offload(stage(), report_, {.send_out = false});
  EXPECT_THAT(report_.failures(), Contains(StartsWith("in other processes")));
  EXPECT_THAT(report_.failures(), Contains(StartsWith("longest stall")));
}

TEST_F(WrongPlan, TooManyCallsInsideFillTheWorkersMemory) {
  show_backpressure(
      stage(), report_,
      {.max_concurrency = 8000, .calls = 9000, .load_bytes = 12 * 1024, .inside_ms = 4000});
  EXPECT_THAT(report_.failures(), Contains(StartsWith("most that ran at once")));
  EXPECT_THAT(report_.failures(), Contains(StartsWith("worker's memory")));
}

TEST_F(WrongPlan, DepthOfAnotherKeyIsNotTheQueues) {
  show_depth(stage(), report_, {.key_suffix = "sent"});
  EXPECT_THAT(report_.failures(), Contains(StartsWith("  while the first call holds the rest")));
  EXPECT_THAT(report_.failures(), Contains(StartsWith("  samples")));
}

TEST(LedgerCheck, SwappedEntriesOfOneClientAreOutOfOrder) {
  EXPECT_EQ(out_of_order({{0, 0}, {1, 0}, {0, 1}, {1, 1}}), 0);
  EXPECT_GT(out_of_order({{0, 0}, {1, 1}, {0, 1}, {1, 0}}), 0);
  EXPECT_GT(out_of_order({{0, 0}, {0, 0}}), 0) << "twice";
  EXPECT_GT(out_of_order({{0, 0}, {0, 2}}), 0) << "one is missing";
}

TEST(LedgerCheck, EntriesThatStandElsewhereAreMisplaced) {
  EXPECT_EQ(misplaced({{0, 0}, {1, 0}}, {{0}, {1}}), 0);
  EXPECT_EQ(misplaced({{0, 0}, {1, 0}}, {{1}, {0}}), 2);
  EXPECT_EQ(misplaced({{0, 0}}, {{0}, {1}}), 1) << "beyond the end";
}

TEST(RanCheck, CallsThatOnlyTouchAreNotAtOnce) {
  const std::vector<Ran> calls = {
      {"1@a", 0, 1000, 1}, {"1@a", 1000, 2000, 1}, {"1@b", 1500, 2500, 1}};
  EXPECT_EQ(most_at_once(calls), 2);
  EXPECT_DOUBLE_EQ(overlap_s(calls), 0.0005);
  EXPECT_EQ(most_inside(calls), 1);
  EXPECT_EQ(processes_of(calls).size(), 2U);
}

}  // namespace
}  // namespace demos
