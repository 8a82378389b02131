// MessagePack, written and read by hand for what is on the hot path and in public headers.
//
// Writer appends to a string the caller owns. Reader walks bytes the caller keeps alive; it never
// throws and never reads past the end: the first failure sticks, and every later read fails too.
// Nothing here allocates, except the string that Writer appends to. Thread safety: none.
#pragma once

#include <array>
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

/// Appends MessagePack values, each in its shortest form. Most numbers and lengths have one byte or
/// two: those ways are inlined.
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
    if (n <= 0xff) {
      byte(0xc4);
      byte(static_cast<std::uint8_t>(n));
    } else if (n <= 0xffff) tagged<std::uint16_t>(0xc5, n);
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

namespace detail {

/// The kind of a value by its first byte.
constexpr Kind kind_of(std::uint8_t tag) {
  if (tag < 0x80 || tag >= 0xe0) return Kind::integer;
  if (tag < 0x90) return Kind::map;
  if (tag < 0xa0) return Kind::array;
  if (tag < 0xc0) return Kind::str;
  switch (tag) {
    case 0xc0: return Kind::nil;
    case 0xc1: return Kind::none;
    case 0xc2: case 0xc3: return Kind::boolean;
    case 0xc4: case 0xc5: case 0xc6: return Kind::bin;
    case 0xc7: case 0xc8: case 0xc9: return Kind::ext;
    case 0xca: case 0xcb: return Kind::floating;
    case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8: return Kind::ext;
    case 0xd9: case 0xda: case 0xdb: return Kind::str;
    case 0xdc: case 0xdd: return Kind::array;
    case 0xde: case 0xdf: return Kind::map;
    default: return Kind::integer;
  }
}

consteval std::array<Kind, 256> all_kinds() {
  std::array<Kind, 256> kinds{};
  for (unsigned tag = 0; tag < kinds.size(); ++tag) {
    kinds[tag] = kind_of(static_cast<std::uint8_t>(tag));
  }
  return kinds;
}
inline constexpr std::array<Kind, 256> kKinds = all_kinds();

}  // namespace detail

/// Walks MessagePack values. Every read says whether it succeeded; failure is for good.
///
/// What messages are made of (small numbers, ids, short byte strings) is inlined, and nothing there
/// takes the reader's address: a function that reads a message through a copy of the reader, which
/// it gives back at the end, keeps it in registers.
class Reader {
 public:
  Reader() = default;
  explicit Reader(std::string_view bytes)
      : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool ok() const { return ok_; }
  bool at_end() const { return at_ == end_; }
  /// What has not been read yet.
  std::string_view rest() const { return {at_, static_cast<std::size_t>(end_ - at_)}; }
  /// What a copy of this one has read is read.
  void go_on_after(const Reader& copy) { at_ = copy.at_; }
  /// Marks the input as bad; every later read fails.
  bool fail() { ok_ = false; at_ = end_; return false; }

  /// The kind of the next value; none at the end or after a failure.
  Kind peek() const { return at_ == end_ ? Kind::none : detail::kKinds[front()]; }

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
    if (at_ == end_) return fail();
    const std::uint8_t tag = front();
    if (tag < 0x80) {
      value = tag;
      ++at_;
      return true;
    }
    const unsigned step = tag - 0xccu;
    if (step <= 3 && have(9)) {
      const unsigned width = 1u << step;
      value = load_big_endian<std::uint64_t>(at_ + 1) >> (64 - 8 * width);
      at_ += 1 + width;
      return true;
    }
    return take(rare_uint(at_, end_), value);
  }
  /// Reads an unsigned number no larger than `max` into any integral type.
  template <class T>
  [[gnu::always_inline]] bool uint_max(T& value, std::uint64_t max) {
    std::uint64_t wide = 0;
    if (!uint(wide) || wide > max) return fail();
    value = static_cast<T>(wide);
    return true;
  }
  [[gnu::always_inline]] bool integer(std::int64_t& value) {
    if (at_ == end_) return fail();
    const std::uint8_t tag = front();
    if (tag < 0x80 || tag >= 0xe0) {
      value = static_cast<std::int8_t>(tag);
      ++at_;
      return true;
    }
    return take(wide_integer(at_, end_), value);
  }
  /// Reads a float, or an integer as a double.
  bool f64(double& value);

  bool str(std::string_view& text);
  bool str(std::string& text) {
    std::string_view view;
    if (!str(view)) return false;
    text.assign(view);
    return true;
  }
  [[gnu::always_inline]] bool bin(std::string_view& out) {
    if (have(2) && front() == 0xc4) {
      at_ += 2;
      return bytes(static_cast<std::uint8_t>(at_[-1]), out);
    }
    return take(long_bin(at_, end_), out);
  }
  [[gnu::always_inline]] bool array(std::uint32_t& n) {
    if (at_ == end_ || (front() & 0xf0) != 0x90) return take(long_array(at_, end_), n);
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
  /// What the rarer forms read, by value: the value, and where it ends; null when it is none.
  template <class T>
  struct Taken {
    const char* end = nullptr;
    T value{};
  };
  template <class T, class V>
  [[gnu::always_inline]] bool take(Taken<T> taken, V& value) {
    if (taken.end == nullptr) return fail();
    at_ = taken.end;
    value = static_cast<V>(taken.value);
    return true;
  }
  bool take(Taken<std::uint64_t> length, std::string_view& out) {
    if (length.end == nullptr) return fail();
    at_ = length.end;
    return bytes(length.value, out);
  }
  static Taken<std::uint64_t> rare_uint(const char* at, const char* end);
  static Taken<std::int64_t> wide_integer(const char* at, const char* end);
  static Taken<std::uint64_t> long_bin(const char* at, const char* end);
  static Taken<std::uint64_t> long_array(const char* at, const char* end);

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
