#include "common/short_lock.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ctime>

namespace callboard {

namespace {

/// Some microseconds: longer than a few dozen instructions take, and their stores.
constexpr int kLooks = 40;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

void ShortLock::wait() {
  static_assert(sizeof(state_) == sizeof(std::uint32_t));
  const timespec at_most{.tv_sec = 0, .tv_nsec = kSleepUs * 1000};
  while (state_.exchange(kWanted, std::memory_order_acquire) != kFree) {
    int looks = 0;
    while (looks < kLooks && state_.load(std::memory_order_relaxed) != kFree) {
      pause();
      ++looks;
    }
    if (looks < kLooks) continue;
    (void)::syscall(SYS_futex, &state_, FUTEX_WAIT_PRIVATE, kWanted, &at_most);
  }
}

void ShortLock::wake() {
  state_.store(kFree, std::memory_order_release);
  (void)::syscall(SYS_futex, &state_, FUTEX_WAKE_PRIVATE, 1);
}

}  // namespace callboard
