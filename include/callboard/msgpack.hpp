// Opt-in: every type that msgpack-c can pack and convert, as an argument, a result or part of one.
//
//   struct Point {
//     double x = 0, y = 0;
//     MSGPACK_DEFINE(x, y)
//   };
//
// Include it where the type is used in a description or a call. Types that <callboard/value.hpp>
// knows, and those with a Codec of their own, are not touched; their name in signatures is
// "msgpack".
#pragma once

#include <callboard/value.hpp>

#include <msgpack.hpp>

#include <cstddef>
#include <exception>
#include <string>
#include <string_view>
#include <type_traits>

namespace callboard {

namespace detail {

/// Feeds what msgpack-c packs to a Writer.
class PackTarget {
 public:
  explicit PackTarget(wire::Writer& out) : out_(out) {}
  void write(const char* bytes, std::size_t n) { out_.raw({bytes, n}); }

 private:
  wire::Writer& out_;
};

/// Classes for which there is no other Codec.
template <class T>
concept PackedByMsgpack = std::is_class_v<T> && !kDuration<T>;

}  // namespace detail

template <detail::PackedByMsgpack T>
struct Codec<T> {
  static std::string name() { return "msgpack"; }
  static void encode(wire::Writer& out, const T& value) {
    detail::PackTarget target(out);
    msgpack::packer<detail::PackTarget> packer(target);
    packer.pack(value);
  }
  static bool decode(Decoder& in, T& value) {
    const wire::Kind kind = in.peek();
    std::string_view bytes;
    if (!in.reader().raw(bytes)) return in.wrong("a value");
    try {
      const msgpack::object_handle handle = msgpack::unpack(bytes.data(), bytes.size());
      handle.get().convert(value);
      return true;
    } catch (const std::exception&) {
      return in.fail("expected a type of the application, got " + std::string(wire::name_of(kind)) +
                     " that msgpack-c cannot convert to it");
    }
  }
};

}  // namespace callboard
