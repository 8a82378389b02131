// Asking for memory before it is needed.
//
// What one thread wrote last comes from the cache of its core only when another touches it, which
// then waits for as long as some hundred instructions take. Thread safety: nothing is changed.
//
// g++ takes a function that does nothing but __builtin_prefetch() for one without effect, and leaves
// out calls of it; and asks for a line to read where it does not know the processor's kind, so that
// whoever writes it waits for its owner still. Hence the instructions themselves.
#pragma once

#include <cstddef>
#include <cstdint>

namespace callboard {

inline constexpr std::size_t kCacheLine = 64;

/// The line of this address, to write it. Any will do: nothing is read.
inline void prefetch_line_to_write(std::uintptr_t address) {
#if defined(__x86_64__)
  asm volatile("prefetchw (%0)" : : "r"(address));
#else
  asm volatile("");
  __builtin_prefetch(reinterpret_cast<const void*>(address), 1);
#endif
}
/// The same, to read it.
inline void prefetch_line_to_read(std::uintptr_t address) {
#if defined(__x86_64__)
  asm volatile("prefetcht0 (%0)" : : "r"(address));
#else
  asm volatile("");
  __builtin_prefetch(reinterpret_cast<const void*>(address), 0);
#endif
}

/// Brings the lines of an object that is written soon. There need not be one.
inline void prefetch_to_write(const void* object, std::size_t bytes) {
#pragma GCC unroll 8
  for (std::size_t at = 0; at < bytes; at += kCacheLine) {
    prefetch_line_to_write(reinterpret_cast<std::uintptr_t>(object) + at);
  }
}
/// The same for one that is read.
inline void prefetch_to_read(const void* object, std::size_t bytes) {
#pragma GCC unroll 8
  for (std::size_t at = 0; at < bytes; at += kCacheLine) {
    prefetch_line_to_read(reinterpret_cast<std::uintptr_t>(object) + at);
  }
}

}  // namespace callboard
