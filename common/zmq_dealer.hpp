// A DEALER socket that connects to one endpoint at a time, and a way to wake whoever waits on it.
//
// Names of hosts are looked up here and not by ZeroMQ, which would do it in the thread that serves
// all its connections: a name server that does not answer stops them for seconds, and every new try
// lengthens the queue there. Here a lookup goes on through all tries, and its answer is used
// however late it comes. Each connection takes the next address of the host.
//
// Thread safety: none, except wake(). It may be handed from one thread to another.
// Frames leave in order on one connection; big parts are neither copied in nor out.
#pragma once

#include "common/frame.hpp"
#include "common/resolver.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace callboard::wire {

/// A frame as it came from the socket. `head` is valid until the next receive().
struct ArrivedFrame {
  std::string_view head;
  std::vector<Blob> parts;
};

class ZmqDealer {
 public:
  explicit ZmqDealer(Resolver::LookUp look_up = {});  ///< without one the system's
  /// Closes, waiting at most the linger time given to close().
  ~ZmqDealer();
  ZmqDealer(const ZmqDealer&) = delete;
  ZmqDealer& operator=(const ZmqDealer&) = delete;

  /// Drops the present connection with everything unsent on it, and connects to `endpoint` in the
  /// background, where its host may have to be looked up first. False when that is no address.
  bool connect(const std::string& endpoint);
  /// Drops the connection after at most `linger_ms` for what is unsent; the rest is lost.
  void close(std::int64_t linger_ms);

  /// Takes the next frame, if one is there. Never waits.
  bool receive(ArrivedFrame& frame);
  /// Sends a frame and keeps only the memory of `frame.head`. Never waits; what the peer does not
  /// take is queued, and so is what comes before the host's address is known. Without a connection
  /// the frame is dropped.
  void send(Frame& frame);

  /// Waits until a frame may be there, wake() was called, or the time is over; -1: no end.
  void wait(std::int64_t timeout_ms);
  /// Ends the present or the next wait(). Thread-safe and signal-safe.
  void wake();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace callboard::wire
