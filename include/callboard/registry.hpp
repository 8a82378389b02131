// What a worker can run: the classes and task functions of one program or loadable library.
//
//   callboard::Registry registry;
//   registry.add<Counter>().add<resize_task>();
//
// or, in a library for `callboard worker --load libapp.so`:
//
//   CALLBOARD_LIBRARY(registry) { registry.add<Counter>().add<resize_task>(); }
//
// Names, constructor and methods come from the class's describe(). A source that registers a class
// with coroutines includes <callboard/asio.hpp>; nothing else here needs Asio.
//
// Thread safety: add everything before a worker starts with it; from then on it is constant.
// Invariant: entries never move, executors keep pointers to them.
#pragma once

#include <callboard/arguments.hpp>
#include <callboard/description.hpp>
#include <callboard/error.hpp>
#include <callboard/value.hpp>

#include <coroutine>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace callboard::worker {

/// One call as code without types sees it.
struct Invocation {
  std::string_view args;              ///< encoded list; outlives the call
  bool separate = false;              ///< each argument stands in a byte string of its own
  client::Core* core = nullptr;       ///< what decoded actor handles belong to
  std::shared_ptr<const void> owner;  ///< keeps `args`, for parameters that refer to them; or null
  std::string result;                 ///< the encoded result is appended
  std::string spare;                  ///< a buffer for the first argument that is text or bytes
  std::shared_ptr<const void> placed_owner;  ///< set when the encoded result is not there ...
  std::string_view placed;                   ///< ... but here
  std::unique_ptr<ErrorInfo> error;   ///< set when there is no result
  callboard::detail::CoroutineEnd* coroutine_end = nullptr;  ///< of a coroutine
};

/// unknown: a name that was asked for and is not there.
enum class MethodKind : std::uint8_t { plain, coroutine, batched, unknown };

/// One method, or one task function. User exceptions come out of all three functions, those of
/// coroutines by way of Invocation::coroutine_end; arguments that do not fit become
/// Invocation::error.
struct Method {
  using Plain = void (*)(void* self, Invocation& call);
  using Coroutine = Async<callboard::detail::WholeCall> (*)(void* self, Invocation& call);
  using Batched = void (*)(void* self, std::span<Invocation> calls);

  std::string name;
  std::string place;      ///< "Counter.add"
  std::string signature;  ///< of one call, for people: "int(int)"
  std::string group;      ///< concurrency group, or empty
  MethodKind kind = MethodKind::plain;
  Plain plain = nullptr;
  Coroutine coroutine = nullptr;
  Batched batched = nullptr;
};

/// One class.
struct ClassEntry {
  std::string name;
  std::string constructor_signature;  ///< "nil(int)"
  bool own_thread = false;            ///< as Description::own_thread() says
  std::vector<Method> methods;
  /// A new object, or null and Invocation::error. Null when these are task functions.
  void* (*construct)(Invocation& call) = nullptr;
  void (*destroy)(void* self) = nullptr;

  const Method* find(std::string_view method) const;
  bool has(MethodKind kind) const;
};

/// Notes that the arguments do not fit.
void refuse_arguments(Invocation& call, std::string problem);
/// Puts a big result where it can leave without another copy. False when it is to be appended.
/// `encoded`: the result as a value, if `owner` has it already.
bool place_result(Invocation& call, const callboard::detail::PlainBytes& result,
                  const std::shared_ptr<const void>& owner, std::string_view encoded);
/// Notes that a batch of `calls` gave `results`.
void refuse_results(std::span<Invocation*> calls, std::size_t results);

/// The string of a value that is one, or that is bytes; null for others.
template <class T>
std::string* string_of(T& value) {
  if constexpr (std::is_same_v<T, std::string>) return &value;
  else if constexpr (std::is_same_v<T, Bytes>) return &value.data;
  else return nullptr;
}
/// Gives a value that will be read the buffer of an earlier one, unless most of it would be wasted:
/// the method may keep what it gets.
template <class T>
void lend_buffer(Invocation& call, T& value) {
  if (std::string* const text = string_of(value)) {
    if (call.spare.capacity() <= 2 * call.args.size()) text->swap(call.spare);
  }
}
/// The other way, once nobody looks at the value any more.
template <class T>
void keep_buffer(Invocation& call, T& value) {
  constexpr std::size_t kSpareBytesMax = 1024;
  if (std::string* const text = string_of(value)) {
    const std::size_t bytes = text->capacity();
    if (bytes > call.spare.capacity() && bytes <= kSpareBytesMax) text->swap(call.spare);
  }
}

template <class R>
void encode_result(Invocation& call, const R& result) {
  if constexpr (callboard::detail::kPlainBytes<R>) {
    const auto plain = callboard::detail::plain_bytes(result);
    if (plain.view.size() >= callboard::detail::kLentBytesMin) {
      bool placed = false;
      if constexpr (std::is_same_v<R, Buffer>) {
        placed = place_result(call, plain, result.owner(), result.encoded());
      } else {
        placed = place_result(call, plain, nullptr, {});
      }
      if (placed) return;
    }
  }
  wire::Writer out(call.result);
  Codec<R>::encode(out, result);
}

/// The code of function F for self of class C; for a task function C is void.
template <class C, auto F>
struct MethodCode {
  using Traits = callboard::detail::Function<F>;
  using Params = typename Traits::Params;
  using Result = typename Traits::Result;

  template <class P>
  static bool decode(Invocation& call, P& params) {
    Decoder in(call.args, call.core, call.owner);
    if (read_arguments(in, call.separate, params)) return true;
    refuse_arguments(call, in.problem());
    return false;
  }
  /// The arguments may be moved from.
  template <class... A>
  static decltype(auto) run(void* self, A&... args) {
    if constexpr (std::is_void_v<C>) {
      return std::invoke(F, std::move(args)...);
    } else {
      return std::invoke(F, *static_cast<C*>(self), std::move(args)...);
    }
  }
  static decltype(auto) run_list(void* self, Params& params) {
    return std::apply([self](auto&... args) -> decltype(auto) { return run(self, args...); },
                      params);
  }

  static void plain(void* self, Invocation& call) {
    Params params{};
    if constexpr (std::tuple_size_v<Params> > 0) lend_buffer(call, std::get<0>(params));
    if (!decode(call, params)) return;
    if constexpr (std::is_void_v<Result>) {
      run_list(self, params);
      wire::Writer(call.result).nil();
    } else {
      decltype(auto) result = run_list(self, params);
      encode_result<std::remove_cvref_t<Result>>(call, result);
      if constexpr (!std::is_reference_v<decltype(result)> &&
                    !std::is_const_v<decltype(result)>) {
        keep_buffer(call, result);
      }
    }
    if constexpr (std::tuple_size_v<Params> > 0) keep_buffer(call, std::get<0>(params));
  }

  /// A template only because awaitable is incomplete where there are no coroutines.
  template <class Whole>
  static Async<Whole> coroutine(void* self, Invocation& call) {
    Params params{};  // lives as long as the method, which may take it by reference
    if constexpr (std::tuple_size_v<Params> > 0) lend_buffer(call, std::get<0>(params));
    if (!decode(call, params)) co_return;
    if constexpr (std::is_void_v<Result>) {
      co_await run_list(self, params);
      wire::Writer(call.result).nil();
    } else {
      auto result = co_await run_list(self, params);
      encode_result<std::remove_cvref_t<Result>>(call, result);
      keep_buffer(call, result);
    }
    if constexpr (std::tuple_size_v<Params> > 0) keep_buffer(call, std::get<0>(params));
  }

  static void batched(void* self, std::span<Invocation> calls) {
    using One = callboard::detail::OneOfBatch<Params, Result>;
    using Items = std::tuple_element_t<0, Params>;
    using OneParams = typename One::Params;
    Items items;
    std::vector<Invocation*> takers;
    items.reserve(calls.size());
    takers.reserve(calls.size());
    for (Invocation& call : calls) {
      OneParams params{};
      if (!decode(call, params)) continue;
      if constexpr (std::is_same_v<typename Items::value_type, OneParams>) {
        items.push_back(std::move(params));
      } else {
        items.push_back(std::move(std::get<0>(params)));
      }
      takers.push_back(&call);
    }
    if (takers.empty()) return;
    if constexpr (std::is_void_v<Result>) {
      run(self, items);
      for (Invocation* call : takers) wire::Writer(call->result).nil();
    } else {
      const Result results = run(self, items);
      if (results.size() != takers.size()) return refuse_results(takers, results.size());
      for (std::size_t i = 0; i < takers.size(); ++i) {
        encode_result<std::remove_cvref_t<typename One::Result>>(*takers[i], results[i]);
      }
    }
  }
};

template <class Params>
inline constexpr bool kDecodable = false;
template <class... P>
inline constexpr bool kDecodable<std::tuple<P...>> = (Decodable<P> && ...);

/// Stops the compiler with a sentence when a call cannot be run.
template <class Params, class Result>
consteval void check_codecs() {
  static_assert(kDecodable<Params>,
                "callboard: a parameter's type cannot be received. It needs a callboard::Codec and "
                "a default constructor, and must own its value: std::string, not string_view. "
                "Include <callboard/msgpack.hpp> for types that msgpack-c packs");
  if constexpr (!std::is_void_v<Result>) {
    static_assert(Encodable<Result>,
                  "callboard: the result's type has no callboard::Codec. Include "
                  "<callboard/msgpack.hpp> for types that msgpack-c packs, or specialise Codec");
  }
}

template <class C, auto F>
void fill_code(Method& method) {
  using Code = MethodCode<C, F>;
  if constexpr (Code::Traits::kAsync) {
    static_assert(requires { sizeof(Async<typename Code::Result>); },
                  "callboard: include <callboard/asio.hpp> where coroutines are registered");
    method.kind = MethodKind::coroutine;
    method.coroutine = &Code::template coroutine<callboard::detail::WholeCall>;
  } else {
    method.plain = &Code::plain;
  }
}

template <class C, auto F, std::size_t I>
Method method_of() {
  using Call = MethodCall<C, F>;
  check_codecs<typename Call::Params, typename Call::Result>();
  constexpr auto& described = description<C>.methods()[I];
  Method method;
  method.name = described.name;
  method.place = std::string(description<C>.name()) + "." + method.name;
  method.signature = signature_of<typename Call::Result, typename Call::Params>();
  method.group = described.group;
  if constexpr (Call::kBatched) {
    static_assert(!Call::kAsync, "callboard: a batched method cannot be a coroutine");
    method.kind = MethodKind::batched;
    method.batched = &MethodCode<C, F>::batched;
  } else {
    fill_code<C, F>(method);
  }
  return method;
}

template <class C>
void* construct(Invocation& call) {
  using Params = typename std::remove_const_t<decltype(description<C>)>::Constructor;
  Params params{};
  std::string problem;
  if (!decode_arguments(call.args, call.separate, call.core, params, problem, call.owner)) {
    refuse_arguments(call, std::move(problem));
    return nullptr;
  }
  return std::apply([](auto&... args) { return new C(std::move(args)...); }, params);
}

template <class C>
ClassEntry entry_of() {
  using Description = std::remove_const_t<decltype(description<C>)>;
  using Params = typename Description::Constructor;
  check_codecs<Params, void>();
  ClassEntry entry;
  entry.name = description<C>.name();
  entry.own_thread = description<C>.has_own_thread();
  entry.constructor_signature = signature_of<void, Params>();
  entry.methods.reserve(Description::kMethods);
  Description::for_each([&entry]<auto F, std::size_t I>() {
    entry.methods.push_back(method_of<C, F, I>());
  });
  entry.construct = &construct<C>;
  entry.destroy = [](void* self) { delete static_cast<C*>(self); };
  return entry;
}

template <auto F>
Method method_of_task(const Task<F>& task) {
  using Code = MethodCode<void, F>;
  check_codecs<typename Code::Params, typename Code::Result>();
  Method method;
  method.name = task.name;
  method.place = method.name;
  method.signature = signature_of<typename Code::Result, typename Code::Params>();
  fill_code<void, F>(method);
  return method;
}

}  // namespace callboard::worker

namespace callboard {

class Registry {
 public:
  Registry();
  ~Registry();
  Registry(Registry&&) noexcept;
  Registry& operator=(Registry&&) noexcept;

  /// Adds a class, as its describe() says. Adding it again changes nothing.
  /// Throws Error: name_taken when another class has the name; invalid_option, too_large for names
  /// that are empty or too long and for too many methods.
  template <class C>
    requires Described<C>
  Registry& add() {
    return add_class(worker::entry_of<C>());
  }
  /// Adds a task function: add<resize_task>(). Throws as above.
  template <const auto& T>
  Registry& add() {
    return add_task(worker::method_of_task(T));
  }

  /// The class of that name; null when there is none.
  const worker::ClassEntry* find(std::string_view name) const;
  /// In the order of their names.
  std::vector<const worker::ClassEntry*> classes() const;
  /// The task functions, as methods of a class that has no object.
  const worker::ClassEntry& tasks() const { return *tasks_; }

 private:
  Registry& add_class(worker::ClassEntry entry);
  Registry& add_task(worker::Method method);

  std::map<std::string, std::unique_ptr<worker::ClassEntry>, std::less<>> classes_;
  std::unique_ptr<worker::ClassEntry> tasks_;
};

}  // namespace callboard

/// The function by which a loadable library says what it has; its body follows the macro.
#define CALLBOARD_LIBRARY(registry)                                             \
  extern "C" __attribute__((visibility("default"))) void callboard_register(    \
      ::callboard::Registry& registry);                                         \
  extern "C" void callboard_register(::callboard::Registry& registry)
