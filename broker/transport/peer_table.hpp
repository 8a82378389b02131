// Who is connected: ZeroMQ's routing identities and the numbers by which the core knows them.
//
// A peer lasts as long as its connection. When that ends, when another connection has taken its
// place, or when it does not read what it is sent, the peer is gone, and the same identity comes
// back as a new peer: a PeerId is never used twice.
// Thread safety: none.
#pragma once

#include "broker/core/event.hpp"

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
  std::shared_ptr<UnsentBytes> unsent;
};

class PeerTable {
 public:
  TransportPeer* find(std::string_view identity);
  TransportPeer* find(PeerId id);
  /// REQUIRES: the identity is not in the table. Whoever had the connection before is gone.
  TransportPeer& add(std::string_view identity, int connection, std::vector<PeerId>& lost);
  void remove(PeerId id);
  /// The connection ended, and with it the peer, if one had it.
  void connection_ended(int connection, std::vector<PeerId>& lost);
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
  std::uint64_t last_id_ = 0;
};

}  // namespace callboard::broker
