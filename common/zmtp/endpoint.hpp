// Addresses as ZeroMQ writes them: "tcp://host:port", "ipc:///path", "ipc://@abstract-name".
#pragma once

#include "common/resolver.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace callboard::zmtp {

/// An endpoint to connect to.
struct Endpoint {
  /// Where it is known without asking anybody: a path, or a host that is a number.
  std::optional<SocketAddress> address;
  std::string host;        ///< otherwise the host's name
  std::uint16_t port = 0;  ///< and the port
};

/// Nothing when it is no address that one could connect to.
std::optional<Endpoint> parse_endpoint(std::string_view text);

/// Of an ipc endpoint's path; nothing when it is too long for a socket.
std::optional<SocketAddress> path_address(std::string_view path);
/// Of a number ("192.0.2.7", "[2001:db8::7]", without its brackets too); nothing when it is none.
std::optional<SocketAddress> numeric_address(std::string_view host, std::uint16_t port);
/// The digits and nothing else; nothing beyond 65535.
std::optional<std::uint16_t> parse_port(std::string_view text);

}  // namespace callboard::zmtp
