// The threads that serial actors share.
#include "worker_executor_fixture.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <latch>
#include <thread>
#include <vector>

namespace callboard::worker {
namespace {

using ::testing::Ge;
using ::testing::Lt;
using ::testing::SizeIs;

/// Work that does what a test says.
class Act final : public LaneThreads::Work {
 public:
  explicit Act(std::function<void()> act) : act_(std::move(act)) {}
  void run(LaneThreads::Turn&) override { act_(); }

 private:
  std::function<void()> act_;
};

TEST(LaneThreadsTest, EverythingThatIsMadeReadyRunsOnce) {
  constexpr std::size_t kProducers = 4;
  constexpr int kTurns = 5'000;
  std::atomic<int> runs{0};
  std::array<std::atomic<int>, kProducers> turns{};
  std::vector<Act> acts;
  for (auto& turn : turns) {
    acts.emplace_back([&runs, &turn] {
      ++runs;
      ++turn;
      turn.notify_one();
    });
  }
  LaneThreads threads([] {});
  std::vector<std::thread> producers;
  for (std::size_t i = 0; i < kProducers; ++i) {
    producers.emplace_back([&, i] {
      for (int n = 0; n < kTurns; ++n) {  // each waits for its own: a lost word would stop it
        threads.ready(acts[i]);
        turns[i].wait(n);
      }
    });
  }
  for (std::thread& producer : producers) producer.join();
  EXPECT_EQ(runs, static_cast<int>(kProducers) * kTurns);
}

TEST(LaneThreadsTest, WorkThatBlocksKeepsNobodyFromRunning) {
  constexpr int kWorks = 40;  // more than there are processors on most machines
  std::latch all(kWorks);
  std::vector<Act> works;
  works.reserve(kWorks);
  for (int i = 0; i < kWorks; ++i) works.emplace_back([&all] { all.arrive_and_wait(); });
  LaneThreads threads([] {});
  for (Act& work : works) threads.ready(work);
  all.wait();  // each waits until all have begun
  EXPECT_THAT(threads.threads(), Ge(static_cast<std::size_t>(kWorks)));
}

TEST(LaneThreadsTest, WorkThatSaysThatItBlocksIsReplaced) {
  std::latch second(1);
  Act wakes([&] { second.count_down(); });
  Act waits([&] {
    LaneThreads::here()->ready(wakes);
    LaneThreads::here()->blocks(true);
    second.wait();
    LaneThreads::here()->blocks(false);
  });
  LaneThreads threads([] {});
  threads.ready(waits);
  second.wait();
  EXPECT_EQ(LaneThreads::here(), nullptr) << "this thread is none of them";
}

TEST(LaneThreadsTest, WhatIsGatheredIsMadeReadyTogether) {
  constexpr int kWorks = 100;
  std::atomic<int> runs{0};
  std::latch all(kWorks);
  std::vector<Act> works;
  for (int i = 0; i < kWorks; ++i) {
    works.emplace_back([&] {
      ++runs;
      all.count_down();
    });
  }
  LaneThreads threads([] {});
  {
    const LaneThreads::Gather gather(threads);
    for (Act& work : works) threads.ready(work);
    EXPECT_EQ(threads.threads(), 0u);
    EXPECT_EQ(runs, 0);
  }
  all.wait();
  EXPECT_EQ(runs, kWorks);
}

TEST(LaneThreadsTest, WhatAThreadHasTakenGoesToOthersWhenItBlocks) {
  constexpr int kWorks = 50;
  LaneThreads threads([] {});
  for (int round = 0; round < 20; ++round) {  // short ones before, so that a thread takes many
    std::latch short_ones(kWorks);
    std::latch others(kWorks);
    std::latch last(1);
    std::vector<Act> works;
    for (int i = 0; i < kWorks; ++i) works.emplace_back([&] { short_ones.count_down(); });
    works.emplace_back([&] {
      others.wait();
      last.count_down();
    });
    for (int i = 0; i < kWorks; ++i) works.emplace_back([&] { others.count_down(); });
    {
      const LaneThreads::Gather gather(threads);
      for (Act& work : works) threads.ready(work);
    }
    short_ones.wait();
    last.wait();
  }
}

TEST(LaneThreadsTest, WhatIsPutOffIsDoneWhenTheThreadHasRunWhatItTook) {
  static std::atomic<int> ran;
  static std::atomic<int> ran_before;
  class PutsOff final : public LaneThreads::Work {
   public:
    void run(LaneThreads::Turn& turn) override {
      ++ran;
      turn.afterwards = [] {
        ran_before = ran.load();
        ran_before.notify_all();
      };
    }
  };
  constexpr int kWorks = 40;
  ran = ran_before = 0;
  std::array<PutsOff, kWorks> works;
  LaneThreads threads([] {});
  {
    const LaneThreads::Gather gather(threads);
    for (PutsOff& work : works) threads.ready(work);
  }
  for (int seen = 0; seen < kWorks; seen = ran_before) ran_before.wait(seen);
  EXPECT_EQ(ran, kWorks);
}

/// A thread that blocks, and work behind it for which nobody was called.
class LaneThreadsLookedAfter : public ::testing::Test {
 protected:
  LaneThreadsLookedAfter() {
    threads_.set_looked_after(true);
    threads_.ready(blocks_);
    began_.wait();
    threads_.ready(waits_);
  }
  ~LaneThreadsLookedAfter() override { free_.count_down(); }

  std::latch began_{1};
  std::latch free_{1};
  std::atomic<bool> ran_{false};
  Act blocks_{[this] {
    began_.count_down();
    free_.wait();
  }};
  Act waits_{[this] {
    ran_ = true;
    ran_.notify_all();
  }};
  LaneThreads threads_{[] {}};
};

TEST_F(LaneThreadsLookedAfter, WhoLooksCallsAnotherThreadForWhatWaitsBehindOneThatBlocks) {
  threads_.look();  // one look may still have seen it move
  threads_.look();
  ran_.wait(false);
}

TEST_F(LaneThreadsLookedAfter, WhoStopsLookingLeavesThatToTheirWatcher) {
  threads_.set_looked_after(false);
  ran_.wait(false);
}

class Clerk {
 public:
  Clerk() : thread_(std::this_thread::get_id()) {}
  ~Clerk() {
    if (std::this_thread::get_id() != thread_) scene->note("destroyed elsewhere");
  }
  bool here() { return std::this_thread::get_id() == thread_; }
  int work(int n) { return n + 1; }

 private:
  std::thread::id thread_;

  friend consteval auto describe(Class<Clerk> c) {
    return c.name("Clerk").own_thread().method<&Clerk::here>("here").method<&Clerk::work>("work");
  }
};

class Helper {
 public:
  int work(int n) { return n + 1; }
  void wait() { scene->gate.pass(); }

 private:
  friend consteval auto describe(Class<Helper> c) {
    return c.name("Helper").method<&Helper::work>("work").method<&Helper::wait>("wait");
  }
};

/// What a test sees of the threads that have nothing to run.
class Watching final : public LaneThreads::Pastime {
 public:
  void spend(const std::function<bool()>& over) override {
    most_ = std::max(most_, ++at_once_);
    ++times;
    times.notify_all();
    while (!over()) {
      looks_.wait(0);
      looks_ = 0;
    }
    --at_once_;
  }
  void look() override {
    looks_ = 1;
    looks_.notify_all();
  }
  int most() const { return most_; }

  std::atomic<int> times{0};

 private:
  std::atomic<int> looks_{0};
  std::atomic<int> at_once_{0};
  int most_ = 0;  // one thread at a time writes it, or the test fails
};

TEST(LaneThreadsTest, AThreadWithoutWorkHasAPastimeAndLeavesItForWork) {
  Watching watching;
  std::atomic<int> runs{0};
  Act act([&] {
    ++runs;
    runs.notify_all();
  });
  {
    LaneThreads threads([] {});
    threads.set_pastime(watching);
    for (int i = 0; i < 500; ++i) {
      threads.ready(act);
      runs.wait(i);
      watching.times.wait(i);  // it comes back to it: the next word finds it there
    }
  }
  EXPECT_EQ(runs, 500);
  EXPECT_EQ(watching.most(), 1);
}

/// Makes work ready the first time.
struct Giver final : LaneThreads::Pastime {
  void spend(const std::function<bool()>& over) override {
    if (given == 0) {
      here = std::this_thread::get_id();
      ++given;
      threads->ready(*work);
    }
    while (!over()) std::this_thread::yield();
  }
  void look() override {}
  LaneThreads* threads = nullptr;
  LaneThreads::Work* work = nullptr;
  int given = 0;
  std::thread::id here;
};

TEST(LaneThreadsTest, WorkThatIsMadeReadyDuringThePastimeRunsOnTheSameThread) {
  Giver giver;
  std::latch done(1);
  std::thread::id ran;
  Act first([] {});
  Act second([&] {
    ran = std::this_thread::get_id();
    done.count_down();
  });
  LaneThreads threads([] {});
  giver.threads = &threads;
  giver.work = &second;
  threads.set_pastime(giver);
  threads.ready(first);
  done.wait();
  EXPECT_EQ(ran, giver.here);
}

TEST(LaneThreadsTest, NobodyIsCalledForLongWorkThatTheThreadTakesItself) {
  class Long final : public LaneThreads::Work {
   public:
    void run(LaneThreads::Turn& turn) override {
      turn.now_us += 5'000;
      done.count_down();
    }
    std::latch done{1};
  };
  Giver giver;
  Long first;
  Long second;
  LaneThreads threads([] {});
  giver.threads = &threads;
  giver.work = &second;
  threads.set_pastime(giver);
  threads.ready(first);
  second.done.wait();
  EXPECT_THAT(threads.threads(), 1u);
}

TEST(LaneThreadsTest, NothingIsOccupiedOnceAThreadLooksForAPastime) {
  struct Asks final : LaneThreads::Pastime {
    void spend(const std::function<bool()>& over) override {
      occupied += threads->occupied() && !over();
      ++times;
      times.notify_all();
      while (!over()) std::this_thread::yield();
    }
    void look() override {}
    LaneThreads* threads = nullptr;
    std::atomic<int> times{0};
    int occupied = 0;
  } asks;
  std::atomic<int> seen{0};
  LaneThreads threads([] {});
  asks.threads = &threads;
  threads.set_pastime(asks);
  Act act([&] { seen += threads.occupied() ? 1 : 0; });
  for (int i = 0; i < 200; ++i) {
    threads.ready(act);
    EXPECT_TRUE(seen > i || threads.occupied() || asks.times > i);
    asks.times.wait(i);
  }
  EXPECT_EQ(seen, 200) << "what runs occupies them";
  EXPECT_EQ(asks.occupied, 0);
}

class LaneThreadsOfActors : public ExecutorTest {};

TEST_F(LaneThreadsOfActors, IdleActorsHaveNoThreads) {
  constexpr std::size_t kActors = 300;
  std::vector<Executor*> actors;
  for (std::size_t i = 0; i < kActors; ++i) actors.push_back(&actor<Helper>({}));
  for (Executor* each : actors) call(*each, "work", 1);
  ASSERT_TRUE(host_.wait_for_outcomes(kActors));
  EXPECT_THAT(environment_.threads->threads(), Lt(kActors / 2));
}

TEST_F(LaneThreadsOfActors, ActorsThatAllBlockAllRun) {
  constexpr int kActors = 30;
  for (int i = 0; i < kActors; ++i) call(actor<Helper>({}), "wait");
  EXPECT_TRUE(scene_.gate.wait_inside(kActors));
  scene_.gate.open();
  ASSERT_TRUE(host_.wait_for_outcomes(kActors));
}

TEST_F(LaneThreadsOfActors, BusyActorGivesWayWhereThreadsAreFew) {
  environment_.threads = std::make_shared<LaneThreads>([] {}, 1);
  Executor& busy = actor<Helper>({});
  Executor& other = actor<Helper>({});
  call(busy, "wait");
  EXPECT_TRUE(scene_.gate.wait_inside(1));
  constexpr int kCalls = 50'000;
  std::uint64_t last = 0;
  for (int i = 0; i < kCalls; ++i) last = call(busy, "work", i);
  const std::uint64_t one = call(other, "work", 1);
  scene_.gate.open();
  ASSERT_TRUE(host_.wait_for_outcomes(kCalls + 2));
  const auto at = [&](std::uint64_t lease) {
    return std::find(host_.order.begin(), host_.order.end(), lease);
  };
  EXPECT_LT(at(one), at(last));
  EXPECT_EQ(environment_.threads->threads(), 1u);
}

TEST_F(LaneThreadsOfActors, ActorWhoseClassAsksForItKeepsOneThread) {
  Executor& clerk = actor<Clerk>({});
  for (int round = 0; round < 20; ++round) {  // idle in between, while others use the threads
    for (int i = 0; i < 3; ++i) call(actor<Helper>({}), "work", i);
    EXPECT_TRUE(result<bool>(call(clerk, "here")));
  }
  stop(clerk);
  EXPECT_THAT(log(), SizeIs(0)) << log().front();
}

}  // namespace
}  // namespace callboard::worker
