// Codecs of the standard containers; the table in <callboard/value.hpp> says what they become.
#pragma once

#include <callboard/value.hpp>

#include <array>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

namespace callboard {

namespace detail {

template <class T>
inline constexpr bool kOctet = std::is_same_v<T, std::byte> || std::is_same_v<T, std::uint8_t>;

template <class List>
std::string element_name(const char* kind) {
  return std::string(kind) + "<" + Codec<typename List::value_type>::name() + ">";
}

/// Containers that are an array on the wire; `insert(container, element)` adds at the end.
template <class List>
void encode_list(wire::Writer& out, const List& list) {
  out.array(list.size());
  for (const auto& element : list) {
    Codec<typename List::value_type>::encode(out, element);
  }
}
template <class List, class Insert>
bool decode_list(Decoder& in, List& list, const char* kind, Insert insert) {
  std::uint32_t n = 0;
  if (in.peek() != wire::Kind::array) return in.wrong(element_name<List>(kind));
  if (!in.array(n, kind)) return false;
  for (std::uint32_t i = 0; i < n; ++i) {
    typename List::value_type element{};
    if (!Codec<typename List::value_type>::decode(in, element)) return in.within("element ", i);
    insert(list, std::move(element));
  }
  return true;
}

template <class List>
struct SequenceCodec {
  static std::string name() { return element_name<List>("list"); }
  static void encode(wire::Writer& out, const List& list) { encode_list(out, list); }
  static bool decode(Decoder& in, List& list) {
    return decode_list(in, list, "list",
                       [](List& to, auto&& element) { to.push_back(std::move(element)); });
  }
};

template <class Set>
struct SetCodec {
  static std::string name() { return element_name<Set>("set"); }
  static void encode(wire::Writer& out, const Set& set) { encode_list(out, set); }
  static bool decode(Decoder& in, Set& set) {
    return decode_list(in, set, "set",
                       [](Set& to, auto&& element) { to.insert(std::move(element)); });
  }
};

template <class Map>
struct MapCodec {
  using Key = typename Map::key_type;
  using Mapped = typename Map::mapped_type;
  static std::string name() {
    return "map<" + Codec<Key>::name() + ", " + Codec<Mapped>::name() + ">";
  }
  static void encode(wire::Writer& out, const Map& map) {
    out.map(map.size());
    for (const auto& [key, value] : map) {
      Codec<Key>::encode(out, key);
      Codec<Mapped>::encode(out, value);
    }
  }
  static bool decode(Decoder& in, Map& map) {
    std::uint32_t n = 0;
    if (in.peek() != wire::Kind::map) return in.wrong(name());
    if (!in.map(n, "map")) return false;
    for (std::uint32_t i = 0; i < n; ++i) {
      Key key{};
      Mapped value{};
      if (!Codec<Key>::decode(in, key)) return in.within("key ", i);
      if (!Codec<Mapped>::decode(in, value)) return in.within("value ", i);
      map.insert_or_assign(std::move(key), std::move(value));
    }
    return true;
  }
};

template <class Octets>
struct OctetsCodec {
  static std::string name() { return "bytes"; }
  static void encode(wire::Writer& out, const Octets& bytes) {
    out.bin({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  static bool decode(Decoder& in, Octets& bytes) {
    std::string_view view;
    if (in.peek() != wire::Kind::bin || !in.reader().bin(view)) return in.wrong("bytes");
    const auto* from = reinterpret_cast<const typename Octets::value_type*>(view.data());
    bytes.assign(from, from + view.size());
    return true;
  }
};

/// pair and tuple: an array of exactly as many values.
template <class Tuple>
struct TupleCodec {
  static constexpr std::size_t kSize = std::tuple_size_v<Tuple>;
  using Indexes = std::make_index_sequence<kSize>;

  template <std::size_t I>
  using ElementCodec = Codec<std::tuple_element_t<I, Tuple>>;

  static std::string name() { return name_of_elements(Indexes{}); }
  static void encode(wire::Writer& out, const Tuple& tuple) {
    out.array(kSize);
    encode_elements(out, tuple, Indexes{});
  }
  static bool decode(Decoder& in, Tuple& tuple) {
    std::uint32_t n = 0;
    if (in.peek() != wire::Kind::array) return in.wrong(name());
    if (!in.array(n, "tuple")) return false;
    if (n != kSize) {
      return in.fail("expected " + name() + ", got a list of " + std::to_string(n));
    }
    return decode_elements(in, tuple, Indexes{});
  }

 private:
  template <std::size_t... I>
  static std::string name_of_elements(std::index_sequence<I...>) {
    std::string text = "tuple<";
    ((text += (I == 0 ? "" : ", ") + ElementCodec<I>::name()), ...);
    return text + ">";
  }
  template <std::size_t... I>
  static void encode_elements(wire::Writer& out, const Tuple& tuple, std::index_sequence<I...>) {
    (ElementCodec<I>::encode(out, std::get<I>(tuple)), ...);
  }
  template <std::size_t... I>
  static bool decode_elements(Decoder& in, Tuple& tuple, std::index_sequence<I...>) {
    return ((ElementCodec<I>::decode(in, std::get<I>(tuple)) || in.within("element ", I)) && ...);
  }
};

}  // namespace detail

template <class T, class A>
struct Codec<std::vector<T, A>>
    : std::conditional_t<detail::kOctet<T>, detail::OctetsCodec<std::vector<T, A>>,
                         detail::SequenceCodec<std::vector<T, A>>> {};
template <class T, class A>
struct Codec<std::deque<T, A>> : detail::SequenceCodec<std::deque<T, A>> {};
template <class T, class A>
struct Codec<std::list<T, A>> : detail::SequenceCodec<std::list<T, A>> {};
template <class T, class C, class A>
struct Codec<std::set<T, C, A>> : detail::SetCodec<std::set<T, C, A>> {};
template <class T, class H, class E, class A>
struct Codec<std::unordered_set<T, H, E, A>> : detail::SetCodec<std::unordered_set<T, H, E, A>> {};
template <class K, class V, class C, class A>
struct Codec<std::map<K, V, C, A>> : detail::MapCodec<std::map<K, V, C, A>> {};
template <class K, class V, class H, class E, class A>
struct Codec<std::unordered_map<K, V, H, E, A>>
    : detail::MapCodec<std::unordered_map<K, V, H, E, A>> {};
template <class A, class B>
struct Codec<std::pair<A, B>> : detail::TupleCodec<std::pair<A, B>> {};
template <class... T>
struct Codec<std::tuple<T...>> : detail::TupleCodec<std::tuple<T...>> {};

/// Sending only.
template <class T, std::size_t N>
struct Codec<std::span<T, N>> {
  using List = std::span<T, N>;
  static std::string name() {
    return Codec<std::vector<std::remove_const_t<T>>>::name();
  }
  static void encode(wire::Writer& out, const List& list) {
    if constexpr (detail::kOctet<std::remove_const_t<T>>) {
      out.bin({reinterpret_cast<const char*>(list.data()), list.size()});
    } else {
      detail::encode_list(out, list);
    }
  }
};

template <class T, std::size_t N>
struct Codec<std::array<T, N>> {
  using Array = std::array<T, N>;
  static std::string name() { return Codec<std::vector<T>>::name(); }
  static void encode(wire::Writer& out, const Array& array) {
    Codec<std::span<const T, N>>::encode(out, std::span<const T, N>(array));
  }
  static bool decode(Decoder& in, Array& array) {
    std::vector<T> list;
    if (!Codec<std::vector<T>>::decode(in, list)) return false;
    if (list.size() != N) {
      return in.fail("expected " + name() + " of " + std::to_string(N) + ", got " +
                     std::to_string(list.size()));
    }
    std::move(list.begin(), list.end(), array.begin());
    return true;
  }
};

template <class T>
struct Codec<std::optional<T>> {
  static std::string name() { return "optional<" + Codec<T>::name() + ">"; }
  static void encode(wire::Writer& out, const std::optional<T>& value) {
    if (value) Codec<T>::encode(out, *value);
    else out.nil();
  }
  static bool decode(Decoder& in, std::optional<T>& value) {
    if (in.reader().try_nil()) {
      value.reset();
      return true;
    }
    return Codec<T>::decode(in, value.emplace());
  }
};

template <>
struct Codec<std::monostate> {
  static std::string name() { return "nil"; }
  static void encode(wire::Writer& out, std::monostate) { out.nil(); }
  static bool decode(Decoder& in, std::monostate&) {
    return in.reader().try_nil() || in.wrong("nil");
  }
};

/// The first alternative, in the order of the variant, that fits the value.
template <class... T>
struct Codec<std::variant<T...>> {
  using Variant = std::variant<T...>;
  static std::string name() {
    std::string text;
    ((text += (text.empty() ? "" : "|") + Codec<T>::name()), ...);
    return text;
  }
  static void encode(wire::Writer& out, const Variant& value) {
    std::visit([&out]<class V>(const V& held) { Codec<V>::encode(out, held); }, value);
  }
  static bool decode(Decoder& in, Variant& value) {
    return (decode_as<T>(in, value) || ...) || in.wrong(name());
  }

 private:
  template <class V>
  static bool decode_as(Decoder& in, Variant& value) {
    Decoder attempt(in.reader().rest(), in.core());
    V held{};
    if (!Codec<V>::decode(attempt, held)) return false;
    in.reader() = attempt.reader();
    value.template emplace<V>(std::move(held));
    return true;
  }
};

}  // namespace callboard
