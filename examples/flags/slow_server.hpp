// A real HTTP server that answers slowly: the files of one folder, each answer `delay` late.
//
// One thread of its own, ended by the destructor. peak() and served() may be asked by any thread.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>

namespace demos {

class SlowServer {
 public:
  /// Listens on a free port of `address`. Throws boost::system::system_error.
  SlowServer(const std::string& address, std::filesystem::path folder,
             std::chrono::milliseconds delay);
  ~SlowServer();
  SlowServer(const SlowServer&) = delete;
  SlowServer& operator=(const SlowServer&) = delete;

  std::string url(const std::string& file) const;
  /// The most requests that were waiting for their answer at once, since the last call.
  int take_peak() { return peak_.exchange(0); }

 private:
  using Socket = boost::asio::ip::tcp::socket;
  boost::asio::awaitable<void> accept();
  boost::asio::awaitable<void> answer(Socket socket);

  std::filesystem::path folder_;
  std::chrono::milliseconds delay_;
  boost::asio::io_context io_;
  boost::asio::ip::tcp::acceptor acceptor_;
  int open_ = 0;
  std::atomic<int> peak_{0};
  std::thread thread_;
};

}  // namespace demos
