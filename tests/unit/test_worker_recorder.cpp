// The flight recorder, its file, and what is found in it when a process has died.

#include "worker/crash_handler.hpp"
#include "worker/flight_file.hpp"
#include "worker/flight_page.hpp"
#include "worker/recorder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace callboard::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

RecordedCall call(std::uint64_t seq) {
  return {.call = {SessionId{5}, seq},
          .attempt = 2,
          .actor = {SessionId{5}, 1},
          .incarnation = 77,
          .lease = seq + 1000,
          .began_us = 10};
}

class FlightTest : public ::testing::Test {
 protected:
  FlightTest() {
    std::string name = (std::filesystem::temp_directory_path() / "flight.XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~FlightTest() override { std::filesystem::remove_all(directory_); }

  static FlightOwner owner(std::uint64_t instance = 0xabc) {
    return {"worker-0", "worker", "tcp://127.0.0.1:7700", instance};
  }
  FlightFile create(std::uint64_t instance = 0xabc) {
    return FlightFile::create(directory_, owner(instance));
  }
  std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(directory_), {}));
  }

  /// Runs `body(Recorder&)` in a child process and gives its wait status. The recorder is mapped
  /// from a duplicate of the file, as in a real child.
  template <class Body>
  static int in_child(FlightFile& file, Body body) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      const rlimit no_core{0, 0};
      ::setrlimit(RLIMIT_CORE, &no_core);
      auto* recorder = new Recorder(::dup(file.fd()));
      recorder->set_pid(static_cast<std::uint64_t>(::getpid()));
      body(*recorder);
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    return status;
  }

  std::string directory_;
};

// --- slots -------------------------------------------------------------------------------------

TEST(WorkerRecorder, ASlotIsUsedAgainOnlyAfterItWasReleased) {
  Recorder recorder;
  const std::uint32_t first = recorder.begin(call(1));
  ASSERT_NE(first, kNoSlot);
  recorder.end(first);
  EXPECT_NE(recorder.begin(call(2)), first);
  recorder.release(first);
  EXPECT_EQ(recorder.begin(call(3)), first);
}

TEST(WorkerRecorder, WithoutAFreeSlotNothingBegins) {
  Recorder recorder;
  std::set<std::uint32_t> slots;
  for (std::uint32_t i = 0; i < limits::kRecorderSlots; ++i) {
    slots.insert(recorder.begin(call(i + 1)));
  }
  EXPECT_THAT(slots, SizeIs(limits::kRecorderSlots));
  EXPECT_FALSE(slots.contains(kNoSlot));
  EXPECT_EQ(recorder.begin(call(9)), kNoSlot);
  EXPECT_EQ(recorder.in_use(), limits::kRecorderSlots);
  recorder.release(17);
  EXPECT_EQ(recorder.begin(call(9)), 17u);
}

TEST(WorkerRecorder, KnowsWhatRunsAndSinceWhen) {
  Recorder recorder;
  EXPECT_EQ(recorder.running_now().calls, 0u);
  RecordedCall early = call(1);
  early.began_us = 500;
  RecordedCall late = call(2);
  late.began_us = 900;
  const std::uint32_t first = recorder.begin(early);
  recorder.begin(late);
  EXPECT_EQ(recorder.running_now().calls, 2u);
  EXPECT_EQ(recorder.running_now().oldest_us, 500);
  recorder.end(first);
  EXPECT_EQ(recorder.running_now().calls, 1u);
  EXPECT_EQ(recorder.running_now().oldest_us, 900);
  EXPECT_EQ(recorder.in_use(), 2u);
}

TEST(WorkerRecorder, ManyThreadsNeverShareASlot) {
  Recorder recorder;
  constexpr int kThreads = 4;
  constexpr int kRounds = 20'000;
  std::vector<std::atomic<int>> holders(limits::kRecorderSlots + 1);
  std::atomic<int> collisions{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      std::array<std::uint32_t, 3> held{};
      for (int i = 0; i < kRounds; ++i) {
        for (std::uint32_t& slot : held) {
          slot = recorder.begin(call(1));
          if (holders[slot].fetch_add(1) != 0) ++collisions;
        }
        for (const std::uint32_t slot : held) {
          holders[slot].fetch_sub(1);
          recorder.release(slot);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(collisions, 0);
  EXPECT_EQ(recorder.in_use(), 0u);
}

// --- after a death -----------------------------------------------------------------------------

TEST_F(FlightTest, AfterAKillThePageSaysWhatHadBegunAndWhatHadEnded) {
  FlightFile file = create();
  const int status = in_child(file, [](Recorder& recorder) {
    recorder.begin(call(1));
    recorder.end(recorder.begin(call(2)));
    recorder.release(recorder.begin(call(3)));
    ::kill(::getpid(), SIGKILL);
  });
  ASSERT_TRUE(WIFSIGNALED(status));
  const Result<FlightReport> report = file.read();
  ASSERT_TRUE(report) << report.text();
  EXPECT_EQ(report->owner.worker, "worker-0");
  EXPECT_EQ(report->owner.supervisor, "worker");
  EXPECT_EQ(report->owner.broker, "tcp://127.0.0.1:7700");
  EXPECT_EQ(report->owner.instance, 0xabcu);
  EXPECT_NE(report->pid, 0u);
  ASSERT_THAT(report->calls, SizeIs(2));
  std::vector<FoundCall> calls = report->calls;
  std::sort(calls.begin(), calls.end(), [](const FoundCall& a, const FoundCall& b) {
    return a.call.call.seq < b.call.call.seq;
  });
  EXPECT_EQ(calls[0].call.call, (CallId{SessionId{5}, 1}));
  EXPECT_EQ(calls[0].call.attempt, 2u);
  EXPECT_EQ(calls[0].call.actor, (ActorId{SessionId{5}, 1}));
  EXPECT_EQ(calls[0].call.incarnation, 77u);
  EXPECT_EQ(calls[0].call.lease, 1001u);
  EXPECT_FALSE(calls[0].ended);
  EXPECT_TRUE(calls[1].ended);
  EXPECT_FALSE(report->blamed);
}

TEST_F(FlightTest, AKillAtAnyMomentLeavesEveryCallEitherUnbegunOrComplete) {
  for (int round = 0; round < 20; ++round) {
    FlightFile file = create(static_cast<std::uint64_t>(round) + 1);
    const pid_t pid = ::fork();
    if (pid == 0) {
      auto* recorder = new Recorder(::dup(file.fd()));
      for (std::uint64_t seq = 1;; ++seq) {
        RecordedCall one = call(seq);
        one.incarnation = seq * 3;
        const std::uint32_t slot = recorder->begin(one);
        if (seq % 2 == 0) recorder->end(slot);
        if (recorder->in_use() < 100) continue;
        for (std::uint32_t s = 1; s <= 100; ++s) recorder->release(s);
      }
    }
    std::this_thread::sleep_for(std::chrono::microseconds(300 + 131 * round));
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    const Result<FlightReport> report = file.read();
    ASSERT_TRUE(report);
    for (const FoundCall& found : report->calls) {
      const std::uint64_t seq = found.call.call.seq;
      EXPECT_GT(seq, 0u);
      EXPECT_EQ(found.call.incarnation, seq * 3);
      EXPECT_EQ(found.call.lease, seq + 1000);
    }
    file.remove();
  }
}

TEST_F(FlightTest, TheCrashHandlerNamesTheCallOfTheThreadThatCrashed) {
  FlightFile file = create();
  const int status = in_child(file, [](Recorder& recorder) {
    install_crash_handler(recorder);
    running_slot = recorder.begin(call(1));
    std::thread other([&] {
      prepare_thread_for_crashes();
      running_slot = recorder.begin(call(2));
      std::abort();
    });
    other.join();
  });
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGABRT);
  const Result<FlightReport> report = file.read();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->blamed, (CallId{SessionId{5}, 2}));
  EXPECT_EQ(report->signal, SIGABRT);
}

TEST_F(FlightTest, ACrashBetweenCallsBlamesNone) {
  FlightFile file = create();
  in_child(file, [](Recorder& recorder) {
    install_crash_handler(recorder);
    recorder.begin(call(1));  // another thread's
    ::raise(SIGFPE);
  });
  const Result<FlightReport> report = file.read();
  ASSERT_TRUE(report);
  EXPECT_FALSE(report->blamed);
  EXPECT_EQ(report->signal, SIGFPE);
}

TEST_F(FlightTest, EachCrashSignalStillEndsTheProcessByItself) {
  for (const int signal : {SIGSEGV, SIGABRT, SIGFPE, SIGBUS, SIGILL}) {
    FlightFile file = create(static_cast<std::uint64_t>(signal));
    const int status = in_child(file, [signal](Recorder& recorder) {
      // A sanitizer's own handler would turn the signal into an exit status.
      for (const int each : {SIGSEGV, SIGABRT, SIGFPE, SIGBUS, SIGILL}) ::signal(each, SIG_DFL);
      install_crash_handler(recorder);
      ::raise(signal);
    });
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == signal) << "signal " << signal;
    file.remove();
  }
}

__attribute__((noinline)) int dive(int depth) {
  std::array<volatile char, 1024> frame{};
  frame[static_cast<std::size_t>(depth) % frame.size()] = 1;
  return depth < 0 ? 0 : dive(depth + 1) + frame[0];
}

TEST_F(FlightTest, AStackOverflowIsBlamedToo) {
  FlightFile file = create();
  in_child(file, [](Recorder& recorder) {
    install_crash_handler(recorder);
    std::thread other([&] {
      prepare_thread_for_crashes();
      running_slot = recorder.begin(call(4));
      ::_exit(dive(1) == 0 ? 1 : 2);
    });
    other.join();
  });
  const Result<FlightReport> report = file.read();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->blamed, (CallId{SessionId{5}, 4}));
}

// --- files -------------------------------------------------------------------------------------

TEST_F(FlightTest, APageIsAnOrphanOnlyWhenChildAndSupervisorAreBothDead) {
  FlightFile file = create();
  EXPECT_THAT(orphans(directory_, owner().broker), IsEmpty()) << "we are its supervisor, and live";
  // The child holds the lock as long as it lives, also when its supervisor is gone.
  std::array<int, 2> hold{};
  ASSERT_EQ(::pipe(hold.data()), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::close(hold[1]);
    auto* recorder = new Recorder(::dup(file.fd()));
    recorder->begin(call(1));
    char byte = 0;
    [[maybe_unused]] const auto n = ::read(hold[0], &byte, 1);
    ::_exit(0);
  }
  ::close(hold[0]);
  file = FlightFile();  // as if we had died
  EXPECT_THAT(orphans(directory_, owner().broker), IsEmpty());
  ::close(hold[1]);
  ::waitpid(pid, nullptr, 0);
  std::vector<FlightFile> found = orphans(directory_, owner().broker);
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_THAT(orphans(directory_, owner().broker), IsEmpty()) << "it is ours to report now";
  const Result<FlightReport> report = found[0].read();
  ASSERT_TRUE(report);
  EXPECT_EQ(report->owner.worker, "worker-0");
  found[0].remove();
  EXPECT_EQ(files(), 0u);
}

TEST_F(FlightTest, APageOfAnotherBrokerIsLeftAloneUntilItIsOld) {
  create();
  EXPECT_THAT(orphans(directory_, "tcp://127.0.0.1:9999"), IsEmpty());
  EXPECT_EQ(files(), 1u);
  EXPECT_THAT(orphans(directory_, "tcp://127.0.0.1:9999", 0), IsEmpty());
  EXPECT_EQ(files(), 0u);
}

TEST_F(FlightTest, AFileThatIsNoPageIsAnErrorAndNoOrphan) {
  const std::string path = directory_ + "/junk.flight";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT, 0600);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(::write(fd, "hello", 5), 5);
  EXPECT_THAT(orphans(directory_, owner().broker), IsEmpty());
  EXPECT_THROW(Recorder recorder(fd), std::runtime_error);
  ::close(fd);
}

TEST_F(FlightTest, APageThatWasCutShortIsAnError) {
  FlightFile file = create();
  ASSERT_EQ(::ftruncate(file.fd(), sizeof(FlightPage) / 2), 0);
  EXPECT_FALSE(file.read());
}

TEST_F(FlightTest, AStateThatMakesNoSenseIsNoCall) {
  FlightFile file = create();
  std::vector<char> noise(sizeof(FlightPage) - offsetof(FlightPage, slot), '\x5a');
  ASSERT_GT(::pwrite(file.fd(), noise.data(), noise.size(), offsetof(FlightPage, slot)), 0);
  const Result<FlightReport> report = file.read();
  ASSERT_TRUE(report);
  EXPECT_THAT(report->calls, IsEmpty());
}

TEST_F(FlightTest, TwoChildrenOfOneInstanceNumberAreRefused) {
  FlightFile file = create();
  EXPECT_THROW(create(), std::runtime_error);
}

TEST_F(FlightTest, TheRuntimeDirectoryIsMadeForItsUserAlone) {
  const std::string path = directory_ + "/run";
  EXPECT_EQ(runtime_directory(path), path);
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
  EXPECT_EQ(runtime_directory(path), path) << "once more, now that it is there";
}

TEST_F(FlightTest, ARuntimeDirectoryThatIsNoneIsRefused) {
  const std::string path = directory_ + "/file";
  ::close(::open(path.c_str(), O_CREAT | O_RDWR, 0600));
  EXPECT_THROW(runtime_directory(path), std::runtime_error);
  EXPECT_THROW(runtime_directory(directory_ + "/no/such/parent"), std::runtime_error);
}

}  // namespace
}  // namespace callboard::worker
