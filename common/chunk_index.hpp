// Chunks of records by their number, for tables whose records have numbers that rise.
//
// Numbers are looked up in runs, some at the old and some at the new end, so a chunk that was used
// lately is found by the low bits of its number, without a hash. There is a place for each chunk at
// the least: with fewer, the ends of a long row of neighbours would drive each other out. Thread
// safety: none. A chunk stays where it is until it is taken out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

namespace callboard {

template <class Chunk>
class ChunkIndex {
 public:
  ChunkIndex() = default;
  ChunkIndex(const ChunkIndex&) = delete;
  ChunkIndex& operator=(const ChunkIndex&) = delete;

  /// Null when there is none.
  [[gnu::always_inline]] Chunk* find(std::uint64_t number) {
    const Place& place = place_of(number);
    if (place.chunk != nullptr && place.number == number) return place.chunk;
    return look_up(number);
  }
  /// REQUIRES: there is none of that number.
  [[gnu::noinline]] Chunk& add(std::uint64_t number, std::unique_ptr<Chunk> chunk) {
    Chunk& added = *chunk;
    chunks_.emplace(number, std::move(chunk));
    if (chunks_.size() > places_.size()) {
      places_ = std::vector<Place>(2 * places_.size());
    }
    place_of(number) = {number, &added};
    return added;
  }
  /// REQUIRES: it is there.
  [[gnu::noinline]] std::unique_ptr<Chunk> take_out(std::uint64_t number) {
    const auto found = chunks_.find(number);
    std::unique_ptr<Chunk> chunk = std::move(found->second);
    chunks_.erase(found);
    Place& place = place_of(number);
    if (place.number == number) place = {};
    return chunk;
  }
  /// Calls visit(number, chunk) for all, in no order.
  template <class Visit>
  void each(Visit visit) const {
    for (const auto& [number, chunk] : chunks_) visit(number, *chunk);
  }

 private:
  /// A chunk that was used lately.
  struct Place {
    std::uint64_t number = 0;
    Chunk* chunk = nullptr;
  };
  static constexpr std::size_t kPlaces = 16;  ///< at first; always a power of two

  Place& place_of(std::uint64_t number) { return places_[number & (places_.size() - 1)]; }
  // What happens once in many numbers is a call, so that the rest can be inlined.
  [[gnu::noinline]] Chunk* look_up(std::uint64_t number) {
    const auto found = chunks_.find(number);
    if (found == chunks_.end()) return nullptr;
    place_of(number) = {number, found->second.get()};
    return found->second.get();
  }

  std::unordered_map<std::uint64_t, std::unique_ptr<Chunk>> chunks_;
  std::vector<Place> places_ = std::vector<Place>(kPlaces);
};

}  // namespace callboard
