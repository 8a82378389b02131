// What a class offers to remote callers, said once, beside the class, and used by both sides.
//
//   class Counter {
//    public:
//     explicit Counter(int start);
//     int add(int n);
//     callboard::Async<std::string> fetch(std::string url);   // a coroutine
//     friend consteval auto describe(callboard::Class<Counter> c) {
//       return c.name("Counter").constructor<int>()
//           .method<&Counter::add>("add").method<&Counter::fetch>("fetch", {.group = "io"});
//     }
//   };
//   int resize(std::string image, int width);
//   inline constexpr callboard::Task<&resize> resize_task{"resize"};
//
// describe() is found by argument-dependent lookup: a friend, or a function in the class's
// namespace. A description is a constant; a client needs only declarations, not the code.
// Overloaded functions are named with their signature:
//   .method<callboard::overload<int(int)>(&Counter::at)>("at")
#pragma once

#include <array>
#include <cstddef>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace boost::asio {
template <typename T, typename Executor>
class awaitable;
}  // namespace boost::asio

namespace callboard {

/// Result type of a method that is a coroutine: a boost::asio::awaitable<T> in which futures can be
/// awaited too. Declaring such a method needs no Asio header; defining one, or waiting for it,
/// needs <callboard/asio.hpp>.
template <class T>
class Async;

/// Picks one of several functions of a name: overload<int(int)>(&C::f), overload<int(int) const>.
template <class Signature, class C>
consteval auto overload(Signature C::*function) {
  return function;
}
template <class Signature>
consteval auto overload(Signature* function) {
  return function;
}

namespace detail {

/// Memory for the frames of such coroutines. A loop on which a thousand of them wait begins and
/// ends many at once, so threads keep the memory of those that ended.
void* take_frame(std::size_t bytes);
void give_frame(void* frame, std::size_t bytes) noexcept;

/// Async<WholeCall> is what a worker runs: a method with its arguments and its result.
struct WholeCall;

/// How such a coroutine goes is told to whoever began it. Both within the coroutine, on its loop.
class CoroutineEnd {
 public:
  /// It threw; called where that is being handled. ended() follows.
  virtual void failed() noexcept = 0;
  /// All that is left is its frame.
  virtual void ended() noexcept = 0;

 protected:
  ~CoroutineEnd() = default;
};

template <class R>
struct Awaited {
  using Type = R;
  static constexpr bool kAsync = false;
};
template <class R>
struct Awaited<Async<R>> {
  using Type = R;
  static constexpr bool kAsync = true;
};
template <class R, class E>
struct Awaited<boost::asio::awaitable<R, E>> {
  using Type = R;
  static constexpr bool kAsync = true;
};

template <class R, class... A>
struct Signature {
  using Result = std::decay_t<typename Awaited<R>::Type>;  ///< void stays void
  using Params = std::tuple<std::remove_cvref_t<A>...>;
  static constexpr bool kAsync = Awaited<R>::kAsync;
  static constexpr bool kReceivable =
      (... && !(std::is_lvalue_reference_v<A> && !std::is_const_v<std::remove_reference_t<A>>));
};

template <class F>
struct FunctionTraits;
template <class R, class... A>
struct FunctionTraits<R (*)(A...)> : Signature<R, A...> {};
template <class R, class... A>
struct FunctionTraits<R (*)(A...) noexcept> : Signature<R, A...> {};

#define CALLBOARD_METHOD_TRAITS(QUALIFIERS)                               \
  template <class R, class C, class... A>                                 \
  struct FunctionTraits<R (C::*)(A...) QUALIFIERS> : Signature<R, A...> { \
    using Class = C;                                                      \
  };
CALLBOARD_METHOD_TRAITS()
CALLBOARD_METHOD_TRAITS(const)
CALLBOARD_METHOD_TRAITS(noexcept)
CALLBOARD_METHOD_TRAITS(const noexcept)
CALLBOARD_METHOD_TRAITS(&)
CALLBOARD_METHOD_TRAITS(const&)
CALLBOARD_METHOD_TRAITS(&noexcept)
CALLBOARD_METHOD_TRAITS(const& noexcept)
#undef CALLBOARD_METHOD_TRAITS

/// A function as a type, so that two pointers can be compared at compile time.
template <auto F>
struct Function : FunctionTraits<decltype(F)> {};

/// What one call of a batched method takes: Type is a tuple of its parameters.
template <class Params>
struct OneCall {
  static constexpr bool kValid = false;
  using Type = Params;
};
template <class A>
struct OneCall<std::tuple<std::vector<A>>> {
  static constexpr bool kValid = true;
  using Type = std::tuple<A>;
};
template <class... A>
struct OneCall<std::tuple<std::vector<std::tuple<A...>>>> {
  static constexpr bool kValid = true;
  using Type = std::tuple<A...>;
};

/// What one call of a batched method gives.
template <class R>
struct OneResult {
  static constexpr bool kValid = std::is_void_v<R>;
  using Type = R;
};
template <class R>
struct OneResult<std::vector<R>> {
  static constexpr bool kValid = true;
  using Type = R;
};

/// A method that takes a list of calls and gives a list of results, seen as one call.
template <class ListParams, class ListResult>
struct OneOfBatch {
  static constexpr bool kValid = OneCall<ListParams>::kValid && OneResult<ListResult>::kValid;
  using Params = typename OneCall<ListParams>::Type;
  using Result = typename OneResult<ListResult>::Type;
};

}  // namespace detail

/// What can be said of one method beside its name.
struct MethodOptions {
  std::string_view group{};  ///< its concurrency group; empty: the actor's default lane
};

/// One method in a description.
struct MethodEntry {
  std::string_view name;
  std::string_view group;
  bool batched = false;
};

/// The description of class C: constructor arguments, and methods F with their names.
template <class C, class Ctor, auto... F>
class Description {
 public:
  using Described = C;
  /// Tuple of what the constructor takes.
  using Constructor = Ctor;
  static constexpr std::size_t kMethods = sizeof...(F);

  /// The class's name: under it a worker offers it and clients ask for it.
  consteval auto name(std::string_view text) const {
    Description copy = *this;
    copy.name_ = text;
    return copy;
  }
  /// Which arguments make one.
  template <class... A>
  consteval auto constructor() const {
    return Description<C, std::tuple<std::remove_cvref_t<A>...>, F...>(name_, methods_,
                                                                       own_thread_);
  }
  /// A serial actor of this class is made, called and destroyed by one thread, which no other actor
  /// uses: for libraries that keep things by thread. Other actors share threads, a call may run on
  /// another one than the call before.
  consteval auto own_thread() const {
    Description copy = *this;
    copy.own_thread_ = true;
    return copy;
  }
  /// A method that may be called. A method of a base class counts, a private one does too when
  /// describe() may see it.
  template <auto G>
  consteval auto method(std::string_view text, MethodOptions options = {}) const {
    return add<G>({text, options.group, false});
  }
  /// A method that runs many calls at once: std::vector<R> f(std::vector<A>), or with a
  /// std::vector<std::tuple<A, B>> where one call takes A and B. One call looks like R f(A).
  template <auto G>
  consteval auto batched(std::string_view text, MethodOptions options = {}) const {
    using Traits = detail::Function<G>;
    static_assert(
        detail::OneOfBatch<typename Traits::Params, typename Traits::Result>::kValid,
        "callboard: a batched method is std::vector<Result> method(std::vector<Argument>)");
    return add<G>({text, options.group, true});
  }

  constexpr std::string_view name() const { return name_; }
  constexpr bool has_own_thread() const { return own_thread_; }
  /// The methods in the order in which they were described: the numbers that calls carry.
  constexpr const std::array<MethodEntry, kMethods>& methods() const { return methods_; }

  /// The number of method G; kMethods when it is not described.
  template <auto G>
  static consteval std::size_t index_of() {
    std::size_t index = 0;
    (void)((std::is_same_v<detail::Function<F>, detail::Function<G>> ? false : (++index, true)) &&
           ...);
    return index;
  }
  /// Calls visit.template operator()<F, index>() for each method.
  template <class Visitor>
  static constexpr void for_each(Visitor&& visit) {
    [&]<std::size_t... I>(std::index_sequence<I...>) { (visit.template operator()<F, I>(), ...); }
    (std::make_index_sequence<kMethods>{});
  }

  consteval Description() = default;
  consteval Description(std::string_view name, std::array<MethodEntry, kMethods> methods,
                        bool own_thread)
      : name_(name), methods_(methods), own_thread_(own_thread) {}

 private:
  template <auto G>
  consteval auto add(MethodEntry entry) const {
    using Traits = detail::Function<G>;
    static_assert(std::is_base_of_v<typename Traits::Class, C>,
                  "callboard: the method belongs to another class");
    static_assert(!(std::is_same_v<detail::Function<F>, Traits> || ...),
                  "callboard: the method is described twice");
    static_assert(Traits::kReceivable,
                  "callboard: a remote method cannot take a reference that it could change");
    std::array<MethodEntry, kMethods + 1> methods{};
    for (std::size_t i = 0; i < kMethods; ++i) {
      if (methods_[i].name == entry.name) throw "callboard: two methods of one name";
      methods[i] = methods_[i];
    }
    methods[kMethods] = entry;
    return Description<C, Ctor, F..., G>(name_, methods, own_thread_);
  }

  std::string_view name_{};
  std::array<MethodEntry, kMethods> methods_{};
  bool own_thread_ = false;
};

/// What describe() takes: a description that says nothing yet.
template <class C>
using Class = Description<C, std::tuple<>>;

/// A class with a describe() that can be found.
template <class C>
concept Described = requires {
  describe(Class<C>{});
};

/// The description of C.
template <class C>
inline constexpr auto description = describe(Class<C>{});

/// One call of method F of C: what it takes and gives, also when the method runs in batches.
template <class C, auto F>
struct MethodCall {
  using Traits = detail::Function<F>;
  using Description = std::remove_const_t<decltype(description<C>)>;
  static constexpr std::size_t kIndex = Description::template index_of<F>();
  static_assert(kIndex < Description::kMethods,
                "callboard: the class's describe() does not list this method");
  static constexpr bool kBatched = description<C>.methods()[kIndex].batched;
  static constexpr bool kAsync = Traits::kAsync;

  using Single = std::conditional_t<
      kBatched, detail::OneOfBatch<typename Traits::Params, typename Traits::Result>, Traits>;
  using Params = typename Single::Params;
  using Result = typename Single::Result;
};

/// A stateless function that any worker which has it may run, under a name.
template <auto F>
struct Task {
  std::string_view name;

  using Traits = detail::Function<F>;
  using Params = typename Traits::Params;
  using Result = typename Traits::Result;
  static_assert(Traits::kReceivable,
                "callboard: a remote function cannot take a reference that it could change");
};

}  // namespace callboard
