// A lock for a few dozen instructions.

#include "common/short_lock.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

namespace callboard::worker {
namespace {

TEST(ShortLock, OneAtATimeIsInside) {
  constexpr int kThreads = 4;
  constexpr int kTimes = 20'000;
  ShortLock lock;
  int inside = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < kTimes; ++n) {
        const std::lock_guard guard(lock);
        ++inside;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(inside, kThreads * kTimes);
}

TEST(ShortLock, WhoeverWaitsForLongIsWoken) {
  ShortLock lock;
  bool done = false;
  lock.lock();
  std::thread waiting([&] {
    const std::lock_guard guard(lock);
    done = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(done);
  lock.unlock();
  waiting.join();
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace callboard::worker
