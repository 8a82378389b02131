// Looks up the addresses of a host without making the caller wait.
//
// A name server that does not answer blocks getaddrinfo() for many seconds, and whoever asks has
// others to talk to meanwhile, so a lookup runs on a thread of its own. Nothing waits for that
// thread: a lookup that nobody wants any more ends by itself. Addresses given as numbers are
// answered at once, without a thread.
// Thread safety: none; one thread owns it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

struct sockaddr;

namespace callboard {

/// Bytes of a sockaddr, as connect() wants them.
struct SocketAddress {
  int family = 0;
  std::string bytes;

  const sockaddr* raw() const { return reinterpret_cast<const sockaddr*>(bytes.data()); }
  unsigned size() const { return static_cast<unsigned>(bytes.size()); }
};

SocketAddress copy_of(const sockaddr* address, std::size_t bytes);
/// Of a host that is a number; none otherwise. Asks nobody.
std::vector<SocketAddress> numeric_addresses(const std::string& host, std::uint16_t port);

class Resolver {
 public:
  /// Fills in the addresses; a non-empty answer says why there are none. May take long, and is
  /// called in another thread.
  using LookUp = std::function<std::string(const std::string& host, std::uint16_t port,
                                           std::vector<SocketAddress>& addresses)>;

  /// With the system's lookup.
  Resolver();
  explicit Resolver(LookUp look_up);
  ~Resolver();
  Resolver(Resolver&&) noexcept;
  Resolver& operator=(Resolver&&) noexcept;

  /// Begins a lookup. REQUIRES: !busy()
  void start(const std::string& host, std::uint16_t port);
  /// True from start() until the answer was collected.
  bool busy() const { return asked_ != nullptr; }
  /// Becomes readable when the answer is there. REQUIRES: busy()
  int fd() const;
  /// Takes the answer if it is there. Without an address, `problem` says why.
  bool collect(std::vector<SocketAddress>& addresses, std::string& problem);

 private:
  struct Answer;

  LookUp look_up_;
  std::shared_ptr<Answer> asked_;
};

/// "192.0.2.7:7700", "[2001:db8::7]:7700"; empty for an address that is neither IPv4 nor IPv6.
std::string text_of(const SocketAddress& address);

}  // namespace callboard
