// A lock for a few dozen instructions: taking it and giving it back is one instruction each while
// nobody else wants it, where a std::mutex costs two calls into the C library.
//
// Thread safety: all of it. Works with std::lock_guard, and with condition_variable_any, which is
// dear to wait for.
#pragma once

#include <atomic>
#include <cstdint>

namespace callboard {

class ShortLock {
 public:
  ShortLock() = default;
  ShortLock(const ShortLock&) = delete;
  ShortLock& operator=(const ShortLock&) = delete;

  void lock() {
    std::uint32_t expected = kFree;
    if (!state_.compare_exchange_strong(expected, kTaken, std::memory_order_acquire,
                                        std::memory_order_relaxed)) {
      wait();
    }
  }
  void unlock() {
    if (state_.exchange(kFree, std::memory_order_release) == kWanted) state_.notify_one();
  }

 private:
  static constexpr std::uint32_t kFree = 0;
  static constexpr std::uint32_t kTaken = 1;
  static constexpr std::uint32_t kWanted = 2;  ///< taken, and somebody may sleep

  [[gnu::noinline]] void wait() {
    while (state_.exchange(kWanted, std::memory_order_acquire) != kFree) state_.wait(kWanted);
  }

  std::atomic<std::uint32_t> state_{kFree};
};

}  // namespace callboard
