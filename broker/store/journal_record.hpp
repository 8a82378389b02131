// A record of the journal: what one commit changes in queues, as operations in their order.
//
// Its bytes move while it grows, so what is in it is told by where it stands. Thread safety: none.
#pragma once

#include "common/packed.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>

namespace callboard::broker {

/// Bytes that are appended. What was once made room for is never filled with anything else first.
class RecordBytes {
 public:
  RecordBytes() = default;
  explicit RecordBytes(std::string_view bytes) {
    if (bytes.empty()) return;
    std::memcpy(room(bytes.size()), bytes.data(), bytes.size());
    size_ = bytes.size();
  }

  /// The end, and room behind it; end_at() says how much of that was written.
  char* room(std::size_t bytes) {
    if (capacity_ - size_ < bytes) grow(bytes);
    return bytes_.get() + size_;
  }
  void end_at(const char* end) { size_ = static_cast<std::size_t>(end - bytes_.get()); }
  void truncate(std::size_t size) { size_ = size; }

  /// Puts a length in its longest form where kLengthBytes were left for it.
  void write_length(std::size_t at, std::size_t length) {
    bytes_[at] = '\xc6';
    wire::store_big_endian(bytes_.get() + at + 1, static_cast<std::uint32_t>(length));
  }

  std::size_t size() const { return size_; }
  std::size_t capacity() const { return capacity_; }
  std::string_view view() const { return {bytes_.get(), size_}; }
  std::string_view part(std::size_t at, std::size_t bytes) const {
    return {bytes_.get() + at, bytes};
  }
  std::uint32_t place_of(std::string_view part) const {
    return static_cast<std::uint32_t>(part.data() - bytes_.get());
  }

 private:
  static constexpr std::size_t kBytesMin = 256;

  void grow(std::size_t bytes) {
    std::size_t capacity = capacity_ < kBytesMin ? kBytesMin : capacity_ * 2;
    if (capacity < size_ + bytes) capacity = size_ + bytes;
    std::unique_ptr<char[]> grown(new char[capacity]);
    if (size_ > 0) std::memcpy(grown.get(), bytes_.get(), size_);
    bytes_ = std::move(grown);
    capacity_ = capacity;
  }

  std::unique_ptr<char[]> bytes_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

/// 1: for each key its name and what is set and erased. 2: operations in their order.
inline constexpr std::uint64_t kJournalVersion = 2;
inline constexpr std::string_view kNext = "next";
inline constexpr std::string_view kWatermark = "sent.0.0";

/// What a record says, of the queue that it named last.
enum class JournalOperation : std::uint8_t {
  name = 1,          ///< str: the next queue of the record
  again = 2,         ///< its place among them
  call = 3,          ///< number, record (bin)
  call_ended = 4,    ///< number
  call_beside = 5,   ///< number: it was written to its hash at once
  sent = 6,          ///< number, record (bin)
  sent_erased = 7,   ///< number
  next = 8,          ///< counter
  counters = 9,      ///< next, watermark of the lane 0.0
  fact = 10,         ///< field (bin), value (bin)
  fact_erased = 11,  ///< field (bin)
  facts_gone = 12,   ///< all of them, those that the hash had, too
};

struct JournalRecord {
  std::uint64_t no = 0;    ///< of its commit
  std::int64_t at_us = 0;  ///< when that was written
  RecordBytes bytes;
};

}  // namespace callboard::broker
