// Big values between real processes: through shared memory where there is some, and whole whatever
// becomes of the processes.

#include "app.hpp"
#include "common/shared_memory.hpp"
#include "system.hpp"

#include <gmock/gmock.h>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

namespace client_app {
namespace {

using namespace std::chrono_literals;
using callboard::Buffer;
using callboard::Bytes;
using callboard::Durability;
using callboard::EmbeddedOptions;
using callboard::EmbeddedSystem;
using callboard::Future;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr std::size_t kMiB = 1u << 20;
constexpr const char* kFolder = "CALLBOARD_SHARED_MEMORY_DIR";
constexpr const char* kHelperEndpoint = "CLIENT_MEMORY_ENDPOINT";

std::string noise(std::size_t bytes, unsigned seed) {
  std::mt19937 random(seed);
  std::string out(bytes, ' ');
  for (char& c : out) c = static_cast<char>(random());
  return out;
}

/// All processes of these tests share this folder, which nobody else uses.
const std::string& folder() {
  static const std::string made = [] {
    std::string name = "/dev/shm/test-callboard-XXXXXX";
    if (const char* given = std::getenv(kFolder)) return std::string(given);
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    ::setenv(kFolder, name.c_str(), 1);
    ::setenv("CALLBOARD_SHARED_MEMORY", "50331648", 1);  // 48 MiB in each process
    return name;
  }();
  return made;
}

/// Files of one process, or of all.
std::vector<std::string> files(int pid = 0) {
  const std::string prefix = "callboard-shm-" + (pid == 0 ? "" : std::to_string(pid) + "-");
  std::vector<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(folder())) {
    std::string name = file.path().filename().string();
    if (name.starts_with(prefix)) names.push_back(std::move(name));
  }
  return names;
}
/// Those in which values lie.
std::vector<std::string> pools(int pid) {
  std::vector<std::string> names = files(pid);
  std::erase_if(names, [](const std::string& name) {
    std::error_code gone;
    return std::filesystem::file_size(folder() + "/" + name, gone) <= 4096 || gone;
  });
  return names;
}

void remove_pools(int pid) {
  for (const std::string& name : pools(pid)) std::filesystem::remove(folder() + "/" + name);
}

/// What this program does as another one: gives values to the actor "keeper", and kills itself.
void give_and_die(const char* endpoint) {
  callboard::Client client(endpoint);
  const auto to = client.get_actor<Store>("keeper");
  // The first ones go before it is known that memory is shared.
  while (pools(::getpid()).empty()) to.call<&Store::pass>(Buffer(noise(kMiB, 1))).get(kPatience);
  to.call<&Store::keep>(Buffer(noise(kMiB, 42))).get(kPatience);
  // Without results: those of a client that is gone are kept for long.
  to.send<&Store::pass_slowly>(Buffer(noise(kMiB, 43)), 300);
  to.send<&Store::keep>(Buffer(noise(kMiB, 44)));
  std::this_thread::sleep_for(100ms);
  ::kill(::getpid(), SIGKILL);
}

class OtherLife : public ::testing::Environment {
 public:
  void SetUp() override {
    if (const char* endpoint = std::getenv(kHelperEndpoint)) give_and_die(endpoint);
  }
  void TearDown() override { std::filesystem::remove_all(folder()); }
};
const auto* const other_life = ::testing::AddGlobalTestEnvironment(new OtherLife);

class ClientMemory : public WithSystem {
 protected:
  static void SetUpTestSuite() {
    folder();
    WithSystem::SetUpTestSuite();
  }
  static void TearDownTestSuite() {
    WithSystem::TearDownTestSuite();
    callboard::SharedMemory::process().sweep();
    for (const std::string& name : files()) {
      EXPECT_TRUE(name.starts_with("callboard-shm-" + std::to_string(::getpid()) + "-")) << name;
    }
  }

  callboard::Actor<Store> store(Durability durability = Durability::memory,
                                const std::string& name = {}) {
    callboard::ActorOptions options;
    options.durability = durability;
    options.name = name;
    options.max_restarts = -1;
    return client_.actor<Store>(options);
  }
  /// Both ends know that they share memory once a value has gone that way.
  void warm_up(const callboard::Actor<Store>& to) {
    ASSERT_TRUE(eventually([&] {
      const Buffer value(noise(100'000, 1));
      EXPECT_EQ(to.call<&Store::pass>(value).get(kPatience), value);
      return !pools(::getpid()).empty();
    }));
  }
};

TEST_F(ClientMemory, BigValuesOfAllKindsComeBackAsTheyWere) {
  const auto to = store();
  warm_up(to);
  unsigned seed = 0;
  for (const std::size_t bytes : {16'383ul, 16'384ul, 32'767ul, 32'768ul, 65'536ul, 1'000'003ul,
                                  8 * kMiB, 20 * kMiB}) {
    const std::string value = noise(bytes, ++seed);
    EXPECT_EQ(to.call<&Store::pass>(Buffer(value)).get(kPatience).view(), value) << bytes;
    EXPECT_EQ(to.call<&Store::pass_later>(Buffer(value)).get(kPatience).view(), value) << bytes;
    const std::vector<std::uint8_t> octets(value.begin(), value.end());
    const std::vector<std::uint8_t> back(octets.rbegin(), octets.rend());
    EXPECT_EQ(to.call<&Store::reversed>(octets).get(kPatience), back) << bytes;
    const std::string joined = to.call<&Store::joined>(value, 7, value).get(kPatience);
    EXPECT_EQ(joined, value + "7" + value) << bytes;
  }
}

TEST_F(ClientMemory, ArgumentsAndResultsLieInTheirSendersMemory) {
  const auto to = store();
  warm_up(to);
  EXPECT_THAT(pools(::getpid()), Not(IsEmpty()));
  const int worker = to.call<&Store::pid>().get(kPatience);
  ASSERT_TRUE(eventually([&] {
    EXPECT_EQ(to.call<&Store::made>(kMiB, 'm').get(kPatience).data, std::string(kMiB, 'm'));
    return !pools(worker).empty();
  }));
}

TEST_F(ClientMemory, ABufferThatAMethodKeepsStaysAsItIs) {
  const auto to = store();
  warm_up(to);
  const std::string value = noise(kMiB, 5);
  EXPECT_EQ(to.call<&Store::keep>(Buffer(value)).get(kPatience), kMiB);
  // Others of the same size, many times what the pool holds.
  for (int i = 0; i < 100; ++i) to.call<&Store::pass>(Buffer(noise(kMiB, 6))).get(kPatience);
  EXPECT_EQ(to.call<&Store::kept>().get(kPatience).view(), value);
}

TEST_F(ClientMemory, AResultThatIsKeptOutlivesItsFutureAndItsClient) {
  Buffer kept;
  const std::string value = noise(kMiB, 7);
  {
    callboard::Client other(endpoint());
    const auto to = store();
    warm_up(to);
    kept = to.call<&Store::pass>(Buffer(value)).get(kPatience);
  }
  const auto to = store();
  for (int i = 0; i < 60; ++i) to.call<&Store::pass>(Buffer(noise(kMiB, 8))).get(kPatience);
  EXPECT_EQ(kept.view(), value);
}

TEST_F(ClientMemory, MoreThanThePoolHoldsTravelsAllTheSame) {
  const auto to = store();
  warm_up(to);
  std::vector<Future<Buffer>> futures;
  std::vector<std::string> values;
  to.call<&Store::pass_slowly>(Buffer(std::string("x")), 200);
  for (unsigned i = 0; i < 80; ++i) {
    values.push_back(noise(kMiB, 100 + i));
    futures.push_back(to.call<&Store::pass>(Buffer(values.back())));
  }
  for (std::size_t i = 0; i < futures.size(); ++i) {
    EXPECT_EQ(futures[i].get(kPatience).view(), values[i]) << i;
  }
  EXPECT_LE(callboard::SharedMemory::process().pool_bytes(), 48 * kMiB);
}

TEST_F(ClientMemory, ADurableCallIsWholeAfterItsBrokerWasKilled) {
  const auto to = store(Durability::durable);
  warm_up(to);
  const std::string value = noise(kMiB, 9);
  const auto busy = to.call<&Store::pass_slowly>(Buffer(std::string("x")), 1000);
  callboard::CallOptions retried;
  retried.max_retries = 3;
  const auto waits = to.with(retried).call<&Store::pass>(Buffer(value));
  std::this_thread::sleep_for(300ms);  // it is accepted, and the client has let go of it
  ::kill(system_->processes().broker, SIGKILL);
  EXPECT_EQ(waits.get(kPatience).view(), value);
  (void)busy.wait(kPatience);
  warm_up(to);  // with the new broker too
}

// --- memory that cannot be opened ---------------------------------------------------------------

TEST_F(ClientMemory, AValueThatTheBrokerCannotOpenIsSentAgainAsBytes) {
  const auto to = store();
  warm_up(to);
  // A segment (of that size) that the broker has not seen yet, and now never will.
  ASSERT_TRUE(callboard::SharedMemory::process().share(noise(3 * kMiB + 100, 1)));
  remove_pools(::getpid());
  const std::string value = noise(3 * kMiB, 13);
  const auto before = to.call<&Store::keep>(Buffer(std::string("small")));
  EXPECT_EQ(to.call<&Store::pass>(Buffer(value)).get(kPatience).view(), value);
  EXPECT_EQ(before.get(kPatience), 5u);
  EXPECT_EQ(to.call<&Store::pass>(Buffer(value)).get(kPatience).view(), value) << "and so on";
  callboard::SharedMemory::process().tidy();  // it notices
}

TEST_F(ClientMemory, AValueThatAWorkerCannotOpenIsSentAgainAsBytes) {
  const auto one = store();
  warm_up(one);
  const int first = one.call<&Store::pid>().get(kPatience);
  std::vector<callboard::Actor<Store>> others;
  ASSERT_TRUE(eventually([&] {
    others.push_back(store());
    return others.back().call<&Store::pid>().get(kPatience) != first;
  }));
  const std::string value = noise(5 * kMiB, 14);
  EXPECT_EQ(one.call<&Store::pass>(Buffer(value)).get(kPatience).view(), value);
  remove_pools(::getpid());
  const auto before = others.back().call<&Store::keep>(Buffer(std::string("small")));
  EXPECT_EQ(others.back().call<&Store::pass>(Buffer(value)).get(kPatience).view(), value);
  EXPECT_EQ(before.get(kPatience), 5u);
  EXPECT_EQ(one.call<&Store::pass>(Buffer(value)).get(kPatience).view(), value);
  callboard::SharedMemory::process().tidy();
}

// --- the end of processes -----------------------------------------------------------------------

TEST_F(ClientMemory, WhatAKilledClientGaveIsThereAsLongAsItIsUsedAndThenGone) {
  const auto keeper = store(Durability::memory, "keeper");
  keeper.opened().get(kPatience);
  const pid_t client = ::fork();
  if (client == 0) {
    ::setenv(kHelperEndpoint, endpoint().c_str(), 1);
    ::execl("/proc/self/exe", "client_memory", nullptr);
    ::_exit(127);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(client, &status, 0), client);
  ASSERT_TRUE(WIFSIGNALED(status)) << "it should have killed itself: " << status;
  EXPECT_THAT(pools(client), Not(IsEmpty()));
  // Its accepted calls run after its death.
  const std::string last = noise(kMiB, 44);
  ASSERT_TRUE(eventually([&] {
    return keeper.call<&Store::kept>().get(kPatience) == Buffer(last);
  }));
  EXPECT_THAT(pools(client), Not(IsEmpty())) << "the keeper holds it";
  keeper.call<&Store::keep>(Buffer()).get(kPatience);
  EXPECT_TRUE(eventually([&] { return files(client).empty(); }));
  keeper.kill().get(kPatience);
}

TEST_F(ClientMemory, WhatAKilledWorkerGaveIsThereAsLongAsItIsUsedAndThenGone) {
  const auto to = store();
  warm_up(to);
  const int worker = to.call<&Store::pid>().get(kPatience);
  std::optional<Future<Bytes>> made;
  ASSERT_TRUE(eventually([&] {
    made = to.call<&Store::made>(kMiB, 'w');
    made->get(kPatience);
    return !pools(worker).empty();
  }));
  ASSERT_EQ(::kill(worker, SIGKILL), 0);
  EXPECT_NE(to.call<&Store::pid>().get(kPatience), worker) << "the actor lives elsewhere";
  EXPECT_EQ(made->get(kPatience).data, std::string(kMiB, 'w'));
  made.reset();
  EXPECT_TRUE(eventually([&] { return files(worker).empty(); }));
  EXPECT_EQ(to.call<&Store::made>(kMiB, 'v').get(kPatience).data, std::string(kMiB, 'v'));
}

TEST_F(ClientMemory, ValuesThatAKilledWorkerHadAreReadAgainByTheNext) {
  const auto to = store();
  warm_up(to);
  const int worker = to.call<&Store::pid>().get(kPatience);
  callboard::CallOptions retried;
  retried.max_retries = 3;
  const std::string value = noise(kMiB, 11);
  const auto runs = to.with(retried).call<&Store::pass_slowly>(Buffer(value), 500);
  const auto waits = to.with(retried).call<&Store::pass>(Buffer(value));
  std::this_thread::sleep_for(150ms);
  ASSERT_EQ(::kill(worker, SIGKILL), 0);
  EXPECT_EQ(runs.get(kPatience).view(), value);
  EXPECT_EQ(waits.get(kPatience).view(), value);
}

// --- where nothing is shared --------------------------------------------------------------------

TEST(ClientMemoryApart, WorkersThatCannotReadItGetTheBytesThemselves) {
  folder();
  for (const std::string& setting :
       {std::string("CALLBOARD_SHARED_MEMORY=off"),
        std::string(kFolder) + "=" + folder() + "/elsewhere",
        std::string(kFolder) + "=/nowhere/at/all"}) {
    std::filesystem::create_directories(folder() + "/elsewhere");
    EmbeddedOptions options;
    options.worker_command = {"/usr/bin/env", setting, std::getenv("CALLBOARD_BIN"), "worker"};
    options.load = {CLIENT_APP};
    EmbeddedSystem system(options);
    callboard::Client client(system.endpoint());
    callboard::ActorOptions memory;
    memory.durability = Durability::memory;
    const auto to = client.actor<Store>(memory);
    const std::string value = noise(kMiB, 12);
    ASSERT_TRUE(eventually([&] {
      EXPECT_EQ(to.call<&Store::pass>(Buffer(value)).get(kPatience).view(), value) << setting;
      return !pools(::getpid()).empty();
    })) << "client and broker share memory";
    const int worker = to.call<&Store::pid>().get(kPatience);
    EXPECT_EQ(to.call<&Store::made>(kMiB, 'x').get(kPatience).data, std::string(kMiB, 'x'));
    EXPECT_THAT(files(worker), IsEmpty()) << setting;
  }
}

}  // namespace
}  // namespace client_app
