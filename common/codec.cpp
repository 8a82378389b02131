#include <callboard/codec.hpp>

namespace callboard::wire {

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::none: return "nothing";
    case Kind::nil: return "nil";
    case Kind::boolean: return "bool";
    case Kind::integer: return "int";
    case Kind::floating: return "float";
    case Kind::str: return "str";
    case Kind::bin: return "bin";
    case Kind::array: return "array";
    case Kind::map: return "map";
    case Kind::ext: return "ext";
  }
  return "nothing";
}

Reader::Taken<std::uint64_t> Reader::rare_uint(const char* at, const char* end) {
  Reader in({at, static_cast<std::size_t>(end - at)});
  if (!in.have(1)) return {};
  const std::uint8_t tag = in.front();
  std::uint64_t value = 0;
  if (tag >= 0xcc && tag <= 0xcf) {
    if (!in.big_endian(1u << (tag - 0xcc), value)) return {};
    return {in.at_, value};
  }
  std::int64_t wide = 0;
  if (!in.integer(wide) || wide < 0) return {};
  return {in.at_, static_cast<std::uint64_t>(wide)};
}

Reader::Taken<std::int64_t> Reader::wide_integer(const char* at, const char* end) {
  Reader in({at, static_cast<std::size_t>(end - at)});
  if (!in.have(1)) return {};
  const std::uint8_t tag = in.front();
  std::uint64_t bits = 0;
  if (tag >= 0xcc && tag <= 0xcf) {
    if (!in.big_endian(1u << (tag - 0xcc), bits)) return {};
    if (bits > static_cast<std::uint64_t>(INT64_MAX)) return {};
    return {in.at_, static_cast<std::int64_t>(bits)};
  }
  if (tag < 0xd0 || tag > 0xd3) return {};
  if (!in.big_endian(1u << (tag - 0xd0), bits)) return {};
  switch (tag) {
    case 0xd0: return {in.at_, static_cast<std::int8_t>(bits)};
    case 0xd1: return {in.at_, static_cast<std::int16_t>(bits)};
    case 0xd2: return {in.at_, static_cast<std::int32_t>(bits)};
    default: return {in.at_, static_cast<std::int64_t>(bits)};
  }
}

/// How many bytes follow.
Reader::Taken<std::uint64_t> Reader::long_bin(const char* at, const char* end) {
  Reader in({at, static_cast<std::size_t>(end - at)});
  if (!in.have(1)) return {};
  const std::uint8_t tag = in.front();
  if (tag < 0xc4 || tag > 0xc6) return {};
  std::uint64_t n = 0;
  if (!in.big_endian(1u << (tag - 0xc4), n)) return {};
  return {in.at_, n};
}

Reader::Taken<std::uint64_t> Reader::long_array(const char* at, const char* end) {
  Reader in({at, static_cast<std::size_t>(end - at)});
  std::uint32_t n = 0;
  if (!in.container(0x90, 0x0f, 0xdc, n)) return {};
  return {in.at_, n};
}

bool Reader::f64(double& value) {
  if (!have(1)) return fail();
  std::uint64_t bits = 0;
  if (front() == 0xca) {
    if (!big_endian(4, bits)) return false;
    value = std::bit_cast<float>(static_cast<std::uint32_t>(bits));
    return true;
  }
  if (front() == 0xcb) {
    if (!big_endian(8, bits)) return false;
    value = std::bit_cast<double>(bits);
    return true;
  }
  if (front() == 0xcf) {
    if (!big_endian(8, bits)) return false;
    value = static_cast<double>(bits);
    return true;
  }
  std::int64_t whole = 0;
  if (!integer(whole)) return false;
  value = static_cast<double>(whole);
  return true;
}

bool Reader::str(std::string_view& text) {
  if (!have(1)) return fail();
  const std::uint8_t tag = front();
  if (tag >= 0xa0 && tag < 0xc0) {
    ++at_;
    return bytes(tag & 0x1f, text);
  }
  if (tag < 0xd9 || tag > 0xdb) return fail();
  std::uint64_t n = 0;
  return big_endian(1u << (tag - 0xd9), n) && bytes(n, text);
}

bool Reader::container(std::uint8_t fix, std::uint8_t fix_mask, std::uint8_t tag16,
                       std::uint32_t& n) {
  if (!have(1)) return fail();
  const std::uint8_t tag = front();
  if ((tag & ~fix_mask) == fix) {
    n = tag & fix_mask;
    ++at_;
    return true;
  }
  if (tag != tag16 && tag != tag16 + 1) return fail();
  std::uint64_t wide = 0;
  if (!big_endian(tag == tag16 ? 2 : 4, wide)) return false;
  // Every element takes at least one byte: a count beyond the input is a lie.
  if (wide > static_cast<std::uint64_t>(end_ - at_)) return fail();
  n = static_cast<std::uint32_t>(wide);
  return true;
}

bool Reader::map(std::uint32_t& n) { return container(0x80, 0x0f, 0xde, n); }

bool Reader::ext(std::int8_t& type, std::string_view& out) {
  if (!have(1)) return fail();
  const std::uint8_t tag = front();
  std::uint64_t n = 0;
  if (tag >= 0xd4 && tag <= 0xd8) {
    n = 1u << (tag - 0xd4);
    ++at_;
  } else if (tag >= 0xc7 && tag <= 0xc9) {
    if (!big_endian(1u << (tag - 0xc7), n)) return false;
  } else {
    return fail();
  }
  if (!have(1)) return fail();
  type = static_cast<std::int8_t>(*at_++);
  return bytes(n, out);
}

bool Reader::skip() {
  // Counts values still owed per open container instead of recursing.
  std::uint64_t owed[kDepthMax];
  int depth = 0;
  for (;;) {
    std::uint32_t n = 0;
    std::uint64_t children = 0;
    switch (peek()) {
      case Kind::none: return fail();
      case Kind::nil: case Kind::boolean: ++at_; break;
      case Kind::integer: {
        const std::uint8_t tag = front();
        std::uint64_t ignored = 0;
        if (tag < 0x80 || tag >= 0xe0) ++at_;
        else if (!big_endian(1u << (tag - (tag >= 0xd0 ? 0xd0 : 0xcc)), ignored)) return false;
        break;
      }
      case Kind::floating: {
        double ignored = 0;
        if (!f64(ignored)) return false;
        break;
      }
      case Kind::str: {
        std::string_view ignored;
        if (!str(ignored)) return false;
        break;
      }
      case Kind::bin: {
        std::string_view ignored;
        if (!bin(ignored)) return false;
        break;
      }
      case Kind::ext: {
        std::int8_t type = 0;
        std::string_view ignored;
        if (!ext(type, ignored)) return false;
        break;
      }
      case Kind::array:
        if (!array(n)) return false;
        children = n;
        break;
      case Kind::map:
        if (!map(n)) return false;
        children = std::uint64_t{n} * 2;
        break;
    }
    if (children > 0) {
      if (depth == kDepthMax) return fail();
      owed[depth++] = children;
      continue;
    }
    while (depth > 0 && --owed[depth - 1] == 0) --depth;
    if (depth == 0) return true;
  }
}

}  // namespace callboard::wire
