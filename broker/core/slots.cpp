#include "broker/core/slots.hpp"

#include "common/check.hpp"
#include "common/pages.hpp"

#include <cstring>
#include <utility>

namespace callboard::broker {

Slots::Slots(std::size_t bytes, std::size_t warm)
    : bytes_(bytes),
      warm_max_(warm),
      per_chunk_(static_cast<std::uint32_t>((kChunkBytes - sizeof(Chunk)) / bytes)) {
  CALLBOARD_CHECK(bytes % 8 == 0 && bytes > 0 && bytes <= 512);
}

Slots::Slots(Slots&& other) noexcept
    : bytes_(other.bytes_),
      warm_max_(other.warm_max_),
      per_chunk_(other.per_chunk_),
      with_room_(std::exchange(other.with_room_, nullptr)),
      regions_(std::exchange(other.regions_, {})),
      warm_(std::exchange(other.warm_, {})),
      cold_(std::exchange(other.cold_, {})) {}

Slots::~Slots() {
  for (char* region : regions_) give_pages_back(region, kRegionBytes);
}

void* Slots::take() {
  Chunk* const chunk = with_room_ != nullptr ? with_room_ : add_chunk();
  void* slot = chunk->free;
  if (slot != nullptr) {
    std::memcpy(&chunk->free, slot, sizeof chunk->free);
  } else {
    slot = reinterpret_cast<char*>(chunk + 1) + chunk->begun++ * bytes_;
  }
  ++chunk->used;
  if (chunk->free == nullptr && chunk->begun == per_chunk_) unlink(chunk);
  return slot;
}

void Slots::give(void* slot) {
  Chunk* const chunk = chunk_of(slot);
  const bool was_full = chunk->free == nullptr && chunk->begun == per_chunk_;
  std::memcpy(slot, &chunk->free, sizeof chunk->free);
  chunk->free = slot;
  if (was_full) link(chunk);
  if (--chunk->used > 0 || (chunk == with_room_ && chunk->next == nullptr)) return;
  unlink(chunk);
  *chunk = {};
  warm_.push_back(chunk);
  if (warm_.size() <= warm_max_) return;
  forget_pages(warm_.front(), kChunkBytes);
  cold_.push_back(warm_.front());
  warm_.erase(warm_.begin());
}

Slots::Chunk* Slots::add_chunk() {
  auto& spare = warm_.empty() ? cold_ : warm_;
  if (spare.empty()) add_region();
  auto& from = warm_.empty() ? cold_ : warm_;
  Chunk* const chunk = from.back();
  from.pop_back();
  link(chunk);
  return chunk;
}

void Slots::add_region() {
  char* const begin = take_pages(kRegionBytes, kChunkBytes);
  regions_.push_back(begin);
  for (std::size_t at = kRegionBytes; at > 0; at -= kChunkBytes) {
    cold_.push_back(reinterpret_cast<Chunk*>(begin + at - kChunkBytes));
  }
}

void Slots::link(Chunk* chunk) {
  chunk->previous = nullptr;
  chunk->next = with_room_;
  if (with_room_ != nullptr) with_room_->previous = chunk;
  with_room_ = chunk;
}

void Slots::unlink(Chunk* chunk) {
  (chunk->previous == nullptr ? with_room_ : chunk->previous->next) = chunk->next;
  if (chunk->next != nullptr) chunk->next->previous = chunk->previous;
  chunk->previous = chunk->next = nullptr;
}

}  // namespace callboard::broker
