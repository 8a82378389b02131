#include "tests/sim/network.hpp"

#include <algorithm>

namespace callboard::sim {

namespace {

constexpr std::int64_t kConnectUsMin = 50;
constexpr std::int64_t kConnectUsMax = 20'000;
constexpr std::int64_t kNoticeUsMax = 3'000'000;  // until a ROUTER drops a half-open connection

}  // namespace

void Network::router_open(ToBroker receive) {
  router_ = std::move(receive);
  ghosts_.clear();
  for (std::size_t i = 0; i < dealers_.size(); ++i) {
    const auto id = static_cast<DealerId>(i);
    if (!dealers_[i].alive || dealers_[i].connected) continue;
    schedule_.after(random_.between(kConnectUsMin, kConnectUsMax), [this, id] { try_connect(id); });
  }
}

void Network::router_close() {
  for (std::size_t i = 0; i < dealers_.size(); ++i) {
    if (dealers_[i].connected) disconnect(static_cast<DealerId>(i), true);
  }
  router_ = nullptr;
  peers_.clear();
  ghosts_.clear();
}

bool Network::router_send(PeerId peer, wire::Frame frame) {
  const auto found = peers_.find(peer);
  if (found != peers_.end()) {
    push(found->second, Direction::from_broker, std::move(frame));
    return true;
  }
  const auto ghost = ghosts_.find(peer);
  if (ghost != ghosts_.end() && schedule_.now() < ghost->second) {
    ++counts_.sent_to_void;
    return true;
  }
  if (ghost != ghosts_.end()) ghosts_.erase(ghost);
  ++counts_.peers_lost;
  return false;
}

DealerId Network::add_dealer(FromBroker receive) {
  const auto id = static_cast<DealerId>(dealers_.size());
  Dealer& dealer = dealers_.emplace_back();
  dealer.receive = std::move(receive);
  dealer.latency_us = random_.between(shape_.latency_us_min, shape_.latency_us_max);
  schedule_.after(random_.between(kConnectUsMin, kConnectUsMax), [this, id] { try_connect(id); });
  return id;
}

void Network::dealer_send(DealerId id, wire::Frame frame) {
  Dealer& dealer = at(id);
  if (!dealer.alive) return;
  if (!dealer.connected) {
    dealer.unsent.push_back(std::move(frame));
    return;
  }
  push(id, Direction::to_broker, std::move(frame));
}

void Network::dealer_reset(DealerId id) {
  Dealer& dealer = at(id);
  if (dealer.connected) disconnect(id, false);
  dealer.unsent.clear();
  schedule_.after(random_.between(kConnectUsMin, kConnectUsMax), [this, id] { try_connect(id); });
}

void Network::remove_dealer(DealerId id) {
  Dealer& dealer = at(id);
  if (dealer.connected) disconnect(id, false);
  dealer.alive = false;
  dealer.unsent.clear();
  dealer.receive = nullptr;
}

void Network::cut(DealerId id, std::int64_t away_us) {
  Dealer& dealer = at(id);
  if (!dealer.connected) return;
  ++counts_.cuts;
  dealer.away_until_us = schedule_.now() + away_us;
  disconnect(id, true);
}

void Network::block(DealerId id, Direction direction, std::int64_t for_us) {
  Pipe& pipe = at(id).pipes[static_cast<int>(direction)];
  pipe.blocked_until_us = std::max(pipe.blocked_until_us, schedule_.now() + for_us);
}

void Network::heal() {
  for (std::size_t i = 0; i < dealers_.size(); ++i) {
    Dealer& dealer = dealers_[i];
    const auto id = static_cast<DealerId>(i);
    dealer.away_until_us = 0;
    if (!dealer.alive) continue;
    for (const Direction direction : {Direction::to_broker, Direction::from_broker}) {
      Pipe& pipe = dealer.pipes[static_cast<int>(direction)];
      pipe.blocked_until_us = 0;
      pipe.waking = false;  // the delivery that is scheduled may be far away; another one is due
      wake(id, direction);
    }
    if (!dealer.connected) try_connect(id);
  }
}

void Network::try_connect(DealerId id) {
  Dealer& dealer = at(id);
  if (!dealer.alive || dealer.connected || !router_) return;
  if (schedule_.now() < dealer.away_until_us) {
    schedule_.at(dealer.away_until_us, [this, id] { try_connect(id); });
    return;
  }
  dealer.connected = true;
  ++dealer.life;
  dealer.peer = static_cast<PeerId>(next_peer_++);
  peers_[dealer.peer] = id;
  // What TCP never got goes first: the owner does not know that this is another connection.
  for (wire::Frame& frame : dealer.unsent) push(id, Direction::to_broker, std::move(frame));
  dealer.unsent.clear();
}

void Network::disconnect(DealerId id, bool keep_unsent) {
  Dealer& dealer = at(id);
  dealer.connected = false;
  ++dealer.life;
  peers_.erase(dealer.peer);
  const std::int64_t notice = random_.chance(0.5) ? random_.long_tailed(1, kNoticeUsMax)
                                                  : random_.between(1, kNoticeUsMax);
  ghosts_[dealer.peer] = schedule_.now() + notice;
  // The frames that left last may still have been in ZeroMQ's own pipe: those survive.
  auto& outgoing = dealer.pipes[static_cast<int>(Direction::to_broker)].items;
  const std::size_t lost = random_.below(outgoing.size() + 1);
  counts_.frames_lost += dealer.pipes[static_cast<int>(Direction::from_broker)].items.size();
  for (std::size_t i = 0; i < outgoing.size(); ++i) {
    if (i < lost || !keep_unsent) {
      ++counts_.frames_lost;
      continue;
    }
    ++counts_.frames_kept_unsent;
    dealer.unsent.push_back(std::move(outgoing[i].frame));
  }
  for (Pipe& pipe : dealer.pipes) {
    pipe.items.clear();
    pipe.waking = false;
    pipe.last_due_us = 0;
  }
  if (!router_) return;
  const std::int64_t at = std::max(dealer.away_until_us, schedule_.now());
  schedule_.at(at + random_.between(kConnectUsMin, kConnectUsMax), [this, id] { try_connect(id); });
}

void Network::push(DealerId id, Direction direction, wire::Frame frame) {
  ++counts_.frames;
  Dealer& dealer = at(id);
  Pipe& pipe = dealer.pipes[static_cast<int>(direction)];
  std::int64_t latency = dealer.latency_us + static_cast<std::int64_t>(random_.below(20));
  if (random_.chance(shape_.spike_chance)) {
    ++counts_.spikes;
    latency += random_.long_tailed(1'000, shape_.spike_us_max);
  }
  pipe.last_due_us = std::max(pipe.last_due_us, schedule_.now() + latency);
  pipe.items.push_back({pipe.last_due_us, std::move(frame)});
  wake(id, direction);
}

void Network::wake(DealerId id, Direction direction) {
  Dealer& dealer = at(id);
  Pipe& pipe = dealer.pipes[static_cast<int>(direction)];
  if (pipe.waking || pipe.items.empty()) return;
  pipe.waking = true;
  const std::int64_t due =
      std::max({pipe.items.front().due_us, pipe.blocked_until_us, schedule_.now()});
  schedule_.at(due, [this, id, direction, life = dealer.life] { deliver(id, direction, life); });
}

void Network::deliver(DealerId id, Direction direction, std::uint64_t life) {
  Dealer& dealer = at(id);
  if (dealer.life != life) return;
  Pipe& pipe = dealer.pipes[static_cast<int>(direction)];
  pipe.waking = false;
  // Receiving may end this very connection, so every round asks again.
  while (dealer.life == life && !pipe.items.empty() &&
         pipe.items.front().due_us <= schedule_.now() && pipe.blocked_until_us <= schedule_.now()) {
    wire::Frame frame = std::move(pipe.items.front().frame);
    pipe.items.pop_front();
    if (direction == Direction::to_broker) {
      router_(dealer.peer, id, std::move(frame));
    } else {
      dealer.receive(std::move(frame));
    }
  }
  if (dealer.life == life) wake(id, direction);
}

}  // namespace callboard::sim
