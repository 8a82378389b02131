// Calls that a queue does not take now: refused, or parked until there is room, in the order of
// those who wait. Order never has a hole: what follows a refused or parked call waits for it.
#include "broker/core/core.hpp"

#include <algorithm>
#include <utility>

namespace callboard::broker {

namespace {

constexpr std::uint64_t kRoomAtOnce = 1024;  ///< room granted to one parked session at a time

}  // namespace

bool Core::park_or_refuse_rare(Session& session, Handle& handle, const wire::Submit& message,
                               const wire::CallOptions* options) {
  Queue& queue = *handle.queue;
  const bool full = queue.full(message.args.size());
  // Left the client before that had seen that an earlier call was parked: it must not take the room
  // that the earlier one was granted meanwhile.
  const HandleExtra& rare = handle.rare();
  const bool out_of_turn = !rare.waiting.empty() && message.seq > *rare.waiting.begin();
  if (!out_of_turn && options != nullptr && due_wall_ms(*options) > now_.wall_ms) {
    // It takes no place in line now, and has taken it before anybody asks when it is due.
    use_room(session, message.handle, handle);
    if (queue.delayed < queue.max_pending()) return false;
    refuse(session, message.seq, message.handle, Errc::queue_full,
           queue.name() + " holds " + std::to_string(queue.delayed) + " delayed calls",
           limits::kRetryAfterMs);
    offer_waiting(session, message.handle, handle);
    grant_room(queue);
    return true;
  }
  const bool first = !handle.parked && queue.rare().parked.empty() && !full;
  if (!out_of_turn && (rare.granted > 0 || first)) {
    use_room(session, message.handle, handle);
    return false;
  }
  const auto when_full =
      options != nullptr && options->when_full ? *options->when_full : queue.options().when_full;
  if (when_full == wire::WhenFull::reject && !handle.parked && handle.rare().waiting.empty()) {
    if (!full) return false;
    refuse(session, message.seq, message.handle, Errc::queue_full,
           queue.name() + " holds " + std::to_string(queue.count) + " calls",
           queue.retry_after_ms(now_.mono_us), queue.full(0) ? queue.tenth() : 0);
    return true;
  }
  session.refused[message.seq] = {message.handle, true, false};
  std::erase(session.accepted_again, message.seq);
  handle.more().waiting.insert(message.seq);
  if (out_of_turn) return true;  // the client was told from which number on
  wire::FrameWriter out = to(*session.peer, 0);
  wire::write(out, wire::Parked{message.handle, message.seq});
  line_up(session, message.handle, handle);
  grant_room(queue);
  return true;
}

/// A call that was granted room comes for it, and the rest of the parked calls keep a place in
/// line.
void Core::use_room(const Session& session, std::uint32_t number, Handle& handle) {
  if (handle.rare().granted > 0) {
    --handle.extra->granted;
    --handle.queue->granted;
  }
  const HandleExtra& rare = handle.rare();
  if (rare.granted == 0 && !rare.waiting.empty()) line_up(session, number, handle);
}

/// A call was refused: its parked successors are asked for at once, to be refused as well. Room
/// would never come to them, because the refused call takes none.
void Core::offer_waiting(Session& session, std::uint32_t number, Handle& handle) {
  if (handle.rare().waiting.empty()) return;
  const std::uint64_t calls = handle.extra->waiting.size();
  handle.extra->waiting.clear();
  handle.parked = false;
  handle.queue->granted -= std::min(handle.queue->granted, std::exchange(handle.extra->granted, 0));
  wire::FrameWriter out = to(*session.peer, 0);
  wire::write(out, wire::Room{number, calls});
}

void Core::line_up(const Session& session, std::uint32_t number, Handle& handle) {
  if (handle.parked) return;
  handle.parked = true;
  handle.queue->more().parked.push_back({session.id, number});
}

void Core::grant_room(Queue& queue) {
  while (!queue.rare().parked.empty() && !queue.full(0)) {
    const ParkedSession next = queue.extra->parked.front();
    const auto found = sessions_.find(next.session);
    Handle* handle = found == sessions_.end() ? nullptr : found->second->handle(next.handle);
    queue.extra->parked.pop_front();
    if (handle == nullptr || handle->queue.get() != &queue || !handle->parked ||
        found->second->peer == nullptr) {
      continue;
    }
    const std::uint64_t room =
        std::min(kRoomAtOnce, queue.max_pending() - queue.count - queue.granted);
    handle->parked = false;
    handle->more().granted = room;
    queue.granted += room;
    wire::FrameWriter out = to(*found->second->peer, 0);
    wire::write(out, wire::Room{next.handle, room});
  }
}

void Core::refuse(Session& session, std::uint64_t seq, std::uint32_t number, Errc code,
                  std::string_view text, std::uint64_t retry_after_ms,
                  std::uint64_t room) {
  ++counters_.refused;
  Session::Refusal& refusal = session.refused[seq];
  refusal.handle = number;
  refusal.parked = false;
  std::erase(session.accepted_again, seq);
  // A refusal that time may cure holds back what follows, so that order never has a hole. A queue
  // that is gone refuses every call for its own reason.
  Handle* handle = session.handle(number);
  if (handle != nullptr && handle->queue && handle->queue->state == QueueState::open) {
    if (!handle->refusing) handle->more().refused_first = seq;
    handle->refusing = true;
  }
  wire::Refused answer;
  answer.seq = seq;
  answer.code = code;
  answer.text = text;
  answer.retry_after_ms = retry_after_ms;
  answer.room = room;
  wire::FrameWriter out = to(*session.peer, session.durable_batch);
  wire::write(out, answer);
}

void Core::on_resume(Session& session, const wire::Resume& message) {
  Handle* handle = session.handle(message.handle);
  if (handle == nullptr) return;
  // One that gives back room, or was sent before the refusal arrived, knows nothing of it. What a
  // queue that is gone refused is not waited for: the client may still not have seen it.
  if (handle->refusing && message.seen >= handle->rare().refused_first) {
    handle->refusing = false;
    std::erase_if(session.refused, [&](const auto& entry) {
      return entry.second.handle == message.handle && !entry.second.parked;
    });
  }
  if (handle->queue && handle->rare().granted > 0) {
    // It needs no more room: what was promised is for others.
    handle->queue->granted -= std::min(handle->queue->granted, handle->extra->granted);
    handle->extra->granted = 0;
    // It did not know of calls that were parked on their way.
    if (!handle->rare().waiting.empty()) line_up(session, message.handle, *handle);
    grant_room(*handle->queue);
  }
}

/// The client has answered a parked call itself: it will not be offered again, and what came after
/// it need not wait for it.
void Core::give_up(Session& session, std::uint64_t seq) {
  const auto refused = session.refused.find(seq);
  if (refused == session.refused.end() || !refused->second.parked) return;
  if (Handle* handle = session.handle(refused->second.handle)) handle->more().waiting.erase(seq);
  session.refused.erase(refused);
  if (session.has_record) mark(session);
}

}  // namespace callboard::broker
