// this_call() inside methods: right in every thread, in every piece of a coroutine, and in nothing
// else; the same for what the crash handler would name.

#include "common/clock.hpp"
#include "tests/unit/worker_executor_fixture.hpp"
#include "worker/crash_handler.hpp"

#include <callboard/asio.hpp>
#include <callboard/context.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace callboard::worker {

namespace {

namespace asio = boost::asio;

std::uint64_t here() { return this_call().id().seq; }

/// How often, in `rounds` waits of several kinds, this_call() was not `mine`.
Async<int> strangers(std::uint64_t mine, int rounds) {
  int wrong = 0;
  const auto executor = co_await asio::this_coro::executor;
  asio::steady_timer timer(executor);
  for (int i = 0; i < rounds; ++i) {
    if (here() != mine) ++wrong;
    if (running_slot != mine % 1000 + 1) ++wrong;  // the ticket that NotingHost gives
    switch (i % 3) {
      case 0: co_await asio::post(executor, asio::use_awaitable); break;
      case 1: co_await asio::dispatch(executor, asio::use_awaitable); break;
      default:
        timer.expires_after(std::chrono::microseconds(i % 7));
        co_await timer.async_wait(asio::use_awaitable);
    }
  }
  co_return wrong;
}

class Mirror {
 public:
  Mirror() : id_in_constructor_(here()) {}

  std::string facts() {
    const ThisCall call = this_call();
    std::string text = std::string(call.queue()) + " " + std::string(call.method()) + " attempt " +
                       std::to_string(call.attempt()) + " epoch " + std::to_string(call.epoch()) +
                       " actor " + std::to_string(call.actor().seq);
    for (const auto& [key, value] : call.headers()) text += " " + key + "=" + value;
    return text;
  }
  std::optional<std::int64_t> remaining() {
    const auto left = this_call().deadline_remaining();
    if (!left) return std::nullopt;
    return left->count();
  }
  std::uint64_t plain_id() {
    scene->gate.pass();
    return here();
  }
  std::uint64_t constructor_id() { return id_in_constructor_; }
  Async<int> interleaved(int rounds) { return strangers(here_when_called(), rounds); }
  /// The child outlives the method that began it.
  Async<void> with_child(int rounds) {
    const std::uint64_t mine = here();
    asio::co_spawn(co_await asio::this_coro::executor, child(mine, rounds), asio::detached);
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
  }
  /// The actor keeps a timer, and with it the executor of the call that made it.
  Async<std::uint64_t> keep_timer() {
    kept_.emplace(co_await asio::this_coro::executor);
    kept_->expires_after(std::chrono::microseconds(1));
    co_await kept_->async_wait(asio::use_awaitable);
    co_return here();
  }
  Async<std::uint64_t> use_kept_timer() {
    kept_->expires_after(std::chrono::microseconds(1));
    co_await kept_->async_wait(asio::use_awaitable);
    co_return here();
  }

 private:
  friend consteval auto describe(Class<Mirror> c) {
    return c.name("Mirror").method<&Mirror::facts>("facts").method<&Mirror::remaining>("remaining")
        .method<&Mirror::plain_id>("plain_id").method<&Mirror::constructor_id>("constructor_id")
        .method<&Mirror::interleaved>("interleaved").method<&Mirror::with_child>("with_child")
        .method<&Mirror::keep_timer>("keep_timer")
        .method<&Mirror::use_kept_timer>("use_kept_timer");
  }

  std::uint64_t here_when_called() { return here(); }
  Async<void> child(std::uint64_t mine, int rounds) {
    int wrong = 0;
    for (int i = 0; i < rounds; ++i) {
      co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
      if (here() != mine) ++wrong;
    }
    scene->note("child " + std::to_string(wrong));
  }

  std::uint64_t id_in_constructor_;
  std::optional<asio::steady_timer> kept_;
};

class ContextTest : public ExecutorTest {};

TEST_F(ContextTest, MethodSeesWhoItIsAndWhatItsCallerSent) {
  Executor& mirror = actor<Mirror>({});
  Job made = job("facts");
  made.attempt = 4;
  wire::CallOptions options;
  wire::Writer headers(options.headers);
  headers.map(1);
  headers.str("traceparent");
  headers.str("00-abc");
  made.options = encoded(options);
  EXPECT_EQ(result<std::string>(submit(mirror, std::move(made))),
            "desk facts attempt 4 epoch 3 actor 1 traceparent=00-abc");
  EXPECT_EQ(result<std::string>(call(mirror, "facts")), "desk facts attempt 1 epoch 3 actor 1")
      << "the headers of the call before are gone";
}

TEST_F(ContextTest, DeadlineIsToldAsWhatRemainsOfIt) {
  Executor& mirror = actor<Mirror>({});
  Job made = job("remaining");
  made.deadline_us = steady_us() + 3'600'000'000;
  const auto left = result<std::optional<std::int64_t>>(submit(mirror, std::move(made)));
  ASSERT_TRUE(left);
  EXPECT_GT(*left, 3'000'000);
  EXPECT_LE(*left, 3'600'000);
  EXPECT_FALSE(result<std::optional<std::int64_t>>(call(mirror, "remaining")));
}

TEST_F(ContextTest, ThereIsNoCallOutsideOfOneNorInAConstructor) {
  EXPECT_FALSE(this_call());
  Executor& mirror = actor<Mirror>({});
  EXPECT_EQ(result<std::uint64_t>(call(mirror, "constructor_id")), 0u);
  EXPECT_EQ(running_slot, kNoSlot);
}

TEST_F(ContextTest, ThreadsOfOneActorSeeEachItsOwnCall) {
  wire::ActorOptions options;
  options.mode = wire::Mode::threaded;
  options.max_concurrency = 8;
  Executor& mirror = actor<Mirror>(options);
  for (int i = 0; i < 8; ++i) call(mirror, "plain_id");
  ASSERT_TRUE(scene_.gate.wait_inside(8));
  scene_.gate.open();
  for (std::uint64_t lease = 1; lease <= 8; ++lease) {
    EXPECT_EQ(result<std::uint64_t>(lease), lease);
  }
}

TEST_F(ContextTest, InterleavedCoroutinesSeeEachItsOwnCallAfterEveryWait) {
  Executor& mirror = actor<Mirror>({});
  constexpr std::uint64_t kCoroutines = 50;
  std::vector<Job> jobs;
  for (std::uint64_t i = 0; i < kCoroutines; ++i) jobs.push_back(job("interleaved", 60));
  mirror.submit(jobs);
  for (std::uint64_t lease = 1; lease <= kCoroutines; ++lease) {
    EXPECT_EQ(result<int>(lease), 0);
  }
}

TEST_F(ContextTest, PlainMethodBetweenCoroutinesSeesItself) {
  Executor& mirror = actor<Mirror>({});
  scene_.gate.open();
  std::vector<Job> jobs;
  for (int i = 0; i < 20; ++i) {
    jobs.push_back(job("interleaved", 30));
    jobs.push_back(job("plain_id"));
  }
  mirror.submit(jobs);
  for (std::uint64_t lease = 1; lease <= 40; lease += 2) {
    EXPECT_EQ(result<int>(lease), 0);
    EXPECT_EQ(result<std::uint64_t>(lease + 1), lease + 1);
  }
}

TEST_F(ContextTest, WhatACoroutineLeavesBehindKeepsItsCall) {
  Executor& mirror = actor<Mirror>({});
  call(mirror, "with_child", 200);
  for (int i = 0; i < 100; ++i) outcome(call(mirror, "interleaved", 2));
  ASSERT_TRUE(host_.wait_for_outcomes(101));
  ASSERT_TRUE(scene_.wait_for_lines(1));
  EXPECT_THAT(log(), ::testing::ElementsAre("child 0"));
}

TEST_F(ContextTest, ExecutorThatAnActorKeepsOutlivesItsCall) {
  Executor& mirror = actor<Mirror>({});
  const std::uint64_t maker = call(mirror, "keep_timer");
  EXPECT_EQ(result<std::uint64_t>(maker), maker);
  for (int i = 0; i < 100; ++i) {
    const std::uint64_t lease = call(mirror, "use_kept_timer");
    EXPECT_EQ(result<std::uint64_t>(lease), lease);
  }
  stop(mirror);
}

}  // namespace

}  // namespace callboard::worker
