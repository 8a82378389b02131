// The broker's sockets: one ROUTER for clients and workers, one PUB for events.
//
// Bytes in, bytes out; what they mean is the core's business. Large parts are neither copied in nor
// out; between processes that share memory only references to them travel, and here their bytes are
// never touched (common/shared_peer.hpp). Nothing here waits but wait(). Thread safety: none; one
// thread owns it.
#pragma once

#include "broker/core/event.hpp"
#include "broker/transport/peer_table.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace callboard::broker {

struct RouterOptions {
  /// "tcp://127.0.0.1:7700", "tcp://*:7700", "ipc:///run/callboard.sock"; port 0: any free one
  /// outside the range from which outgoing connections take theirs.
  std::vector<std::string> endpoints;
  std::string event_endpoint;  ///< of the PUB socket; empty: none
  /// Messages that may wait for one peer. A peer for which more wait does not read: it is given up.
  int unread_messages_max = 16 * 1024;
  /// Bytes of large messages that may wait for one peer, beside one message that always may.
  std::size_t unread_bytes_max = 1u << 30;
};

/// Something else that wait() waits for.
struct WatchedFd {
  int fd = -1;         ///< -1: nothing
  bool read = false;
  bool write = false;
  bool ready = false;  ///< set by wait(): one of them is possible, or the other end is gone
};

class Router {
 public:
  using OnFrame = std::function<void(PeerId, const wire::FrameView&)>;
  using OnLost = std::function<void(PeerId)>;

  Router();
  ~Router();
  Router(const Router&) = delete;
  Router& operator=(const Router&) = delete;

  /// Binds all endpoints. A non-empty answer says which one cannot be had, and why.
  std::string open(const RouterOptions& options);
  /// What was really bound, with the port that was picked.
  const std::vector<std::string>& endpoints() const { return endpoints_; }
  const std::string& event_endpoint() const { return event_endpoint_; }

  /// Waits until a connection ended, a watched fd is ready, or (`for_frames`) a frame may be there;
  /// at most `timeout_ms` milliseconds (-1: no end).
  void wait(std::span<WatchedFd> watched, long timeout_ms, bool for_frames = true);
  struct Portion {
    std::size_t frames = 0;
    std::size_t bytes = 0;  ///< of their heads
    bool all = true;        ///< no more were there
  };
  /// Hands over frames, and then the peers that are gone and of which no frame waits. No more than
  /// `frames_max`, and none once their heads have `bytes_max`.
  Portion receive(std::size_t frames_max, std::size_t bytes_max, const OnFrame& on_frame,
                  const OnLost& on_lost);
  /// Sends a frame. A peer that does not read is given up and appended to `lost`; a frame for one
  /// that is gone is dropped.
  void send(PeerId to, wire::Frame& frame, std::vector<PeerId>& lost);
  /// To whoever listens; who is too slow misses some.
  void publish(const Announcement& announcement);

  std::size_t peers() const { return peers_.size(); }

 private:
  struct Sockets;

  std::string bind(void* socket, const std::string& endpoint, std::string& bound);
  void drain_monitor();
  void hear(TransportPeer& peer, std::string_view head);
  void offer_memory(TransportPeer& peer);
  void begin_again(TransportPeer& peer, const OnLost& on_lost);
  void sweep_memory();
  TransportPeer& sender(std::string_view identity, int connection, const OnLost& on_lost);

  std::unique_ptr<Sockets> sockets_;
  RouterOptions options_;
  std::vector<std::string> endpoints_;
  std::string event_endpoint_;
  PeerTable peers_;
  bool monitor_ready_ = true;  ///< connections may have ended
  bool frames_ready_ = true;   ///< false: the last wait() found that there is none
  std::vector<Blob> parts_;  ///< of the frame being received
  SharedMemory& memory_ = SharedMemory::process();
  std::int64_t swept_us_ = 0;
};

}  // namespace callboard::broker
