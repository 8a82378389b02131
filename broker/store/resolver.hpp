// Looks up the addresses of a host without making the caller wait.
//
// A name server that does not answer blocks getaddrinfo() for many seconds, and the broker has
// workers to talk to meanwhile, so a lookup runs on a thread of its own. The thread is joined by
// the destructor, which may have to wait for a lookup that is under way. Addresses given as numbers
// are answered at once, without a thread.
// Thread safety: none; one thread owns it.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

namespace callboard::broker {

/// Bytes of a sockaddr, as connect() wants them.
struct SocketAddress {
  int family = 0;
  std::string bytes;
};

class Resolver {
 public:
  Resolver();
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  /// Begins a lookup. REQUIRES: !busy()
  void start(const std::string& host, std::uint16_t port);
  /// True from start() until the answer was collected.
  bool busy() const { return busy_; }
  /// Becomes readable when the answer is there.
  int fd() const { return event_fd_; }
  /// Takes the answer if it is there. Without an address, `problem` says why.
  bool collect(std::vector<SocketAddress>& addresses, std::string& problem);

 private:
  void look_up(const std::string& host, std::uint16_t port, bool numbers_only);
  void announce();

  int event_fd_ = -1;
  bool busy_ = false;
  std::atomic<bool> answered_{false};
  std::thread thread_;
  // Written by the thread before answered_, read after it.
  int error_ = 0;
  std::vector<SocketAddress> addresses_;
};

}  // namespace callboard::broker
