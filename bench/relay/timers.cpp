// What Asio alone does with timers: `--at-once N` coroutines, each of which waits for one timer of
// 1 ms after the other, in one thread, for a second or as `--seconds` says. The ceiling for an
// async actor whose method does just that.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace {

using Clock = std::chrono::steady_clock;

boost::asio::awaitable<void> wait_again(boost::asio::io_context& context, Clock::time_point end,
                                        std::uint64_t& count) {
  while (Clock::now() < end) {
    boost::asio::steady_timer timer(context, std::chrono::milliseconds(1));
    co_await timer.async_wait(boost::asio::use_awaitable);
    ++count;
  }
}

}  // namespace

int main(int argc, char** argv) {
  long at_once = 1000, seconds = 1;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--at-once") == 0) at_once = std::atol(argv[i + 1]);
    if (std::strcmp(argv[i], "--seconds") == 0) seconds = std::atol(argv[i + 1]);
  }
  boost::asio::io_context context(1);
  std::uint64_t count = 0;
  const auto began = Clock::now();
  const auto end = began + std::chrono::seconds(seconds);
  for (long i = 0; i < at_once; ++i) {
    boost::asio::co_spawn(context, wait_again(context, end, count), boost::asio::detached);
  }
  context.run();
  const std::chrono::duration<double> took = Clock::now() - began;
  std::printf("{\"calls\": %llu, \"seconds\": %.4f, \"calls_per_s\": %.1f}\n",
              static_cast<unsigned long long>(count), took.count(),
              static_cast<double>(count) / took.count());
}
