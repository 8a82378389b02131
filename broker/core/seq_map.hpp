// A map from rising numbers to values: chunks of 256 neighbours.
//
// Numbers are given out in order and most die young, so neighbours share a chunk; a few that live
// for long cost one chunk each, not a growing window.
// Thread safety: none.
#pragma once

#include "common/chunk_index.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <utility>

namespace callboard::broker {

/// T is default-constructed to "nothing" and tests false then.
template <class T>
class SeqMap {
 public:
  [[gnu::always_inline]] T* find(std::uint64_t number) {
    Chunk* chunk = chunk_of(number);
    if (chunk == nullptr) return nullptr;
    T& value = chunk->values[number % kWidth];
    return value ? &value : nullptr;
  }
  /// REQUIRES: nothing is stored under `number`; `value` tests true.
  void insert(std::uint64_t number, const T& value) { add(number) = value; }
  /// The place of a value, which the caller fills in before anything else is done here. REQUIRES:
  /// nothing is stored under `number`.
  [[gnu::always_inline]] T& add(std::uint64_t number) {
    Chunk* chunk = chunk_of(number);
    if (chunk == nullptr) chunk = add_chunk(number / kWidth);
    ++chunk->count;
    ++size_;
    return chunk->values[number % kWidth];
  }
  [[gnu::always_inline]] void erase(std::uint64_t number) {
    Chunk* chunk = chunk_of(number);
    if (chunk == nullptr || !chunk->values[number % kWidth]) return;
    chunk->values[number % kWidth] = T{};
    --size_;
    if (--chunk->count == 0) drop_chunk(number / kWidth);
  }
  std::size_t size() const { return size_; }

  /// Calls visit(number, value) for all; the order is not defined.
  template <class Visit>
  void each(Visit visit) const {
    chunks_.each([&visit](std::uint64_t chunk_number, Chunk& chunk) {
      for (std::size_t i = 0; i < kWidth; ++i) {
        if (chunk.values[i]) visit(chunk_number * kWidth + i, chunk.values[i]);
      }
    });
  }

 private:
  static constexpr std::uint64_t kWidth = 256;
  struct Chunk {
    std::array<T, kWidth> values{};
    std::uint32_t count = 0;
  };
  [[gnu::always_inline]] Chunk* chunk_of(std::uint64_t number) {
    return chunks_.find(number / kWidth);
  }
  // What happens once in many numbers is a call, so that the rest can be inlined.
  [[gnu::noinline]] Chunk* add_chunk(std::uint64_t chunk) {
    return &chunks_.add(chunk, spare_ ? std::move(spare_) : std::make_unique<Chunk>());
  }
  [[gnu::noinline]] void drop_chunk(std::uint64_t chunk) {
    spare_ = chunks_.take_out(chunk);  // all of it is "nothing" again
  }

  ChunkIndex<Chunk> chunks_;
  std::unique_ptr<Chunk> spare_;
  std::size_t size_ = 0;
};

}  // namespace callboard::broker
