// The way in: a connection to a broker, from which actors, deployments and tasks are called.
//
//   callboard::Client client("tcp://127.0.0.1:7700");
//   auto hits = client.actor<Counter>({.name = "hits"}, 10);
//   int total = hits.call<&Counter::add>(1).get();
//   auto small = client.call(resize_task, "a.png", 64);
//
// A client connects in the background, reconnects by itself, and resends without repeating. One per
// process is enough; its thread does the work for any number of threads that call. A thread that
// makes one call at a time and waits for each does that work itself meanwhile.
// Thread safety: all of it, except destruction and move.
#pragma once

#include <callboard/actor.hpp>
#include <callboard/arguments.hpp>
#include <callboard/description.hpp>
#include <callboard/future.hpp>
#include <callboard/options.hpp>
#include <callboard/value.hpp>

#include <chrono>
#include <concepts>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace callboard {

namespace client {
class Core;
}

class Client {
 public:
  /// One address, or several with commas in between: the broker and its standbys.
  /// Throws Error (invalid_option) when that is no address. Does not wait for the broker.
  explicit Client(std::string_view endpoints);
  explicit Client(ClientOptions options);
  /// Over a connection that exists; for workers.
  explicit Client(std::shared_ptr<client::Core> core);
  /// close()
  ~Client();
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;

  /// Makes an actor of class C. Returns at once; errors come with opened() and with its calls.
  template <class C, class... A>
  Actor<C> actor(ActorOptions options, A&&... arguments) {
    options.replicas = 0;
    return Actor<C>(create<C>(std::move(options), arguments...));
  }
  /// The same with all options as they are by default: an actor without a name, owned by this
  /// client.
  template <class C, class... A>
    requires(sizeof...(A) == 0 ||
             !(std::is_same_v<std::remove_cvref_t<A>, ActorOptions> || ...))
  Actor<C> actor(A&&... arguments) {
    return Actor<C>(create<C>(ActorOptions(), arguments...));
  }
  /// Makes `options.replicas` actors (1 if not said) behind one handle; each call goes to one that
  /// is free.
  template <class C, class... A>
  Actor<C> deployment(ActorOptions options, A&&... arguments) {
    if (options.replicas == 0) options.replicas = 1;
    return Actor<C>(create<C>(std::move(options), arguments...));
  }

  /// A handle for an actor or deployment by name ("name" or "namespace/name") or id. Returns at
  /// once; where there is none, opened() and calls fail with unknown_actor.
  AnyActor get_actor(std::string_view name);
  AnyActor get_actor(ActorId id);
  template <class C>
  Actor<C> get_actor(std::string_view name) {
    return Actor<C>(open(name, description<C>.name(), detail::method_names<C>()));
  }
  template <class C>
  Actor<C> get_actor(ActorId id) {
    return Actor<C>(open(id, description<C>.name(), detail::method_names<C>()));
  }

  /// Makes an actor of a class that is not known here; `arguments` is an encoded list.
  AnyActor create_encoded(std::string_view class_name, ActorOptions options,
                          std::string arguments);

  /// Submits a task.
  template <auto F, class... A>
  Future<typename Task<F>::Result> call(const Task<F>& task, A&&... arguments) {
    using Params = typename Task<F>::Params;
    detail::check_arguments<Params, A...>();
    return Future<typename Task<F>::Result>(
        detail::submit_as<Params>(task_queue(task.name), 0, nullptr, arguments...));
  }
  template <auto F, class... A>
  Future<typename Task<F>::Result> call(const CallOptions& options, const Task<F>& task,
                                        A&&... arguments) {
    using Params = typename Task<F>::Params;
    detail::check_arguments<Params, A...>();
    return Future<typename Task<F>::Result>(detail::submit_as<Params>(
        task_queue(task.name), 0, detail::prepare(options), arguments...));
  }
  /// Submits a task whose result nobody wants.
  template <auto F, class... A>
  void send(const Task<F>& task, A&&... arguments) {
    detail::check_arguments<typename Task<F>::Params, A...>();
    detail::send_as<typename Task<F>::Params>(task_queue(task.name), 0, nullptr, arguments...);
  }
  /// Submits a task by name; `arguments` is an encoded list.
  Future<Encoded> call_encoded(std::string_view task, std::string arguments,
                               const CallOptions& options = {});

  /// Makes a schedule that submits a task again and again; waits for the broker. For methods:
  /// Actor::schedule().
  template <auto F, class... A>
  void schedule(const ScheduleOptions& options, const Task<F>& task, A&&... arguments) {
    using Params = typename Task<F>::Params;
    detail::check_arguments<Params, A...>();
    detail::schedule_as<Params>(task_queue(task.name), "", options, arguments...);
  }
  /// The same by the task's name; `arguments` is an encoded list.
  void schedule_encoded(const ScheduleOptions& options, std::string_view task,
                        const std::string& arguments) {
    detail::make_schedule(task_queue(task), "", options, arguments);
  }
  /// What a schedule has made goes on; it makes no more calls. Throws (unknown_actor) when there is
  /// none of that name.
  void remove_schedule(std::string_view name);
  /// No calls until it is resumed; what was due meanwhile is left out.
  void pause_schedule(std::string_view name);
  void resume_schedule(std::string_view name);

  /// Cancels any call, also of another client.
  CancelAnswer cancel(CallId call, bool force = false);
  Future<CancelAnswer> cancel_async(CallId call, bool force = false);

  /// Asks the broker: an administrative verb (docs/admin.md) and an encoded map. Fails with
  /// Disconnected when the connection was lost before the answer: then it may have been done.
  Future<Encoded> admin(std::string_view verb, Encoded info = {});

  /// True while the broker answers.
  bool connected() const;
  /// Waits for that. False when the time was over first, or the broker refused this client for
  /// good; then error() says why.
  bool wait_connected(std::chrono::nanoseconds timeout) const;
  /// Why this client does not work any more, if so.
  std::optional<ErrorInfo> error() const;
  /// Calls that have no answer yet.
  std::uint64_t unanswered() const;

  /// Waits at most ClientOptions::close_timeout until what was submitted is accepted, says goodbye,
  /// and ends. Futures without an answer fail with Disconnected. Handles cannot be used any more.
  void close();

  const std::shared_ptr<client::Core>& core() const { return core_; }

 private:
  template <class C, class... A>
  detail::QueuePtr create(ActorOptions options, const A&... arguments) {
    using Params = typename std::remove_const_t<decltype(description<C>)>::Constructor;
    static_assert(!detail::kAnyFuture<A...>,
                  "callboard: a constructor takes values; get() the future first");
    detail::check_arguments<Params, const A&...>();
    for (const MethodEntry& method : description<C>.methods()) {
      if (method.group.empty()) continue;
      options.method_groups.emplace(method.name, method.group);
    }
    return detail::with_arguments<Params>(
        [&](const std::string& args) {
          return create(description<C>.name(), std::move(options), args,
                        detail::method_names<C>());
        },
        std::index_sequence_for<A...>{}, arguments...);
  }
  detail::QueuePtr create(std::string_view class_name, ActorOptions options, std::string args,
                          std::vector<std::string> methods);
  detail::QueuePtr open(std::string_view name, std::string_view class_name,
                        std::vector<std::string> methods);
  detail::QueuePtr open(ActorId id, std::string_view class_name,
                        std::vector<std::string> methods);
  detail::QueuePtr task_queue(std::string_view name);

  std::shared_ptr<client::Core> core_;
};

}  // namespace callboard
