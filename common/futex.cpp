#include "common/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

namespace callboard {

namespace {

long futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value,
           const timespec* until, std::uint32_t bits) {
  static_assert(sizeof(std::atomic<std::uint32_t>) == sizeof(std::uint32_t));
  return syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), operation | FUTEX_PRIVATE_FLAG,
                 value, until, nullptr, bits);
}

}  // namespace

bool futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected, std::int64_t until_us) {
  // FUTEX_WAIT_BITSET takes a point in time of CLOCK_MONOTONIC, which is the steady clock.
  timespec until{};
  until.tv_sec = static_cast<time_t>(until_us / 1'000'000);
  until.tv_nsec = static_cast<long>(until_us % 1'000'000 * 1000);
  const long rc = futex(word, FUTEX_WAIT_BITSET, expected, until_us == INT64_MAX ? nullptr : &until,
                        FUTEX_BITSET_MATCH_ANY);
  return rc == 0 || errno != ETIMEDOUT;
}

void futex_wake_one(std::atomic<std::uint32_t>& word) { futex(word, FUTEX_WAKE, 1, nullptr, 0); }

void futex_wake_all(std::atomic<std::uint32_t>& word) {
  futex(word, FUTEX_WAKE, INT_MAX, nullptr, 0);
}

}  // namespace callboard
