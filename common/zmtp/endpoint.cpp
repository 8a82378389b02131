#include "common/zmtp/endpoint.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <charconv>
#include <cstddef>
#include <cstring>
#include <utility>

namespace callboard::zmtp {

namespace {

constexpr std::string_view kTcp = "tcp://";
constexpr std::string_view kIpc = "ipc://";

bool is_name(std::string_view host) {
  constexpr std::string_view kLetters =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_0123456789.";
  constexpr std::string_view kDigits = "0123456789.";
  return host.find_first_not_of(kLetters) == std::string_view::npos &&
         host.find_first_not_of(kDigits) != std::string_view::npos;
}

}  // namespace

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), port);
  if (end.ec != std::errc() || end.ptr != text.data() + text.size()) return {};
  return port;
}

std::optional<SocketAddress> path_address(std::string_view path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) return {};
  std::memcpy(address.sun_path, path.data(), path.size());
  // The name of an abstract one is all its bytes; that of a file ends with a zero.
  const bool abstract = path.front() == '@';
  if (abstract && path.size() == 1) return {};
  if (abstract) address.sun_path[0] = '\0';
  const std::size_t size = offsetof(sockaddr_un, sun_path) + path.size() + (abstract ? 0 : 1);
  return copy_of(reinterpret_cast<const sockaddr*>(&address), size);
}

std::optional<SocketAddress> numeric_address(std::string_view host, std::uint16_t port) {
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  if (host.empty()) return {};
  auto addresses = numeric_addresses(std::string(host), port);
  if (addresses.empty()) return {};
  return std::move(addresses.front());
}

std::optional<Endpoint> parse_endpoint(std::string_view text) {
  if (text.starts_with(kIpc)) {
    auto address = path_address(text.substr(kIpc.size()));
    if (!address) return {};
    return Endpoint{std::move(address), {}, 0};
  }
  const std::size_t colon = text.rfind(':');
  if (!text.starts_with(kTcp) || colon < kTcp.size()) return {};
  const std::string_view host = text.substr(kTcp.size(), colon - kTcp.size());
  const auto port = parse_port(text.substr(colon + 1));
  if (!port || *port == 0 || host.empty()) return {};
  if (auto address = numeric_address(host, *port)) return Endpoint{std::move(address), {}, *port};
  if (!is_name(host)) return {};
  return Endpoint{{}, std::string(host), *port};
}

}  // namespace callboard::zmtp
