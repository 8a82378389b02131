#include "examples/flags/slow_server.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>
#include <utility>

namespace demos {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

// Below the range from which outgoing connections take their ports.
constexpr int kPortMin = 20000;
constexpr int kPortMax = 32000;

tcp::acceptor listen(asio::io_context& io, const std::string& address) {
  const auto host = asio::ip::make_address(address);
  for (int port = kPortMin; port < kPortMax; ++port) {
    try {
      return {io, tcp::endpoint(host, static_cast<asio::ip::port_type>(port)), false};
    } catch (const boost::system::system_error& error) {
      if (error.code() != asio::error::address_in_use) throw;
    }
  }
  throw boost::system::system_error(asio::error::address_in_use);
}

std::string response(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return "HTTP/1.0 404 Not Found\r\n\r\n";
  const std::string body(std::istreambuf_iterator<char>(in), {});
  return "HTTP/1.0 200 OK\r\nContent-Type: image/png\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace

SlowServer::SlowServer(const std::string& address, std::filesystem::path folder,
                       std::chrono::milliseconds delay)
    : folder_(std::move(folder)), delay_(delay), acceptor_(listen(io_, address)) {
  asio::co_spawn(io_, accept(), asio::detached);
  thread_ = std::thread([this] { io_.run(); });
}

SlowServer::~SlowServer() {
  io_.stop();
  thread_.join();
}

std::string SlowServer::url(const std::string& file) const {
  std::ostringstream out;
  out << "http://" << acceptor_.local_endpoint() << '/' << file;
  return out.str();
}

asio::awaitable<void> SlowServer::accept() {
  for (;;) {
    Socket socket = co_await acceptor_.async_accept(asio::use_awaitable);
    asio::co_spawn(io_, answer(std::move(socket)), asio::detached);
  }
}

asio::awaitable<void> SlowServer::answer(Socket socket) {
  const auto quiet = asio::as_tuple(asio::use_awaitable);  // a client that goes away is no error
  std::string request;
  co_await asio::async_read_until(socket, asio::dynamic_buffer(request, 8192), "\r\n\r\n", quiet);
  std::string method, path;
  std::istringstream(request) >> method >> path;

  peak_ = std::max(peak_.load(), ++open_);
  co_await asio::steady_timer(socket.get_executor(), delay_).async_wait(quiet);
  --open_;
  const std::string out = response(folder_ / std::filesystem::path(path).filename());
  co_await asio::async_write(socket, asio::buffer(out), quiet);
}

}  // namespace demos
