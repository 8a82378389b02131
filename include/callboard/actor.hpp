// Handles of actors, deployments and their queues.
//
//   callboard::Actor<Counter> hits = client.actor<Counter>({.name = "hits"}, 10);
//   hits.call<&Counter::add>(1);           // types checked; the name of the method is in the type
//   callboard::AnyActor any = client.get_actor("hits");
//   any.call<int>("add", 1);               // without the class; the worker checks the types
//
// A handle is cheap to copy. When the last handle of an owned actor goes, its accepted calls finish
// and it stops. A handle can be an argument, a result, or part of one: whoever gets it can call the
// actor, and does not keep it alive. Thread safety: all of it.
#pragma once

#include <callboard/arguments.hpp>
#include <callboard/description.hpp>
#include <callboard/future.hpp>
#include <callboard/ids.hpp>
#include <callboard/options.hpp>
#include <callboard/value.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace callboard {

namespace client {
class Queue;
struct PreparedOptions;
}  // namespace client

namespace detail {

using QueuePtr = std::shared_ptr<client::Queue>;
using OptionsPtr = std::shared_ptr<const client::PreparedOptions>;
using StatePtr = client::StatePtr;

/// One argument of a call that has futures among its arguments.
struct Piece {
  std::string bytes;
  StatePtr future;  ///< instead of bytes
};

/// A buffer of this thread, empty; for the encoded arguments of one call.
std::string& scratch();

OptionsPtr prepare(const CallOptions& options);
/// The number of a method that a handle of any class calls by name.
std::uint32_t method_number(const QueuePtr& queue, std::string_view method);
StatePtr submit(const QueuePtr& queue, std::uint32_t method, const OptionsPtr& options,
                std::string& args);
StatePtr submit(const QueuePtr& queue, std::uint32_t method, const OptionsPtr& options,
                std::vector<Piece> args);
void send(const QueuePtr& queue, std::uint32_t method, const OptionsPtr& options,
          std::string& args);
void send(const QueuePtr& queue, std::uint32_t method, const OptionsPtr& options,
          std::vector<Piece> args);
StatePtr submit(const QueuePtr& queue, std::uint32_t method, const OptionsPtr& options,
                const LentList& args);
void send(const QueuePtr& queue, std::uint32_t method, const OptionsPtr& options,
          const LentList& args);
/// Makes a schedule whose calls go to the queue (a method of it, or a task).
void make_schedule(const QueuePtr& queue, std::string_view method, const ScheduleOptions& options,
                   const std::string& args);
Future<void> opened(const QueuePtr& queue);
Future<void> kill(const QueuePtr& queue, bool restart);
ActorId actor_id(const QueuePtr& queue);
std::string queue_name(const QueuePtr& queue);
std::string class_name(const QueuePtr& queue);
/// How a handle travels: extension type 1 with [session, seq, class, queue].
void encode_handle(wire::Writer& out, const QueuePtr& queue);
bool decode_handle(Decoder& in, std::string_view class_name, std::vector<std::string> methods,
                   QueuePtr& queue);

template <class... A>
inline constexpr bool kAnyFuture = (ArgumentValue<std::remove_cvref_t<A>>::kFuture || ...);

/// Parameters that take whatever is given.
template <class... A>
using AsGiven = std::tuple<std::conditional_t<
    std::is_convertible_v<std::remove_cvref_t<ArgumentValueOf<A>>, std::string_view>, std::string,
    std::remove_cvref_t<ArgumentValueOf<A>>>...>;

template <class P, class A>
Piece piece_of(const A& argument) {
  Piece piece;
  if constexpr (ArgumentValue<A>::kFuture) {
    piece.future = argument.state();
  } else {
    wire::Writer out(piece.bytes);
    encode_argument<P>(out, argument);
  }
  return piece;
}

/// Encodes the arguments as the parameters' types and gives them to `deliver`.
template <class Params, class Deliver, std::size_t... I, class... A>
decltype(auto) with_arguments(Deliver&& deliver, std::index_sequence<I...>, const A&... arguments) {
  if constexpr (kAnyFuture<A...>) {
    std::vector<Piece> pieces;
    pieces.reserve(sizeof...(A));
    (pieces.push_back(piece_of<std::tuple_element_t<I, Params>>(arguments)), ...);
    return deliver(std::move(pieces));
  } else {
    constexpr bool kMayLend =
        (kLendable<std::tuple_element_t<I, Params>, A> || ...) &&
        std::is_invocable_v<Deliver&, const LentList&>;
    if constexpr (kMayLend) {
      const std::size_t most =
          std::max({std::size_t{0}, lendable_bytes<std::tuple_element_t<I, Params>>(arguments)...});
      if (most >= kLentBytesMin) {
        LentList list;
        wire::Writer(list.bytes).array(sizeof...(A));
        (append_argument<std::tuple_element_t<I, Params>>(list, arguments), ...);
        return deliver(std::as_const(list));
      }
    }
    std::string& bytes = scratch();
    wire::Writer out(bytes);
    out.array(sizeof...(A));
    (encode_argument<std::tuple_element_t<I, Params>>(out, arguments), ...);
    return deliver(bytes);
  }
}

/// Of many actors, few are in the processor's caches: asks for one while its arguments are encoded.
inline void expect(const QueuePtr& queue) {
  const auto address = reinterpret_cast<std::uintptr_t>(queue.get());
  __builtin_prefetch(reinterpret_cast<const void*>(address));
  __builtin_prefetch(reinterpret_cast<const void*>(address + 64));
}

template <class Params, class... A>
StatePtr submit_as(const QueuePtr& queue, std::uint32_t method, const OptionsPtr& options,
                   const A&... arguments) {
  expect(queue);
  return with_arguments<Params>(
      [&](auto&& args) {
        return submit(queue, method, options, std::forward<decltype(args)>(args));
      },
      std::index_sequence_for<A...>{}, arguments...);
}

template <class Params, class... A>
void send_as(const QueuePtr& queue, std::uint32_t method, const OptionsPtr& options,
             const A&... arguments) {
  expect(queue);
  with_arguments<Params>(
      [&](auto&& args) { send(queue, method, options, std::forward<decltype(args)>(args)); },
      std::index_sequence_for<A...>{}, arguments...);
}

template <class Params, class... A>
void schedule_as(const QueuePtr& queue, std::string_view method, const ScheduleOptions& options,
                 const A&... arguments) {
  static_assert(!kAnyFuture<A...>, "callboard: a schedule takes values; get() the future first");
  with_arguments<Params>(
      [&](const std::string& args) { make_schedule(queue, method, options, args); },
      std::index_sequence_for<A...>{}, arguments...);
}

template <class C>
std::vector<std::string> method_names() {
  std::vector<std::string> names;
  for (const MethodEntry& method : description<C>.methods()) names.emplace_back(method.name);
  return names;
}

}  // namespace detail

/// What handles of all kinds can.
class ActorBase {
 public:
  ActorBase() = default;
  explicit ActorBase(detail::QueuePtr queue, detail::OptionsPtr options = nullptr)
      : queue_(std::move(queue)), options_(std::move(options)) {}

  /// False for a default-constructed handle, which cannot be called.
  bool valid() const { return queue_ != nullptr; }
  /// The actor's id. Waits for the broker where only the name is known; empty when there is none.
  ActorId id() const { return detail::actor_id(queue_); }
  /// The queue's name as the command line shows it; empty until the broker has answered.
  std::string name() const { return detail::queue_name(queue_); }
  /// The class's name; empty until the broker has answered where it was not said here.
  std::string class_name() const { return detail::class_name(queue_); }
  /// Ready once the broker knows the actor; fails with name_taken, unknown_class, unknown_actor,
  /// ... Nobody needs to wait for it: calls may be made at once, and then fail for the same reason.
  Future<void> opened() const { return detail::opened(queue_); }
  /// Ends the actor now; its unfinished calls fail with ActorDied. `restart`: a new incarnation
  /// follows, if max_restarts allows.
  Future<void> kill(bool restart = false) const { return detail::kill(queue_, restart); }
  /// Lets go of the actor; this handle cannot be used any more.
  void reset() {
    queue_.reset();
    options_.reset();
  }

  const detail::QueuePtr& queue() const { return queue_; }

 protected:
  detail::QueuePtr queue_;
  detail::OptionsPtr options_;
};

/// An actor or deployment of class C.
template <class C>
class Actor : public ActorBase {
 public:
  static_assert(Described<C>,
                "callboard: the class has no describe(callboard::Class<C>) that can be found");
  using ActorBase::ActorBase;

  /// Submits a call of method F and returns at once (see WhenFull). An argument may be a future.
  template <auto F, class... A>
  Future<typename MethodCall<C, F>::Result> call(A&&... arguments) const {
    using Call = MethodCall<C, F>;
    detail::check_arguments<typename Call::Params, A...>();
    return Future<typename Call::Result>(
        detail::submit_as<typename Call::Params>(queue_, Call::kIndex, options_, arguments...));
  }
  /// Submits a call whose result nobody wants.
  template <auto F, class... A>
  void send(A&&... arguments) const {
    using Call = MethodCall<C, F>;
    detail::check_arguments<typename Call::Params, A...>();
    detail::send_as<typename Call::Params>(queue_, Call::kIndex, options_, arguments...);
  }
  /// Makes a schedule that calls method F again and again; waits for the broker. It does not keep
  /// the actor alive. See Client::remove_schedule().
  template <auto F, class... A>
  void schedule(const ScheduleOptions& options, A&&... arguments) const {
    using Call = MethodCall<C, F>;
    detail::check_arguments<typename Call::Params, A...>();
    detail::schedule_as<typename Call::Params>(
        queue_, description<C>.methods()[Call::kIndex].name, options, arguments...);
  }
  /// The same handle, whose calls have these options.
  Actor with(const CallOptions& options) const { return Actor(queue_, detail::prepare(options)); }
};

/// An actor or deployment whose class is not known here.
class AnyActor : public ActorBase {
 public:
  using ActorBase::ActorBase;

  /// Submits a call; R is the type of the result.
  template <class R = Encoded, class... A>
  Future<R> call(std::string_view method, A&&... arguments) const {
    return Future<R>(detail::submit_as<detail::AsGiven<A...>>(
        queue_, detail::method_number(queue_, method), options_, arguments...));
  }
  template <class... A>
  void send(std::string_view method, A&&... arguments) const {
    detail::send_as<detail::AsGiven<A...>>(queue_, detail::method_number(queue_, method), options_,
                                           arguments...);
  }
  /// The same with an argument list that is MessagePack already: an array.
  Future<Encoded> call_encoded(std::string_view method, std::string arguments) const {
    return Future<Encoded>(
        detail::submit(queue_, detail::method_number(queue_, method), options_, arguments));
  }
  /// The same with an argument list that is MessagePack already: an array.
  void schedule_encoded(std::string_view method, const ScheduleOptions& options,
                        const std::string& arguments) const {
    detail::make_schedule(queue_, method, options, arguments);
  }
  /// Makes a schedule that calls the method again and again; waits for the broker.
  template <class... A>
  void schedule(std::string_view method, const ScheduleOptions& options, A&&... arguments) const {
    detail::schedule_as<detail::AsGiven<A...>>(queue_, method, options, arguments...);
  }
  /// The same handle, whose calls have these options.
  AnyActor with(const CallOptions& options) const {
    return AnyActor(queue_, detail::prepare(options));
  }
};

template <class C>
struct Codec<Actor<C>> {
  static std::string name() { return "actor<" + std::string(description<C>.name()) + ">"; }
  static void encode(wire::Writer& out, const Actor<C>& actor) {
    detail::encode_handle(out, actor.queue());
  }
  static bool decode(Decoder& in, Actor<C>& actor) {
    detail::QueuePtr queue;
    if (!detail::decode_handle(in, description<C>.name(), detail::method_names<C>(), queue)) {
      return false;
    }
    actor = Actor<C>(std::move(queue));
    return true;
  }
};

template <>
struct Codec<AnyActor> {
  static std::string name() { return "actor"; }
  static void encode(wire::Writer& out, const AnyActor& actor) {
    detail::encode_handle(out, actor.queue());
  }
  static bool decode(Decoder& in, AnyActor& actor) {
    detail::QueuePtr queue;
    if (!detail::decode_handle(in, "", {}, queue)) return false;
    actor = AnyActor(std::move(queue));
    return true;
  }
};

}  // namespace callboard
