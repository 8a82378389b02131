#include "common/pages.hpp"

#include "common/check.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <new>

namespace callboard {

char* take_pages(std::size_t bytes, std::size_t alignment) {
  void* const mapped = mmap(nullptr, bytes + alignment, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  char* const from = static_cast<char*>(mapped);
  const auto address = reinterpret_cast<std::uintptr_t>(from);
  const std::size_t skipped = (alignment - address % alignment) % alignment;
  if (skipped > 0) munmap(from, skipped);
  munmap(from + skipped + bytes, alignment - skipped);
  return from + skipped;
}

void forget_pages(void* pages, std::size_t bytes) {
  CALLBOARD_CHECK(madvise(pages, bytes, MADV_DONTNEED) == 0);
}

void give_pages_back(void* pages, std::size_t bytes) { munmap(pages, bytes); }

}  // namespace callboard
