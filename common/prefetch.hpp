// Asking for memory before it is needed.
//
// What one thread wrote last comes from the cache of its core only when another touches it, which
// then waits for as long as some hundred instructions take. Thread safety: nothing is changed.
//
// g++ takes a function that does nothing but __builtin_prefetch() for one without effect and leaves
// out calls of it: the empty instruction, which may not be left out, keeps it from that. That a
// line is asked for to be written, and not only read, takes -mprfchw
// (cmake/CallboardCompiler.cmake).
#pragma once

#include <cstddef>
#include <cstdint>

namespace callboard {

inline constexpr std::size_t kCacheLine = 64;

/// Brings the lines of an object that is written soon. Any address will do, since nothing is read.
inline void prefetch_to_write(const void* object, std::size_t bytes) {
  asm volatile("");
  const auto address = reinterpret_cast<std::uintptr_t>(object);
#pragma GCC unroll 8
  for (std::size_t at = 0; at < bytes; at += kCacheLine) {
    __builtin_prefetch(reinterpret_cast<const void*>(address + at), 1);
  }
}
/// The same for one that is read.
inline void prefetch_to_read(const void* object, std::size_t bytes) {
  asm volatile("");
  const auto address = reinterpret_cast<std::uintptr_t>(object);
#pragma GCC unroll 8
  for (std::size_t at = 0; at < bytes; at += kCacheLine) {
    __builtin_prefetch(reinterpret_cast<const void*>(address + at), 0);
  }
}

}  // namespace callboard
