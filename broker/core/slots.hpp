// Memory in slots of one size: chunks whose pages go back to the system once all in them is free.
//
// A backlog comes and goes. In the heap what it took would lie between things that stay, and each
// piece would have a header. Addresses stay readable for ever: a page that was given back reads as
// zeros. Thread safety: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace callboard::broker {

class Slots {
 public:
  /// `bytes` of each slot: a multiple of 8, and no more than half a kilobyte. `warm`: chunks that
  /// are free and keep their pages, those that became free last.
  explicit Slots(std::size_t bytes, std::size_t warm = 16);
  ~Slots();
  Slots(const Slots&) = delete;
  Slots& operator=(const Slots&) = delete;
  Slots(Slots&& other) noexcept;
  Slots& operator=(Slots&&) = delete;

  /// The slot that was given back last in its chunk, or one that was never used.
  void* take();
  /// The first 8 bytes of the slot are overwritten, the others stay until the page goes.
  void give(void* slot);

  /// Calls visit(slot) for every slot that was ever taken from the chunks that are in use.
  template <class Visit>
  void each(const Visit& visit) const {
    for (char* region : regions_) {
      for (std::size_t at = 0; at < kRegionBytes; at += kChunkBytes) {
        const auto* chunk = reinterpret_cast<const Chunk*>(region + at);
        for (std::uint32_t i = 0; i < chunk->begun; ++i) {
          visit(region + at + sizeof(Chunk) + i * bytes_);
        }
      }
    }
  }

 private:
  static constexpr std::size_t kChunkBytes = 64 * 1024;
  static constexpr std::size_t kRegionBytes = 16 * kChunkBytes;

  /// Stands at the beginning of each chunk, which is aligned to its size.
  struct Chunk {
    Chunk* previous;  ///< neighbours among those with room
    Chunk* next;
    void* free;           ///< slots that were given back
    std::uint32_t used;   ///< slots that are taken
    std::uint32_t begun;  ///< slots that were ever taken; 0: the chunk is not in use
  };

  static Chunk* chunk_of(void* slot) {
    return reinterpret_cast<Chunk*>(reinterpret_cast<std::uintptr_t>(slot) & ~(kChunkBytes - 1));
  }
  Chunk* add_chunk();
  void add_region();
  void link(Chunk* chunk);
  void unlink(Chunk* chunk);

  std::size_t bytes_;
  std::size_t warm_max_;
  std::uint32_t per_chunk_;
  Chunk* with_room_ = nullptr;
  std::vector<char*> regions_;
  std::vector<Chunk*> warm_;  ///< oldest first
  std::vector<Chunk*> cold_;  ///< without pages
};

}  // namespace callboard::broker
