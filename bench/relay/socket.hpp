// A ZeroMQ socket as the relays use it: frames of messages of one size, everything that is there
// taken at once. Shares nothing with Callboard. Thread safety: none.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include <zmq.h>

namespace bench {

class Socket {
 public:
  /// `type` as in zmq.h. Throws std::runtime_error.
  Socket(void* context, int type, const std::string& endpoint, bool bind);
  ~Socket() { ::zmq_close(socket_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  /// Takes every frame that is there: `take(peer, frame)`, where only a ROUTER's peer has a name.
  /// True when there was one.
  bool drain(const std::function<void(std::string_view peer, std::string_view frame)>& take);
  /// One frame; `peer` only for a ROUTER.
  void send(std::string_view peer, std::string_view frame);
  /// The messages in frames of at most `frame_bytes`; empties `messages`.
  void send_all(std::string_view peer, std::string& messages, std::size_t frame_bytes);

  int descriptor() const;
  void* handle() const { return socket_; }

 private:
  void* socket_;
  bool router_;
};

}  // namespace bench
