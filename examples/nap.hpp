// "co_await nap(10ms)": a coroutine's sleep on its own event loop.
#pragma once

#include <callboard/asio.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>

namespace demos {

inline callboard::Async<void> nap(std::chrono::microseconds how_long) {
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor, how_long);
  co_await timer.async_wait(boost::asio::use_awaitable);
}

}  // namespace demos
