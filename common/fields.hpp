// The small shapes that messages and options are made of: ids, names, lists of names, ranges.
//
// Readers enforce limits.hpp and never reserve memory by a count that the bytes at hand could not
// hold. Thread safety: none.
#pragma once

#include "common/frame.hpp"
#include "common/limits.hpp"

#include <callboard/codec.hpp>
#include <callboard/error.hpp>
#include <callboard/ids.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace callboard::wire {

/// Texts for people (reasons, endpoints): the writer cuts them, the reader refuses longer ones.
inline constexpr std::size_t kTextBytesMax = 64 * 1024;

/// An id within a message is two fields; within a list or a map it is two consecutive numbers.
template <class Id>
void write_id(Writer& out, const Id& id) {
  out.uint(value_of(id.session));
  out.uint(id.seq);
}
template <class Id>
[[gnu::always_inline]] inline bool read_id(Reader& in, Id& id) {
  std::uint64_t session = 0;
  if (!in.uint(session) || !in.uint(id.seq)) return false;
  id.session = SessionId{session};
  return true;
}

[[gnu::always_inline]] inline bool read_u32(Reader& in, std::uint32_t& value) {
  return in.uint_max(value, UINT32_MAX);
}

inline bool read_i32(Reader& in, std::int32_t& value) {
  std::int64_t wide = 0;
  if (!in.integer(wide) || wide < INT32_MIN || wide > INT32_MAX) return in.fail();
  value = static_cast<std::int32_t>(wide);
  return true;
}

/// Codes that we do not know are kept as they are: a newer peer may have more.
[[gnu::always_inline]] inline bool read_code(Reader& in, Errc& code) {
  return in.uint_max(code, UINT8_MAX);
}

/// Reads a number into an enum whose last value is `last`.
template <class Enum>
bool read_enum(Reader& in, Enum& value, Enum last) {
  return in.uint_max(value, static_cast<std::uint64_t>(last));
}

/// Reads a str of at most `bytes_max` into a string or a view.
template <class Text>
bool read_text(Reader& in, Text& text, std::size_t bytes_max) {
  std::string_view view;
  if (!in.str(view) || view.size() > bytes_max) return in.fail();
  text = Text(view);
  return true;
}
template <class Text>
bool read_name(Reader& in, Text& name) {
  return read_text(in, name, limits::kNameBytesMax);
}
inline void write_text(Writer& out, std::string_view text) {
  out.str(text.substr(0, kTextBytesMax));
}

/// An encoded value in place; empty stands for nil, both ways.
inline void write_encoded(Writer& out, std::string_view encoded) {
  if (encoded.empty()) return out.nil();
  out.raw(encoded);
}
inline bool read_encoded(Reader& in, std::string_view& encoded) {
  encoded = {};
  return in.try_nil() || in.raw(encoded);
}
/// The same where only nil or a map will do.
inline bool read_encoded_map(Reader& in, std::string_view& encoded) {
  encoded = {};
  if (in.try_nil()) return true;
  return in.peek() == Kind::map ? in.raw(encoded) : in.fail();
}

void write_names(Writer& out, const std::vector<std::string>& names);
/// What `names` held before is replaced.
bool read_names(Reader& in, std::vector<std::string>& names, std::size_t count_max,
                std::size_t bytes_max = limits::kNameBytesMax);

/// [first, count, first, count, ...]; each count is at least 1 and no range wraps around.
void write_ranges(Writer& out, const std::vector<std::pair<std::uint64_t, std::uint64_t>>& ranges);
bool read_ranges(Reader& in, std::vector<std::pair<std::uint64_t, std::uint64_t>>& ranges);

/// Begins a message of `n` fields after its type.
template <class Type>
void begin(FrameWriter& out, Type type, std::size_t n) {
  out.message(static_cast<std::uint8_t>(type), n);
}
/// Reads a list one element at a time, so that memory follows the bytes that came.
template <class List, class Element>
bool read_list(Reader& in, List& list, std::size_t count_max, Element element) {
  list.clear();
  std::uint32_t n = 0;
  if (!in.array(n) || n > count_max) return in.fail();
  for (; n > 0; --n) {
    if (!element(in, list.emplace_back())) return in.fail();
  }
  return true;
}

struct HeldCall;
void write_held_call(Writer& out, const HeldCall& held);
bool read_held_calls(Reader& in, std::vector<HeldCall>& calls);

/// True when a message has the fields that this version knows.
inline bool has_fields(Reader& in, std::uint32_t fields, std::uint32_t known) {
  return fields >= known || in.fail();
}

}  // namespace callboard::wire
