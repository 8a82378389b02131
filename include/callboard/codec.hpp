// MessagePack, written and read by hand for what is on the hot path and in public headers.
//
// Writer appends to a string the caller owns. Reader walks bytes the caller keeps alive; it never
// throws and never reads past the end: the first failure sticks, and every later read fails too.
// Nothing here allocates, except the string that Writer appends to. Thread safety: none.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace callboard::wire {

/// Nesting deeper than this is refused, so that hostile input cannot exhaust the stack.
inline constexpr int kDepthMax = 64;

/// The value with its bytes in the other order.
template <class T>
inline T byte_swapped(T value) {
  if constexpr (sizeof(T) == 8) return static_cast<T>(__builtin_bswap64(value));
  else if constexpr (sizeof(T) == 4) return static_cast<T>(__builtin_bswap32(value));
  else if constexpr (sizeof(T) == 2) return static_cast<T>(__builtin_bswap16(value));
  else return value;
}
/// The value as the network has it. One store: a loop over bytes, which the next load of the whole
/// must wait for, costs more than all else that is done for a number.
template <class T>
inline void store_big_endian(char* to, T value) {
  if constexpr (std::endian::native == std::endian::little) value = byte_swapped(value);
  std::memcpy(to, &value, sizeof(T));
}
template <class T>
inline T load_big_endian(const char* from) {
  T value = 0;
  std::memcpy(&value, from, sizeof(T));
  if constexpr (std::endian::native == std::endian::little) value = byte_swapped(value);
  return value;
}

/// Appends MessagePack values, each in its shortest form.
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  std::string& out() { return out_; }
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
    const auto bits = static_cast<std::uint64_t>(value);
    if (value >= INT8_MIN) return tagged<std::uint8_t>(0xd0, bits);
    if (value >= INT16_MIN) return tagged<std::uint16_t>(0xd1, bits);
    if (value >= INT32_MIN) return tagged<std::uint32_t>(0xd2, bits);
    tagged<std::uint64_t>(0xd3, bits);
  }
  void f32(float value) { tagged<std::uint32_t>(0xca, std::bit_cast<std::uint32_t>(value)); }
  void f64(double value) { tagged<std::uint64_t>(0xcb, std::bit_cast<std::uint64_t>(value)); }

  void str(std::string_view text) {
    str_header(text.size());
    out_.append(text);
  }
  void str_header(std::size_t n) {
    if (n < 32) byte(static_cast<std::uint8_t>(0xa0 | n));
    else if (n <= 0xff) tagged<std::uint8_t>(0xd9, n);
    else if (n <= 0xffff) tagged<std::uint16_t>(0xda, n);
    else tagged<std::uint32_t>(0xdb, n);
  }
  void bin(std::string_view bytes) {
    bin_header(bytes.size());
    out_.append(bytes);
  }
  void bin_header(std::size_t n) {
    if (n <= 0xff) tagged<std::uint8_t>(0xc4, n);
    else if (n <= 0xffff) tagged<std::uint16_t>(0xc5, n);
    else tagged<std::uint32_t>(0xc6, n);
  }
  void array(std::size_t n) {
    if (n < 16) byte(static_cast<std::uint8_t>(0x90 | n));
    else if (n <= 0xffff) tagged<std::uint16_t>(0xdc, n);
    else tagged<std::uint32_t>(0xdd, n);
  }
  void map(std::size_t n) {
    if (n < 16) byte(static_cast<std::uint8_t>(0x80 | n));
    else if (n <= 0xffff) tagged<std::uint16_t>(0xde, n);
    else tagged<std::uint32_t>(0xdf, n);
  }
  void ext(std::int8_t type, std::string_view bytes) {
    const std::size_t n = bytes.size();
    if (n <= 0xff) tagged<std::uint8_t>(0xc7, n);
    else if (n <= 0xffff) tagged<std::uint16_t>(0xc8, n);
    else tagged<std::uint32_t>(0xc9, n);
    byte(static_cast<std::uint8_t>(type));
    out_.append(bytes);
  }
  /// Appends bytes that are MessagePack already.
  void raw(std::string_view encoded) { out_.append(encoded); }

 private:
  void byte(std::uint8_t value) { out_.push_back(static_cast<char>(value)); }
  template <class T>
  void tagged(std::uint8_t tag, std::uint64_t value) {
    char buffer[1 + sizeof(T)];
    buffer[0] = static_cast<char>(tag);
    store_big_endian(buffer + 1, static_cast<T>(value));
    out_.append(buffer, sizeof buffer);
  }

  std::string& out_;
};

/// What kind of value comes next.
enum class Kind : std::uint8_t { none, nil, boolean, integer, floating, str, bin, array, map, ext };

std::string_view name_of(Kind kind);

/// Walks MessagePack values. Every read says whether it succeeded; failure is for good.
class Reader {
 public:
  Reader() = default;
  explicit Reader(std::string_view bytes)
      : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool ok() const { return ok_; }
  bool at_end() const { return at_ == end_; }
  /// What has not been read yet.
  std::string_view rest() const { return {at_, static_cast<std::size_t>(end_ - at_)}; }
  /// Marks the input as bad; every later read fails.
  bool fail() { ok_ = false; at_ = end_; return false; }

  /// The kind of the next value; none at the end or after a failure.
  Kind peek() const;

  bool nil() { return try_nil() || fail(); }
  /// Consumes a nil if there is one; otherwise consumes nothing and stays good.
  bool try_nil() { return have(1) && front() == 0xc0 && (++at_, true); }

  bool boolean(bool& value) {
    if (!have(1)) return fail();
    const std::uint8_t tag = front();
    if (tag != 0xc2 && tag != 0xc3) return fail();
    value = tag == 0xc3;
    ++at_;
    return true;
  }

  [[gnu::always_inline]] bool uint(std::uint64_t& value) {
    if (at_ != end_ && front() < 0x80) {
      value = front();
      ++at_;
      return true;
    }
    return wide_uint(value);
  }
  /// Reads an unsigned number no larger than `max` into any integral type.
  template <class T>
  bool uint_max(T& value, std::uint64_t max) {
    std::uint64_t wide = 0;
    if (!uint(wide) || wide > max) return fail();
    value = static_cast<T>(wide);
    return true;
  }
  bool integer(std::int64_t& value);
  /// Reads a float, or an integer as a double.
  bool f64(double& value);

  bool str(std::string_view& text);
  bool str(std::string& text) {
    std::string_view view;
    if (!str(view)) return false;
    text.assign(view);
    return true;
  }
  bool bin(std::string_view& out) {
    if (!have(1)) return fail();
    const std::uint8_t tag = front();
    if (tag < 0xc4 || tag > 0xc6) return fail();
    std::uint64_t n = 0;
    return big_endian(1u << (tag - 0xc4), n) && bytes(n, out);
  }
  bool array(std::uint32_t& n) {
    if (!have(1) || (front() & 0xf0) != 0x90) return container(0x90, 0x0f, 0xdc, n);
    n = front() & 0x0f;
    ++at_;
    return true;
  }
  bool map(std::uint32_t& n);
  bool ext(std::int8_t& type, std::string_view& bytes);

  /// Skips one value of any kind, at most kDepthMax deep.
  bool skip();
  /// Skips one value and gives its encoded bytes.
  bool raw(std::string_view& encoded) {
    const char* from = at_;
    if (!skip()) return false;
    encoded = {from, static_cast<std::size_t>(at_ - from)};
    return true;
  }

 private:
  [[gnu::noinline]] bool wide_uint(std::uint64_t& value) {
    if (!have(1)) return fail();
    const std::uint8_t tag = front();
    if (tag >= 0xcc && tag <= 0xcf) {
      const unsigned width = 1u << (tag - 0xcc);
      if (!have(9)) return big_endian(width, value);
      value = load_big_endian<std::uint64_t>(at_ + 1) >> (64 - 8 * width);
      at_ += 1 + width;
      return true;
    }
    std::int64_t wide = 0;
    if (!integer(wide) || wide < 0) return fail();
    value = static_cast<std::uint64_t>(wide);
    return true;
  }
  bool have(std::size_t n) const { return static_cast<std::size_t>(end_ - at_) >= n; }
  std::uint8_t front() const { return static_cast<std::uint8_t>(*at_); }
  bool big_endian(std::size_t width, std::uint64_t& value) {
    if (!have(1 + width)) return fail();
    switch (width) {
      case 1: value = static_cast<std::uint8_t>(at_[1]); break;
      case 2: value = load_big_endian<std::uint16_t>(at_ + 1); break;
      case 4: value = load_big_endian<std::uint32_t>(at_ + 1); break;
      default: value = load_big_endian<std::uint64_t>(at_ + 1); break;
    }
    at_ += 1 + width;
    return true;
  }
  bool bytes(std::size_t n, std::string_view& out) {
    if (!have(n)) return fail();
    out = {at_, n};
    at_ += n;
    return true;
  }
  bool container(std::uint8_t fix, std::uint8_t fix_mask, std::uint8_t tag16, std::uint32_t& n);

  const char* at_ = nullptr;
  const char* end_ = nullptr;
  bool ok_ = true;
};

}  // namespace callboard::wire
