#include "client/core/lending.hpp"

#include <algorithm>

namespace callboard::client {

namespace {

/// One at a time: so many unanswered, for so long after the last one was waited for, unless so many
/// were submitted that nobody waited for.
constexpr std::uint64_t kAloneCalls = 2;
constexpr std::int64_t kAloneUs = 20'000;
constexpr std::uint32_t kUnmissedMax = 2;

/// Steady: after so many waits in a row, each of which began so soon after the one before.
constexpr std::uint32_t kReturns = 4;
constexpr std::int64_t kSoonUs = 1'000;

}  // namespace

void Lending::wait_begins(std::int64_t now_us, std::uint64_t unanswered) {
  const bool others = waiting_.fetch_add(1, std::memory_order_relaxed) > 0;
  if (unanswered <= kAloneCalls) {
    alone_us_.store(now_us, std::memory_order_relaxed);
    unmissed_.store(0, std::memory_order_relaxed);
    return left_alone();
  }
  const bool soon = now_us - ended_us_.load(std::memory_order_relaxed) < kSoonUs;
  if (others || !soon) return left_alone();
  const std::uint32_t returns = returns_.load(std::memory_order_relaxed);
  returns_.store(std::min(returns + 1, kReturns), std::memory_order_relaxed);
}

void Lending::wait_ends(std::int64_t now_us) {
  ended_us_.store(now_us, std::memory_order_relaxed);
  waiting_.fetch_sub(1, std::memory_order_relaxed);
}

void Lending::asks() {
  alone_us_.store(0, std::memory_order_relaxed);
  left_alone();
}

bool Lending::submits_alone() {
  if (alone_us_.load(std::memory_order_relaxed) == 0) return false;
  return unmissed_.fetch_add(1, std::memory_order_relaxed) < kUnmissedMax;
}

bool Lending::one_at_a_time(std::int64_t now_us, std::uint64_t unanswered) const {
  return unanswered <= kAloneCalls &&
         now_us < alone_us_.load(std::memory_order_relaxed) + kAloneUs &&
         unmissed_.load(std::memory_order_relaxed) < kUnmissedMax;
}

bool Lending::steady() const {
  return returns_.load(std::memory_order_relaxed) >= kReturns &&
         waiting_.load(std::memory_order_relaxed) <= 1;
}

}  // namespace callboard::client
