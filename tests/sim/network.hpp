// The network between one ROUTER (the broker) and many DEALERs (everyone else), as ZeroMQ shows it.
//
// Within one connection frames arrive once and in order, or the connection is cut and everything in
// flight is lost in both directions. A DEALER reconnects by itself: the ROUTER sees a new peer, and
// frames that the DEALER had not yet handed to TCP arrive there first, before anything that its
// owner says to a new connection. A ROUTER notices a lost peer late: until then it sends into the
// void. Blocked directions (a partition, a stall) hold frames back; they never reorder them.
// Thread safety: none.
#pragma once

#include "broker/core/event.hpp"
#include "common/frame.hpp"
#include "tests/sim/random.hpp"
#include "tests/sim/schedule.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace callboard::sim {

using broker::PeerId;

enum class DealerId : std::uint32_t {};

enum class Direction : std::uint8_t { to_broker, from_broker };

/// How slow the network is in one run.
struct NetworkShape {
  std::int64_t latency_us_min = 20;
  std::int64_t latency_us_max = 500;
  double spike_chance = 0.01;  ///< of one frame being much later (and all behind it)
  std::int64_t spike_us_max = 50'000;
};

class Network {
 public:
  using FromBroker = std::function<void(wire::Frame)>;
  using ToBroker = std::function<void(PeerId, DealerId, wire::Frame)>;

  Network(Schedule& schedule, Random random, NetworkShape shape)
      : schedule_(schedule), random_(random), shape_(shape) {}

  // --- the ROUTER ---
  void router_open(ToBroker receive);
  /// The broker died: every connection ends, what was in flight is lost.
  void router_close();
  /// False when the peer is known to be gone (EHOSTUNREACH).
  bool router_send(PeerId peer, wire::Frame frame);

  // --- the DEALERs ---
  DealerId add_dealer(FromBroker receive);
  void dealer_send(DealerId dealer, wire::Frame frame);
  /// The owner closes the socket and opens a new one: unsent frames are dropped too.
  void dealer_reset(DealerId dealer);
  /// The owner died.
  void remove_dealer(DealerId dealer);

  // --- faults ---
  /// Ends the connection; the DEALER is back after `away_us` at the earliest.
  void cut(DealerId dealer, std::int64_t away_us);
  /// Nothing arrives in that direction for this long.
  void block(DealerId dealer, Direction direction, std::int64_t for_us);
  /// Ends all blocks and absences at once.
  void heal();

  struct Counts {
    std::uint64_t cuts = 0, frames_lost = 0, frames_kept_unsent = 0, sent_to_void = 0;
    std::uint64_t peers_lost = 0, spikes = 0, frames = 0;
  };
  const Counts& counts() const { return counts_; }

 private:
  struct Pipe {
    struct Item {
      std::int64_t due_us;
      wire::Frame frame;
    };
    std::deque<Item> items;
    std::int64_t last_due_us = 0;
    std::int64_t blocked_until_us = 0;
    bool waking = false;  ///< a delivery is scheduled
  };
  struct Dealer {
    FromBroker receive;
    bool alive = true;
    bool connected = false;
    std::uint64_t life = 0;  ///< counts connections; a delivery of an older one is void
    PeerId peer{};
    std::int64_t latency_us = 0;
    std::int64_t away_until_us = 0;
    Pipe pipes[2];
    std::deque<wire::Frame> unsent;
  };

  Dealer& at(DealerId id) { return dealers_[static_cast<std::size_t>(id)]; }
  void try_connect(DealerId id);
  void disconnect(DealerId id, bool keep_unsent);
  void push(DealerId id, Direction direction, wire::Frame frame);
  void wake(DealerId id, Direction direction);
  void deliver(DealerId id, Direction direction, std::uint64_t life);

  Schedule& schedule_;
  Random random_;
  NetworkShape shape_;
  ToBroker router_;
  std::deque<Dealer> dealers_;  // a deque: callbacks may add dealers
  std::map<PeerId, DealerId> peers_;
  std::map<PeerId, std::int64_t> ghosts_;  ///< gone peers -> when the ROUTER notices
  std::uint64_t next_peer_ = 1;
  Counts counts_;
};

}  // namespace callboard::sim
