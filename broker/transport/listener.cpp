#include "broker/transport/listener.hpp"

#include "common/zmtp/endpoint.hpp"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <string_view>

namespace callboard::broker {

namespace {

constexpr int kBacklog = 1024;
constexpr int kPortTries = 200;
/// Below the ports that outgoing connections take, so that none of them is ever in the way.
constexpr unsigned kPickedPortMin = 10'000;
constexpr unsigned kPickedPorts = 22'000;
constexpr std::string_view kTcp = "tcp://";
constexpr std::string_view kIpc = "ipc://";

int open_socket(int family) {
  return ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/// Of a network interface: its IPv4 address, or else its IPv6 one.
std::optional<SocketAddress> interface_address(const std::string& name) {
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(all, freeifaddrs);
  std::optional<SocketAddress> found;
  for (const ifaddrs* each = all; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || name != each->ifa_name) continue;
    const int family = each->ifa_addr->sa_family;
    const std::size_t size = family == AF_INET    ? sizeof(sockaddr_in)
                             : family == AF_INET6 ? sizeof(sockaddr_in6)
                                                  : 0;
    if (size == 0 || (found && family != AF_INET)) continue;
    found = copy_of(each->ifa_addr, size);
    if (family == AF_INET) break;
  }
  return found;
}

/// The port stands at the same place in both.
void set_port(SocketAddress& address, std::uint16_t port) {
  static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
  const std::uint16_t bytes = htons(port);
  std::memcpy(address.bytes.data() + offsetof(sockaddr_in, sin_port), &bytes, sizeof bytes);
}

unsigned long file_at(const std::string& path) {
  struct stat found {};
  return ::stat(path.c_str(), &found) == 0 ? found.st_ino : 0;
}

/// It is a socket, and nobody listens there any more.
bool is_left_over(const std::string& path, const SocketAddress& address) {
  struct stat found {};
  // Connecting to any other file is refused, too.
  if (::lstat(path.c_str(), &found) != 0 || !S_ISSOCK(found.st_mode)) return false;
  const int fd = open_socket(AF_UNIX);
  if (fd < 0) return false;
  const bool refused =
      ::connect(fd, address.raw(), address.size()) != 0 && errno == ECONNREFUSED;
  ::close(fd);
  return refused;
}

}  // namespace

Listener::~Listener() {
  if (fd_ < 0) return;
  ::close(fd_);
  if (!path_.empty() && file_at(path_) == file_) ::unlink(path_.c_str());
}

std::string Listener::open(const std::string& endpoint) {
  std::string problem = "it is no address";
  if (endpoint.starts_with(kTcp)) problem = open_tcp(endpoint);
  if (endpoint.starts_with(kIpc)) problem = open_ipc(endpoint);
  return problem.empty() ? problem : "cannot listen at " + endpoint + ": " + problem;
}

std::string Listener::open_tcp(const std::string& endpoint) {
  const std::size_t colon = endpoint.rfind(':');
  if (colon < kTcp.size()) return "it has no port";
  const std::string host = endpoint.substr(kTcp.size(), colon - kTcp.size());
  const std::string port = endpoint.substr(colon + 1);
  const auto wanted = port == "*" ? 0 : zmtp::parse_port(port);
  if (!wanted) return "its port is no number up to 65535";

  std::optional<SocketAddress> address;
  if (host == "*") {
    fd_ = open_socket(AF_INET6);
    address = zmtp::numeric_address(fd_ >= 0 ? "::" : "0.0.0.0", 0);  // some machines have no IPv6
  } else {
    address = zmtp::numeric_address(host, 0);
    if (!address) address = interface_address(host);
    if (!address) return "its host is neither a number nor a network interface";
  }
  if (fd_ < 0) fd_ = open_socket(address->family);
  if (fd_ < 0) return std::strerror(errno);
  const int on = 1;
  const int off = 0;
  (void)::setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address->family == AF_INET6) {
    (void)::setsockopt(fd_, IPPROTO_IPV6, IPV6_V6ONLY, host == "*" ? &off : &on, sizeof on);
  }
  std::random_device random;
  bool done = false;
  for (int tries = 0; !done && tries < (*wanted != 0 ? 1 : kPortTries); ++tries) {
    const auto picked = static_cast<std::uint16_t>(kPickedPortMin + random() % kPickedPorts);
    set_port(*address, *wanted != 0 ? *wanted : picked);
    done = bind(*address);
    if (!done && errno != EADDRINUSE) break;
  }
  if (!done) return std::strerror(errno);
  endpoint_ = std::string(kTcp) + text_of(*address);
  return {};
}

std::string Listener::open_ipc(const std::string& endpoint) {
  const std::string path = endpoint.substr(kIpc.size());
  const auto address = zmtp::path_address(path);
  if (!address) return "its path is empty, or too long for a socket";
  fd_ = open_socket(AF_UNIX);
  if (fd_ < 0) return std::strerror(errno);
  bool done = bind(*address);
  if (!done && errno == EADDRINUSE && path.front() != '@' && is_left_over(path, *address)) {
    ::unlink(path.c_str());
    done = bind(*address);
  }
  if (!done) return std::strerror(errno);
  endpoint_ = endpoint;
  if (path.front() != '@') {
    path_ = path;
    file_ = file_at(path);
  }
  return {};
}

/// errno says why it failed.
bool Listener::bind(const SocketAddress& address) {
  return ::bind(fd_, address.raw(), address.size()) == 0 && ::listen(fd_, kBacklog) == 0;
}

int Listener::accept() const {
  return ::accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

}  // namespace callboard::broker
