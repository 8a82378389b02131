#include "worker/core/short_calls.hpp"

#include "worker/executor.hpp"

#include <algorithm>

namespace callboard::worker {

namespace {

constexpr std::uint32_t kRow = 16;
constexpr std::size_t kFew = 8;
constexpr std::int64_t kShortUs = 200;
/// Of many: what they take together. The connection's own thread comes by after a millisecond.
constexpr std::int64_t kShortTogetherUs = 500;

}  // namespace

void ShortCalls::ended(std::span<const Outcome> outcomes) {
  const bool many = outcomes.size() > kFew;
  std::int64_t together_us = 0;
  for (const Outcome& outcome : outcomes) {
    const std::int64_t took_us = outcome.ended_us - outcome.began_us;
    together_us += took_us;
    row_ = took_us < kShortUs ? std::min(row_ + 1, kRow) : 0;
  }
  if (many && together_us >= kShortTogetherUs) forget();
}

bool ShortCalls::in_a_row() const { return row_ >= kRow; }

}  // namespace callboard::worker
