// One worker as a process: its flags, its libraries, where it runs and what it costs.

#include "app.hpp"
#include "worker_process.hpp"

#include <callboard/callboard.hpp>
#include <callboard/embedded.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace app {
namespace {

using callboard::Client;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using namespace std::chrono_literals;

class WorkerProcessTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    system_ = std::make_unique<callboard::EmbeddedSystem>(
        callboard::EmbeddedOptions{.workers = 0});
  }
  static void TearDownTestSuite() { system_.reset(); }

  std::unique_ptr<WorkerProcess> start(std::vector<std::string> more,
                                       const std::string& program = WORKER_APP) {
    std::vector<std::string> arguments{"--broker",      system_->ipc_endpoint(),
                                       "--runtime-dir", directory_.file("run")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return std::make_unique<WorkerProcess>(program, arguments, directory_.file("log"));
  }
  /// Runs it until it ends by itself, and gives its exit status.
  int status_of(std::vector<std::string> more) {
    const int status = start(std::move(more))->wait_end();
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::vector<std::string> log() const { return notes(directory_.file("log")); }

  static std::unique_ptr<callboard::EmbeddedSystem> system_;
  TemporaryDirectory directory_;
};

std::unique_ptr<callboard::EmbeddedSystem> WorkerProcessTest::system_;

// --- what makes no sense -----------------------------------------------------------------------

TEST_F(WorkerProcessTest, ALibraryThatIsNotThereEndsTheWorkerWithOneLine) {
  EXPECT_EQ(status_of({"--processes", "3", "--load", "/no/such/libapp.so"}), 3);
  ASSERT_THAT(log(), SizeIs(1));
  EXPECT_THAT(log()[0], HasSubstr("/no/such/libapp.so"));
  EXPECT_THAT(log()[0], HasSubstr("cannot load"));
}

TEST_F(WorkerProcessTest, ALibraryWithoutClassesSaysWhatItNeeds) {
  EXPECT_EQ(status_of({"--load", EMPTY_LIBRARY}), 3);
  ASSERT_THAT(log(), SizeIs(1));
  EXPECT_THAT(log()[0], HasSubstr("CALLBOARD_LIBRARY"));
}

TEST_F(WorkerProcessTest, OptionsThatMakeNoSenseEndItWithOneLine) {
  const std::vector<std::vector<std::string>> wrong{
      {"--cores", "7-"},     {"--cores", "4000"},        {"--processes", "0"},
      {"--broker", "what"},  {"--log-level", "shouting"}, {"--no-such-flag"},
      {"--processes", "x"},  {"--name", std::string(300, 'n')},
  };
  for (const auto& arguments : wrong) {
    std::filesystem::remove(directory_.file("log"));
    EXPECT_EQ(status_of(arguments), 2) << arguments[0];
    EXPECT_FALSE(log().empty()) << arguments[0];
  }
}

// --- what it is --------------------------------------------------------------------------------

TEST_F(WorkerProcessTest, EachChildIsAProcessOfItsOwnWithItsOwnActors) {
  auto worker = start({"--processes", "2"});
  ASSERT_TRUE(worker->wait_ready());
  const std::vector<pid_t> children = worker->children();
  EXPECT_THAT(children, SizeIs(2));
  Client client(system_->endpoint());
  auto a = client.actor<Probe>();
  auto b = client.actor<Probe>();
  std::vector<pid_t> used{a.call<&Probe::pid>().get(), b.call<&Probe::pid>().get()};
  std::sort(used.begin(), used.end());
  EXPECT_EQ(used, children);
  worker->signal(SIGTERM);
  EXPECT_EQ(worker->wait_end(), 0);
}

TEST_F(WorkerProcessTest, ChildrenAndTheirThreadsStayOnTheirCores) {
  cpu_set_t set;
  ASSERT_EQ(::sched_getaffinity(0, sizeof set, &set), 0);
  int last = -1;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) last = core;
  }
  const std::string core = std::to_string(last);
  auto worker = start({"--cores", core});
  ASSERT_TRUE(worker->wait_ready());
  Client client(system_->endpoint());
  EXPECT_EQ(client.actor<Probe>().call<&Probe::cores>().get(30s), core);
  worker->signal(SIGTERM);
  EXPECT_EQ(worker->wait_end(), 0);
}

TEST_F(WorkerProcessTest, CallsMadeInsideACallUseTheWorkersOwnConnection) {
  auto worker = start({"--processes", "2"});
  ASSERT_TRUE(worker->wait_ready());
  Client client(system_->endpoint());
  auto named = client.actor<Probe>({.name = "named"});
  auto other = client.actor<Probe>();
  EXPECT_EQ(other.call<&Probe::pid_of>("named").get(30s), named.call<&Probe::pid>().get(30s));
  worker->signal(SIGTERM);
  EXPECT_EQ(worker->wait_end(), 0);
}

// Short calls, one at a time, are run by a thread that takes the connection's turns itself.

TEST_F(WorkerProcessTest, ACallThatBlocksAfterManyShortOnesKeepsNoOtherCallFromArriving) {
  auto worker = start({});
  ASSERT_TRUE(worker->wait_ready());
  Client client(system_->endpoint());
  auto probe = client.actor<Probe>();
  auto other = client.actor<Probe>();
  const std::string file = directory_.file("notes");
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 50; ++i) EXPECT_EQ(probe.call<&Probe::echo>("short").get(30s), "short");
    const std::string word = std::to_string(round);
    auto waits = probe.call<&Probe::wait_for>(file, word);
    other.call<&Probe::nap>(file, word, 0).get(30s);
    EXPECT_TRUE(waits.get(60s));
  }
  worker->signal(SIGTERM);
  EXPECT_EQ(worker->wait_end(), 0);
}

TEST_F(WorkerProcessTest, ShortCallsMayCallOthersOfTheirProcess) {
  auto worker = start({});
  ASSERT_TRUE(worker->wait_ready());
  Client client(system_->endpoint());
  auto named = client.actor<Probe>({.name = "neighbour"});
  auto probe = client.actor<Probe>();
  const int pid = named.call<&Probe::pid>().get(30s);
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 30; ++i) EXPECT_EQ(probe.call<&Probe::pid>().get(30s), pid);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(probe.call<&Probe::pid_of>("neighbour").get(30s), pid);
  }
  worker->signal(SIGTERM);
  EXPECT_EQ(worker->wait_end(), 0);
}

TEST_F(WorkerProcessTest, BigArgumentsAndResultsArriveAsTheyLeft) {
  auto worker = start({});
  ASSERT_TRUE(worker->wait_ready());
  Client client(system_->endpoint());
  auto probe = client.actor<Probe>();
  for (const std::size_t bytes : {0ul, 1ul, 16'383ul, 16'384ul, 1'000'000ul, 20'000'000ul}) {
    std::string text(bytes, 'x');
    for (std::size_t i = 0; i < bytes; i += 997) text[i] = static_cast<char>('a' + i % 26);
    EXPECT_EQ(probe.call<&Probe::echo>(text).get(60s), text) << bytes << " bytes";
  }
  worker->signal(SIGTERM);
  EXPECT_EQ(worker->wait_end(), 0);
}

TEST_F(WorkerProcessTest, TwoWorkersOfOneNameCannotBothServe) {
  auto first = start({"--name", "same"});
  ASSERT_TRUE(first->wait_ready());
  auto second = start({"--name", "same"});
  EXPECT_TRUE(eventually([&] {
    for (const std::string& line : log()) {
      if (line.find("name_taken") != std::string::npos) return true;
    }
    return false;
  }));
  Client client(system_->endpoint());
  EXPECT_EQ(client.actor<Probe>().call<&Probe::pid>().get(30s), first->children().at(0));
  // When the first has gone, the second takes its place by itself.
  first->signal(SIGTERM);
  EXPECT_EQ(first->wait_end(), 0);
  EXPECT_TRUE(second->wait_ready());
  second->signal(SIGTERM);
  EXPECT_EQ(second->wait_end(), 0);
}

TEST_F(WorkerProcessTest, AnIdleChildIsSmall) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer has memory of its own";
#endif
  auto worker = start({});
  ASSERT_TRUE(worker->wait_ready());
  const pid_t child = worker->children().at(0);
  std::printf("supervisor %ld KiB, child %ld KiB with %ld threads\n",
              process_number(worker->pid(), "VmRSS"), process_number(child, "VmRSS"),
              process_number(child, "Threads"));
  EXPECT_LT(process_number(worker->pid(), "RssAnon"), 8 * 1024);
  EXPECT_LT(process_number(child, "RssAnon"), 8 * 1024);
  worker->signal(SIGTERM);
  EXPECT_EQ(worker->wait_end(), 0);
}

}  // namespace
}  // namespace app
