// MessagePack of a fixed form, written in one go at the end of a string.
//
// What calls are made of is written some million times a second: room for all of it is made once,
// and everything goes straight to its place. (A buffer on the stack would be read while what was
// written to it is still on its way to the cache.) Thread safety: none.
#pragma once

#include "common/frame.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace callboard::wire {

/// Writes values where it is told to. REQUIRES: kNumberBytes of room there for each number, lengths
/// of values among them, and for one more; and as many as the values have that are not numbers.
class PackedAt {
 public:
  static constexpr std::size_t kNumberBytes = 9;

  explicit PackedAt(char* at) : at_(at) {}
  /// Behind what was written.
  char* end() const { return at_; }

  void array(std::size_t n) { byte(static_cast<std::uint8_t>(0x90 | n)); }  ///< n < 16
  void nil() { byte(0xc0); }
  void boolean(bool value) { byte(value ? 0xc3 : 0xc2); }
  [[gnu::always_inline]] void uint(std::uint64_t value) {
    if (value < 0x80) return byte(static_cast<std::uint8_t>(value));
    const unsigned step = value <= 0xff ? 0 : value <= 0xffff ? 1 : value <= 0xffffffff ? 2 : 3;
    const unsigned width = 1u << step;
    *at_ = static_cast<char>(0xcc + step);
    // Always eight bytes, of which the next value overwrites what is too much.
    store_big_endian(at_ + 1, value << (64 - 8 * width));
    at_ += 1 + width;
  }
  void integer(std::int64_t value) {
    if (value >= 0) return uint(static_cast<std::uint64_t>(value));
    if (value >= -32) return byte(static_cast<std::uint8_t>(value));
    // In its shortest form, as every number on the wire.
    const unsigned step = value >= INT8_MIN    ? 0
                          : value >= INT16_MIN ? 1
                          : value >= INT32_MIN ? 2
                                               : 3;
    const unsigned width = 1u << step;
    *at_ = static_cast<char>(0xd0 + step);
    store_big_endian(at_ + 1, static_cast<std::uint64_t>(value) << (64 - 8 * width));
    at_ += 1 + width;
  }
  void bin(std::string_view value) {
    if (value.size() <= 0xff) tagged<std::uint8_t>(0xc4, value.size());
    else if (value.size() <= 0xffff) tagged<std::uint16_t>(0xc5, value.size());
    else tagged<std::uint32_t>(0xc6, value.size());
    raw(value);
  }
  void str(std::string_view value) {
    if (value.size() < 32) byte(static_cast<std::uint8_t>(0xa0 | value.size()));
    else if (value.size() <= 0xff) tagged<std::uint8_t>(0xd9, value.size());
    else if (value.size() <= 0xffff) tagged<std::uint16_t>(0xda, value.size());
    else tagged<std::uint32_t>(0xdb, value.size());
    raw(value);
  }
  /// An encoded value; nil where there is none.
  void encoded(std::string_view value) {
    if (value.empty()) return nil();
    raw(value);
  }

 private:
  void byte(std::uint8_t value) { *at_++ = static_cast<char>(value); }
  void raw(std::string_view value) {
    if (value.empty()) return;  // it may be nowhere
    std::memcpy(at_, value.data(), value.size());
    at_ += value.size();
  }
  template <class T>
  void tagged(std::uint8_t tag, std::uint64_t value) {
    *at_ = static_cast<char>(tag);
    store_big_endian(at_ + 1, static_cast<T>(value));
    at_ += 1 + sizeof(T);
  }

 protected:
  char* at_ = nullptr;
};

/// Appends values to a string. REQUIRES: at most kNumbersMax numbers, lengths of values among them,
/// and no more bytes in values than the constructor, or make_room() since, was told of; nobody else
/// changes the string meanwhile.
class Packed : public PackedAt {
 public:
  static constexpr std::size_t kNumbersMax = 12;

  /// `bytes`: of the values that are not numbers.
  Packed(std::string& out, std::size_t bytes) : PackedAt(nullptr), out_(out) {
    const std::size_t from = out.size();
    out.resize(from + room_for(bytes));
    at_ = out.data() + from;
    room_end_ = out.data() + out.size();
  }
  /// The same for a message with a value that may become a part of its own.
  Packed(FrameWriter& out, const Body& value, std::size_t bytes = 0)
      : Packed(out.out(), bytes + (is_part(value) ? 0 : value.bytes.size())) {}
  ~Packed() { out_.resize(static_cast<std::size_t>(at_ - out_.data())); }
  Packed(const Packed&) = delete;
  Packed& operator=(const Packed&) = delete;

  /// For another message, with so many bytes in values.
  bool has_room(std::size_t bytes) const {
    return static_cast<std::size_t>(room_end_ - at_) >= room_for(bytes);
  }
  /// Whoever writes many messages asks for `more` at once: this costs as much as a message.
  [[gnu::noinline]] void make_room(std::size_t bytes, std::size_t more) {
    const std::size_t from = size();
    out_.resize(from + room_for(bytes) + more);
    at_ = out_.data() + from;
    room_end_ = out_.data() + out_.size();
  }
  /// There is none from now on.
  void end_room() { room_end_ = at_; }
  /// Of the string, without the room.
  std::size_t size() const { return static_cast<std::size_t>(at_ - out_.data()); }

  /// As FrameWriter::body().
  void body(FrameWriter& out, const Body& value) { body(out, value.bytes, value.part); }
  void body(FrameWriter& out, std::string_view bytes, const Blob& part) {
    if (bytes.size() < limits::kPartBytesMin) return bin(bytes);
    nil();
    out.add_part(bytes, part);
  }

 private:
  static constexpr std::size_t room_for(std::size_t bytes) {
    return kNumberBytes * (kNumbersMax + 1) + bytes;
  }
  static bool is_part(const Body& value) { return value.bytes.size() >= limits::kPartBytesMin; }

  std::string& out_;
  char* room_end_ = nullptr;
};

}  // namespace callboard::wire
