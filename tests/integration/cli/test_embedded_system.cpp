// The embedded system as a library: started, used, stopped, killed; workers of this very program.
#include <callboard/client.hpp>
#include <callboard/embedded.hpp>
#include <callboard/worker.hpp>

#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace callboard {
namespace {

class Counter {
 public:
  explicit Counter(int start) : value_(start) {}
  int add(int n) { return value_ += n; }
  int pid() { return ::getpid(); }

  friend consteval auto describe(Class<Counter> c) {
    return c.name("Counter").constructor<int>().method<&Counter::add>("add").method<&Counter::pid>(
        "pid");
  }

 private:
  int value_;
};

/// True once `condition` holds.
bool eventually(const std::function<bool()>& condition) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

bool gone(int pid) { return ::kill(pid, 0) != 0; }

EmbeddedOptions with_own_worker(int workers = 1) {
  EmbeddedOptions options;
  options.workers = workers;
  options.worker_command = {this_program(), "worker"};
  return options;
}

TEST(EmbeddedSystem, RunsTheClassesOfTheProgramThatStartsIt) {
  EmbeddedSystem system(with_own_worker());
  Client client(system.endpoint());
  const auto counter = client.actor<Counter>(10);
  EXPECT_EQ(counter.call<&Counter::add>(5).get(), 15);
  EXPECT_NE(counter.call<&Counter::pid>().get(), ::getpid());
}

TEST(EmbeddedSystem, ServesOnItsSocketFileToo) {
  EmbeddedSystem system(with_own_worker());
  Client client(system.ipc_endpoint());
  EXPECT_EQ(client.actor<Counter>(1).call<&Counter::add>(1).get(), 2);
}

TEST(EmbeddedSystem, AllWorkersAreThereWhenItIsReady) {
  EmbeddedSystem system(with_own_worker(3));
  Client client(system.endpoint());
  const auto pool = client.deployment<Counter>({.replicas = 3}, 0);
  std::set<int> pids;
  // Late binding: each call goes to a free replica, so all are met sooner or later.
  EXPECT_TRUE(eventually([&] {
    std::vector<Future<int>> calls;
    for (int i = 0; i < 12; ++i) calls.push_back(pool.call<&Counter::pid>());
    for (const auto& call : calls) pids.insert(call.get());
    return pids.size() == 3;
  })) << pids.size();
}

TEST(EmbeddedSystem, StopEndsEverythingAndMayBeRepeated) {
  EmbeddedSystem system(with_own_worker());
  const auto pids = system.processes();
  const auto dir = system.runtime_dir();
  EXPECT_TRUE(system.running());
  EXPECT_TRUE(std::filesystem::exists(dir));
  system.stop();
  system.stop();
  EXPECT_FALSE(system.running());
  EXPECT_FALSE(std::filesystem::exists(dir));
  for (const int pid : {pids.keeper, pids.redis, pids.broker, pids.worker}) {
    EXPECT_GT(pid, 0);
    EXPECT_TRUE(gone(pid));
  }
}

TEST(EmbeddedSystem, EndOfItsThreadIsNotItsEnd) {
  std::unique_ptr<EmbeddedSystem> system;
  std::thread([&] { system = std::make_unique<EmbeddedSystem>(with_own_worker()); }).join();
  EXPECT_THAT(system->news(std::chrono::milliseconds(300)), testing::IsEmpty());
  Client client(system->endpoint());
  EXPECT_EQ(client.actor<Counter>(1).call<&Counter::add>(1).get(), 2);
}

TEST(EmbeddedSystem, ForkOfItsOwnerDoesNotEndIt) {
  EmbeddedSystem system(with_own_worker());
  const pid_t child = ::fork();
  if (child == 0) {
    system.stop();  // as a destructor in the child would
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  EXPECT_THAT(system.news(std::chrono::milliseconds(200)), testing::IsEmpty());
  EXPECT_TRUE(system.running());
}

TEST(EmbeddedSystem, DeadBrokerIsStartedAgainAndTheClientGoesOn) {
  const auto data =
      std::filesystem::temp_directory_path() / ("cbdata" + std::to_string(::getpid()));
  {
    auto options = with_own_worker();
    options.data_dir = data.string();
    EmbeddedSystem system(options);
    Client client(system.endpoint());
    const auto counter = client.actor<Counter>({.name = "kept"}, 0);
    EXPECT_EQ(counter.call<&Counter::add>(1).get(), 1);
    const int before = system.processes().broker;
    ::kill(before, SIGKILL);
    EXPECT_EQ(counter.call<&Counter::add>(1).get(std::chrono::seconds(60)), 2);
    EXPECT_TRUE(eventually([&] {
      const int now = system.processes().broker;
      return now != 0 && now != before;
    }));
  }
  std::filesystem::remove_all(data);
}

TEST(EmbeddedSystem, WithoutRestartTheFirstDeathIsTheEnd) {
  auto options = with_own_worker();
  options.restart = false;
  EmbeddedSystem system(options);
  ::kill(system.processes().redis, SIGKILL);
  std::string all;
  EXPECT_TRUE(eventually([&] {
    for (const auto& sentence : system.news(std::chrono::milliseconds(50))) all += sentence;
    return !system.running();
  }));
  EXPECT_THAT(all, testing::HasSubstr("redis-server (pid "));
}

TEST(EmbeddedSystem, WhatMakesNoSenseIsThrownWithOneSentence) {
  const auto why = [](EmbeddedOptions options) {
    try {
      EmbeddedSystem system(std::move(options));
      return std::string("it started");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Errc::invalid_option);
      return error.info().message;
    }
  };
  auto negative = with_own_worker(-1);
  EXPECT_EQ(why(negative), "workers must not be negative");
  auto fsync = with_own_worker();
  fsync.fsync = "sometimes";
  EXPECT_EQ(why(fsync), "fsync must be everysec or always, not sometimes");
  auto program = with_own_worker();
  program.callboard_program = "/nonexistent";
  EXPECT_EQ(why(program), "/nonexistent is not a program");
  auto worker = with_own_worker();
  worker.worker_command = {"/bin/false"};
  EXPECT_THAT(why(worker), testing::HasSubstr("exit status 1 before it was ready"));
}

}  // namespace
}  // namespace callboard

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "worker") == 0) {
    return callboard::worker_main(argc - 1, argv + 1, [](callboard::Registry& registry) {
      registry.add<callboard::Counter>();
    });
  }
  testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
