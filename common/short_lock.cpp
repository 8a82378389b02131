#include "common/short_lock.hpp"

#include "common/clock.hpp"
#include "common/futex.hpp"

namespace callboard {

namespace {

/// Some microseconds: longer than a few dozen instructions take, and their stores.
constexpr int kLooks = 40;
constexpr std::int64_t kSleepUs = 100;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

void ShortLock::wait() {
  while (state_.exchange(kWanted, std::memory_order_acquire) != kFree) {
    int looks = 0;
    while (looks < kLooks && state_.load(std::memory_order_relaxed) != kFree) {
      pause();
      ++looks;
    }
    if (looks < kLooks) continue;
    futex_wait(state_, kWanted, steady_us() + kSleepUs);
  }
}

void ShortLock::wake() {
  state_.store(kFree, std::memory_order_release);
  futex_wake_one(state_);
}

}  // namespace callboard
