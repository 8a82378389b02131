#include "client/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

namespace callboard::client {

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

void futex_wake_all(std::atomic<std::uint32_t>& word) {
  futex(word, FUTEX_WAKE, INT_MAX, nullptr, 0);
}

std::int64_t steady_us_coarse() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return now.tv_sec * std::int64_t{1'000'000} + now.tv_nsec / 1000;
}

std::int64_t steady_us_after(std::int64_t more_us) {
  const std::int64_t now = steady_us();
  return more_us > INT64_MAX - now ? INT64_MAX : now + more_us;
}

}  // namespace callboard::client
