// Sessions: how they begin, come back, fall silent and expire.
#include "broker/core/core.hpp"

#include <algorithm>

namespace callboard::broker {

bool Core::hello_session(Peer& peer, const wire::Hello& hello, wire::Welcome& welcome) {
  const SessionId id{hello.session};
  if (peer.session != nullptr && peer.session->id != id) {
    away_.push_back(peer.session->id);
    peer.session->away_since_us = listened_us_;
    peer.session->peer = nullptr;
    peer.session = nullptr;
  }
  const auto found = sessions_.find(id);
  Session* session = found == sessions_.end() ? nullptr : found->second.get();
  if (session != nullptr && session->gone_wall_ms != 0) session = nullptr;
  if (session == nullptr && hello.resume) {
    // Told in an earlier timeline that it was known: then the store has lost it.
    if (hello.timeline != 0 && hello.timeline < options_.timeline) {
      reject(peer.id, Errc::lost, "the store went back in time and knows nothing of it");
    } else {
      reject(peer.id, Errc::unknown_session, "the session is unknown here or has expired");
    }
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
  // Not an acknowledgement: that follows when what has come is stored.
  welcome.accepted_through = session->accepted_through;
  session->ack_sent = 0;
  return true;
}

/// A client that was welcomed may resume its session with the next broker run, so that one must
/// find it in the store. While the store is away nobody is kept waiting for that, but told so.
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
            [](const Call* a, const Call* b) { return a->seq < b->seq; });
  for (Call* call : ended) {
    // A recorded result may still wait for its commit; an early one may be told again at once.
    tell_owner(*call, call->recorded && call->durable ? last_batch() : 0);
  }
  acknowledge(session);
}

void Core::session_gone(Session& session, bool said_goodbye) {
  for (Handle& handle : session.handles) {
    if (handle.open) drop_handle(session, handle);
  }
  std::vector<QueuePtr> owned;
  for (Queue* queue : session.owned) owned.emplace_back(queue);
  for (const QueuePtr& queue : owned) close_queue(*queue);
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
    if (listened_us_ - oldest.heard_us < 4 * options_.lease_ms * kMicrosPerMilli) break;
    forget_peer(oldest);
  }
  while (!away_.empty()) {
    Session& session = *sessions_.at(away_.front());
    const std::int64_t away_us = listened_us_ - session.away_since_us;
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
    if (session.calls.size() + session.stored_calls > 0) {
      ++at;
      continue;
    }
    if (session.has_record) {
      open_->erase(open_->key(KeyKind::hash, "sessions"), hex(value_of(session.id)));
      open_->drop(open_->key(KeyKind::hash, "results:" + hex(value_of(session.id))));
    }
    std::erase(dirty_sessions_, &session);
    std::erase(flight_sessions_, &session);
    std::erase(acks_, &session);
    sessions_.erase(at->second);
    at = gone_.erase(at);
  }
}

}  // namespace callboard::broker
