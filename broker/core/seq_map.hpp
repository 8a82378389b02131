// A map from rising numbers to values: chunks of 256 neighbours in a hash table.
//
// Numbers are given out in order and most die young, so neighbours share a chunk that the last
// access has cached; a few that live for long cost one chunk each, not a growing window.
// Thread safety: none.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>

namespace callboard::broker {

/// T is default-constructed to "nothing" and tests false then.
template <class T>
class SeqMap {
 public:
  T* find(std::uint64_t number) {
    Chunk* chunk = chunk_of(number);
    if (chunk == nullptr) return nullptr;
    T& value = chunk->values[number % kWidth];
    return value ? &value : nullptr;
  }
  /// REQUIRES: nothing is stored under `number`; `value` tests true.
  void insert(std::uint64_t number, T value) {
    Chunk* chunk = chunk_of(number);
    if (chunk == nullptr) {
      auto& place = chunks_[number / kWidth];
      place = std::make_unique<Chunk>();
      cached_ = chunk = place.get();
      cached_number_ = number / kWidth;
    }
    chunk->values[number % kWidth] = value;
    ++chunk->count;
    ++size_;
  }
  void erase(std::uint64_t number) {
    Chunk* chunk = chunk_of(number);
    if (chunk == nullptr || !chunk->values[number % kWidth]) return;
    chunk->values[number % kWidth] = T{};
    --size_;
    if (--chunk->count > 0) return;
    cached_ = nullptr;
    chunks_.erase(number / kWidth);
  }
  std::size_t size() const { return size_; }

  /// Calls visit(number, value) for all; the order is not defined.
  template <class Visit>
  void each(Visit visit) const {
    for (const auto& [chunk_number, chunk] : chunks_) {
      for (std::size_t i = 0; i < kWidth; ++i) {
        if (chunk->values[i]) visit(chunk_number * kWidth + i, chunk->values[i]);
      }
    }
  }

 private:
  static constexpr std::uint64_t kWidth = 256;
  struct Chunk {
    std::array<T, kWidth> values{};
    std::uint32_t count = 0;
  };
  Chunk* chunk_of(std::uint64_t number) {
    if (cached_ != nullptr && cached_number_ == number / kWidth) return cached_;
    const auto found = chunks_.find(number / kWidth);
    if (found == chunks_.end()) return nullptr;
    cached_ = found->second.get();
    cached_number_ = number / kWidth;
    return cached_;
  }

  std::unordered_map<std::uint64_t, std::unique_ptr<Chunk>> chunks_;
  Chunk* cached_ = nullptr;
  std::uint64_t cached_number_ = 0;
  std::size_t size_ = 0;
};

}  // namespace callboard::broker
