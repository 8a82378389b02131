// The keeper starts what it is told, ends it in order, and nothing outlives it or its owner.
#include "embedded/keeper.hpp"

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <thread>
#include <utility>

#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace callboard::embedded {
namespace {

namespace fs = std::filesystem;
using Kind = Report::Kind;
using testing::HasSubstr;

constexpr auto kPatience = std::chrono::seconds(20);

bool lives(pid_t pid) { return ::kill(pid, 0) == 0; }

/// True once `condition` holds; false when it does not within kPatience.
bool eventually(const std::function<bool()>& condition) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

class KeeperTest : public testing::Test {
 protected:
  KeeperTest() {
    std::string path = "/tmp/cbtestXXXXXX";
    base_ = ::mkdtemp(path.data());
    plan_.runtime_dir = base_ + "/run";
    plan_.stop_timeout_ms = 10'000;
    fs::create_directory(plan_.runtime_dir);
  }
  ~KeeperTest() override {
    if (keeper_ > 0) ::kill(keeper_, SIGKILL);
    if (keeper_ > 0) ::waitpid(keeper_, nullptr, 0);
    if (fd_ >= 0) ::close(fd_);
    fs::remove_all(base_);
  }

  /// A child that notes its start and its end in the log, unless `script` says otherwise.
  void add(const std::string& name, std::string script = {}) {
    if (script.empty()) {
      script = "trap 'echo -" + name + " >> $LOG; exit 0' TERM; echo +" + name +
               " >> $LOG; echo ready >&3; while :; do sleep 0.02; done";
    }
    ChildPlan child;
    child.name = name;
    child.command = {"/bin/sh", "-c", script};
    child.environment = {"LOG=" + base_ + "/log"};
    child.ready_when = ReadyWhen::said;
    plan_.children.push_back(child);
  }

  void start() {
    std::array<int, 2> pair{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()), 0);
    keeper_ = ::fork();
    if (keeper_ == 0) {
      ::close(pair[0]);
      ::_exit(run_keeper(pair[1]));
    }
    ::close(pair[1]);
    fd_ = pair[0];
    const auto bytes = encode(plan_);
    ASSERT_EQ(::send(fd_, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  }

  /// Reads reports up to one of that kind and child; none when the keeper ends before.
  std::optional<Report> wait_for(Kind kind, const std::string& child = {}) {
    std::string buffer(65536, '\0');
    for (;;) {
      pollfd waiting{fd_, POLLIN, 0};
      if (::poll(&waiting, 1, 20'000) <= 0) return std::nullopt;
      const auto n = ::recv(fd_, buffer.data(), buffer.size(), 0);
      if (n <= 0) return std::nullopt;
      const auto report = decode_report({buffer.data(), static_cast<std::size_t>(n)});
      EXPECT_TRUE(report) << report.text();
      if (report->kind == Kind::started) pids_[report->child] = static_cast<pid_t>(report->pid);
      if (report->kind == kind && report->child == child) return *report;
    }
  }

  int wait_for_end() {
    int status = 0;
    ::waitpid(keeper_, &status, 0);
    keeper_ = 0;
    return status;
  }

  std::string log() const {
    std::ifstream in(base_ + "/log");
    std::string out;
    for (std::string line; std::getline(in, line);) out += line + " ";
    return out;
  }

  std::string base_;
  Plan plan_;
  pid_t keeper_ = 0;
  int fd_ = -1;
  std::map<std::string, pid_t> pids_;
};

TEST_F(KeeperTest, StartsInOrderAndEndsInTheOppositeOne) {
  add("a");
  add("b");
  add("c");
  start();
  ASSERT_TRUE(wait_for(Kind::ready));
  ::shutdown(fd_, SHUT_WR);
  ASSERT_TRUE(wait_for(Kind::stopped));
  EXPECT_EQ(wait_for_end(), 0);
  EXPECT_EQ(log(), "+a +b +c -c -b -a ");
  EXPECT_FALSE(fs::exists(plan_.runtime_dir));
}

TEST_F(KeeperTest, ChildStartsOnlyWhenTheOneBeforeIsReady) {
  add("slow", "sleep 0.3; echo +slow >> $LOG; echo ready >&3; exec sleep 1000");
  add("next");
  start();
  ASSERT_TRUE(wait_for(Kind::ready));
  EXPECT_EQ(log(), "+slow +next ");
}

TEST_F(KeeperTest, TerminationSignalEndsEverythingInOrder) {
  add("a");
  add("b");
  start();
  ASSERT_TRUE(wait_for(Kind::ready));
  ::kill(keeper_, SIGTERM);
  ASSERT_TRUE(wait_for(Kind::stopped));
  EXPECT_EQ(log(), "+a +b -b -a ");
}

TEST_F(KeeperTest, ClosedConnectionEndsEverything) {
  add("a");
  start();
  ASSERT_TRUE(wait_for(Kind::ready));
  ::close(std::exchange(fd_, -1));
  EXPECT_EQ(wait_for_end(), 0);
  EXPECT_FALSE(lives(pids_["a"]));
  EXPECT_FALSE(fs::exists(plan_.runtime_dir));
}

TEST_F(KeeperTest, OwnerKilledByForceLeavesNothingBehind) {
  add("a");
  add("b");
  // An owner of its own: it starts the keeper and is killed while a fork of it lives on, which
  // holds the connection open.
  std::array<int, 2> tell{};
  ASSERT_EQ(::pipe(tell.data()), 0);
  const pid_t owner = ::fork();
  if (owner == 0) {
    start();
    const bool ready = wait_for(Kind::ready).has_value();
    const pid_t bystander = ::fork();
    if (bystander == 0) {
      ::pause();
      ::_exit(0);
    }
    const std::array<pid_t, 4> told{keeper_, pids_["a"], pids_["b"], bystander};
    if (ready) [[maybe_unused]]
      const auto n = ::write(tell[1], told.data(), sizeof told);
    ::pause();
    ::_exit(1);
  }
  std::array<pid_t, 4> told{};
  ASSERT_EQ(::read(tell[0], told.data(), sizeof told), static_cast<ssize_t>(sizeof told));
  ::close(tell[0]);
  ::close(tell[1]);
  ::kill(owner, SIGKILL);
  ::waitpid(owner, nullptr, 0);
  EXPECT_TRUE(eventually([&] { return !lives(told[0]); })) << "the keeper lives on";
  EXPECT_TRUE(eventually([&] { return !lives(told[1]) && !lives(told[2]); }));
  EXPECT_FALSE(fs::exists(plan_.runtime_dir));
  ::kill(told[3], SIGKILL);
}

TEST_F(KeeperTest, KilledKeeperTakesItsChildrenAlong) {
  add("a");
  add("b", "trap '' TERM INT HUP; echo ready >&3; while :; do sleep 0.02; done");
  start();
  ASSERT_TRUE(wait_for(Kind::ready));
  ::kill(keeper_, SIGKILL);
  wait_for_end();
  EXPECT_TRUE(eventually([&] { return !lives(pids_["a"]) && !lives(pids_["b"]); }));
}

TEST_F(KeeperTest, ChildThatIgnoresTheSignalIsKilledInTheEnd) {
  plan_.stop_timeout_ms = 100;
  add("deaf", "trap '' TERM; echo ready >&3; while :; do sleep 0.02; done");
  start();
  ASSERT_TRUE(wait_for(Kind::ready));
  ::shutdown(fd_, SHUT_WR);
  ASSERT_TRUE(wait_for(Kind::stopped));
  EXPECT_FALSE(lives(pids_["deaf"]));
}

TEST_F(KeeperTest, WhatAChildLeavesBehindIsEndedToo) {
  add("parent",
      "setsid sleep 1000 & echo $! > $LOG; sleep 1001 & echo $! >> $LOG; echo ready >&3; wait");
  start();
  ASSERT_TRUE(wait_for(Kind::ready));
  pid_t in_session_of_its_own = 0;
  pid_t in_the_group = 0;
  std::ifstream(base_ + "/log") >> in_session_of_its_own >> in_the_group;
  ASSERT_TRUE(lives(in_session_of_its_own) && lives(in_the_group));
  ::shutdown(fd_, SHUT_WR);
  ASSERT_TRUE(wait_for(Kind::stopped));
  EXPECT_FALSE(lives(in_session_of_its_own));
  EXPECT_FALSE(lives(in_the_group));
}

TEST_F(KeeperTest, ChildThatEndsBeforeItIsReadyEndsTheSystemWithAReason) {
  add("a");
  add("broken", "exit 3");
  start();
  const auto report = wait_for(Kind::failed);
  ASSERT_TRUE(report);
  EXPECT_THAT(report->text, HasSubstr("broken (pid "));
  EXPECT_THAT(report->text, HasSubstr("exit status 3 before it was ready"));
  ASSERT_TRUE(wait_for(Kind::stopped));
  EXPECT_NE(wait_for_end(), 0);
  EXPECT_EQ(log(), "+a -a ");
}

TEST_F(KeeperTest, ProgramThatDoesNotExistIsNamed) {
  add("ghost");
  plan_.children[0].command = {"/nonexistent/program"};
  start();
  const auto report = wait_for(Kind::failed);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->text,
            "ghost cannot be started: /nonexistent/program: No such file or directory");
}

TEST_F(KeeperTest, ChildThatIsNeverReadyEndsTheSystem) {
  plan_.ready_timeout_ms = 100;
  add("mute", "exec sleep 1000");
  start();
  const auto report = wait_for(Kind::failed);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->text, "mute was not ready after 100 ms");
}

TEST_F(KeeperTest, ChildThatDiesIsStartedAgain) {
  add("a");
  start();
  ASSERT_TRUE(wait_for(Kind::ready));
  const pid_t first = pids_["a"];
  ::kill(first, SIGKILL);
  const auto report = wait_for(Kind::ended, "a");
  ASSERT_TRUE(report);
  EXPECT_THAT(report->text, HasSubstr("signal 9 (Killed); it is started again"));
  ASSERT_TRUE(wait_for(Kind::ready, "a"));
  EXPECT_NE(pids_["a"], first);
  EXPECT_EQ(log(), "+a +a ");
}

TEST_F(KeeperTest, WithoutRestartTheFirstDeathEndsTheSystem) {
  plan_.restart = false;
  add("a");
  add("b");
  start();
  ASSERT_TRUE(wait_for(Kind::ready));
  ::kill(pids_["b"], SIGKILL);
  const auto report = wait_for(Kind::failed);
  ASSERT_TRUE(report);
  EXPECT_THAT(report->text, HasSubstr("ended with signal 9"));
  ASSERT_TRUE(wait_for(Kind::stopped));
  EXPECT_EQ(log(), "+a +b -a ");
}

TEST_F(KeeperTest, ChildThatDiesAgainAndAgainEndsTheSystem) {
  add("dying", "echo ready >&3; sleep 0.02; exit 5");
  start();
  const auto report = wait_for(Kind::failed);
  ASSERT_TRUE(report);
  EXPECT_THAT(report->text, HasSubstr("exit status 5 for the 5th time in a row"));
}

TEST_F(KeeperTest, PlanThatIsNotReadableEndsTheKeeper) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair.data()), 0);
  ASSERT_EQ(::send(pair[0], "garbage", 7, 0), 7);
  EXPECT_EQ(run_keeper(pair[1]), 1);
  ::close(pair[0]);
  ::close(pair[1]);
}

TEST(KeeperPlan, SurvivesItsEncoding) {
  Plan plan;
  plan.runtime_dir = "/tmp/x";
  plan.restart = false;
  plan.ready_timeout_ms = 1;
  plan.stop_timeout_ms = 2;
  plan.children.push_back({"n", {"/bin/p", "", "a b"}, {"X=1"}, ReadyWhen::redis_pong, "r", "l"});
  const auto read = decode_plan(encode(plan));
  ASSERT_TRUE(read) << read.text();
  EXPECT_EQ(encode(*read), encode(plan));
  EXPECT_EQ(read->children[0].command, plan.children[0].command);
  EXPECT_EQ(read->children[0].ready_when, ReadyWhen::redis_pong);
  EXPECT_EQ(read->restart, false);
  for (std::size_t n = 0; n < encode(plan).size(); ++n) {
    EXPECT_FALSE(decode_plan(encode(plan).substr(0, n))) << "cut to " << n << " bytes";
  }
}

}  // namespace
}  // namespace callboard::embedded
