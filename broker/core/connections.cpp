// Connections: hello and goodbye, sessions that come and go, workers that fall silent.
#include "broker/core/core.hpp"

#include "common/check.hpp"

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
  auto& place = peers_[static_cast<std::uint64_t>(id)];
  if (place == nullptr) {
    place = std::make_unique<Peer>();
    place->id = id;
    place->by_age = peers_by_age_.insert(peers_by_age_.end(), place.get());
  }
  Peer& peer = *place;
  peer.heard_us = now_.mono_us;
  // What still waits for a commit was meant for what this hello has given up.
  open_effects_.forget(id);
  flight_effects_.forget(id);
  wire::Welcome welcome;
  if (hello.role == wire::Role::supervisor) peer.supervisor = hello.name.empty() ? "?" : hello.name;
  if (hello.role == wire::Role::worker && !hello_worker(peer, hello)) return forget_peer(peer);
  if (hello.session != 0 && !hello_session(peer, hello, welcome)) return forget_peer(peer);
  welcome.epoch = options_.epoch;
  welcome.broker = options_.name;
  welcome.timeline = options_.timeline;
  welcome.commit_no = committed_;
  welcome.heartbeat_ms = options_.heartbeat_ms;
  welcome.lease_ms = options_.worker_lease_ms;
  welcome.shards.push_back({options_.shard, options_.endpoints});
  // A worker is not kept waiting: what it is sent at once would come before its welcome.
  const bool client = peer.session != nullptr && peer.worker == nullptr;
  wire::FrameWriter out = to(peer, client ? welcome_batch(*peer.session) : 0);
  wire::write(out, welcome);
  if (!client && peer.session != nullptr && !peer.session->stored) mark(*peer.session);
  if (peer.session != nullptr) resend_results(*peer.session);
  if (peer.worker != nullptr) {
    settle_held(*peer.worker, hello);
    place_waiting();
    wake_instance(*peer.worker->task_slot);
  }
}

bool Core::hello_session(Peer& peer, const wire::Hello& hello, wire::Welcome& welcome) {
  const SessionId id{hello.session};
  if (peer.session != nullptr && peer.session->id != id) {
    away_.push_back(peer.session->id);
    peer.session->away_since_us = now_.mono_us;
    peer.session->peer = nullptr;
    peer.session = nullptr;
  }
  const auto found = sessions_.find(id);
  Session* session = found == sessions_.end() ? nullptr : found->second.get();
  if (session != nullptr && session->gone_wall_ms != 0) session = nullptr;
  if (session == nullptr && hello.resume) {
    reject(peer.id, Errc::unknown_session, "the session is unknown here or has expired");
    return false;
  }
  if (session == nullptr) {
    if (found != sessions_.end()) {
      reject(peer.id, Errc::unknown_session, "the session number was used before");
      return false;
    }
    auto made = std::make_unique<Session>();
    session = made.get();
    session->id = id;
    sessions_.emplace(id, std::move(made));
  } else if (session->peer != nullptr && session->peer != &peer) {
    Peer& old = *session->peer;
    old.session = nullptr;  // the new connection replaces it; a worker keeps its worker side
    if (old.worker == nullptr) forget_peer(old);
  } else if (session->peer == nullptr) {
    away_.remove(id);
  }
  // Handles are numbers of one connection: the client opens them again.
  for (Handle& handle : session->handles) {
    if (!handle.open) continue;
    const bool owned = handle.queue && handle.queue->owner == id;
    if (owned) ++handle.queue->owner_handles;  // a reconnect does not let go of what it owns
    drop_handle(*session, handle);
    if (owned) --handle.queue->owner_handles;
    handle = Handle();
  }
  session->handles.clear();
  session->peer = &peer;
  peer.session = session;
  session->name = hello.name;
  session->host = hello.host;
  session->pid = hello.pid;
  std::erase_if(session->refused, [&](const auto& entry) {
    return entry.first <= hello.acked_through && !entry.second.parked;
  });
  for (auto& [seq, refusal] : session->refused) {
    welcome.refused.push_back(seq);
    refusal.parked = true;  // the client may offer it again
  }
  // What waits for its commit is not acknowledged: it is submitted again, for nothing.
  welcome.accepted_through = session->durable_batch <= committed_ ? session->accepted_through
                                                                  : session->stored_through;
  session->ack_sent = 0;
  return true;
}

/// A client that was welcomed may resume its session with the next broker run, so that one must
/// find it in the store. While the store is away nobody is kept waiting for that.
std::uint64_t Core::welcome_batch(Session& session) {
  if (session.stored || !store_up_ || session.accepted_through > 0) return 0;
  const auto in = [&](const std::vector<Session*>& sessions) {
    return std::find(sessions.begin(), sessions.end(), &session) != sessions.end();
  };
  if (in_flight_ && in(flight_sessions_)) return flight_no_;
  mark(session);
  return open_batch();
}

void Core::resend_results(Session& session) {
  std::vector<Call*> ended;
  session.calls.each([&](std::uint64_t, Call* call) {
    if (call->state == CallState::ended && !call->taken && !call->no_result) ended.push_back(call);
  });
  std::sort(ended.begin(), ended.end(),
            [](const Call* a, const Call* b) { return a->id.seq < b->id.seq; });
  for (Call* call : ended) {
    // A recorded result may still wait for its commit; an early one may be told again at once.
    tell_owner(*call, call->recorded && call->durable ? last_batch() : 0);
  }
  acknowledge(session);
}

bool Core::hello_worker(Peer& peer, const wire::Hello& hello) {
  if (hello.name.empty()) {
    reject(peer.id, Errc::invalid_option, "a worker needs a name");
    return false;
  }
  const auto found = workers_.find(hello.name);
  if (found != workers_.end() && found->second->number != hello.instance) {
    Worker& other = *found->second;
    if (other.peer != nullptr && other.peer != &peer) {
      reject(peer.id, Errc::name_taken, "a living worker has the name " + hello.name);
      return false;
    }
    if (other.peer == &peer) {
      other.peer = nullptr;
      peer.worker = nullptr;
    }
    worker_lost(other, nullptr, "another process took its name");
  }
  auto& place = workers_[hello.name];
  const bool is_new = place == nullptr;
  if (is_new) {
    place = std::make_unique<Worker>();
    place->next_lease = lease_floor_;
    place->task_slot = std::make_unique<Instance>();
    place->serial = ++worker_serials_;
    workers_by_serial_[place->serial] = place.get();
    place->task_slot->worker = place.get();
    place->task_slot->state = InstanceState::alive;
  }
  Worker& worker = *place;
  if (worker.peer != nullptr && worker.peer != &peer) {
    Peer& old = *worker.peer;
    old.worker = nullptr;
    forget_peer(old);
  }
  worker.peer = &peer;
  peer.worker = &worker;
  worker.name = hello.name;
  worker.host = hello.host;
  worker.supervisor = hello.supervisor;
  worker.pid = hello.pid;
  worker.number = hello.instance;
  worker.heard_us = now_.mono_us;
  worker.forget_now.clear();
  worker.forget_deferred.clear();
  for (const auto& offer : hello.classes) {
    worker.classes[offer.name] = offer;
    offers_[offer.name][worker.name] = &worker;
    if (classes_known_.try_emplace(offer.name, offer.mode).second) store_class(offer.name, &offer);
  }
  worker.tasks = hello.tasks;
  Instance& slot = *worker.task_slot;
  slot.groups.assign(1, GroupWindow{.window = hello.task_slots, .out = slot.out});
  slot.recalling = false;
  worker.leaving = false;
  for (const std::string& task : hello.tasks) {
    if (tasks_known_.try_emplace(task, true).second) store_class(task, nullptr);
    auto& runners = task_queue(task)->instances;
    if (std::find(runners.begin(), runners.end(), &slot) == runners.end()) runners.push_back(&slot);
  }
  if (is_new) {
    log(0, "worker " + worker.name + " joined from " + worker.host);
    std::string info;
    wire::Writer out(info);
    out.map(2);
    out.str("worker");
    out.str(worker.name);
    out.str("state");
    out.str("joined");
    announce("worker", std::move(info));
  }
  return true;
}

void Core::settle_held(Worker& worker, const wire::Hello& hello) {
  worker.settling = true;
  // 1. Actors: what it holds and we still want is taken over; the rest is stopped.
  std::map<std::pair<ActorId, std::uint64_t>, std::uint32_t> held;
  for (const auto& actor : hello.held_actors) {
    held[{actor.id, actor.incarnation}] = actor.slot;
    worker.next_slot = std::max(worker.next_slot, actor.slot + 1);
  }
  std::vector<std::pair<ActorId, std::uint32_t>> missing;
  for (auto& [key, owned] : instances_) {
    Instance& instance = *owned;
    const auto found = held.find({instance.id, instance.incarnation});
    const bool here = instance.worker == &worker;
    if (found != held.end() && (here || instance.state == InstanceState::recovering)) {
      instance.worker = &worker;
      instance.slot = found->second;
      instance.methods_told = 0;
      instance.recalling = false;
      instance.groups.resize(instance.queue->groups.size());
      if (!here) ++worker.actors;
      worker.slots[instance.slot] = &instance;
      if (instance.state != InstanceState::stopping) {
        instance.state = InstanceState::alive;
        instance.failures = 0;
      } else {
        wire::FrameWriter out = to(*worker.peer, 0);
        wire::write(out, wire::Stop{instance.slot, true});
      }
      held.erase(found);
    } else if (here && instance.state != InstanceState::unplaced) {
      missing.push_back(key);
    }
  }
  // Losing one may end its queue, and with it other instances of the table.
  for (const auto& key : missing) {
    const auto found = instances_.find(key);
    if (found == instances_.end() || found->second->worker != &worker) continue;
    Instance& instance = *found->second;
    if (instance.state == InstanceState::starting) start_again(instance);
    else instance_lost(instance, "its worker no longer holds it");
  }
  for (const auto& [actor, slot] : held) {
    wire::FrameWriter out = to(*worker.peer, 0);
    wire::write(out, wire::Stop{slot, true});
  }
  // 2. Calls: what it lists stays leased to it; what it does not list was never begun.
  std::map<std::uint64_t, const wire::HeldCall*> listed;
  for (const auto& call : hello.held_calls) {
    listed[call.lease] = &call;
    worker.next_lease = std::max(worker.next_lease, call.lease + 1);
  }
  std::vector<std::pair<std::uint64_t, Lease>> leases;
  worker.leases.each([&](std::uint64_t no, const Lease& lease) { leases.emplace_back(no, lease); });
  std::sort(leases.begin(), leases.end(), [](auto& a, auto& b) { return a.first > b.first; });
  for (const auto& [no, lease] : leases) {
    if (listed.contains(no)) {
      listed.erase(no);
      // It is not known whether an earlier REVOKE arrived.
      const CallExtra* extra = lease.call->extra.get();
      const bool unwanted =
          extra != nullptr && (extra->killed || extra->expire || !extra->cancels.empty());
      if (unwanted && lease.call->state == CallState::leased) revoke(*lease.call, true);
      continue;
    }
    on_returned(worker, wire::Returned{no});
  }
  for (const auto& [no, call_held] : listed) {
    Call* call = find_call(call_held->call);
    Instance* instance = worker.task_slot.get();
    if (call_held->actor) {
      const auto slot = std::find_if(worker.slots.begin(), worker.slots.end(), [&](auto& entry) {
        return entry.second->id == call_held->actor &&
               entry.second->incarnation == call_held->incarnation;
      });
      instance = slot == worker.slots.end() ? nullptr : slot->second;
    }
    if (call != nullptr && call->state == CallState::ended && call->lease == no &&
        call->holder == worker.serial) {
      continue;  // its result was told early and is not recorded: the worker keeps it
    }
    if (call == nullptr || !call->orphan || instance == nullptr) {
      // Unknown, recorded, or given to another since. If its record is still on the way to the
      // store, so is the word to forget.
      const bool ended = call != nullptr && call->state == CallState::ended;
      if (ended && call->durable && !call->recorded && !call->taken) record_result(*call);
      forget(worker, no, last_batch() != 0);
      continue;
    }
    call->orphan = false;
    call->lease = no;
    call->instance = instance;
    call->attempts = std::max<std::uint16_t>(call->attempts, 1);
    worker.leases.insert(no, Lease{call, instance, call->group});
    if (call->group < instance->groups.size()) ++instance->groups[call->group].out;
    ++instance->out;
    ++call->queue->leased;
  }
  // 3. Orphans of actors that this worker has taken over and does not list were never begun.
  for (const CallSlab::Ref& ref : orphans_) {
    Call* call = ref.get();
    if (call == nullptr || !call->orphan || call->queue->kind == QueueKind::task) continue;
    const auto& holders = call->queue->instances;
    const bool all_here = std::all_of(holders.begin(), holders.end(), [](const Instance* holder) {
      return holder->worker != nullptr && holder->state != InstanceState::recovering;
    });
    if (holders.empty() || !all_here) continue;
    call->orphan = false;
    put_back(*call);
  }
  worker.settling = false;
  for (auto& [slot, instance] : worker.slots) wake_instance(*instance);
}

void Core::forget_peer(Peer& peer) {
  if (peer.session != nullptr) {
    Session& session = *peer.session;
    session.peer = nullptr;
    session.away_since_us = now_.mono_us;
    away_.push_back(session.id);
    for (Handle& handle : session.handles) {
      if (!handle.queue || handle.granted == 0) continue;
      handle.queue->granted -= std::min(handle.queue->granted, handle.granted);
      handle.granted = 0;
      grant_room(*handle.queue);
    }
  }
  if (peer.worker != nullptr) peer.worker->peer = nullptr;  // its lease runs on
  peers_by_age_.erase(peer.by_age);
  peers_.erase(static_cast<std::uint64_t>(peer.id));
}

void Core::on_goodbye(Peer& peer) {
  Worker* worker = peer.worker;
  Session* session = peer.session;
  if (worker != nullptr) {
    worker->peer = nullptr;
    peer.worker = nullptr;
    worker_lost(*worker, nullptr, "it said goodbye", true);
  }
  forget_peer(peer);
  if (session != nullptr) {
    away_.remove(session->id);
    session_gone(*session, true);
  }
}

void Core::drop_handle(Session& session, Handle& handle) {
  handle.open = false;
  if (!handle.queue) return;
  Queue& queue = *handle.queue;
  queue.granted -= std::min(queue.granted, handle.granted);
  if (queue.handles > 0) --queue.handles;
  const std::shared_ptr<Queue> keep = handle.queue;
  if (queue.owner == session.id && queue.owner_handles > 0 && --queue.owner_handles == 0) {
    close_queue(queue);
  }
}

void Core::session_gone(Session& session, bool said_goodbye) {
  for (Handle& handle : session.handles) {
    if (handle.open) drop_handle(session, handle);
  }
  const std::set<ActorId> owned = session.owned;
  for (const ActorId& actor : owned) {
    const auto found = actors_.find(actor);
    if (found != actors_.end()) {
      const std::shared_ptr<Queue> queue = found->second;
      close_queue(*queue);
    }
  }
  session.gone_wall_ms = std::max<std::int64_t>(now_.wall_ms, 1);
  gone_.emplace_back(now_.wall_ms + (said_goodbye ? 0 : options_.result_ttl_ms), session.id);
  if (!session.has_record) return;
  if (said_goodbye) return;  // expire_sessions() erases it
  mark(session);
  open_->expire(open_->key(KeyKind::hash, "results:" + hex(value_of(session.id))),
                options_.result_ttl_ms);
}

void Core::expire_sessions() {
  while (!peers_by_age_.empty()) {
    Peer& oldest = *peers_by_age_.front();
    // A connection that is silent for this long is dead; its session and worker live on for a
    // while.
    if (now_.mono_us - oldest.heard_us < 4 * options_.lease_ms * kMicrosPerMilli) break;
    forget_peer(oldest);
  }
  while (!away_.empty()) {
    Session& session = *sessions_.at(away_.front());
    const std::int64_t away_us = now_.mono_us - std::max(session.away_since_us, began_.mono_us);
    if (away_us < options_.session_grace_ms * kMicrosPerMilli) break;
    away_.pop_front();
    session_gone(session, false);
  }
  for (auto at = gone_.begin(); at != gone_.end();) {
    if (at->first > now_.wall_ms) {
      ++at;
      continue;
    }
    Session& session = *sessions_.at(at->second);
    if (!session.released) {
      // From now on nobody can ask for its results; calls that end later are dropped as they end.
      session.released = true;
      std::vector<Call*> ended;
      session.calls.each([&](std::uint64_t, Call* call) {
        if (call->state == CallState::ended) ended.push_back(call);
      });
      for (Call* call : ended) {
        call->taken = true;
        drop_if_done(*call);
      }
    }
    if (session.calls.size() > 0) {
      ++at;
      continue;
    }
    if (session.has_record) {
      open_->erase(open_->key(KeyKind::hash, "sessions"), hex(value_of(session.id)));
      open_->drop(open_->key(KeyKind::hash, "results:" + hex(value_of(session.id))));
    }
    std::erase(dirty_sessions_, &session);
    std::erase(flight_sessions_, &session);
    sessions_.erase(at->second);
    at = gone_.erase(at);
  }
}

void Core::expire_workers() {
  std::vector<Worker*> lost;
  for (auto& [name, worker] : workers_) {
    if (now_.mono_us - worker->heard_us > options_.lease_ms * kMicrosPerMilli) {
      lost.push_back(worker.get());
    }
  }
  for (Worker* worker : lost) {
    worker_lost(*worker, nullptr, "it was silent for " + std::to_string(options_.lease_ms) + " ms");
  }
}

void Core::refresh_workers() {
  constexpr std::int64_t kEveryMs = 5000;
  for (auto& [name, worker] : workers_) {
    if (now_.wall_ms - worker->heartbeat_wall_ms < kEveryMs) continue;
    worker->heartbeat_wall_ms = now_.wall_ms;
    open_->set(open_->key(KeyKind::sorted_set, "workers"), name, std::to_string(now_.wall_ms));
  }
}

}  // namespace callboard::broker
