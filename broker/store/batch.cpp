#include "broker/store/batch.hpp"

#include "common/check.hpp"

#include <algorithm>
#include <cstring>

namespace callboard::broker {

namespace {

constexpr std::size_t kBlockBytes = 256 * 1024;
/// What does not fit in a quarter of a block gets memory of its own, so little is wasted.
constexpr std::size_t kOutsizedBytesMin = kBlockBytes / 4;
/// Blocks kept for the next batch at most (16 MiB): a rare giant batch gives the rest back. What
/// batches do not fill any more is given back by halves.
constexpr std::size_t kBlocksKept = 64;
/// Entries for which room is kept.
constexpr std::size_t kEntriesKept = 16 * 1024;
constexpr std::size_t kSlotsMin = 64;
/// A table that is this much larger than its contents is emptied entry by entry, not as a whole.
constexpr std::size_t kSparse = 8;

std::uint32_t hash_bytes(std::string_view bytes, std::uint64_t seed) {
  constexpr std::uint64_t kOdd = 0x9E3779B97F4A7C15ull;
  std::uint64_t hash = (seed + bytes.size()) * kOdd;
  const char* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; left -= 8, at += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, 8);
    hash = (hash ^ word) * kOdd;
    hash ^= hash >> 32;
  }
  if (left > 0) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, left);
    hash = (hash ^ word) * kOdd;
    hash ^= hash >> 32;
  }
  hash *= kOdd;
  const auto value = static_cast<std::uint32_t>(hash >> 32);
  return value == 0 ? 1 : value;
}

}  // namespace

char* ByteArena::allocate(std::size_t bytes) {
  if (bytes > kOutsizedBytesMin) {
    outsized_.push_back({std::unique_ptr<char[]>(new char[bytes]), bytes});
    return outsized_.back().bytes.get();
  }
  if (blocks_.empty() || used_ + bytes > kBlockBytes) {
    if (!blocks_.empty()) ++current_;
    if (current_ == blocks_.size()) {
      blocks_.push_back({std::unique_ptr<char[]>(new char[kBlockBytes]), kBlockBytes});
    }
    used_ = 0;
  }
  char* at = blocks_[current_].bytes.get() + used_;
  used_ += bytes;
  return at;
}

std::string_view ByteArena::copy(std::string_view bytes) {
  char* at = allocate(bytes.size());
  if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
  return {at, bytes.size()};
}

void ByteArena::clear() {
  outsized_.clear();
  const std::size_t kept = std::max(current_ + 1, (blocks_.size() + 1) / 2);
  if (kept < blocks_.size() || kBlocksKept < blocks_.size()) {
    blocks_.resize(std::min(kept, kBlocksKept));
  }
  current_ = 0;
  used_ = 0;
}

template <class HashOf>
void IndexTable::grow(std::size_t numbers, const HashOf& hash_of) {
  slots_.assign(std::max(kSlotsMin, slots_.size() * 2), 0);
  for (std::uint32_t number = 0; number < numbers; ++number) {
    const std::uint32_t hash = hash_of(number);
    if (hash != 0) *find(hash, [](std::uint32_t) { return false; }) = number + 1;
  }
}

template <class HashOf>
void IndexTable::clear(std::size_t numbers, const HashOf& hash_of) {
  if (numbers * kSparse >= slots_.size()) {
    std::fill(slots_.begin(), slots_.end(), 0);
    return;
  }
  // Each run is cleared to its end, so whatever follows a gap that this makes is empty already.
  const std::size_t mask = slots_.size() - 1;
  for (std::uint32_t number = 0; number < numbers; ++number) {
    const std::uint32_t hash = hash_of(number);
    if (hash == 0) continue;
    for (std::size_t at = hash & mask; slots_[at] != 0; at = (at + 1) & mask) slots_[at] = 0;
  }
}

StoreBatch::StoreBatch(const StoreBatch& other) {
  for (const Key& from : other.keys()) {
    const std::uint32_t to = key(from.kind, from.name);
    if (from.drop) drop(to);
    for (const auto& [field, value] : from.sets) set(to, field, value);
    for (std::string_view field : from.erases) erase(to, field);
    if (from.expire_ms >= 0) expire(to, from.expire_ms);
  }
}

StoreBatch& StoreBatch::operator=(const StoreBatch& other) {
  StoreBatch copy(other);
  swap(copy);
  return *this;
}

StoreBatch& StoreBatch::operator=(StoreBatch&& other) noexcept {
  swap(other);
  other.clear();
  return *this;
}

void StoreBatch::swap(StoreBatch& other) noexcept {
  std::swap(arena_, other.arena_);
  std::swap(entries_, other.entries_);
  std::swap(keys_, other.keys_);
  std::swap(indexed_, other.indexed_);
  std::swap(entry_index_, other.entry_index_);
  std::swap(key_index_, other.key_index_);
  std::swap(bytes_, other.bytes_);
}

std::uint32_t StoreBatch::key(KeyKind kind, std::string_view name) {
  const std::uint32_t hash = hash_bytes(name, 0);
  key_index_.make_room(keys_.size(), keys_.size(),
                       [this](std::uint32_t at) { return keys_[at].hash; });
  std::uint32_t* slot = key_index_.find(hash, [&](std::uint32_t at) {
    return keys_[at].hash == hash && keys_[at].name == name;
  });
  if (!IndexTable::vacant(slot)) {
    const std::uint32_t known = IndexTable::number(slot);
    CALLBOARD_CHECK(keys_[known].kind == kind);
    return known;
  }
  const auto made = static_cast<std::uint32_t>(keys_.size());
  IndexTable::fill(slot, made);
  KeyRecord& record = keys_.emplace_back();
  record.kind = kind;
  record.name = arena_.copy(name);
  record.hash = hash;
  record.valid_from = static_cast<std::uint32_t>(entries_.size());
  bytes_ += name.size() + sizeof(KeyRecord);
  return made;
}

StoreBatch::Entry& StoreBatch::entry(std::uint32_t key, std::string_view field) {
  if (keys_[key].loose) index_all(key);
  const std::uint32_t hash = hash_bytes(field, key + 1);
  entry_index_.make_room(indexed_, entries_.size(),
                         [this](std::uint32_t at) { return entries_[at].hash; });
  std::uint32_t* slot = entry_index_.find(hash, [&](std::uint32_t at) {
    const Entry& known = entries_[at];
    return known.hash == hash && known.key == key && known.field_view() == field &&
           at >= keys_[key].valid_from;
  });
  if (!IndexTable::vacant(slot)) return entries_[IndexTable::number(slot)];
  IndexTable::fill(slot, static_cast<std::uint32_t>(entries_.size()));
  ++indexed_;
  Entry& made = add(key, keep(field));
  made.hash = hash;
  return made;
}

void StoreBatch::index_all(std::uint32_t key) {
  keys_[key].loose = false;
  for (std::uint32_t at = keys_[key].first; at != UINT32_MAX; at = entries_[at].next) {
    if (entries_[at].hash == 0) index(at);
  }
}

void StoreBatch::index(std::uint32_t entry) {
  Entry& known = entries_[entry];
  entry_index_.make_room(indexed_, entries_.size(),
                         [this](std::uint32_t at) { return entries_[at].hash; });
  known.hash = hash_bytes(known.field_view(), known.key + 1);
  IndexTable::fill(entry_index_.find(known.hash, [](std::uint32_t) { return false; }), entry);
  ++indexed_;
}

StoreBatch::Entry& StoreBatch::add(std::uint32_t key, std::string_view field) {
  const auto made = static_cast<std::uint32_t>(entries_.size());
  KeyRecord& record = keys_[key];
  if (record.last == UINT32_MAX) {
    record.first = made;
  } else {
    entries_[record.last].next = made;
  }
  record.last = made;
  ++record.erases;  // an entry begins as an erase; set() makes it a set

  Entry& added = entries_.emplace_back();
  added.field = field.data();
  added.field_bytes = static_cast<std::uint32_t>(field.size());
  added.key = key;
  bytes_ += sizeof(Entry);
  return added;
}

void StoreBatch::add_set(std::uint32_t key, std::string_view field, std::string_view value) {
  CALLBOARD_CHECK(field.size() < UINT32_MAX && value.size() < UINT32_MAX / 2);
  Entry& added = add(key, field);
  added.value = const_cast<char*>(value.data());  // without room, so it is never written to
  added.value_bytes = static_cast<std::uint32_t>(value.size());
  added.sets = true;
  keys_[key].loose = true;
  ++keys_[key].sets;
  --keys_[key].erases;
}

void StoreBatch::add_erase(std::uint32_t key, std::string_view field) {
  CALLBOARD_CHECK(field.size() < UINT32_MAX);
  add(key, field);
  keys_[key].loose = true;
}

std::string_view StoreBatch::keep(std::string_view bytes) {
  bytes_ += bytes.size();
  return arena_.copy(bytes);
}

void StoreBatch::set(std::uint32_t key, std::string_view field, std::string_view value) {
  CALLBOARD_CHECK(field.size() < UINT32_MAX && value.size() < UINT32_MAX / 2);
  Entry& to = entry(key, field);
  if (!to.sets) {
    to.sets = true;
    ++keys_[key].sets;
    --keys_[key].erases;
  }
  if (value.size() > to.value_room || to.value == nullptr) {
    // A value that outgrows its room is likely to go on growing: leave it space, so that the bytes
    // left behind never exceed the bytes in use.
    const std::size_t room = to.value == nullptr ? value.size() : value.size() * 2;
    to.value = arena_.allocate(room);
    to.value_room = static_cast<std::uint32_t>(room);
    bytes_ += room;
  }
  if (!value.empty()) std::memcpy(to.value, value.data(), value.size());
  to.value_bytes = static_cast<std::uint32_t>(value.size());
}

void StoreBatch::erase(std::uint32_t key, std::string_view field) {
  CALLBOARD_CHECK(field.size() < UINT32_MAX);
  Entry& to = entry(key, field);
  if (!to.sets) return;
  to.sets = false;
  --keys_[key].sets;
  ++keys_[key].erases;
}

void StoreBatch::drop(std::uint32_t key) {
  KeyRecord& record = keys_[key];
  record.drop = true;
  record.expire_ms = -1;
  record.first = UINT32_MAX;
  record.last = UINT32_MAX;
  record.valid_from = static_cast<std::uint32_t>(entries_.size());
  record.sets = 0;
  record.erases = 0;
}

void StoreBatch::expire(std::uint32_t key, std::int64_t ms) {
  CALLBOARD_CHECK(ms >= 0);
  keys_[key].expire_ms = ms;
}

void StoreBatch::clear() {
  entry_index_.clear(entries_.size(), [this](std::uint32_t at) { return entries_[at].hash; });
  key_index_.clear(keys_.size(), [this](std::uint32_t at) { return keys_[at].hash; });
  if (entries_.size() * 2 < entries_.capacity() && entries_.capacity() > kEntriesKept) {
    std::vector<Entry>().swap(entries_);
  }
  entries_.clear();
  indexed_ = 0;
  keys_.clear();
  arena_.clear();
  bytes_ = 0;
}

StoreBatch::Key StoreBatch::view(std::size_t index) const {
  const KeyRecord& record = keys_[index];
  Key key;
  key.kind = record.kind;
  key.name = record.name;
  key.drop = record.drop;
  key.expire_ms = record.expire_ms;
  key.sets.entries_ = entries_.data();
  key.sets.first_ = record.first;
  key.sets.size_ = record.sets;
  key.erases.entries_ = entries_.data();
  key.erases.first_ = record.first;
  key.erases.size_ = record.erases;
  return key;
}

}  // namespace callboard::broker
