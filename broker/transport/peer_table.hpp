// Who is connected: ZeroMQ's routing identities and the numbers by which the core knows them.
//
// A peer lasts as long as its connection. When that ends, when another connection has taken its
// place, or when it does not read what it is sent, the peer is gone, and the same identity comes
// back as a new peer: a PeerId is never used twice. The end of a connection overtakes its last
// frames, so such a peer stays in the table, `ending`, until they have been taken.
// Thread safety: none.
#pragma once

#include "broker/core/event.hpp"
#include "common/shared_peer.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace callboard::broker {

/// Bytes of large messages that ZeroMQ still holds for one peer; its I/O thread counts them down.
using UnsentBytes = std::atomic<std::size_t>;

struct TransportPeer {
  PeerId id{};
  std::string identity;  ///< as ROUTER puts it before each message
  int connection = -1;   ///< number of its socket, -1 when unknown
  bool ending = false;   ///< its connection is gone; frames of it may still wait
  std::shared_ptr<UnsentBytes> unsent;
  std::unique_ptr<wire::SharedPeer> shared;  ///< from the welcome on
};

class PeerTable {
 public:
  TransportPeer* find(std::string_view identity);
  TransportPeer* find(PeerId id);
  /// REQUIRES: the identity is not in the table. Whoever had the connection before is ending.
  TransportPeer& add(std::string_view identity, int connection);
  void remove(PeerId id);
  /// The peer that had the connection, if one had it, is ending.
  void connection_ended(int connection);
  void end(TransportPeer& peer);
  bool any_ending() const { return !ending_.empty(); }
  /// Nothing of those that are ending waits any more: removes them.
  /// ENSURES: they are appended to `lost`, in the order of their ends.
  void remove_ending(std::vector<PeerId>& lost);
  std::size_t size() const { return by_id_.size(); }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };

  std::unordered_map<std::uint64_t, TransportPeer> by_id_;
  std::unordered_map<std::string, TransportPeer*, Hash, std::equal_to<>> by_identity_;
  std::unordered_map<int, PeerId> by_connection_;
  std::vector<PeerId> ending_;
  std::uint64_t last_id_ = 0;
};

}  // namespace callboard::broker
