// Asking for memory before it is needed.
//
// What one thread wrote last comes from the cache of its core only when another touches it, which
// then waits for as long as some hundred instructions take. Thread safety: nothing is changed.
#pragma once

#include <cstddef>

namespace callboard {

inline constexpr std::size_t kCacheLine = 64;

/// g++ takes a function that only asks for memory for one without effect, and leaves out calls of
/// it. It does not where something in it may not be left out, be that nothing at all.
inline void prefetch_has_effect() { asm volatile(""); }

/// Brings the lines of an object that is written soon. Any address will do, a null one too.
inline void prefetch_to_write(const void* object, std::size_t bytes) {
  prefetch_has_effect();
#pragma GCC unroll 8
  for (std::size_t at = 0; at < bytes; at += kCacheLine) {
    __builtin_prefetch(static_cast<const char*>(object) + at, 1);
  }
}
/// The same for one that is read.
inline void prefetch_to_read(const void* object, std::size_t bytes) {
  prefetch_has_effect();
#pragma GCC unroll 8
  for (std::size_t at = 0; at < bytes; at += kCacheLine) {
    __builtin_prefetch(static_cast<const char*>(object) + at, 0);
  }
}

}  // namespace callboard
