// Ends of queues: killed, let go of by their owner, and when their names are free again.
#include "broker/core/core.hpp"

#include "common/check.hpp"

#include <algorithm>
#include <utility>

namespace callboard::broker {

void Core::kill_queue(Queue& queue, Errc code, std::string text) {
  if (queue.state == QueueState::dead) return;
  const QueuePtr keep(&queue);
  queue.state = QueueState::dead;
  queue.reason = code;
  queue.more().reason_text = std::move(text);
  const int level = code == Errc::constructor_failed ? 1 : 0;
  log(level, queue.name() + " ends: " + queue.rare().reason_text);
  std::erase(dirty_queues_, &queue);
  queue.counters_dirty = false;
  if (queue.named()) {
    name_counters_[queue.name()] = queue.next_number;
    open_->set(open_->key(KeyKind::hash, queue_key(queue.name(), "")), "next",
               std::to_string(queue.next_number));
    open_->erase(open_->key(KeyKind::hash, "names"), queue.name());
  }
  open_->erase(open_->key(KeyKind::hash, "actors"), to_string(queue.id));
  queues_.died(queue);
  if (const auto owner = sessions_.find(queue.owner); owner != sessions_.end()) {
    owner->second->disown(queue);
  }
  end_unfinished(queue);
  if (queue.open_calls > 0) store_last_will(queue);
  wake_parked(queue);
  for (Instance* instance : queue.instances) {
    if (instance->state == InstanceState::stopping || instance->state == InstanceState::dead) {
      continue;
    }
    if (instance->state == InstanceState::recovering) {
      instance->state = InstanceState::dead;
    } else {
      stop_instance(*instance, true);
    }
  }
  announce_state("actor", queue.name(), "dead", "why", queue.rare().reason_text);
  remove_queue_if_gone(queue);
}

/// Everything that was accepted and has not ended, in the order of acceptance.
std::vector<CallSlab::Ref> Core::unfinished_calls(Queue& queue) {
  std::vector<Call*> unfinished;
  for (Lane& lane : queue.lanes) {
    for (Call* call = lane.head; call != nullptr; call = call->next) unfinished.push_back(call);
  }
  for (Call* stub : stubs_of(queue, SIZE_MAX)) unfinished.push_back(stub);
  for (const auto& [key, state] : queue.rare().keys) {
    for (Call* call : state.waiting) unfinished.push_back(call);
  }
  for (Instance* instance : queue.instances) {
    if (instance->worker == nullptr) continue;
    instance->worker->leases.each([&](std::uint64_t, const Lease& lease) {
      if (lease.instance == instance) unfinished.push_back(lease.call);
    });
  }
  if (!queue.leaves_in_order() || queue.delayed > 0 || queue.count > unfinished.size()) {
    for (auto& [id, session] : sessions_) {  // calls that wait outside of the lanes
      session->calls.each([&](std::uint64_t, Call* call) {
        if (call->queue == &queue) unfinished.push_back(call);
      });
    }
  }
  std::sort(unfinished.begin(), unfinished.end(),
            [](const Call* a, const Call* b) { return a->number < b->number; });
  unfinished.erase(std::unique(unfinished.begin(), unfinished.end()), unfinished.end());
  std::vector<CallSlab::Ref> refs;
  for (Call* call : unfinished) refs.push_back(CallSlab::ref(*call));
  return refs;
}

void Core::end_unfinished(Queue& queue) {
  for (const CallSlab::Ref& ref : unfinished_calls(queue)) {
    Call* call = ref.get();  // the end of one may end others
    if (call == nullptr || call->state == CallState::ended) continue;
    if (call->state != CallState::leased) {
      end_with(*call, queue.reason, queue.rare().reason_text);
    } else if (call->instance() != nullptr && call->instance()->worker != nullptr) {
      // Only its worker knows whether it has begun: it says so, or hands it back.
      call->more().killed = true;
      revoke(*call, true);
    } else {
      end_with(*call, call->max_retries == 0 ? Errc::maybe_executed : queue.reason,
               queue.rare().reason_text);
    }
  }
}

/// Sessions that wait for room offer their calls again, and are told why there will be none.
void Core::wake_parked(Queue& queue) {
  while (!queue.rare().parked.empty()) {
    const ParkedSession parked = queue.extra->parked.front();
    queue.extra->parked.pop_front();
    const auto found = sessions_.find(parked.session);
    Handle* handle = found == sessions_.end() ? nullptr : found->second->handle(parked.handle);
    if (handle == nullptr || !handle->parked || found->second->peer == nullptr) continue;
    handle->parked = false;
    wire::FrameWriter out = to(*found->second->peer, 0);
    wire::write(out, wire::Room{parked.handle, UINT32_MAX});
  }
}

void Core::close_queue(Queue& queue) {
  if (queue.state != QueueState::open) return;
  queue.state = QueueState::closing;
  finish_closing(queue);
}

void Core::finish_closing(Queue& queue) {
  if (queue.state != QueueState::closing) return;
  // Accepted calls finish first; results that wait to be taken do not count.
  if (queue.leased > 0 || queue.open_calls > 0) return;
  kill_queue(queue, Errc::actor_died, "its owner let go of it");
}

/// An owned actor stops when its last call has ended, whatever ended it.
void Core::finish_all_closing() {
  std::vector<QueuePtr> queues;
  while (!closing_.empty()) {
    queues.swap(closing_);
    for (const auto& queue : queues) finish_closing(*queue);
    queues.clear();
  }
}

void Core::remove_queue_if_gone(Queue& queue) {
  if (queue.state != QueueState::dead) return;
  for (const Instance* instance : queue.instances) {
    if (instance->state != InstanceState::dead) return;
  }
  // No instance can run any more: the name is free.
  if (queues_.contains(queue)) {
    dying_.emplace_back(&queue);
    queues_.erase(queue);
    for (Instance* instance : queue.instances) {
      std::erase(unplaced_, instance);
    }
    queue.instances.clear();
  }
  if (queue.objects > 0) return;
  if (queues_.find(queue.name()) == nullptr) erase_queue(queue);
  std::erase_if(dying_, [&](const auto& dying) { return dying.get() == &queue; });
}

void Core::on_kill(Session& session, Peer& peer, const wire::Kill& message) {
  wire::AdminAnswer answer;
  answer.request = message.request;
  std::string text;
  wire::Writer out(text);
  Handle* handle = session.handle(message.handle);
  if (handle == nullptr || !handle->queue || handle->queue->kind == QueueKind::task) {
    answer.code = Errc::unknown_actor;
    out.str("no such actor");
  } else if (handle->queue->state == QueueState::dead) {
    out.nil();
  } else {
    kill_queue(*handle->queue, Errc::actor_died, handle->queue->name() + " was killed");
    out.nil();
  }
  answer.info = text;
  wire::FrameWriter to_peer = to(peer, last_batch());
  wire::write(to_peer, answer);
}

}  // namespace callboard::broker
