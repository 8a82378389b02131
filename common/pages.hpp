// Memory by the page, from the system and back to it.
#pragma once

#include <cstddef>

namespace callboard {

/// Pages of zeros. `alignment` is a power of two and no less than a page. Throws std::bad_alloc.
char* take_pages(std::size_t bytes, std::size_t alignment);
/// Their contents are no longer needed: they take no memory, and read as zeros, until they are
/// written again.
void forget_pages(void* pages, std::size_t bytes);
/// What take_pages() gave goes back, whole.
void give_pages_back(void* pages, std::size_t bytes);

}  // namespace callboard
