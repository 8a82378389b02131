// Bytes of a call between two threads: a string that is only ever assigned to, read and swapped.
//
// Each call's arguments and result are swapped from hand to hand some six times. A std::string has
// a place of its own for short ones, so that swapping two is a call with branches, and so is
// assigning; here it is three words. Thread safety: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>

namespace callboard::worker {

class TextBuffer {
 public:
  TextBuffer() = default;
  explicit TextBuffer(std::string_view bytes) { assign(bytes); }
  TextBuffer(const TextBuffer& other) { assign(other); }
  TextBuffer(TextBuffer&& other) noexcept { swap(other); }
  TextBuffer& operator=(TextBuffer other) noexcept {
    swap(other);
    return *this;
  }
  TextBuffer& operator=(std::string_view bytes) {
    assign(bytes);
    return *this;
  }

  operator std::string_view() const { return {data_.get(), size_}; }
  const char* data() const { return data_.get(); }
  std::size_t size() const { return size_; }
  std::size_t capacity() const { return capacity_; }
  bool empty() const { return size_ == 0; }

  /// REQUIRES: they are not its own.
  void assign(std::string_view bytes) {
    if (bytes.size() > capacity_) grow(bytes.size());
    if (!bytes.empty()) std::memcpy(data_.get(), bytes.data(), bytes.size());
    size_ = bytes.size();
  }
  /// Keeps the memory.
  void clear() { size_ = 0; }
  /// The same, but for more memory than that.
  void trim(std::size_t bytes_max) {
    size_ = 0;
    if (capacity_ <= bytes_max) return;
    data_.reset();
    capacity_ = 0;
  }
  void swap(TextBuffer& other) noexcept {
    data_.swap(other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
  }

 private:
  [[gnu::noinline]] void grow(std::size_t bytes) {
    std::size_t room = kBytesMin;
    while (room < bytes) room *= 2;
    data_ = std::make_unique_for_overwrite<char[]>(room);
    capacity_ = room;
  }

  static constexpr std::size_t kBytesMin = 64;

  std::unique_ptr<char[]> data_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace callboard::worker
