#include "examples/flags/fetcher.hpp"

#include <callboard/asio.hpp>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <stdexcept>

namespace demos {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

struct Url {
  std::string host;
  std::string port;
  std::string request;

  /// "http://127.0.0.1:8080/de.png"
  explicit Url(const std::string& url) {
    const auto colon = url.find(':', 7);
    const auto slash = url.find('/', 7);
    if (!url.starts_with("http://") || colon > slash || slash == url.npos) {
      throw std::invalid_argument("not http://host:port/path: " + url);
    }
    host = url.substr(7, colon - 7);
    port = url.substr(colon + 1, slash - colon - 1);
    request = "GET " + url.substr(slash) + " HTTP/1.0\r\nHost: " + host + "\r\n\r\n";
  }
};

callboard::Bytes body_of(const std::string& response) {
  const auto end = response.find("\r\n\r\n");
  if (!response.starts_with("HTTP/1.0 200 ") || end == response.npos) {
    throw std::runtime_error("the server said: " + response.substr(0, response.find('\r')));
  }
  return {response.substr(end + 4)};
}

}  // namespace

callboard::Bytes Fetcher::get(std::string text) {
  const Url url(text);
  asio::io_context io;
  tcp::socket socket(io);
  asio::connect(socket, tcp::resolver(io).resolve(url.host, url.port));
  asio::write(socket, asio::buffer(url.request));

  std::string response;
  boost::system::error_code ended;  // HTTP/1.0: the answer ends where the connection does
  asio::read(socket, asio::dynamic_buffer(response), ended);
  return body_of(response);
}

callboard::Async<callboard::Bytes> AsyncFetcher::get(std::string text) {
  const Url url(text);
  const auto loop = co_await asio::this_coro::executor;
  tcp::resolver resolver(loop);
  tcp::socket socket(loop);
  const auto found = co_await resolver.async_resolve(url.host, url.port, asio::use_awaitable);
  co_await asio::async_connect(socket, found, asio::use_awaitable);
  co_await asio::async_write(socket, asio::buffer(url.request), asio::use_awaitable);

  std::string response;
  boost::system::error_code ended;
  co_await asio::async_read(socket, asio::dynamic_buffer(response),
                            asio::redirect_error(asio::use_awaitable, ended));
  co_return body_of(response);
}

}  // namespace demos
