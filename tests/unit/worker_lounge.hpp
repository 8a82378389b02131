// An actor class for the tests of event loops: coroutines that wait, block, fail and leave things
// behind.
#pragma once

#include "tests/unit/worker_executor_fixture.hpp"

#include <callboard/asio.hpp>
#include <callboard/context.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace callboard::worker {

namespace asio = boost::asio;

/// Long enough that only a cancellation or another call ends the wait.
inline constexpr std::chrono::hours kLong{1};

class Lounge {
 public:
  Lounge() : threads_{std::this_thread::get_id()} { ++scene->alive; }
  ~Lounge() {
    note_thread();
    scene->note("threads " + std::to_string(threads_.size()));
    --scene->alive;
  }

  /// Waits for release(), without holding up the loop.
  Async<int> wait(int n) {
    note_thread();
    ++inside_;
    most_ = std::max(most_, inside_);
    auto timer = std::make_shared<asio::steady_timer>(co_await asio::this_coro::executor, kLong);
    waiting_.push_back(timer);
    scene->note("waits " + std::to_string(n));
    boost::system::error_code ended;
    co_await timer->async_wait(asio::redirect_error(asio::use_awaitable, ended));
    note_thread();
    std::erase(waiting_, timer);
    --inside_;
    if (this_call().cancel_requested()) throw boost::system::system_error(ended);
    co_return n;
  }
  /// Wakes the one that has waited longest, or everybody.
  int release(bool all) {
    int released = 0;
    for (const auto& timer : waiting_) {
      timer->cancel();
      ++released;
      if (!all) break;
    }
    return released;
  }
  int most() { return most_; }
  Async<int> quick(int n) {
    note_thread();
    co_return n + 1;
  }
  Async<std::string> greet(const std::string& name) {
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
    co_return "hello " + name;
  }
  Async<void> fail() {
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
    throw std::domain_error("late");
  }
  Async<void> sleep() {
    asio::steady_timer timer(co_await asio::this_coro::executor, kLong);
    co_await timer.async_wait(asio::use_awaitable);
  }
  /// Answers with a value although it was asked to stop.
  Async<std::string> stubborn() {
    try {
      co_await sleep();
    } catch (const boost::system::system_error&) {
    }
    co_return "finished all the same";
  }
  /// Keeps the whole loop from turning.
  Async<void> block() {
    scene->gate.pass();
    co_return;
  }
  void block_plain() { scene->gate.pass(); }
  int plain(int n) {
    note_thread();
    return -n;
  }
  Async<void> leave_behind() {
    asio::co_spawn(co_await asio::this_coro::executor, sleep(), asio::detached);
  }
  Async<void> leave_thrower() {
    asio::post(co_await asio::this_coro::executor, [] { throw std::runtime_error("stray"); });
  }
  /// A handler that runs within the coroutine: what it throws is not the coroutine's, and
  /// this_call() in it is the call.
  Async<bool> dispatch_thrower() {
    const std::uint64_t mine = this_call().id().seq;
    bool same = false;
    asio::dispatch(co_await asio::this_coro::executor, [&] {
      same = this_call().id().seq == mine;
      throw std::runtime_error("dispatched");
    });
    co_return same && this_call().id().seq == mine;
  }

 private:
  friend consteval auto describe(Class<Lounge> c) {
    return c.name("Lounge").method<&Lounge::wait>("wait").method<&Lounge::release>("release")
        .method<&Lounge::most>("most").method<&Lounge::quick>("quick")
        .method<&Lounge::greet>("greet").method<&Lounge::fail>("fail")
        .method<&Lounge::sleep>("sleep").method<&Lounge::stubborn>("stubborn")
        .method<&Lounge::block>("block", {.group = "blocking"})
        .method<&Lounge::block_plain>("block_plain").method<&Lounge::plain>("plain")
        .method<&Lounge::leave_behind>("leave_behind")
        .method<&Lounge::leave_thrower>("leave_thrower")
        .method<&Lounge::dispatch_thrower>("dispatch_thrower");
  }

  void note_thread() { threads_.insert(std::this_thread::get_id()); }

  std::set<std::thread::id> threads_;
  std::vector<std::shared_ptr<asio::steady_timer>> waiting_;
  int inside_ = 0;
  int most_ = 0;
};

class LoungeTest : public ExecutorTest {
 protected:
  LoungeTest() { environment_.loop_warn_ms = 3'600'000; }

  static wire::ActorOptions limit(std::uint32_t n) {
    wire::ActorOptions options;
    options.max_concurrency = n;
    return options;
  }
};

}  // namespace callboard::worker
