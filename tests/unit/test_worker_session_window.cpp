// How many calls the worker session lets the broker have out.

#include "worker_session_fixture.hpp"

#include "worker/core/prefetch.hpp"

#include <gmock/gmock.h>

namespace callboard::worker::testing {
namespace {

using ::testing::ElementsAre;

/// A broker with an endless backlog, `round_trip_us` away, and a group that needs `service_us` for
/// each call: runs for `total_us` and gives how much of the time somebody worked, in percent.
struct Loop {
  Prefetch prefetch{1, 1};
  std::int64_t round_trip_us = 500;
  std::int64_t service_us = 10;
  std::uint32_t known_window = 1;
  std::uint32_t deepest = 0;

  int busy_percent(std::int64_t total_us) {
    std::deque<std::pair<std::int64_t, std::uint32_t>> arriving;  // when, how many calls
    std::deque<std::pair<std::int64_t, std::uint32_t>> credits;   // when, window at that time
    std::int64_t busy_us = 0;
    std::uint64_t sent = 0;
    std::uint64_t done = 0;
    std::uint64_t done_known = 0;
    std::uint32_t queued = 0;
    std::int64_t working_until = 0;
    const std::int64_t step = 10;
    for (std::int64_t now = 1; now < total_us; now += step) {
      while (!credits.empty() && credits.front().first <= now) {
        known_window = credits.front().second;
        credits.pop_front();
        done_known = returned_.front();
        returned_.pop_front();
      }
      const std::uint64_t may = done_known + known_window;
      if (may > sent) {
        arriving.emplace_back(now + round_trip_us / 2, static_cast<std::uint32_t>(may - sent));
        sent = may;
      }
      while (!arriving.empty() && arriving.front().first <= now) {
        prefetch.received(now, arriving.front().second);
        queued += arriving.front().second;
        arriving.pop_front();
      }
      deepest = std::max(deepest, queued);
      std::uint32_t ended = 0;
      for (std::int64_t left = step; queued > 0 && left > 0;) {
        if (working_until == 0) working_until = service_us;
        const std::int64_t used = std::min(left, working_until);
        left -= used;
        working_until -= used;
        busy_us += used;
        if (working_until == 0) {
          --queued;
          ++done;
          ++ended;
        }
      }
      if (ended == 0) continue;
      prefetch.ended(ended);
      prefetch.adapt(now);
      prefetch.told(now);
      credits.emplace_back(now + round_trip_us / 2, prefetch.window());
      returned_.push_back(done);
    }
    return static_cast<int>(100 * busy_us / total_us);
  }

 private:
  std::deque<std::uint64_t> returned_;
};

TEST(WorkerPrefetch, ShortMethodsDoNotWaitForTheBroker) {
  for (const std::int64_t service_us : {1, 10, 100}) {
    Loop loop;
    loop.service_us = service_us;
    EXPECT_GE(loop.busy_percent(1'000'000), 90) << "methods of " << service_us << " us";
  }
}

/// The window of a group in which 1,000 run at once, 400 end every 800 us and wait `untold_us`
/// until the broker is told, and their places are taken 200 us after that.
std::uint32_t window_of_many(std::int64_t untold_us) {
  Prefetch prefetch(1'000, 1);
  std::int64_t now = 1'000'000;
  prefetch.received(now, 1'001);
  for (int i = 0; i < 100; ++i) {
    now += 600;
    prefetch.ended(400, now - untold_us);
    prefetch.adapt(now);
    prefetch.told(now);
    now += 200;
    prefetch.received(now, prefetch.window() - prefetch.out());
  }
  return prefetch.window();
}

TEST(WorkerPrefetch, WhereEndsWaitToBeToldTogetherMoreIsSentAhead) {
  EXPECT_GE(window_of_many(800), window_of_many(0) + 300);
  EXPECT_EQ(window_of_many(50'000), window_of_many(1'000)) << "no executor gathers longer";
}

TEST(WorkerPrefetch, OfLongMethodsNoneIsSentAhead) {
  Loop loop;
  loop.service_us = 50'000;
  loop.busy_percent(2'000'000);
  EXPECT_EQ(loop.prefetch.window(), 1u);
  EXPECT_LE(loop.deepest, 2u);
}

TEST(WorkerPrefetch, AtMostSomeMillisecondsOfWorkAreSentAhead) {
  Loop loop;
  loop.service_us = 100;
  loop.round_trip_us = 40'000;  // a slow network is no reason to hoard
  loop.busy_percent(3'000'000);
  EXPECT_LE(loop.prefetch.window() * loop.service_us, 10'000u);
}

TEST(WorkerPrefetch, TheWindowHasABound) {
  Loop loop;
  loop.service_us = 1;
  loop.round_trip_us = 4'000;
  loop.busy_percent(2'000'000);
  EXPECT_LE(loop.prefetch.window(), 1 + limits::kPrefetchMax);
}

TEST(WorkerPrefetch, AMethodThatBecomesLongShrinksTheWindow) {
  Loop loop;
  loop.service_us = 1;
  loop.busy_percent(200'000);
  EXPECT_GT(loop.prefetch.window(), 50u);
  std::int64_t now = 10'000'000;
  loop.prefetch.received(now, 1);
  for (int i = 0; i < 20; ++i) {
    now += 30'000;
    loop.prefetch.ended(1);
    loop.prefetch.adapt(now);
    loop.prefetch.told(now);
    loop.prefetch.received(now, 1);
  }
  EXPECT_EQ(loop.prefetch.window(), 1u);
}

TEST(WorkerPrefetch, IdleGroupsNeedNoTimer) {
  Prefetch prefetch(1, 0);
  EXPECT_EQ(prefetch.next_deadline_us(), kNever);
  prefetch.received(5, 1);
  EXPECT_EQ(prefetch.next_deadline_us(), kNever) << "nothing is sent ahead";
}

// --- the session -------------------------------------------------------------------------------

TEST_F(WorkerSessionTest, CallsThatOthersCouldRunAreNotSentAheadAtFirst) {
  connect();
  EXPECT_EQ(start_actor(4, 1, /*replica=*/true).window(4), 1);
}

TEST_F(WorkerSessionTest, TasksMayBeOutOncePerTaskSlot) {
  hello();
  EXPECT_EQ(welcome(true).window(0), 2);
}

TEST_F(WorkerSessionTest, WindowsAreToldAnewAfterEveryWelcome) {
  connect();
  start_actor(4, 3);
  hello();
  const Told told = welcome();
  EXPECT_EQ(told.window(4), 3 + limits::kPrefetchStart);
  EXPECT_EQ(told.window(0), 2);
}

TEST_F(WorkerSessionTest, EachConcurrencyGroupHasAWindowOfItsOwn) {
  connect();
  wire::Start start = start_message(4);
  start.options.groups = {{"io", 5}, {"slow", 1}};
  start.options.method_groups = {{"b", "io"}};
  ASSERT_TRUE(receive(start));
  ASSERT_TRUE(receive(wire::MethodTable{4, {"a", "b"}}));
  const std::uint32_t limits[] = {2, 5, 1};
  session().started(4, good(), limits);
  const Told told = turn();
  EXPECT_EQ(told.window(4, 0), 2 + limits::kPrefetchStart);
  EXPECT_EQ(told.window(4, 1), 5 + limits::kPrefetchStart);
  EXPECT_EQ(told.window(4, 2), 1 + limits::kPrefetchStart);
}

TEST_F(WorkerSessionTest, GroupsTogetherNeverRunMoreThanTheRecorderCanHold) {
  offer_.recorder_slots = 80;  // 70 of them for running calls
  connect();
  start_actor(4, 1000);
  start_actor(5, 1000);
  hello();
  const Told told = welcome();
  const std::int64_t ahead = 2 * limits::kPrefetchStart;
  EXPECT_EQ(told.window(0), 2) << "small groups get all they want";
  EXPECT_LE(told.window(0) + told.window(4) + told.window(5) - ahead, 70);
  EXPECT_GE(told.window(4), 30);
  EXPECT_EQ(told.window(4), told.window(5));
}

TEST_F(WorkerSessionTest, WhenAnActorIsGoneTheOthersGetItsShare) {
  offer_.recorder_slots = 80;
  connect();
  start_actor(4, 1000);
  start_actor(5, 1000);
  ASSERT_TRUE(receive(wire::Stop{5, true}));
  session().stopped(5);
  EXPECT_EQ(turn().window(4), 68 + limits::kPrefetchStart);
}

TEST_F(WorkerSessionTest, TheWindowGrowsWithShortCallsAndFewMessages) {
  connect();
  start_actor(4);
  std::uint64_t lease = 1;
  std::uint32_t window = 1 + limits::kPrefetchStart;
  std::size_t messages = 0;
  const auto take_turn = [&] {
    const Told told = turn();
    messages += told.windows.size();
    if (told.window(4) >= 0) window = static_cast<std::uint32_t>(told.window(4));
  };
  for (int i = 0; i < 100; ++i) {
    for (std::uint32_t out = 0; out < window; ++out) ASSERT_TRUE(run(lease++, 4));
    take_turn();
    now_us_ += 100;
    while (!executors_.lines[4].queued.empty()) {
      executors_.begin(4);
      executors_.end(4, "\x05");
    }
    take_turn();
    ASSERT_TRUE(forget(0, UINT64_MAX));
    now_us_ += 200;
  }
  EXPECT_GT(window, 100u);
  EXPECT_LT(messages, 60u);
}

TEST_F(WorkerSessionTest, CallsSentAheadGoBackWhenASiblingCouldRunThem) {
  connect();
  start_actor(4, 1, /*replica=*/true);
  for (std::uint64_t lease = 1; lease <= 3; ++lease) ASSERT_TRUE(run(lease, 4));
  turn();
  executors_.begin(4);  // and it takes its time
  const std::int64_t due_us = session().next_deadline_us();
  ASSERT_NE(due_us, kNever);
  now_us_ = due_us;
  Told told = turn();
  for (int i = 0; i < 3 && told.returned.empty(); ++i) {
    pass_ms(20);
    told = turn();
  }
  EXPECT_THAT(told.returned, ::testing::UnorderedElementsAre(2u, 3u));
  EXPECT_EQ(session().counters().recalled, 2u);
}

TEST_F(WorkerSessionTest, CallsSentAheadToAnActorStayWithItWhateverItDoes) {
  connect();
  start_actor(4, 1);
  for (std::uint64_t lease = 1; lease <= 3; ++lease) ASSERT_TRUE(run(lease, 4));
  turn();
  executors_.begin(4);
  for (int i = 0; i < 10; ++i) {
    pass_ms(100);
    EXPECT_THAT(turn().returned, ElementsAre());
  }
}

TEST_F(WorkerSessionTest, TheProcessOfADedicatedActorRunsNoTasks) {
  connect();
  ASSERT_TRUE(run(1, 0));
  turn();
  wire::Start start = start_message(4);
  start.options.dedicated = true;
  ASSERT_TRUE(receive(start));
  Told told = turn();
  EXPECT_EQ(told.window(0), 0);
  EXPECT_THAT(told.returned, ElementsAre(1u)) << "what kills the actor must not hit it";
  EXPECT_EQ(hello().task_slots, 0u);
  EXPECT_EQ(welcome().window(0), 0);
  ASSERT_TRUE(receive(wire::Stop{4, true}));
  session().stopped(4);
  EXPECT_EQ(turn().window(0), 2);
}

// --- the lease ---------------------------------------------------------------------------------

TEST_F(WorkerSessionTest, CallsMayBeginUntilTheLeaseEndsThatTheBrokerGranted) {
  // With a real link: the session asks it when the broker was last heard.
  link_.add(session(), wire::Side::worker);
  link_.start(now(), out_);
  out_.clear();
  wire::Frame frame;
  wire::FrameWriter writer(frame, 1);
  wire::Welcome welcome;
  welcome.epoch = 1;
  welcome.lease_ms = 700;
  wire::write(writer, welcome);
  pass_ms(5);
  link_.on_frame(now(), {frame.head, frame.parts}, out_);
  link_.on_tick(now(), out_);
  EXPECT_LE(executors_.lease_until_us, now_us_ + 700'000);
  EXPECT_GE(executors_.lease_until_us, now_us_ + 695'000);
}

}  // namespace
}  // namespace callboard::worker::testing
