// Records by a number that rises: the calls of a session, the leases of a worker.
//
// Numbers rise, records go in any order, and one may stay for hours while millions pass: records
// live in chunks of 64 neighbours, and a chunk goes when its last record does. Emptied chunks are
// kept for later numbers. Thread safety: none. References stay valid until the record is erased.
#pragma once

#include "common/chunk_index.hpp"
#include "common/prefetch.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace callboard {

/// T is default-constructed once for each place; a record that is erased becomes as new by
/// T::reset(), which may keep memory, or by assignment.
template <class T>
class SeqTable {
 public:
  /// Null when there is no such record.
  T* find(std::uint64_t number) {
    Chunk* chunk = chunk_of(number);
    return chunk != nullptr && chunk->has(number) ? &chunk->records[number % kChunk] : nullptr;
  }
  bool contains(std::uint64_t number) { return find(number) != nullptr; }
  /// It is looked up soon: asks for its place.
  void expect(std::uint64_t number) {
    Chunk* const chunk = chunk_of(number);
    if (chunk == nullptr) return;
    prefetch_to_read(&chunk->live, 1);
    prefetch_to_read(&chunk->records[number % kChunk], 1);
  }
  /// REQUIRES: there is no record of that number.
  T& add(std::uint64_t number) {
    Chunk* chunk = chunk_of(number);
    if (chunk == nullptr) chunk = &make_chunk(number / kChunk);
    chunk->live |= bit(number);
    ++size_;
    return chunk->records[number % kChunk];
  }
  /// REQUIRES: the record is there.
  void erase(std::uint64_t number) { erase_from(*chunk_of(number), number); }
  /// Erases the record of that number if there is one and `may_go` says so of it. `may_go` leaves
  /// the table alone.
  template <class Condition>
  void erase_if(std::uint64_t number, Condition may_go) {
    Chunk* chunk = chunk_of(number);
    if (chunk == nullptr || !chunk->has(number) || !may_go(chunk->records[number % kChunk])) return;
    erase_from(*chunk, number);
  }
  /// The lowest number from `from` to `through` that has a record; `through` + 1 when none has.
  std::uint64_t next(std::uint64_t from, std::uint64_t through) {
    while (from <= through) {
      const Chunk* chunk = chunk_of(from);
      const std::uint64_t rest = chunk == nullptr ? 0 : chunk->live >> (from % kChunk);
      if (rest != 0) {
        from += static_cast<std::uint64_t>(std::countr_zero(rest));
        return from <= through ? from : through + 1;
      }
      if (through - from < kChunk - from % kChunk) break;
      from += kChunk - from % kChunk;
    }
    return through + 1;
  }
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  /// Calls visit(number, record) for all, in no order.
  template <class Visit>
  void each(Visit visit) const {
    chunks_.each([&visit](std::uint64_t index, Chunk& chunk) {
      for (std::uint64_t live = chunk.live; live != 0; live &= live - 1) {
        const auto place = static_cast<std::size_t>(std::countr_zero(live));
        visit(index * kChunk + place, chunk.records[place]);
      }
    });
  }
  /// The numbers of all records, in no order.
  std::vector<std::uint64_t> numbers() const {
    std::vector<std::uint64_t> all;
    all.reserve(size_);
    each([&all](std::uint64_t number, const T&) { all.push_back(number); });
    return all;
  }

 private:
  static constexpr std::uint64_t kChunk = 64;
  static constexpr std::size_t kSpareChunks = 32;
  struct Chunk {
    std::array<T, kChunk> records;
    std::uint64_t live = 0;  ///< a bit for each
    bool has(std::uint64_t number) const { return (live & bit(number)) != 0; }
  };

  static constexpr std::uint64_t bit(std::uint64_t number) {
    return std::uint64_t{1} << (number % kChunk);
  }
  static void renew(T& record) {
    if constexpr (requires { record.reset(); }) {
      record.reset();
    } else {
      record = T();
    }
  }
  [[gnu::noinline]] Chunk& make_chunk(std::uint64_t index) {
    if (spare_.empty()) return chunks_.add(index, std::make_unique<Chunk>());
    std::unique_ptr<Chunk> spare = std::move(spare_.back());
    spare_.pop_back();
    return chunks_.add(index, std::move(spare));
  }
  void erase_from(Chunk& chunk, std::uint64_t number) {
    renew(chunk.records[number % kChunk]);
    chunk.live &= ~bit(number);
    --size_;
    if (chunk.live == 0) drop_chunk(number / kChunk);
  }
  [[gnu::noinline]] void drop_chunk(std::uint64_t index) {
    std::unique_ptr<Chunk> empty = chunks_.take_out(index);
    if (spare_.size() < kSpareChunks) spare_.push_back(std::move(empty));
  }
  Chunk* chunk_of(std::uint64_t number) { return chunks_.find(number / kChunk); }

  ChunkIndex<Chunk> chunks_;
  std::vector<std::unique_ptr<Chunk>> spare_;
  std::size_t size_ = 0;
};

}  // namespace callboard
