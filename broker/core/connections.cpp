// Connections: hello, what it leads to, and goodbye.
#include "broker/core/core.hpp"

#include <algorithm>

namespace callboard::broker {

void Core::reject(PeerId id, Errc code, std::string text) {
  wire::FrameWriter out(effects_->frame_for(id), options_.epoch);
  wire::write(out, wire::Goodbye{code, std::move(text)});
}

void Core::on_hello(PeerId id, const wire::Hello& hello) {
  if (hello.version_min > limits::kProtocolVersionMax ||
      hello.version_max < limits::kProtocolVersionMin) {
    return reject(id, Errc::version_unsupported,
                  "this broker speaks protocol versions " +
                      std::to_string(limits::kProtocolVersionMin) + " to " +
                      std::to_string(limits::kProtocolVersionMax));
  }
  if ((hello.features & ~wire::kFeaturesKnown) != 0) {
    return reject(id, Errc::version_unsupported, "a required feature is not known here");
  }
  if (hello.role != wire::Role::supervisor && hello.session <= 1) {
    return reject(id, Errc::invalid_option, "a hello needs a session number above 1");
  }
  if (hello.session != 0 && hello.session >> 56 != options_.shard) {
    return reject(id, Errc::invalid_option, "the session belongs to another shard");
  }
  if (is_ahead(hello)) return meet_witness(id, hello);
  auto& place = peers_[static_cast<std::uint64_t>(id)];
  if (place == nullptr) {
    place = std::make_unique<Peer>();
    place->id = id;
    place->by_age = peers_by_age_.insert(peers_by_age_.end(), place.get());
  }
  Peer& peer = *place;
  peer.heard_us = listened_us_;
  // What still waits for a commit was meant for what this hello has given up.
  open_effects_.forget(id);
  flight_effects_.forget(id);
  wire::Welcome welcome;
  if (hello.role == wire::Role::supervisor) peer.supervisor = hello.name.empty() ? "?" : hello.name;
  if (hello.role == wire::Role::worker && !hello_worker(peer, hello)) return forget_peer(peer);
  if (hello.session != 0 && !hello_session(peer, hello, welcome)) return forget_peer(peer);
  welcome.epoch = options_.epoch;
  welcome.run = run_;
  welcome.broker = options_.name;
  welcome.timeline = options_.timeline;
  welcome.commit_no = committed_;
  welcome.heartbeat_ms = options_.heartbeat_ms;
  welcome.lease_ms = options_.worker_lease_ms;
  welcome.shards.push_back({options_.shard, options_.endpoints});
  // A worker is not kept waiting: what it is sent at once would come before its welcome.
  const bool client = peer.session != nullptr && peer.worker == nullptr;
  welcome.provisional = client && !peer.session->stored && !store_up_;
  wire::FrameWriter out = to(peer, client ? welcome_batch(*peer.session) : 0);
  wire::write(out, welcome);
  if (peer.session != nullptr) resend_results(*peer.session);
  if (peer.worker != nullptr) {
    settle_held(*peer.worker, hello);
    place_waiting();
    wake_instance(*peer.worker->task_slot);
  }
}

/// It was told of commits or broker runs that the store knows nothing of.
bool Core::is_ahead(const wire::Hello& hello) const {
  // It would not listen to an earlier epoch than it has seen, whatever the timeline.
  if (hello.timeline > options_.timeline || hello.epoch_seen > options_.epoch) return true;
  if (hello.run_seen != 0) {
    const auto run = runs_.find(hello.epoch_seen);
    if (run != runs_.end() && run->second != hello.run_seen) return true;
  }
  if (hello.timeline < options_.timeline) return false;
  // What earlier runs said of the store was true when ours began.
  return hello.commit_no > (hello.epoch_seen < options_.epoch ? options_.commit_no : committed_);
}

/// Which broker run had an epoch is known from its first commit on.
void Core::record_run() {
  if (run_recorded_) return;
  run_recorded_ = true;
  const auto key = open_->key(KeyKind::hash, "runs");
  open_->set(key, std::to_string(options_.epoch), hex(run_));
  while (runs_.size() > limits::kRunsRemembered) {
    open_->erase(key, std::to_string(runs_.begin()->first));
    runs_.erase(runs_.begin());
  }
}

void Core::meet_witness(PeerId id, const wire::Hello& hello) {
  if (std::max({hello.epoch_seen, hello.timeline, hello.commit_no}) > limits::kStoreNumberMax) {
    return reject(id, Errc::invalid_option, "nobody has seen so many epochs or commits");
  }
  Witness seen{hello.epoch_seen, std::max(hello.timeline, options_.timeline), hello.commit_no, {}};
  seen.text = (hello.name.empty() ? "a peer" : hello.name) + " has seen timeline " +
              std::to_string(hello.timeline) + ", commit " + std::to_string(hello.commit_no) +
              ", epoch " + std::to_string(hello.epoch_seen) + "; the store is at timeline " +
              std::to_string(options_.timeline) + ", commit " + std::to_string(committed_) +
              ", epoch " + std::to_string(options_.epoch);
  effects_->ahead = std::move(seen);
  // In the words of the run that it believes in: it is to try again soon.
  wire::FrameWriter out(effects_->frame_for(id), std::max(hello.epoch_seen, options_.epoch));
  wire::write(out, wire::Goodbye{Errc::stopping, "the store went back in time"});
}

void Core::forget_peer(Peer& peer) {
  if (peer.session != nullptr) {
    Session& session = *peer.session;
    session.peer = nullptr;
    session.away_since_us = listened_us_;
    away_.push_back(session.id);
    for (Handle& handle : session.handles) {
      if (!handle.queue || handle.rare().granted == 0) continue;
      handle.queue->granted -= std::min(handle.queue->granted, handle.extra->granted);
      handle.extra->granted = 0;
      grant_room(*handle.queue);
    }
  }
  if (peer.worker != nullptr) {
    peer.worker->peer = nullptr;  // its lease runs on
    // What waits for its commit goes nowhere now.
    peer.worker->leases.each([&](std::uint64_t, Lease& lease) {
      if (lease.batch > committed_) lease.batch = kNeverLeft;
    });
  }
  peers_by_age_.erase(peer.by_age);
  peers_.erase(static_cast<std::uint64_t>(peer.id));
  ++peers_forgotten_;
}

void Core::on_goodbye(Peer& peer, Errc code) {
  Worker* worker = peer.worker;
  Session* session = peer.session;
  if (worker != nullptr) {
    worker->peer = nullptr;
    peer.worker = nullptr;
    // One that has drained knows of nothing that is not confirmed: what was sent and crossed its
    // goodbye has not begun, and never will.
    static const wire::ChildDied nothing_begun;
    const bool drained = code == Errc::stopping;
    worker_lost(*worker, drained ? &nothing_begun : nullptr, "it said goodbye", true);
  }
  forget_peer(peer);
  if (session != nullptr) {
    away_.remove(session->id);
    session_gone(*session, true);
  }
}

}  // namespace callboard::broker
