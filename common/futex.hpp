// Sleeping on a 32-bit word until it changes. Thread safety: all of it.
#pragma once

#include <atomic>
#include <cstdint>

namespace callboard {

/// Sleeps while `word` is `expected`, at most until `until_us` (steady clock; INT64_MAX: no end).
/// May return early. False when the time is over.
bool futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected, std::int64_t until_us);
void futex_wake_one(std::atomic<std::uint32_t>& word);
void futex_wake_all(std::atomic<std::uint32_t>& word);

}  // namespace callboard
