// Children and supervisors that die, with a real broker and a real Redis: what becomes of calls
// that ran, of those that did not, and what is left behind.

#include "app.hpp"
#include "worker_process.hpp"

#include <callboard/callboard.hpp>
#include <callboard/embedded.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace app {
namespace {

using callboard::Client;
using callboard::Errc;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using namespace std::chrono_literals;

class WorkerDeathTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    system_ = std::make_unique<callboard::EmbeddedSystem>(callboard::EmbeddedOptions{.workers = 0});
  }
  static void TearDownTestSuite() { system_.reset(); }

  WorkerDeathTest() : client_(system_->endpoint()) {}
  ~WorkerDeathTest() override {
    client_.close();
    if (worker_) {
      worker_->signal(SIGTERM);
      worker_->wait_end();
    }
    if (HasFailure()) {
      for (const std::string& line : notes(directory_.file("log"))) std::puts(line.c_str());
    }
  }

  std::unique_ptr<WorkerProcess> start(std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"--broker", system_->ipc_endpoint(), "--runtime-dir",
                                       directory_.file("run")};
    if (std::find(more.begin(), more.end(), "--task-slots") == more.end()) {
      arguments.insert(arguments.end(), {"--task-slots", "1"});
    }
    arguments.insert(arguments.end(), more.begin(), more.end());
    return std::make_unique<WorkerProcess>(WORKER_APP, arguments, directory_.file("log"));
  }
  void start_worker(std::vector<std::string> more = {}) {
    worker_ = start(std::move(more));
    ASSERT_TRUE(worker_->wait_ready());
  }
  std::size_t count(const std::string& word) const {
    const auto lines = notes(directory_.file("notes"));
    return static_cast<std::size_t>(
        std::count_if(lines.begin(), lines.end(),
                      [&](const std::string& line) { return line.starts_with(word); }));
  }
  bool begun(const std::string& word) const {
    return eventually([&] { return count(word) > 0; });
  }
  std::string notes_file() const { return directory_.file("notes"); }
  std::vector<std::string> pages() const {
    std::vector<std::string> found;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.file("run"), ignored)) {
      found.push_back(entry.path().filename().string());
    }
    return found;
  }

  static std::unique_ptr<callboard::EmbeddedSystem> system_;
  TemporaryDirectory directory_;
  Client client_;
  std::unique_ptr<WorkerProcess> worker_;
};

std::unique_ptr<callboard::EmbeddedSystem> WorkerDeathTest::system_;

TEST_F(WorkerDeathTest, CallsOfAChildThatIsKilledAreSettledExactlyByWhatHadBegun) {
  start_worker();
  auto probe = client_.actor<Probe>({.max_restarts = -1});
  const int before = probe.call<&Probe::pid>().get();
  auto running = probe.call<&Probe::nap>(notes_file(), "first", 60'000);
  std::vector<callboard::Future<int>> waiting;
  for (int i = 0; i < 5; ++i) waiting.push_back(probe.call<&Probe::nap>(notes_file(), "later", 1));
  ASSERT_TRUE(begun("first"));
  ::kill(before, SIGKILL);
  EXPECT_THROW(running.get(30s), callboard::MaybeExecuted);
  for (const auto& future : waiting) EXPECT_NE(future.get(30s), before);
  EXPECT_EQ(count("first"), 1u);
  EXPECT_EQ(count("later"), 5u) << "none had begun, so none is uncertain";
}

TEST_F(WorkerDeathTest, TheBrokerHearsOfADeathBeforeAnyLeaseEnds) {
  start_worker();
  auto probe = client_.actor<Probe>();
  const int pid = probe.call<&Probe::pid>().get();
  auto running = probe.call<&Probe::nap>(notes_file(), "first", 60'000);
  ASSERT_TRUE(begun("first"));
  ::kill(pid, SIGKILL);
  running.wait();
  EXPECT_THAT(running.error()->message, HasSubstr("signal 9"));
}

TEST_F(WorkerDeathTest, AChildHasNoSuccessorUntilTheBrokerHasHeardOfItsDeath) {
  start_worker();
  auto probe = client_.actor<Probe>({.max_restarts = -1});
  const int before = probe.call<&Probe::pid>().get();
  auto running = probe.call<&Probe::nap>(notes_file(), "first", 60'000);
  auto waiting = probe.call<&Probe::nap>(notes_file(), "later", 1);
  ASSERT_TRUE(begun("first"));
  const pid_t broker = system_->processes().broker;
  ::kill(broker, SIGSTOP);
  ::kill(before, SIGKILL);
  EXPECT_TRUE(eventually([&] { return !lives(before); }));
  // Its hello would be the first to tell of the death, and could not say what had begun.
  EXPECT_FALSE(eventually([&] { return !worker_->children().empty(); }, 700ms));
  ::kill(broker, SIGCONT);
  EXPECT_THROW(running.get(30s), callboard::MaybeExecuted);
  EXPECT_NE(waiting.get(30s), before);
}

TEST_F(WorkerDeathTest, AnActorWithoutRestartsDiesWithItsProcess) {
  start_worker();
  auto probe = client_.actor<Probe>();
  const int pid = probe.call<&Probe::pid>().get();
  ::kill(pid, SIGKILL);
  EXPECT_TRUE(eventually([&] {
    auto call = probe.call<&Probe::pid>();
    call.wait();
    return call.error() && call.error()->code == Errc::actor_died;
  }));
}

TEST_F(WorkerDeathTest, ATaskThatRanRunsAgainInTheNextChild) {
  start_worker();
  auto nap = client_.call(nap_task, notes_file(), "nap", 1500);
  ASSERT_TRUE(begun("nap"));
  const std::vector<pid_t> children = worker_->children();
  ASSERT_THAT(children, SizeIs(1));
  ::kill(children[0], SIGKILL);
  EXPECT_NE(nap.get(30s), children[0]);
  EXPECT_EQ(count("nap"), 2u);
}

TEST_F(WorkerDeathTest, ACallThatTakesDownThreeWorkersIsPoisoned) {
  start_worker();
  auto crash = client_.call({.max_retries = -1}, crash_task, notes_file(), "abort");
  crash.wait(60s);
  ASSERT_TRUE(crash.error());
  EXPECT_EQ(crash.error()->code, Errc::poisoned);
  EXPECT_THAT(crash.error()->message, HasSubstr("signal 6"));
  EXPECT_EQ(count("abort"), 3u);
}

TEST_F(WorkerDeathTest, ANeighbourOfACrashIsNotBlamedForIt) {
  start_worker({"--task-slots", "2"});
  // More crashes beside it than the poison limit allows; each time it runs again.
  auto victim = client_.call({.max_retries = -1}, nap_task, notes_file(), "victim", 4000);
  ASSERT_TRUE(begun("victim"));
  for (std::size_t i = 1; i <= 4; ++i) {
    auto crash = client_.call({.max_retries = 0}, crash_task, notes_file(), "segv");
    crash.wait(30s);
    ASSERT_TRUE(crash.error());
    EXPECT_EQ(crash.error()->code, Errc::maybe_executed);
    ASSERT_TRUE(eventually([&] { return count("victim") == i + 1; })) << "crash " << i;
  }
  EXPECT_GT(victim.get(60s), 0);
}

TEST_F(WorkerDeathTest, AConstructorThatCrashesIsNotRunForEver) {
  start_worker();
  auto fragile = client_.actor<Fragile>({.max_restarts = 2}, notes_file(), "abort");
  auto call = fragile.call<&Fragile::pid>();
  call.wait(60s);
  ASSERT_TRUE(call.error());
  EXPECT_EQ(call.error()->code, Errc::actor_died);
  EXPECT_EQ(count("abort"), 3u);
  EXPECT_TRUE(eventually([&] { return worker_->children().size() == 1; })) << "others go on";
}

TEST_F(WorkerDeathTest, AConstructorThatThrowsIsToldToItsCallers) {
  start_worker();
  auto fragile = client_.actor<Fragile>({}, notes_file(), "throw");
  auto call = fragile.call<&Fragile::pid>();
  call.wait(30s);
  ASSERT_TRUE(call.error());
  EXPECT_EQ(call.error()->code, Errc::constructor_failed);
  EXPECT_THAT(call.error()->message, HasSubstr("it only throws"));
}

TEST_F(WorkerDeathTest, ChildrenDieWithAKilledSupervisorAndTheNextOneSpeaksForThem) {
  auto first = start({"--name", "one", "--processes", "2"});
  ASSERT_TRUE(first->wait_ready());
  auto running = client_.call({.max_retries = 0}, nap_task, notes_file(), "nap", 60'000);
  ASSERT_TRUE(begun("nap"));
  const std::vector<pid_t> children = first->children();
  ASSERT_THAT(children, SizeIs(2));
  first->signal(SIGKILL);
  first->wait_end();
  EXPECT_TRUE(eventually([&] {
    return std::none_of(children.begin(), children.end(), [](pid_t pid) { return lives(pid); });
  }));
  start_worker({"--name", "two"});
  running.wait(30s);
  ASSERT_TRUE(running.error());
  EXPECT_EQ(running.error()->code, Errc::maybe_executed);
  // Only the living child's page is left.
  EXPECT_TRUE(eventually([&] { return pages().size() == 1; })) << pages().size();
}

TEST_F(WorkerDeathTest, NothingIsLeftBehindByAWorkerThatEndedInOrder) {
  start_worker({"--processes", "2"});
  const std::vector<pid_t> children = worker_->children();
  worker_->signal(SIGTERM);
  EXPECT_EQ(worker_->wait_end(), 0);
  worker_.reset();
  for (const pid_t pid : children) EXPECT_FALSE(lives(pid));
  EXPECT_THAT(pages(), IsEmpty());
}

TEST_F(WorkerDeathTest, RunningCallsEndAndOthersGoElsewhereWhenAWorkerIsToldToEnd) {
  auto first = start({"--name", "one"});
  ASSERT_TRUE(first->wait_ready());
  auto running = client_.call({.max_retries = 0}, nap_task, notes_file(), "running", 700);
  ASSERT_TRUE(begun("running"));
  auto waiting = client_.call({.max_retries = 0}, nap_task, notes_file(), "waiting", 1);
  first->signal(SIGTERM);
  EXPECT_GT(running.get(30s), 0) << "it may end";
  EXPECT_EQ(first->wait_end(), 0);
  start_worker({"--name", "two"});
  EXPECT_GT(waiting.get(30s), 0);
  EXPECT_EQ(count("running"), 1u);
  EXPECT_EQ(count("waiting"), 1u);
}

TEST_F(WorkerDeathTest, AWorkerThatIsToldToEndUnderLoadLosesNothingAndRepeatsNothing) {
  auto first = start({"--name", "one", "--task-slots", "2"});
  ASSERT_TRUE(first->wait_ready());
  auto probe = client_.actor<Probe>({.max_restarts = -1});
  probe.call<&Probe::pid>().get(30s);
  start_worker({"--name", "two"});
  std::vector<callboard::Future<int>> calls;
  std::vector<std::string> tasks, lane;
  for (int i = 1000; i < 1300; ++i) {
    tasks.push_back("task-" + std::to_string(i));
    lane.push_back("lane-" + std::to_string(i));
    calls.push_back(client_.call({.max_retries = 0}, nap_task, notes_file(), tasks.back(), 3));
    calls.push_back(probe.call<&Probe::nap>(notes_file(), lane.back(), 3));
  }
  ASSERT_TRUE(eventually([&] { return count("task-") > 20 && count("lane-") > 20; }));
  first->signal(SIGTERM);
  EXPECT_EQ(first->wait_end(), 0);
  EXPECT_LT(count("lane-"), 300u) << "there was something left to hand back";
  for (const auto& call : calls) EXPECT_GT(call.get(60s), 0) << "no call is in doubt";
  std::vector<std::string> ran_in_lane, ran_as_tasks;
  for (const std::string& line : notes(notes_file())) {
    (line.starts_with("lane-") ? ran_in_lane : ran_as_tasks).push_back(line.substr(0, 9));
  }
  EXPECT_EQ(ran_in_lane, lane) << "in order, over the end of the actor's first life";
  std::sort(ran_as_tasks.begin(), ran_as_tasks.end());
  EXPECT_EQ(ran_as_tasks, tasks);
}

TEST_F(WorkerDeathTest, ACallThatRunsBeyondTheDrainTimeoutIsKilledAndNobodyIsBlamed) {
  auto first = start({"--drain-timeout-ms", "200"});
  ASSERT_TRUE(first->wait_ready());
  auto running = client_.call({.max_retries = -1}, nap_task, notes_file(), "nap", 60'000);
  ASSERT_TRUE(begun("nap"));
  first->signal(SIGTERM);
  EXPECT_EQ(first->wait_end(), 0);
  start_worker();
  EXPECT_TRUE(eventually([&] { return count("nap") == 2; })) << "it runs again elsewhere";
  running.cancel();
  // A second Ctrl-C ends it at once. Two within a moment are one signal: it is pressed until then.
  EXPECT_TRUE(eventually([&] {
    worker_->signal(SIGINT);
    return !lives(worker_->pid());
  }));
  EXPECT_NE(worker_->wait_end(), -1);
  worker_.reset();
}

TEST_F(WorkerDeathTest, ForceCancelEndsTheProcessOfADedicatedActorAndIsNoCrash) {
  start_worker();
  auto probe = client_.actor<Probe>({.max_restarts = -1, .dedicated = true});
  const int pid = probe.call<&Probe::pid>().get();
  auto running = probe.call<&Probe::nap>(notes_file(), "nap", 60'000);
  ASSERT_TRUE(begun("nap"));
  EXPECT_EQ(running.cancel(/*force=*/true), callboard::CancelAnswer::killed);
  EXPECT_TRUE(eventually([&] { return !lives(pid); }));
  EXPECT_NE(probe.call<&Probe::pid>().get(30s), pid) << "it has a new life in a new process";
  EXPECT_EQ(count("nap"), 1u);
}

TEST_F(WorkerDeathTest, AChildThatWasAwayForLongerThanItsLeaseBeginsNothingUntilItIsHeard) {
  start_worker();
  auto probe = client_.actor<Probe>({.max_restarts = -1});
  const int pid = probe.call<&Probe::pid>().get();
  auto first = probe.call<&Probe::nap>(notes_file(), "first", 300);
  ASSERT_TRUE(begun("first"));
  auto second = probe.call<&Probe::nap>(notes_file(), "second", 1);
  ::kill(pid, SIGSTOP);
  // From silence alone nobody can know what it had begun.
  for (const auto* call : {&first, &second}) {
    call->wait(30s);
    ASSERT_TRUE(call->error());
    EXPECT_EQ(call->error()->code, Errc::maybe_executed);
  }
  ::kill(pid, SIGCONT);
  // The actor has a new life there; there is no other process for it.
  EXPECT_EQ(probe.call<&Probe::nap>(notes_file(), "third", 1).get(30s), pid);
  EXPECT_EQ(count("first"), 1u);
  EXPECT_EQ(count("second"), 0u) << "its lease was over: it must not begin";
  EXPECT_EQ(count("third"), 1u);
}

}  // namespace
}  // namespace app
