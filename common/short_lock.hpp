// A lock for a few dozen instructions: while nobody else wants it, it is taken with one locked
// instruction and given back with a plain store, where a std::mutex costs two calls into the C
// library, and a locked instruction waits until all that was written before has left for the cache.
//
// The price of the plain store: whoever goes to sleep after the holder has looked at the state, and
// before its store has left for the cache behind all that it wrote before, is not woken. So whoever
// waits looks for a moment before it sleeps, and sleeps only a tenth of a millisecond at a time.
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
    if (state_.load(std::memory_order_relaxed) == kWanted) return wake();
    state_.store(kFree, std::memory_order_release);
  }

 private:
  static constexpr std::uint32_t kFree = 0;
  static constexpr std::uint32_t kTaken = 1;
  static constexpr std::uint32_t kWanted = 2;  ///< taken, and somebody may sleep

  void wait();
  void wake();

  std::atomic<std::uint32_t> state_{kFree};
};

}  // namespace callboard
