// How C++ values become MessagePack and back: the trait Codec, and its built-in types.
//
//   C++ type                                   on the wire           name in signatures
//   bool                                       bool                  bool
//   signed and unsigned integers, enums        int                   int
//   float, double                              float 32, 64          float
//   std::string; string_view, const char*      str                   str     (views: sending only)
//   Bytes, vector<byte>, vector<uint8_t>       bin                   bytes
//   Buffer (not copied: <callboard/buffer.hpp>) bin                  bytes
//   vector, list, deque, array, span           array                 list<T>
//   set, unordered_set                         array                 set<T>
//   map, unordered_map                         map                   map<K, V>
//   pair, tuple                                array                 tuple<A, B, ...>
//   optional                                   nil or the value      optional<T>
//   variant                                    the value             A|B
//   chrono durations                           int, nanoseconds      duration
//   system_clock::time_point                   int, ns since 1970    time
//   void, Unit, monostate                      nil                   nil
//   Encoded                                    as it is              any
//
// A number that does not fit, or a value of another kind, is an error that names both types;
// nothing is converted silently except an int where a float is wanted. The names are portable: the
// same in every language. Other types: specialise Codec, or include <callboard/msgpack.hpp>.
// Containers are in <callboard/containers.hpp>, which this header includes.
#pragma once

#include <callboard/codec.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace callboard {

namespace client {
class Core;
}

/// "No value": what a void method returns.
struct Unit {
  bool operator==(const Unit&) const = default;
};

/// Bytes that are not text.
struct Bytes {
  std::string data;

  bool operator==(const Bytes&) const = default;
};

/// One value that is MessagePack already, of any type.
struct Encoded {
  std::string bytes = "\xc0";

  bool operator==(const Encoded&) const = default;
};

/// Reads values, and remembers in words what was wrong.
class Decoder {
 public:
  explicit Decoder(std::string_view bytes, client::Core* core = nullptr,
                   std::shared_ptr<const void> owner = nullptr)
      : reader_(bytes), core_(core), owner_(std::move(owner)) {}

  /// For reading by hand. After a failed read say what was expected with wrong().
  wire::Reader& reader() { return reader_; }
  wire::Kind peek() const { return reader_.peek(); }

  /// Fails with "expected <type>, got <what comes next>". Always false.
  bool wrong(std::string_view expected);
  /// Fails with a sentence. Always false.
  bool fail(std::string sentence);
  /// Puts a place before what was wrong: "element 3: expected int, got str". Always false.
  bool within(std::string_view place);
  bool within(std::string_view place, std::size_t index);

  bool ok() const { return problem_.empty(); }
  const std::string& problem() const { return problem_; }
  /// What decoded actor handles belong to; may be null.
  client::Core* core() const { return core_; }
  /// What keeps the bytes that are read, for values that refer to them; null when they must copy.
  const std::shared_ptr<const void>& owner() const { return owner_; }

  /// One integer between the bounds; on failure the message names them.
  bool integer(std::int64_t& value, std::int64_t min, std::int64_t max);
  bool unsigned_integer(std::uint64_t& value, std::uint64_t max);
  bool array(std::uint32_t& n, std::string_view expected);
  bool map(std::uint32_t& n, std::string_view expected);

 private:
  wire::Reader reader_;
  client::Core* core_;
  std::shared_ptr<const void> owner_;
  std::string problem_;
};

/// How a type travels. Specialise it for a type of yours:
///
///   template <> struct callboard::Codec<Point> {
///     static std::string name() { return "Point"; }
///     static void encode(callboard::wire::Writer& out, const Point& p) {
///       out.array(2); out.f64(p.x); out.f64(p.y);
///     }
///     static bool decode(callboard::Decoder& in, Point& p) {
///       std::uint32_t n = 0;
///       return in.array(n, "Point") && in.reader().f64(p.x) && in.reader().f64(p.y);
///     }
///   };
///
/// encode() writes exactly one value. decode() gets a default-constructed value and says false when
/// it does not fit.
template <class T>
struct Codec;

namespace detail {

template <class T>
inline constexpr bool kCharacter =
    std::is_same_v<T, char> || std::is_same_v<T, wchar_t> || std::is_same_v<T, char8_t> ||
    std::is_same_v<T, char16_t> || std::is_same_v<T, char32_t>;

template <class T>
concept Integer = std::is_integral_v<T> && !std::is_same_v<T, bool> && !kCharacter<T>;

template <class T>
inline constexpr bool kDuration = false;
template <class Rep, class Period>
inline constexpr bool kDuration<std::chrono::duration<Rep, Period>> = true;

/// Throws Error (bad_arguments): a duration that nanoseconds cannot count.
[[noreturn]] void duration_out_of_range();

}  // namespace detail

/// A type that can be sent.
template <class T>
concept Encodable = requires(wire::Writer& out, const T& value) {
  Codec<T>::encode(out, value);
};

/// A type that can be received: it needs a default constructor too.
template <class T>
concept Decodable = std::is_default_constructible_v<T> && requires(Decoder& in, T& value) {
  Codec<T>::decode(in, value);
};

template <>
struct Codec<bool> {
  static std::string name() { return "bool"; }
  static void encode(wire::Writer& out, bool value) { out.boolean(value); }
  static bool decode(Decoder& in, bool& value) {
    return in.peek() == wire::Kind::boolean ? in.reader().boolean(value) : in.wrong("bool");
  }
};

template <detail::Integer T>
struct Codec<T> {
  static std::string name() { return "int"; }
  static void encode(wire::Writer& out, T value) {
    if constexpr (std::is_signed_v<T>)
      out.integer(value);
    else
      out.uint(value);
  }
  static bool decode(Decoder& in, T& value) {
    using Limits = std::numeric_limits<T>;
    if constexpr (std::is_signed_v<T>) {
      std::int64_t wide = 0;
      if (!in.integer(wide, Limits::min(), Limits::max())) return false;
      value = static_cast<T>(wide);
    } else {
      std::uint64_t wide = 0;
      if (!in.unsigned_integer(wide, Limits::max())) return false;
      value = static_cast<T>(wide);
    }
    return true;
  }
};

template <class T>
requires std::is_enum_v<T> &&(!std::is_same_v<T, std::byte>)struct Codec<T> {
  using Number = std::underlying_type_t<T>;
  static std::string name() { return "int"; }
  static void encode(wire::Writer& out, T value) { out.integer(static_cast<std::int64_t>(value)); }
  static bool decode(Decoder& in, T& value) {
    using Limits = std::numeric_limits<Number>;
    std::int64_t wide = 0;
    constexpr auto max = sizeof(Number) < 8 ? static_cast<std::int64_t>(Limits::max()) : INT64_MAX;
    if (!in.integer(wide, static_cast<std::int64_t>(Limits::min()), max)) return false;
    value = static_cast<T>(wide);
    return true;
  }
};

template <class T>
requires std::is_floating_point_v<T> &&(sizeof(T) <= sizeof(double)) struct Codec<T> {
  static std::string name() { return "float"; }
  static void encode(wire::Writer& out, T value) {
    if constexpr (sizeof(T) == sizeof(float))
      out.f32(value);
    else
      out.f64(value);
  }
  static bool decode(Decoder& in, T& value) {
    double wide = 0;
    const wire::Kind kind = in.peek();
    if (kind != wire::Kind::floating && kind != wire::Kind::integer) return in.wrong("float");
    if (!in.reader().f64(wide)) return in.wrong("float");
    value = static_cast<T>(wide);
    return true;
  }
};

template <>
struct Codec<std::string> {
  static std::string name() { return "str"; }
  static void encode(wire::Writer& out, std::string_view value) { out.str(value); }
  static bool decode(Decoder& in, std::string& value) {
    return (in.peek() == wire::Kind::str && in.reader().str(value)) || in.wrong("str");
  }
};

/// Sending only: what a view points to would not outlive the message.
template <>
struct Codec<std::string_view> {
  static std::string name() { return "str"; }
  static void encode(wire::Writer& out, std::string_view value) { out.str(value); }
};
template <>
struct Codec<const char*> : Codec<std::string_view> {};
template <>
struct Codec<char*> : Codec<std::string_view> {};
template <std::size_t N>
struct Codec<char[N]> : Codec<std::string_view> {};

template <>
struct Codec<Bytes> {
  static std::string name() { return "bytes"; }
  static void encode(wire::Writer& out, const Bytes& value) { out.bin(value.data); }
  static bool decode(Decoder& in, Bytes& value) {
    std::string_view view;
    if (in.peek() != wire::Kind::bin || !in.reader().bin(view)) return in.wrong("bytes");
    // Into a buffer that it was lent, or a new one: assigning would copy what was there.
    if (value.data.capacity() >= view.size()) value.data.assign(view);
    else value.data = std::string(view);
    return true;
  }
};

template <>
struct Codec<Encoded> {
  static std::string name() { return "any"; }
  static void encode(wire::Writer& out, const Encoded& value) { out.raw(value.bytes); }
  static bool decode(Decoder& in, Encoded& value) {
    std::string_view view;
    if (!in.reader().raw(view)) return in.wrong("a value");
    value.bytes.assign(view);
    return true;
  }
};

template <>
struct Codec<Unit> {
  static std::string name() { return "nil"; }
  static void encode(wire::Writer& out, Unit) { out.nil(); }
  static bool decode(Decoder& in, Unit&) { return in.reader().try_nil() || in.wrong("nil"); }
};

template <class T>
requires detail::kDuration<T>
struct Codec<T> {
  static std::string name() { return "duration"; }
  static void encode(wire::Writer& out, T value) {
    constexpr double kNanosPerTick = 1e9 * T::period::num / T::period::den;
    const double nanos = static_cast<double>(value.count()) * kNanosPerTick;
    if (!(nanos < 9.2e18 && nanos > -9.2e18)) detail::duration_out_of_range();
    out.integer(std::chrono::duration_cast<std::chrono::nanoseconds>(value).count());
  }
  /// Rounds towards zero where T is coarser than a nanosecond.
  static bool decode(Decoder& in, T& value) {
    std::int64_t nanos = 0;
    if (in.peek() != wire::Kind::integer) return in.wrong("duration");
    if (!in.integer(nanos, INT64_MIN, INT64_MAX)) return false;
    value = std::chrono::duration_cast<T>(std::chrono::nanoseconds(nanos));
    return true;
  }
};

template <>
struct Codec<std::chrono::system_clock::time_point> {
  using Time = std::chrono::system_clock::time_point;
  static std::string name() { return "time"; }
  static void encode(wire::Writer& out, Time value) {
    Codec<std::chrono::nanoseconds>::encode(out, value.time_since_epoch());
  }
  static bool decode(Decoder& in, Time& value) {
    std::int64_t nanos = 0;
    if (in.peek() != wire::Kind::integer) return in.wrong("time");
    if (!in.integer(nanos, INT64_MIN, INT64_MAX)) return false;
    value = Time(std::chrono::duration_cast<Time::duration>(std::chrono::nanoseconds(nanos)));
    return true;
  }
};

/// One value as MessagePack.
template <Encodable T>
std::string encode(const T& value) {
  std::string bytes;
  wire::Writer out(bytes);
  Codec<T>::encode(out, value);
  return bytes;
}

/// Reads exactly one value. On failure `problem` says what did not fit: "expected int, got str".
template <Decodable T>
bool decode(std::string_view bytes, T& value, std::string& problem, client::Core* core = nullptr,
            std::shared_ptr<const void> owner = nullptr) {
  Decoder in(bytes, core, std::move(owner));
  const bool fits = Codec<T>::decode(in, value);
  if (fits && in.ok() && in.reader().at_end()) {
    problem.clear();
    return true;
  }
  if (!fits && in.ok()) in.wrong(Codec<T>::name());
  if (fits && !in.reader().at_end()) in.fail("more follows after the value");
  problem = in.problem();
  return in.ok();
}

}  // namespace callboard

#include <callboard/buffer.hpp>      // IWYU pragma: export
#include <callboard/containers.hpp>  // IWYU pragma: export
