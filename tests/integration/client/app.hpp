// What the tests of the C++ client call.
#pragma once

#include <callboard/callboard.hpp>

#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

namespace client_app {

/// Counts, naps, fails, and tells what a call knows of itself.
class Counter {
 public:
  explicit Counter(int start);
  int add(int n);
  int get() const;
  int nap(int ms);
  int add_slowly(int n, int ms);
  void fail(std::string why);
  std::string greet(std::string name, std::optional<int> times);
  callboard::Bytes echo(callboard::Bytes bytes);
  /// attempt, deadline left in ms (-1: none), value of the header "colour"
  std::tuple<int, long, std::string> context();
  /// Waits, in small steps, until the call is cancelled; then throws.
  void wait_for_cancel();
  /// Calls itself and waits: it can never end well.
  int wait_for_myself(callboard::Actor<Counter> me);

  friend consteval auto describe(callboard::Class<Counter> c) {
    return c.name("client_app.Counter")
        .constructor<int>()
        .method<&Counter::add>("add")
        .method<&Counter::get>("get")
        .method<&Counter::nap>("nap")
        .method<&Counter::add_slowly>("add_slowly")
        .method<&Counter::fail>("fail")
        .method<&Counter::greet>("greet")
        .method<&Counter::echo>("echo")
        .method<&Counter::context>("context")
        .method<&Counter::wait_for_cancel>("wait_for_cancel")
        .method<&Counter::wait_for_myself>("wait_for_myself");
  }

 private:
  int value_;
};

/// Takes big values, keeps them, gives them back.
class Store {
 public:
  callboard::Buffer pass(callboard::Buffer value) { return value; }
  std::vector<std::uint8_t> reversed(std::vector<std::uint8_t> bytes);
  std::string joined(std::string one, int number, std::string other);
  std::size_t keep(callboard::Buffer value);
  callboard::Buffer kept() const { return kept_; }
  callboard::Bytes made(std::size_t bytes, int letter);
  callboard::Buffer pass_slowly(callboard::Buffer value, int ms);
  int pid() const;
  callboard::Async<callboard::Buffer> pass_later(callboard::Buffer value);

  friend consteval auto describe(callboard::Class<Store> c) {
    return c.name("client_app.Store")
        .method<&Store::pass>("pass")
        .method<&Store::reversed>("reversed")
        .method<&Store::joined>("joined")
        .method<&Store::keep>("keep")
        .method<&Store::kept>("kept")
        .method<&Store::made>("made")
        .method<&Store::pass_slowly>("pass_slowly")
        .method<&Store::pid>("pid")
        .method<&Store::pass_later>("pass_later");
  }

 private:
  callboard::Buffer kept_;
};

/// Calls others from its coroutines.
class Caller {
 public:
  explicit Caller(callboard::Actor<Counter> counter);
  callboard::Async<int> add_through(int n);
  /// What a call made here knows, and what it fails with.
  callboard::Async<std::tuple<int, long, std::string>> context_through();
  callboard::Async<std::string> failure_through();
  /// The actor that it was given.
  callboard::Actor<Counter> counter() const;

  friend consteval auto describe(callboard::Class<Caller> c) {
    return c.name("client_app.Caller")
        .constructor<callboard::Actor<Counter>>()
        .method<&Caller::add_through>("add_through")
        .method<&Caller::context_through>("context_through")
        .method<&Caller::failure_through>("failure_through")
        .method<&Caller::counter>("counter");
  }

 private:
  callboard::Actor<Counter> counter_;
};

/// The constructor throws.
struct Broken {
  Broken();
  int run();
  friend consteval auto describe(callboard::Class<Broken> c) {
    return c.name("client_app.Broken").method<&Broken::run>("run");
  }
};

/// No worker has it.
struct Nowhere {
  int run();
  friend consteval auto describe(callboard::Class<Nowhere> c) {
    return c.name("client_app.Nowhere").method<&Nowhere::run>("run");
  }
};

int twice(int n);
inline constexpr callboard::Task<&twice> twice_task{"client_app.twice"};
int sum(int a, int b);
inline constexpr callboard::Task<&sum> sum_task{"client_app.sum"};
int fail_task_function(int n);
inline constexpr callboard::Task<&fail_task_function> fail_task{"client_app.fail"};

}  // namespace client_app
