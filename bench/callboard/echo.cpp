#include "bench/callboard/echo.hpp"

#include <callboard/asio.hpp>
#include <callboard/registry.hpp>

#include <chrono>
#include <utility>

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

namespace bench {

callboard::Bytes Echo::answer(callboard::Bytes message) {
  inspector_.answer(message.data.data(), message.data.size());
  return message;
}

callboard::Async<callboard::Bytes> Timer::answer(callboard::Bytes message) {
  inspector_.answer(message.data.data(), message.data.size());
  boost::asio::steady_timer timer(co_await boost::asio::this_coro::executor,
                                  std::chrono::milliseconds(1));
  co_await timer.async_wait(boost::asio::use_awaitable);
  co_return message;
}

}  // namespace bench

CALLBOARD_LIBRARY(registry) {
  registry.add<bench::Echo>();
  registry.add<bench::Timer>();
}
