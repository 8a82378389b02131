#include "broker/transport/peer_table.hpp"

#include "common/check.hpp"

namespace callboard::broker {

TransportPeer* PeerTable::find(std::string_view identity) {
  const auto found = by_identity_.find(identity);
  return found == by_identity_.end() ? nullptr : found->second;
}

TransportPeer* PeerTable::find(PeerId id) {
  const auto found = by_id_.find(static_cast<std::uint64_t>(id));
  return found == by_id_.end() ? nullptr : &found->second;
}

TransportPeer& PeerTable::add(std::string_view identity, int connection) {
  connection_ended(connection);
  const std::uint64_t id = ++last_id_;
  TransportPeer& peer = by_id_[id];
  peer.id = static_cast<PeerId>(id);
  peer.identity = identity;
  peer.connection = connection;
  peer.unsent = std::make_shared<UnsentBytes>(0);
  CALLBOARD_CHECK(by_identity_.emplace(peer.identity, &peer).second);
  if (connection >= 0) by_connection_[connection] = peer.id;
  return peer;
}

void PeerTable::remove(PeerId id) {
  const TransportPeer* peer = find(id);
  if (peer == nullptr) return;
  by_identity_.erase(peer->identity);
  const auto connection = by_connection_.find(peer->connection);
  if (connection != by_connection_.end() && connection->second == id) {
    by_connection_.erase(connection);
  }
  by_id_.erase(static_cast<std::uint64_t>(id));
}

void PeerTable::connection_ended(int connection) {
  const auto found = by_connection_.find(connection);
  if (found == by_connection_.end()) return;
  TransportPeer* peer = find(found->second);
  by_connection_.erase(found);
  if (peer != nullptr) end(*peer);
}

void PeerTable::end(TransportPeer& peer) {
  if (peer.ending) return;
  peer.ending = true;
  ending_.push_back(peer.id);
}

void PeerTable::remove_ending(std::vector<PeerId>& lost) {
  for (const PeerId id : ending_) {
    if (find(id) == nullptr) continue;
    lost.push_back(id);
    remove(id);
  }
  ending_.clear();
}

}  // namespace callboard::broker
