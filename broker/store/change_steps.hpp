// What every call does in the table of changes, inlined there. Included by change_table.hpp only.
#pragma once

#include "broker/store/change_table.hpp"

#include <utility>

namespace callboard::broker {

/// Numbers that follow one another stand side by side.
inline std::size_t ChangeTable::bucket_of(std::uint32_t key, std::uint64_t id) const {
  return (id + (key * 0x9E3779B97F4A7C15ull >> 32)) & (buckets_.size() - 1);
}

inline std::uint32_t& ChangeTable::bucket(std::uint32_t key, std::uint64_t id) {
  return buckets_[bucket_of(key, id)];
}

/// To what is known of the field; it is kNone when nothing is.
inline std::uint32_t* ChangeTable::link_to(std::uint32_t key, std::uint64_t number) {
  std::uint32_t* link = &bucket(key, number);
  while (*link != kNone) {
    Change& change = changes_[*link];
    if (change.id == number && change.key == key) break;
    link = &change.chain;
  }
  return link;
}

inline std::uint32_t ChangeTable::make(std::uint32_t key, std::uint64_t id) {
  if (used_ >= buckets_.size()) grow();
  std::uint32_t at = free_;
  if (at == kNone) {
    at = static_cast<std::uint32_t>(changes_.size());
    changes_.emplace_back();
  } else {
    free_ = changes_[at].chain;
  }
  ++used_;
  Change& change = changes_[at];
  change.key = key;
  change.id = id;
  change.chain = std::exchange(bucket(key, id), at);
  change.previous_of_key = kNone;
  change.next_of_key = std::exchange(first_of(key), at);
  if (change.next_of_key != kNone) changes_[change.next_of_key].previous_of_key = at;
  return at;
}

inline void ChangeTable::link_newest(std::uint32_t at) {
  changes_[at].older = newest_;
  changes_[at].newer = kNone;
  (newest_ == kNone ? oldest_ : changes_[newest_].newer) = at;
  newest_ = at;
}

inline void ChangeTable::unlink(std::uint32_t at) {
  const Change& change = changes_[at];
  (change.older == kNone ? oldest_ : changes_[change.older].newer) = change.newer;
  (change.newer == kNone ? newest_ : changes_[change.newer].older) = change.older;
}

/// Out of the order of age, to be the newest next; one that is not there is made.
inline std::uint32_t ChangeTable::renew(std::uint32_t at, std::uint32_t key, std::uint64_t id) {
  if (at == kNone) return make(key, id);
  unlink(at);
  return at;
}

/// `link` is the one that leads to it in its bucket.
inline void ChangeTable::remove_at(std::uint32_t at, std::uint32_t* link) {
  unlink(at);
  Change& change = changes_[at];
  *link = change.chain;
  Queue& queue = queues_[queue_of(change.key)];
  (change.previous_of_key == kNone ? first_of(change.key)
                                   : changes_[change.previous_of_key].next_of_key) =
      change.next_of_key;
  if (change.next_of_key != kNone) {
    changes_[change.next_of_key].previous_of_key = change.previous_of_key;
  }
  if (!queue.idle && !queue.changes()) {
    queue.idle = true;
    idle_queues_.push_back(queue_of(change.key));
  }
  change.chain = std::exchange(free_, at);
  --used_;
}

/// As if it had never been.
inline void ChangeTable::remove_fresh(std::uint32_t at, std::uint32_t* link) {
  std::uint32_t& outlived = queues_[queue_of(changes_[at].key)].tide.outlived;
  if (outlived > 0) --outlived;
  remove_at(at, link);
}

inline void ChangeTable::note_set(std::uint32_t key, std::uint64_t number,
                                  const JournalRecord& record, std::string_view value) {
  std::uint32_t at = *link_to(key, number);
  const bool fresh = at == kNone || changes_[at].fresh;
  at = renew(at, key, number);
  Change& kept = changes_[at];
  kept.record = &record;
  kept.set_value(value);
  kept.fresh = fresh;
  link_newest(at);
}

inline void ChangeTable::note_erased(std::uint32_t key, std::uint64_t number,
                                     const JournalRecord& record) {
  std::uint32_t* const link = link_to(key, number);
  std::uint32_t at = *link;
  if (at != kNone && changes_[at].fresh) return remove_fresh(at, link);
  at = renew(at, key, number);
  Change& kept = changes_[at];
  kept.record = &record;
  kept.value_bytes = 0;
  kept.sets = kept.fresh = false;
  link_newest(at);
}

}  // namespace callboard::broker
