// The fixed part of a message, written on the stack and appended to its frame at once.
//
// What calls are made of is written some million times a second: one append for all the numbers
// of a message costs a third of one for each. Thread safety: none.
#pragma once

#include "common/frame.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace callboard::wire {

/// MessagePack values in a buffer of fixed size. REQUIRES: at most kNumbersMax numbers.
class Packed {
 public:
  static constexpr std::size_t kNumbersMax = 12;

  void array(std::size_t n) { byte(static_cast<std::uint8_t>(0x90 | n)); }  ///< n < 16
  void nil() { byte(0xc0); }
  void boolean(bool value) { byte(value ? 0xc3 : 0xc2); }
  void uint(std::uint64_t value) {
    if (value < 0x80) return byte(static_cast<std::uint8_t>(value));
    if (value <= 0xff) return tagged<std::uint8_t>(0xcc, value);
    if (value <= 0xffff) return tagged<std::uint16_t>(0xcd, value);
    if (value <= 0xffffffff) return tagged<std::uint32_t>(0xce, value);
    tagged<std::uint64_t>(0xcf, value);
  }
  void integer(std::int64_t value) {
    if (value >= 0) return uint(static_cast<std::uint64_t>(value));
    if (value >= -32) return byte(static_cast<std::uint8_t>(value));
    // In its shortest form, as every number on the wire.
    const int width = value >= INT8_MIN ? 1 : value >= INT16_MIN ? 2 : value >= INT32_MIN ? 4 : 8;
    byte(static_cast<std::uint8_t>(0xd0 + (width == 1 ? 0 : width == 2 ? 1 : width == 4 ? 2 : 3)));
    for (int shift = 8 * (width - 1); shift >= 0; shift -= 8) {
      byte(static_cast<std::uint8_t>(static_cast<std::uint64_t>(value) >> shift));
    }
  }
  void bin_header(std::size_t n) {
    if (n <= 0xff) return tagged<std::uint8_t>(0xc4, n);
    if (n <= 0xffff) return tagged<std::uint16_t>(0xc5, n);
    tagged<std::uint32_t>(0xc6, n);
  }
  std::string_view view() const { return {bytes_, static_cast<std::size_t>(at_ - bytes_)}; }

 private:
  void byte(std::uint8_t value) { *at_++ = static_cast<char>(value); }
  template <class T>
  void tagged(std::uint8_t tag, std::uint64_t value) {
    *at_ = static_cast<char>(tag);
    store_big_endian(at_ + 1, static_cast<T>(value));
    at_ += 1 + sizeof(T);
  }

  char bytes_[9 * kNumbersMax + 8];
  char* at_ = bytes_;
};

/// Appends what was packed and then the value, as FrameWriter::body() would.
inline void append(FrameWriter& out, Packed& head, const Body& value) {
  const bool small = value.bytes.size() < limits::kPartBytesMin;
  if (small) head.bin_header(value.bytes.size());
  out.raw(head.view());
  if (small) {
    out.raw(value.bytes);
  } else {
    out.body(value);
  }
}

}  // namespace callboard::wire
