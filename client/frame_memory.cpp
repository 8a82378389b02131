// Memory of the coroutines of <callboard/asio.hpp>: blocks of few sizes, used again and again.
#include "client/block_cache.hpp"

#include <callboard/description.hpp>

#include <cstddef>
#include <new>

namespace callboard::detail {

namespace {

template <std::size_t kBytes>
struct Block {
  alignas(std::max_align_t) std::byte bytes[kBytes];
};
template <std::size_t kBytes>
using Blocks = client::BlockCache<Block<kBytes>>;

// A frame has some 100 bytes of its own, and the locals that live across a co_await.
constexpr std::size_t kSmall = 256;
constexpr std::size_t kMiddle = 512;
constexpr std::size_t kLarge = 1024;

}  // namespace

void* take_frame(std::size_t bytes) {
  if (bytes <= kSmall) return Blocks<kSmall>::take();
  if (bytes <= kMiddle) return Blocks<kMiddle>::take();
  if (bytes <= kLarge) return Blocks<kLarge>::take();
  return ::operator new(bytes);
}

void give_frame(void* frame, std::size_t bytes) noexcept {
  if (bytes <= kSmall) return Blocks<kSmall>::give(frame);
  if (bytes <= kMiddle) return Blocks<kMiddle>::give(frame);
  if (bytes <= kLarge) return Blocks<kLarge>::give(frame);
  ::operator delete(frame);
}

}  // namespace callboard::detail
