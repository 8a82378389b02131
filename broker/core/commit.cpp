// What is stored, in which form, and what may be told when.
#include "broker/core/core.hpp"
#include "broker/core/records.hpp"

#include "common/check.hpp"

#include <algorithm>
#include <optional>

namespace callboard::broker {

namespace {

/// The lane of which the journal keeps the watermark beside the queue's counters.
bool is_plain(const Lane& lane) { return lane.group == 0 && lane.priority == 0; }

Lane* plain_lane(Queue& queue) {
  for (Lane& lane : queue.lanes) {
    if (is_plain(lane)) return &lane;
  }
  return nullptr;
}

}  // namespace

std::string queue_key(std::string_view queue, std::string_view suffix) {
  std::string key;
  key.reserve(2 + queue.size() + suffix.size());
  return key.append("q:").append(queue).append(suffix);
}

std::string hex(std::uint64_t value) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text(16, '0');
  for (int i = 15; value != 0; value >>= 4)
    text[static_cast<std::size_t>(i--)] = kDigits[value & 15];
  return text;
}

std::uint64_t Core::last_batch() const {
  if (has_changes()) return open_batch();
  return in_flight_ ? flight_no_ : 0;
}

wire::FrameWriter Core::to(const Peer& peer, std::uint64_t batch) {
  return {path(batch).frame_for(peer.id), options_.epoch};
}

Effects::Gathered* Core::gather(Effects& effects, PeerId peer) const {
  const wire::FrameWriter begun(effects.frame_for(peer), options_.epoch);
  return effects.gather_for(peer);
}

bool Core::congested() const {
  return store_up_ && open_bytes() > options_.store_batch_bytes_max / 4;
}

bool Core::has_changes() const {
  return !open_->empty() || journal_.gathers() || !dirty_queues_.empty() ||
         !dirty_sessions_.empty();
}

bool Core::has_batch() const {
  if (in_flight_) return false;
  return has_changes() || journal_.due_us() <= now_.mono_us;
}

const StoreBatch& Core::take_batch(std::uint64_t& commit_no) {
  CALLBOARD_CHECK(has_batch());
  record_run();
  for (Queue* queue : dirty_queues_) store_watermarks(*queue);
  for (Session* session : dirty_sessions_) {
    session->record_dirty = false;
    session->has_record = true;
    open_->set(open_->key(KeyKind::hash, "sessions"), hex(value_of(session->id)),
               session_record(*session));
  }
  flight_sessions_.clear();
  flight_sessions_.swap(dirty_sessions_);
  for (Worker* worker : confirm_) {
    if (worker->forget_deferred.empty() || worker->peer == nullptr) {
      worker->forget_deferred.clear();
      continue;
    }
    wire::FrameWriter out(open_effects_.frame_for(worker->peer->id), options_.epoch);
    wire::write(out, wire::Forget{wire::ranges_of(worker->forget_deferred)});
    worker->forget_deferred.clear();
  }
  std::erase_if(confirm_, [](Worker* worker) {
    worker->confirming = !worker->forget_now.empty();
    return !worker->confirming;
  });
  flight_no_ = open_batch();
  in_flight_ = true;
  std::swap(open_, flight_);
  std::swap(open_effects_, flight_effects_);
  commit_no = flight_no_;
  journal_.carry(now_, *flight_, flight_no_);
  for (Queue* queue : dirty_queues_) store_counters(*queue);
  dirty_queues_.clear();
  const StoreBatch& written = journal_.write(now_, *flight_, flight_no_);
  note_settling();
  return written;
}

void Core::mark(Queue& queue) {
  if (queue.counters_dirty || queue.state == QueueState::dead) return;
  queue.counters_dirty = true;
  dirty_queues_.push_back(&queue);
}

void Core::mark(Session& session) {
  if (session.record_dirty) return;
  session.record_dirty = true;
  dirty_sessions_.push_back(&session);
}

/// Those of other lanes than the plain one, which few queues have.
void Core::store_watermarks(Queue& queue) {
  for (Lane& lane : queue.lanes) {
    if (!lane.watermark_dirty || is_plain(lane)) continue;
    lane.watermark_dirty = false;
    open_->set(open_->key(KeyKind::hash, queue_key(queue.name(), "")), watermark_field(lane),
               std::to_string(lane.watermark));
  }
}

void Core::store_counters(Queue& queue) {
  queue.counters_dirty = false;
  Lane* const plain = plain_lane(queue);
  std::optional<std::uint64_t> watermark;
  if (plain != nullptr && queue.leaves_in_order()) {
    plain->watermark_dirty = false;
    watermark = plain->watermark;
  }
  const std::uint32_t keys = journal_keys(queue, flight_no_);
  journal_.set_counters(keys, queue.next_number, watermark);
}

void Core::store_call(const Call& call) {
  const std::uint32_t keys = journal_keys(*call.queue, open_batch());
  char* const at = journal_.begin_call(keys, call.number, call_record_room(call));
  journal_.end_call(write_call_record(call, at));
}

void Core::store_sent(const Call& call, bool out, const Worker* task_worker) {
  const std::uint64_t worker = task_worker == nullptr ? 0 : task_worker->number;
  journal_.set_sent(journal_keys(*call.queue, open_batch()), call.number,
                    sent_record(call, out, worker));
}

void Core::erase_sent(const Call& call) {
  journal_.erase_sent(journal_keys(*call.queue, open_batch()), call.number);
}

void Core::store_result(const Call& call) {
  const auto key = open_->key(KeyKind::hash, "results:" + hex(value_of(call.session->id)));
  open_->set(key, std::to_string(call.seq), result_record(call));
}

void Core::store_actor(const Queue& queue) {
  open_->set(open_->key(KeyKind::hash, "actors"), to_string(queue.id), actor_record(queue));
}

void Core::store_queue(const Queue& queue) {
  open_->set(open_->key(KeyKind::set, "queues"), queue.name(), "");
  const auto key = open_->key(KeyKind::hash, queue_key(queue.name(), ""));
  open_->set(key, "kind", name_of(queue.kind));
  open_->set(key, "class", queue.class_name());
  if (queue.id) open_->set(key, "id", to_string(queue.id));
  open_->set(key, "next", std::to_string(queue.next_number));
  open_->set(key, "paused", queue.paused ? "1" : "0");
}

/// Calls that outlive the record of their actor: what a later broker run must know to end them.
void Core::store_last_will(const Queue& queue) {
  const auto key = open_->key(KeyKind::hash, queue_key(queue.name(), ""));
  open_->set(key, "class", queue.class_name());
  open_->set(key, "max_retries", std::to_string(queue.options().max_retries));
}

void Core::erase_queue(const Queue& queue) {
  open_->erase(open_->key(KeyKind::set, "queues"), queue.name());
  drop_dead(queue.name());
  // A named queue's counter outlives it: a name that is used again never repeats a number.
  if (queue.name().starts_with('~')) {
    open_->drop(open_->key(KeyKind::hash, queue_key(queue.name(), "")));
  }
}

void Core::store_class(const std::string& name, const wire::ClassOffer* offer) {
  const auto key = open_->key(KeyKind::hash, "classes");
  if (offer == nullptr) {
    open_->set(key, "task/" + name, "");
  } else {
    open_->set(key, name, std::to_string(static_cast<int>(offer->mode)));
  }
}

}  // namespace callboard::broker
