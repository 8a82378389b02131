// A socket that listens at one endpoint.
#pragma once

#include "common/resolver.hpp"

#include <string>

namespace callboard::broker {

class Listener {
 public:
  Listener() = default;
  /// Closes, and removes the file of an ipc endpoint, if it is its own still.
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  /// "tcp://192.0.2.7:7700", "tcp://[2001:db8::7]:7700", "tcp://eth0:7700", "tcp://*:7700" (all
  /// addresses of this machine), "ipc:///run/callboard.sock", "ipc://@name"; port 0 or *: any free
  /// one outside the range from which outgoing connections take theirs. The file that a dead
  /// process left at an ipc path is replaced. A non-empty answer says what went wrong.
  std::string open(const std::string& endpoint);
  /// What was bound, with the port that was picked.
  const std::string& endpoint() const { return endpoint_; }
  int fd() const { return fd_; }
  /// The next connection, which does not block; -1 when there is none (errno says why).
  int accept() const;

 private:
  std::string open_tcp(const std::string& endpoint);
  std::string open_ipc(const std::string& endpoint);
  bool bind(const SocketAddress& address);

  int fd_ = -1;
  std::string endpoint_;
  std::string path_;        ///< of the file of an ipc endpoint
  unsigned long file_ = 0;  ///< its number
};

}  // namespace callboard::broker
