#include "app.hpp"

#include <callboard/asio.hpp>
#include <callboard/registry.hpp>

#include <unistd.h>

#include <chrono>
#include <stdexcept>
#include <thread>

namespace client_app {

using namespace std::chrono_literals;

Counter::Counter(int start) : value_(start) {}
int Counter::add(int n) { return value_ += n; }
int Counter::get() const { return value_; }
int Counter::nap(int ms) {
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
  return ms;
}
int Counter::add_slowly(int n, int ms) {
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
  return value_ += n;
}
void Counter::fail(std::string why) { throw std::out_of_range(why); }
std::string Counter::greet(std::string name, std::optional<int> times) {
  std::string text;
  for (int i = 0; i < times.value_or(1); ++i) text += "hello " + name + "!";
  return text;
}
callboard::Bytes Counter::echo(callboard::Bytes bytes) { return bytes; }

std::tuple<int, long, std::string> Counter::context() {
  const auto call = callboard::this_call();
  const auto left = call.deadline_remaining();
  const auto headers = call.headers();
  const auto colour = headers.find("colour");
  return {static_cast<int>(call.attempt()), left ? static_cast<long>(left->count()) : -1,
          colour == headers.end() ? "" : colour->second};
}

void Counter::wait_for_cancel() {
  const auto call = callboard::this_call();
  for (int i = 0; i < 2000 && !call.cancel_requested(); ++i) std::this_thread::sleep_for(5ms);
  if (call.cancel_requested()) throw std::runtime_error("stopped when asked to");
}

int Counter::wait_for_myself(callboard::Actor<Counter> me) {
  return me.call<&Counter::add>(1).get();
}

std::vector<std::uint8_t> Store::reversed(std::vector<std::uint8_t> bytes) {
  return {bytes.rbegin(), bytes.rend()};
}
std::string Store::joined(std::string one, int number, std::string other) {
  return one + std::to_string(number) + other;
}
std::size_t Store::keep(callboard::Buffer value) {
  kept_ = std::move(value);
  return kept_.size();
}
callboard::Bytes Store::made(std::size_t bytes, int letter) {
  return {std::string(bytes, static_cast<char>(letter))};
}
callboard::Buffer Store::pass_slowly(callboard::Buffer value, int ms) {
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
  return value;
}
int Store::pid() const { return ::getpid(); }
callboard::Async<callboard::Buffer> Store::pass_later(callboard::Buffer value) {
  co_return value;
}

Caller::Caller(callboard::Actor<Counter> counter) : counter_(std::move(counter)) {}

callboard::Async<int> Caller::add_through(int n) {
  const callboard::Future<int> first = counter_.call<&Counter::add>(n);
  const int total = co_await first;
  co_return total + co_await counter_.call<&Counter::add>(0) - total;
}

callboard::Async<std::tuple<int, long, std::string>> Caller::context_through() {
  co_return co_await counter_.call<&Counter::context>();
}

callboard::Async<std::string> Caller::failure_through() {
  try {
    co_await counter_.call<&Counter::fail>("from afar");
  } catch (const callboard::TaskError& error) {
    co_return error.remote_type() + ": " + error.info().message;
  }
  co_return "nothing";
}

callboard::Actor<Counter> Caller::counter() const { return counter_; }

Broken::Broken() { throw std::logic_error("cannot be made"); }
int Broken::run() { return 1; }

int twice(int n) { return 2 * n; }
int sum(int a, int b) { return a + b; }
int fail_task_function(int n) { throw std::invalid_argument("not " + std::to_string(n)); }

}  // namespace client_app

CALLBOARD_LIBRARY(registry) {
  registry.add<client_app::Counter>()
      .add<client_app::Store>()
      .add<client_app::Caller>()
      .add<client_app::Broken>()
      .add<client_app::twice_task>()
      .add<client_app::sum_task>()
      .add<client_app::fail_task>();
}
