#include "broker/store/change_table.hpp"

#include <algorithm>
#include <functional>
#include <utility>

namespace callboard::broker {

namespace {

constexpr std::size_t kBucketsMin = 1024;
/// Changes for which an empty table keeps room.
constexpr std::size_t kChangesKept = 16 * 1024;
/// A queue that is used again and again keeps its number meanwhile.
constexpr std::size_t kIdleQueuesMax = 4096;

constexpr std::string_view kPrefix = "q:";
/// By QueuePart.
constexpr std::array<std::string_view, 3> kSuffixes = {"", ":calls", ":sent"};

}  // namespace

ChangeTable::ChangeTable() : buckets_(kBucketsMin, kNone) {}

/// The number that a field is, as nearly all are; of another one a hash, which is no number.
std::uint64_t ChangeTable::id_of(std::string_view field) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), number);
  const bool is_number = error == std::errc() && end == field.data() + field.size() &&
                         number < kNumbersEnd && (field.front() != '0' || field.size() == 1);
  return is_number ? number : std::hash<std::string_view>{}(field) | kHashed;
}

// --- keys ----------------------------------------------------------------------------------------

QueueTicket ChangeTable::queue(std::string_view name) {
  const auto known = queue_numbers_.find(name);
  if (known != queue_numbers_.end()) return {known->second, queues_[known->second].turn};
  std::uint32_t number = 0;
  if (free_queues_.empty()) {
    number = static_cast<std::uint32_t>(queues_.size());
    queues_.emplace_back();
  } else {
    number = free_queues_.back();
    free_queues_.pop_back();
  }
  Queue& made = queues_[number];
  made.name = name;
  made.idle = true;
  idle_queues_.push_back(number);
  queue_numbers_.emplace(name, number);
  return {number, made.turn};
}

bool ChangeTable::split(std::string_view key, std::string_view& queue, QueuePart& part) {
  if (!key.starts_with(kPrefix)) return false;
  const std::size_t colon = std::min(key.find(':', kPrefix.size()), key.size());
  queue = key.substr(kPrefix.size(), colon - kPrefix.size());
  const auto suffix = std::find(kSuffixes.begin(), kSuffixes.end(), key.substr(colon));
  part = static_cast<QueuePart>(suffix - kSuffixes.begin());
  return suffix != kSuffixes.end();
}

std::uint32_t ChangeTable::changed_key(std::string_view key) const {
  std::string_view name;
  QueuePart part{};
  if (!split(key, name, part)) return kNone;
  const auto found = queue_numbers_.find(name);
  if (found == queue_numbers_.end()) return kNone;
  const std::uint32_t number = key_of(found->second, part);
  return queues_[found->second].first[number & 3] == kNone ? kNone : number;
}

std::string ChangeTable::name(std::uint32_t key) const {
  std::string name(kPrefix);
  return name.append(queues_[queue_of(key)].name).append(kSuffixes[key & 3]);
}

void ChangeTable::forget_key(std::uint32_t key) {
  while (first_of(key) != kNone) remove_at(first_of(key));
}

void ChangeTable::drop_idle_queues() {
  if (idle_queues_.size() <= kIdleQueuesMax) return;
  for (const std::uint32_t number : idle_queues_) {
    Queue& queue = queues_[number];
    queue.idle = false;
    if (queue.changes()) continue;
    queue_numbers_.erase(queue.name);
    const std::uint32_t turn = queue.turn + 1;
    queue = Queue();
    queue.turn = turn;
    free_queues_.push_back(number);
  }
  idle_queues_.clear();
}

void ChangeTable::trim() {
  if (used_ > 0 || changes_.size() <= kChangesKept) return;
  std::vector<Change>().swap(changes_);
  std::vector<std::uint32_t>(kBucketsMin, kNone).swap(buckets_);
  free_ = kNone;
}

// --- changes -------------------------------------------------------------------------------------

const ChangeTable::Change* ChangeTable::find(std::uint32_t key, std::uint64_t id,
                                             std::string_view field) const {
  const std::uint32_t at = lookup(key, id, field);
  return at == kNone ? nullptr : &changes_[at];
}

void ChangeTable::note(const Change& change) {
  const bool hashed = (change.id & kHashed) != 0;
  std::uint32_t at = lookup(change.key, change.id,
                            hashed ? change.record->bytes.part(change.field_at, change.field_bytes)
                                   : std::string_view());
  const bool fresh = at == kNone ? change.fresh : changes_[at].fresh;
  if (at != kNone && fresh && !change.sets) return remove_fresh(at, link_of(at));
  at = renew(at, change.key, change.id);
  Change& kept = changes_[at];
  kept.record = change.record;
  kept.field_at = change.field_at;
  kept.field_bytes = change.field_bytes;
  kept.value_at = change.value_at;
  kept.value_bytes = change.value_bytes;
  kept.sets = change.sets;
  kept.fresh = fresh;
  link_newest(at);
}

void ChangeTable::remove(const Change& change) {
  remove_at(static_cast<std::uint32_t>(&change - changes_.data()));
}

void ChangeTable::forget_field(std::uint32_t key, std::uint64_t id, std::string_view field) {
  const std::uint32_t at = lookup(key, id, field);
  if (at != kNone) remove_at(at);
}

std::uint32_t ChangeTable::lookup(std::uint32_t key, std::uint64_t id,
                                  std::string_view field) const {
  std::uint32_t at = buckets_[bucket_of(key, id)];
  for (; at != kNone; at = changes_[at].chain) {
    const Change& change = changes_[at];
    if (change.id != id || change.key != key) continue;
    if ((id & kHashed) == 0) return at;
    if (change.record->bytes.part(change.field_at, change.field_bytes) == field) return at;
  }
  return kNone;
}

/// To a change of the table, in its bucket.
std::uint32_t* ChangeTable::link_of(std::uint32_t at) {
  std::uint32_t* link = &bucket(changes_[at].key, changes_[at].id);
  while (*link != at) link = &changes_[*link].chain;
  return link;
}

void ChangeTable::remove_at(std::uint32_t at) { remove_at(at, link_of(at)); }

void ChangeTable::grow() {
  buckets_.assign(buckets_.size() * 2, kNone);
  for (std::uint32_t at = oldest_; at != kNone; at = changes_[at].newer) {
    changes_[at].chain =
        std::exchange(bucket(changes_[at].key, changes_[at].id), at);
  }
}

}  // namespace callboard::broker
