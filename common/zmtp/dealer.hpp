// A DEALER that connects to one endpoint at a time, and a way to wake whoever waits on it.
//
// All of it is done by whoever calls: connecting, and trying again, goes on in wait() and
// receive(), and a frame leaves in send() as far as the socket takes it, the rest in wait(). Names
// of hosts are looked up beside it, since a name server may not answer for long: a lookup goes on
// through all tries, and its answer is used however late it comes. Each connect() takes the next
// address of the host, and so does what is tried again where nobody took the connection.
//
// Thread safety: none, except wake(). It may be handed from one thread to another.
// Frames leave in order on one connection; big parts are neither copied in nor out. When a
// connection breaks, it connects again by itself, and what it still had to send on the old one is
// lost.
#pragma once

#include "common/frame.hpp"
#include "common/resolver.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace callboard::zmtp {

/// A frame as it came from the socket. `head` is valid until the next receive().
struct ArrivedFrame {
  std::string_view head;
  std::vector<Blob> parts;
};

class Dealer {
 public:
  explicit Dealer(Resolver::LookUp look_up = {});  ///< without one the system's
  ~Dealer();                                        ///< as close(0)
  Dealer(const Dealer&) = delete;
  Dealer& operator=(const Dealer&) = delete;

  /// Whether connect() would take it.
  static bool is_address(std::string_view endpoint);
  /// Drops the present connection with everything unsent on it, and begins to connect to
  /// `endpoint`, whose host may have to be looked up first. False when that is no address.
  bool connect(const std::string& endpoint);
  /// Drops the connection after at most `linger_ms` for what is unsent; the rest is lost.
  void close(std::int64_t linger_ms);

  /// Takes the next frame, if one is there. Never waits.
  bool receive(ArrivedFrame& frame);
  /// Sends a frame and keeps only the memory of `frame.head`. Never waits; what the peer does not
  /// take is queued, and so is what comes before the connection is made. Without an endpoint the
  /// frame is dropped.
  void send(wire::Frame& frame);
  /// Something is queued, or has left in part.
  bool unsent() const;
  /// Connected, and everything is sent: only frames may come, and receive() finds them. Otherwise
  /// it needs wait() to go on.
  bool settled() const;

  /// Waits until a frame may be there, wake() was called, or the time is over; -1: no end.
  void wait(std::int64_t timeout_ms);
  /// Ends the present or the next wait(). Thread-safe and signal-safe.
  void wake();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace callboard::zmtp
