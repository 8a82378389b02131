#include "broker/core/queue_table.hpp"

#include "broker/core/call.hpp"
#include "common/check.hpp"

#include <algorithm>
#include <iterator>
#include <string>

namespace callboard::broker {

namespace {

bool before(const std::pair<ActorId, QueuePtr>& entry, ActorId id) { return entry.first < id; }

}  // namespace

ActorId QueueTable::unnamed_id(std::string_view name) {
  if (!name.starts_with('~')) return {};
  const CallId parsed = call_id_from(std::string(name.substr(1)));
  const ActorId id{parsed.session, parsed.seq};
  return id && to_string(id) == name.substr(1) ? id : ActorId{};
}

Queue* QueueTable::find(std::string_view name) const {
  if (const ActorId id = unnamed_id(name)) {
    const Entry* const entry = find_unnamed(id);
    return entry == nullptr ? nullptr : entry->second.get();
  }
  const auto found = named_.find(name);
  return found == named_.end() ? nullptr : found->second.get();
}

Queue* QueueTable::actor(ActorId id) const {
  if (const auto found = ids_.find(id); found != ids_.end()) return found->second;
  const Entry* const entry = find_unnamed(id);
  return entry == nullptr || entry->second->state == QueueState::dead ? nullptr
                                                                      : entry->second.get();
}

bool QueueTable::contains(const Queue& queue) const {
  if (!queue.given_name) {
    const Entry* const entry = find_unnamed(queue.id);
    return entry != nullptr && entry->second.get() == &queue;
  }
  const auto found = named_.find(*queue.given_name);
  return found != named_.end() && found->second.get() == &queue;
}

void QueueTable::add(const QueuePtr& queue) {
  if (!queue->given_name) return add_unnamed(queue);
  if (const Queue* const other = find(*queue->given_name)) erase(*other);
  named_.emplace(*queue->given_name, queue);
  if (queue->id && queue->state != QueueState::dead) ids_[queue->id] = queue.get();
}

void QueueTable::died(const Queue& queue) {
  const auto found = ids_.find(queue.id);
  if (found != ids_.end() && found->second == &queue) ids_.erase(found);
}

void QueueTable::erase(const Queue& queue) {
  died(queue);
  if (queue.given_name) {
    named_.erase(named_.find(*queue.given_name));
    return;
  }
  const std::size_t n = chunk_of(queue.id);
  CALLBOARD_CHECK(n < unnamed_.size());
  Chunk& chunk = unnamed_[n];
  const auto at = std::lower_bound(chunk.begin(), chunk.end(), queue.id, before);
  CALLBOARD_CHECK(at != chunk.end() && at->second.get() == &queue);
  const QueuePtr keep = std::move(at->second);  // `queue` may be the last that refers to it
  chunk.erase(at);
  --unnamed_count_;
  if (chunk.empty()) unnamed_.erase(unnamed_.begin() + static_cast<std::ptrdiff_t>(n));
  else if (n + 1 < unnamed_.size()) unite(n);
}

/// Two neighbours of which little is left become one.
void QueueTable::unite(std::size_t n) {
  Chunk& chunk = unnamed_[n];
  Chunk& next = unnamed_[n + 1];
  if (chunk.size() + next.size() > kChunk / 2) return;
  std::move(next.begin(), next.end(), std::back_inserter(chunk));
  unnamed_.erase(unnamed_.begin() + static_cast<std::ptrdiff_t>(n) + 1);
}

/// The last chunk that does not begin behind the id; the first when all do.
std::size_t QueueTable::chunk_of(ActorId id) const {
  const auto behind = std::partition_point(
      unnamed_.begin(), unnamed_.end(),
      [id](const Chunk& chunk) { return !(id < chunk.front().first); });
  const auto n = static_cast<std::size_t>(behind - unnamed_.begin());
  return n == 0 ? 0 : n - 1;
}

const QueueTable::Entry* QueueTable::find_unnamed(ActorId id) const {
  if (unnamed_.empty()) return nullptr;
  const Chunk& chunk = unnamed_[chunk_of(id)];
  const auto at = std::lower_bound(chunk.begin(), chunk.end(), id, before);
  return at != chunk.end() && at->first == id ? &*at : nullptr;
}

void QueueTable::add_unnamed(const QueuePtr& queue) {
  if (unnamed_.empty()) {
    unnamed_.emplace_back().emplace_back(queue->id, queue);
    ++unnamed_count_;
    return;
  }
  std::size_t n = chunk_of(queue->id);
  if (unnamed_[n].size() >= kChunk) {
    // Behind all of them, as most: that one stays full. Otherwise it is divided.
    const bool last = n + 1 == unnamed_.size() && unnamed_[n].back().first < queue->id;
    Chunk more;
    more.reserve(kChunk);
    const auto middle = unnamed_[n].begin() + (last ? kChunk : kChunk / 2);
    std::move(middle, unnamed_[n].end(), std::back_inserter(more));
    unnamed_[n].erase(middle, unnamed_[n].end());
    const bool into_more = last || !(queue->id < more.front().first);
    unnamed_.insert(unnamed_.begin() + static_cast<std::ptrdiff_t>(n) + 1, std::move(more));
    if (into_more) ++n;
  }
  Chunk& chunk = unnamed_[n];
  const auto at = std::lower_bound(chunk.begin(), chunk.end(), queue->id, before);
  if (at != chunk.end() && at->first == queue->id) {
    at->second = queue;
    return;
  }
  chunk.emplace(at, queue->id, queue);
  ++unnamed_count_;
}

}  // namespace callboard::broker
