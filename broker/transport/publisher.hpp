// The broker's PUB socket: events for whoever subscribed.
//
// Thread safety: none; one thread owns it.
#pragma once

#include "broker/core/event.hpp"

#include <memory>
#include <string>

namespace callboard::broker {

class Publisher {
 public:
  Publisher();
  ~Publisher();
  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;

  /// Endpoints as a Listener has them. A non-empty answer says what went wrong.
  std::string open(const std::string& endpoint);
  /// What was bound, with the port that was picked.
  const std::string& endpoint() const { return endpoint_; }
  /// To whoever listens; who is too slow misses some.
  void publish(const Announcement& announcement);

 private:
  struct Socket;

  std::unique_ptr<Socket> socket_;
  std::string endpoint_;
};

}  // namespace callboard::broker
