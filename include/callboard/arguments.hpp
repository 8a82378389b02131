// Argument lists: what fits a method's parameters, how they are encoded and decoded.
//
// A list is an array with one value an argument. Parameters at the end that are std::optional may
// be left out. When an argument is the result of another call that has not ended, the list is
// "separate": an array of byte strings, each an encoded value, so that the broker can put the
// result in its place without decoding the rest.
#pragma once

#include <callboard/buffer.hpp>
#include <callboard/description.hpp>
#include <callboard/value.hpp>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace callboard {

template <class T>
class Future;

namespace detail {

template <class T>
inline constexpr bool kOptional = false;
template <class T>
inline constexpr bool kOptional<std::optional<T>> = true;

/// What an argument stands for: a future for its value.
template <class A>
struct ArgumentValue {
  using Type = A;
  static constexpr bool kFuture = false;
};
template <class T>
struct ArgumentValue<Future<T>> {
  using Type = T;
  static constexpr bool kFuture = true;
};
template <class A>
using ArgumentValueOf = typename ArgumentValue<std::remove_cvref_t<A>>::Type;

/// How many of the parameters must be given.
template <class Params>
consteval std::size_t required_count() {
  return []<std::size_t... I>(std::index_sequence<I...>) {
    std::size_t count = 0;
    ((kOptional<std::tuple_element_t<I, Params>> ? void() : void(count = I + 1)), ...);
    return count;
  }(std::make_index_sequence<std::tuple_size_v<Params>>{});
}

template <class Params, class... A>
consteval bool count_fits() {
  return sizeof...(A) <= std::tuple_size_v<Params> && sizeof...(A) >= required_count<Params>();
}

/// Whether argument A can be given where P is taken.
template <class P, class A>
inline constexpr bool kFits =
    ArgumentValue<std::remove_cvref_t<A>>::kFuture
        ? (std::is_same_v<ArgumentValueOf<A>, P> ||
           std::is_same_v<std::optional<ArgumentValueOf<A>>, P> ||
           (std::is_arithmetic_v<P> && std::is_arithmetic_v<ArgumentValueOf<A>> &&
            std::is_convertible_v<ArgumentValueOf<A>, P>) ||
           std::is_same_v<ArgumentValueOf<A>, Encoded>)
        : std::is_convertible_v<A, P>;

template <class Params, class... A>
consteval bool types_fit() {
  if constexpr (!count_fits<Params, A...>()) {
    return true;  // the other check speaks
  } else {
    return []<std::size_t... I>(std::index_sequence<I...>) {
      return (kFits<std::tuple_element_t<I, Params>, std::tuple_element_t<I, std::tuple<A...>>> &&
              ...);
    }(std::make_index_sequence<sizeof...(A)>{});
  }
}

template <class Params>
inline constexpr bool kEncodable = false;
template <class... P>
inline constexpr bool kEncodable<std::tuple<P...>> = (Encodable<P> && ...);

/// Stops the compiler with a sentence when arguments A do not fit parameters Params.
template <class Params, class... A>
consteval void check_arguments() {
  static_assert(kEncodable<Params>,
                "callboard: a parameter's type has no callboard::Codec. Include "
                "<callboard/msgpack.hpp> for types that msgpack-c packs, or specialise Codec");
  static_assert(count_fits<Params, A...>(),
                "callboard: wrong number of arguments for this method");
  static_assert(types_fit<Params, A...>(),
                "callboard: an argument does not convert to the parameter's type");
}

/// Encodes `argument` as a P. Text needs no copy on the way.
template <class P, class A>
void encode_argument(wire::Writer& out, const A& argument) {
  if constexpr (std::is_same_v<P, A>) {
    Codec<P>::encode(out, argument);
  } else if constexpr (std::is_same_v<P, std::string> &&
                       std::is_convertible_v<const A&, std::string_view>) {
    out.str(std::string_view(argument));
  } else {
    Codec<P>::encode(out, static_cast<P>(argument));
  }
}

/// Whether an argument of type A, taken as a P, is bytes or text that lie in it as they travel.
template <class P, class A>
inline constexpr bool kLendable =
    (std::is_same_v<P, A> && kPlainBytes<P>) ||
    (std::is_same_v<P, std::string> && std::is_convertible_v<const A&, std::string_view>);

/// An encoded list whose big arguments are still where the caller has them.
struct LentList {
  struct Lent {
    std::size_t at = 0;  ///< they stand before this byte of `bytes`
    std::string_view view;
  };
  std::string bytes;
  std::vector<Lent> lent;
};

template <class P, class A>
std::size_t lendable_bytes(const A& argument) {
  if constexpr (kLendable<P, A>) return plain_bytes(argument).view.size();
  return 0;
}

template <class P, class A>
void append_argument(LentList& list, const A& argument) {
  wire::Writer out(list.bytes);
  if constexpr (kLendable<P, A>) {
    const PlainBytes plain = plain_bytes(argument);
    if (plain.view.size() >= kLentBytesMin) {
      plain.text ? out.str_header(plain.view.size()) : out.bin_header(plain.view.size());
      list.lent.push_back({list.bytes.size(), plain.view});
      return;
    }
  }
  encode_argument<P>(out, argument);
}

/// Moves to the next argument; `in` is what holds the list, the answer reads one value of it.
template <class P>
[[gnu::always_inline]] inline bool decode_argument(Decoder& in, bool separate, std::size_t index,
                                                   P& value) {
  if (!separate) return Codec<P>::decode(in, value) || in.within("argument ", index + 1);
  std::string_view bytes;
  if (!in.reader().bin(bytes)) return in.wrong("bytes") || in.within("argument ", index + 1);
  std::string problem;
  if (callboard::decode(bytes, value, problem, in.core(), in.owner())) return true;
  in.fail(std::move(problem));
  return in.within("argument ", index + 1);
}

template <class Params, std::size_t... I>
[[gnu::always_inline]] inline bool decode_elements([[maybe_unused]] Decoder& in,
                                                   [[maybe_unused]] bool separate,
                                                   [[maybe_unused]] std::uint32_t given,
                                                   [[maybe_unused]] Params& params,
                                                   std::index_sequence<I...>) {
  return ((I >= given || decode_argument(in, separate, I, std::get<I>(params))) && ...);
}

/// "takes 2 arguments, got 3"
std::string count_problem(std::size_t required, std::size_t most, std::size_t given);

}  // namespace detail

/// Reads an argument list into `params`, a tuple of the method's parameters. `separate`: the call
/// has references to other calls (see above). On failure `in` says which argument does not fit and
/// why: "argument 2: expected int, got str".
template <class Params>
bool read_arguments(Decoder& in, bool separate, Params& params) {
  constexpr std::size_t kMost = std::tuple_size_v<Params>;
  constexpr std::size_t kRequired = detail::required_count<Params>();
  std::uint32_t given = 0;
  if (!in.reader().array(given)) return in.fail("the arguments are not a list");
  if (given > kMost || given < kRequired) {
    return in.fail(detail::count_problem(kRequired, kMost, given));
  }
  const bool fits = detail::decode_elements(in, separate, given, params,
                                            std::make_index_sequence<kMost>{});
  if (!fits && in.ok()) in.fail("the arguments do not fit");
  if (fits && !in.reader().at_end()) in.fail("more follows after the arguments");
  return in.ok();
}

/// The same, with the list itself. `owner`: what keeps its bytes.
template <class Params>
bool decode_arguments(std::string_view list, bool separate, client::Core* core, Params& params,
                      std::string& problem, std::shared_ptr<const void> owner = nullptr) {
  Decoder in(list, core, std::move(owner));
  const bool fits = read_arguments(in, separate, params);
  problem = in.problem();
  return fits;
}

/// For people: "int(int, str)".
template <class Result, class Params>
std::string signature_of() {
  std::string text = "nil";
  if constexpr (!std::is_void_v<Result>) text = Codec<Result>::name();
  text += "(";
  [&]<std::size_t... I>(std::index_sequence<I...>) {
    ((text += (I == 0 ? "" : ", ") + Codec<std::tuple_element_t<I, Params>>::name()), ...);
  }(std::make_index_sequence<std::tuple_size_v<Params>>{});
  return text + ")";
}

}  // namespace callboard
