#include "broker/store/change_table.hpp"

#include <functional>
#include <utility>

namespace callboard::broker {

namespace {

constexpr std::size_t kBucketsMin = 1024;
/// Changes for which an empty table keeps room.
constexpr std::size_t kChangesKept = 16 * 1024;
/// A queue that is used again and again keeps its number meanwhile; each has two keys.
constexpr std::size_t kIdleKeysMax = 4096;

constexpr std::uint64_t kHashed = 1ull << 63;
constexpr std::size_t kDigitsMax = 18;  ///< such a number stays below kHashed

/// The number that a field is, as nearly all are; of another one a hash, which is no number.
std::uint64_t id_of(std::string_view field) {
  std::uint64_t number = 0;
  bool is_number = !field.empty() && field.size() <= kDigitsMax &&
                   (field.front() != '0' || field.size() == 1);
  for (std::size_t i = 0; is_number && i < field.size(); ++i) {
    const auto digit = static_cast<unsigned char>(field[i] - '0');
    is_number = digit < 10;
    number = number * 10 + digit;
  }
  return is_number ? number : std::hash<std::string_view>{}(field) | kHashed;
}

}  // namespace

ChangeTable::ChangeTable() : buckets_(kBucketsMin, kNone) {}

// --- keys ----------------------------------------------------------------------------------------

std::uint32_t ChangeTable::key(std::string_view name) {
  const auto known = key_numbers_.find(name);
  if (known != key_numbers_.end()) return known->second;
  std::uint32_t number = 0;
  if (free_keys_.empty()) {
    number = static_cast<std::uint32_t>(keys_.size());
    keys_.emplace_back();
  } else {
    number = free_keys_.back();
    free_keys_.pop_back();
  }
  keys_[number] = {std::string(name), kNone, true, {}};
  idle_keys_.push_back(number);
  key_numbers_.emplace(name, number);
  return number;
}

std::uint32_t ChangeTable::changed_key(std::string_view name) const {
  const auto found = key_numbers_.find(name);
  if (found == key_numbers_.end() || keys_[found->second].first == kNone) return kNone;
  return found->second;
}

void ChangeTable::forget_key(std::string_view name) {
  const std::uint32_t number = changed_key(name);
  if (number == kNone) return;
  while (keys_[number].first != kNone) remove_at(keys_[number].first);
}

void ChangeTable::drop_idle_keys() {
  if (idle_keys_.size() <= kIdleKeysMax) return;
  for (const std::uint32_t number : idle_keys_) {
    KeyName& key = keys_[number];
    key.idle = false;
    if (key.first != kNone) continue;
    key_numbers_.erase(key.name);
    free_keys_.push_back(number);
  }
  idle_keys_.clear();
}

void ChangeTable::trim() {
  if (used_ > 0 || changes_.size() <= kChangesKept) return;
  std::vector<Change>().swap(changes_);
  std::vector<std::uint32_t>(kBucketsMin, kNone).swap(buckets_);
  free_ = kNone;
}

// --- changes -------------------------------------------------------------------------------------

const ChangeTable::Change* ChangeTable::find(std::uint32_t key, std::string_view field) const {
  const std::uint32_t at = lookup(key, field, id_of(field));
  return at == kNone ? nullptr : &changes_[at];
}

void ChangeTable::note(const Change& change) {
  const std::uint64_t id = id_of(change.field);
  std::uint32_t at = lookup(change.key, change.field, id);
  bool fresh = change.fresh;
  if (at != kNone) {
    fresh = changes_[at].fresh;
    if (fresh && !change.sets) {
      std::uint32_t& outlived = keys_[change.key].tide.outlived;
      if (outlived > 0) --outlived;
      return remove_at(at);  // as if it had never been
    }
    unlink(at);
  } else {
    at = make(change.key, id);
  }
  Change& kept = changes_[at];
  kept.field = change.field;
  kept.value = change.value;
  kept.no = change.no;
  kept.at_us = change.at_us;
  kept.sets = change.sets;
  kept.fresh = fresh;
  link_newest(at);
}

void ChangeTable::remove(const Change& change) {
  remove_at(static_cast<std::uint32_t>(&change - changes_.data()));
}

void ChangeTable::forget_field(std::uint32_t key, std::string_view field) {
  const std::uint32_t at = lookup(key, field, id_of(field));
  if (at != kNone) remove_at(at);
}

/// Numbers that follow one another stand side by side.
std::size_t ChangeTable::bucket_of(std::uint32_t key, std::uint64_t id) const {
  return (id + key * 0x9E3779B97F4A7C15ull) & (buckets_.size() - 1);
}

std::uint32_t& ChangeTable::bucket(std::uint32_t key, std::uint64_t id) {
  return buckets_[bucket_of(key, id)];
}

std::uint32_t ChangeTable::lookup(std::uint32_t key, std::string_view field,
                                  std::uint64_t id) const {
  std::uint32_t at = buckets_[bucket_of(key, id)];
  for (; at != kNone; at = changes_[at].chain) {
    const Change& change = changes_[at];
    if (change.id != id || change.key != key) continue;
    if ((id & kHashed) == 0 || change.field == field) return at;
  }
  return kNone;
}

std::uint32_t ChangeTable::make(std::uint32_t key, std::uint64_t id) {
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
  change.next_of_key = std::exchange(keys_[key].first, at);
  if (change.next_of_key != kNone) changes_[change.next_of_key].previous_of_key = at;
  return at;
}

void ChangeTable::link_newest(std::uint32_t at) {
  changes_[at].older = newest_;
  changes_[at].newer = kNone;
  (newest_ == kNone ? oldest_ : changes_[newest_].newer) = at;
  newest_ = at;
}

void ChangeTable::unlink(std::uint32_t at) {
  const Change& change = changes_[at];
  (change.older == kNone ? oldest_ : changes_[change.older].newer) = change.newer;
  (change.newer == kNone ? newest_ : changes_[change.newer].older) = change.older;
}

void ChangeTable::remove_at(std::uint32_t at) {
  unlink(at);
  Change& change = changes_[at];
  std::uint32_t* link = &bucket(change.key, change.id);
  while (*link != at) link = &changes_[*link].chain;
  *link = change.chain;
  KeyName& key = keys_[change.key];
  (change.previous_of_key == kNone ? key.first : changes_[change.previous_of_key].next_of_key) =
      change.next_of_key;
  if (change.next_of_key != kNone) {
    changes_[change.next_of_key].previous_of_key = change.previous_of_key;
  }
  if (key.first == kNone && !std::exchange(key.idle, true)) idle_keys_.push_back(change.key);
  change.chain = std::exchange(free_, at);
  --used_;
}

void ChangeTable::grow() {
  buckets_.assign(buckets_.size() * 2, kNone);
  for (std::uint32_t at = oldest_; at != kNone; at = changes_[at].newer) {
    changes_[at].chain =
        std::exchange(bucket(changes_[at].key, changes_[at].id), at);
  }
}

}  // namespace callboard::broker
