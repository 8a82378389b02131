// The broker's sockets: one ROUTER for clients and workers, one PUB for events.
//
// Bytes in, bytes out; what they mean is the core's business. Large parts are neither copied in nor
// out; between processes that share memory only references to them travel, and here their bytes are
// never touched (common/shared_peer.hpp). Nothing here waits but wait(), and no thread works behind
// it: one reads and writes the connections of all peers (decisions/0031).
//
// A peer lasts as long as its connection, from its first frame on. When that ends, when another
// connection has come with the routing id that it chose, or when it does not read what it is sent,
// the peer is gone, and what speaks next is a new peer: a PeerId is never used twice.
// Thread safety: none; one thread owns it.
#pragma once

#include "broker/core/event.hpp"
#include "broker/transport/listener.hpp"
#include "broker/transport/publisher.hpp"
#include "common/busy_poll.hpp"
#include "common/shared_peer.hpp"
#include "common/zmtp/message_reader.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace callboard::broker {

struct RouterOptions {
  /// "tcp://127.0.0.1:7700", "tcp://*:7700", "ipc:///run/callboard.sock"; port 0: any free one
  /// outside the range from which outgoing connections take theirs.
  std::vector<std::string> endpoints;
  std::string event_endpoint;  ///< of the PUB socket; empty: none
  /// Messages that may wait for one peer, beside what the system holds. A peer for which more wait
  /// does not read: it is given up.
  std::size_t unread_messages_max = 16 * 1024;
  /// Bytes that may wait for one peer, beside one message that always may.
  std::size_t unread_bytes_max = 1u << 30;
  /// A peer that said nothing for so long is asked for a sign of life.
  std::int64_t quiet_us = 1'000'000;
  /// One that gives none for so long, since its host vanished without a word, is lost.
  std::int64_t silence_us = 5'000'000;
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
  const std::string& event_endpoint() const;

  /// Waits until a watched fd is ready, or (`for_frames`) a frame may be there or a connection has
  /// ended; at most `timeout_ms` milliseconds (-1: no end).
  void wait(std::span<WatchedFd> watched, long timeout_ms, bool for_frames = true);
  struct Portion {
    std::size_t frames = 0;
    std::size_t bytes = 0;  ///< of their heads
    bool all = true;        ///< no more were there, or none are worth trying for right now
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

  /// Those that have spoken.
  std::size_t peers() const { return peers_.size(); }

 private:
  struct Connection;

  void watch_listeners(bool on);
  void accept_from(const Listener& listener);
  void take_ready(std::int64_t now_us, bool look);
  void look_after_all(std::int64_t now_us);
  void flush_blocked();
  void note_blocked(Connection& connection);
  void take_from(Connection& connection, std::size_t frames_max, std::size_t bytes_max,
                 Portion& got, const OnFrame& on_frame, const OnLost& on_lost);
  void take_message(Connection& connection, const OnFrame& on_frame, const OnLost& on_lost);
  void introduce(Connection& connection, const OnLost& on_lost);
  void name(Connection& connection);
  void end(Connection& connection, const OnLost& on_lost);
  void drop(Connection& connection);
  void say(Connection& connection, wire::Frame& frame);
  void offer_memory(Connection& connection);
  void begin_again(Connection& connection, const OnLost& on_lost);
  void sweep_memory();

  RouterOptions options_;
  std::vector<std::string> endpoints_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::unique_ptr<Publisher> publisher_;
  int frames_fd_ = -1;   ///< epoll: a listener or a connection can be read
  int blocked_fd_ = -1;  ///< epoll: a connection that took nothing takes something
  std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections_;  ///< by number
  std::unordered_map<std::uint64_t, Connection*> peers_;                        ///< by PeerId
  std::unordered_map<std::string, Connection*> chosen_;  ///< by the routing id that they chose
  std::uint64_t last_number_ = 0;
  std::uint64_t last_peer_ = 0;
  std::deque<Connection*> ready_;  ///< there is something to read, maybe; taken from in turn
  zmtp::ReadBuffer buffer_;        ///< of the first of them, until all in it is taken
  std::vector<std::uint64_t> silent_;  ///< numbers of those that are at their end
  bool accepts_ = true;                ///< false: there was no file left for one more
  bool paused_ = false;                ///< no frames were taken of late: silence says nothing
  /// It serves many, and keeps a processor only while something comes all the time.
  BusyPoll busy_poll_{75};
  std::int64_t looked_us_ = 0;         ///< when all connections were last looked after
  SharedMemory& memory_ = SharedMemory::process();
  std::int64_t swept_us_ = 0;
};

}  // namespace callboard::broker
