#include "broker/store/journal.hpp"

#include "common/check.hpp"

#include <callboard/codec.hpp>

#include <algorithm>
#include <charconv>
#include <functional>
#include <utility>

namespace callboard::broker {

namespace {

constexpr std::uint64_t kJournalVersion = 1;
/// Larger values are written to their hash at once: twice would cost more than it saves, and a
/// record stays far below what Redis takes as one value.
constexpr std::size_t kCarriedBytesMax = 16 * 1024;
/// Changes settled with one commit, so that a backlog that built up does not hold it up.
constexpr std::size_t kSettledMax = 4 * 3500;
constexpr std::size_t kBucketsMin = 1024;
constexpr std::size_t kSpareRecords = 8;
constexpr std::size_t kSpareBytesMax = 1 << 20;
/// A queue that is used again and again keeps its number meanwhile.
constexpr std::size_t kIdleKeysMax = 1000;

std::uint32_t hash_of(std::uint32_t key, std::string_view field) {
  const std::size_t hash = std::hash<std::string_view>{}(field) + key * 0x9E3779B97F4A7C15ull;
  return static_cast<std::uint32_t>(hash ^ hash >> 32);
}

/// What changes with every call. Calls that are delayed or dead stay for longer than any settling.
bool carries(std::string_view key) {
  return key.starts_with("q:") && (key.ends_with(":calls") || key.ends_with(":sent") ||
                                   key.find(':', 2) == std::string_view::npos);
}

/// A call is stored once, under a number that no other call of the queue ever has.
bool fields_are_new(std::string_view key) { return key.ends_with(":calls"); }

/// Bytes that a record of the changes takes at most. What the batch takes itself is more than that,
/// unless there are values that a record does not carry.
std::size_t room_for(const StoreBatch& changes) {
  constexpr std::size_t kHeaders = 64;
  if (changes.bytes() <= kSpareBytesMax) return changes.bytes() + kHeaders;
  std::size_t room = kHeaders;
  for (const StoreBatch::Key& key : changes.keys()) {
    room += key.name.size() + kHeaders;
    for (const auto& [field, value] : key.sets) {
      room += field.size() + kHeaders / 4;
      if (value.size() <= kCarriedBytesMax || !fields_are_new(key.name)) room += value.size();
    }
    for (std::string_view field : key.erases) room += field.size() + kHeaders / 4;
  }
  return room;
}

}  // namespace

Journal::Journal(std::int64_t settle_ms)
    : settle_us_(settle_ms * kMicrosPerMilli), buckets_(kBucketsMin, kNone) {}

// --- start-up ------------------------------------------------------------------------------------

std::string Journal::load(std::string_view commit_no, std::string_view record) {
  std::uint64_t no = 0;
  const auto [end, error] =
      std::from_chars(commit_no.data(), commit_no.data() + commit_no.size(), no);
  if (error != std::errc() || end != commit_no.data() + commit_no.size()) {
    return "not the number of a commit";
  }
  loaded_.emplace(no, record);
  return {};
}

std::string Journal::recover() {
  for (auto& [no, bytes] : loaded_) {
    records_.push_back({no, 0, std::move(bytes)});
    std::string problem = replay(records_.back());
    if (!problem.empty()) return problem;
  }
  loaded_.clear();
  return {};
}

std::string Journal::replay(const Record& record) {
  wire::Reader in(record.bytes);
  const std::string problem =
      "record " + std::to_string(record.no) + " of the journal cannot be read";
  std::uint64_t version = 0;
  if (!in.uint(version) || version != kJournalVersion) return problem;
  while (!in.at_end()) {
    std::string_view name, field, value;
    bool drop = false;
    std::uint64_t sets = 0, erases = 0;
    if (!in.str(name) || !in.boolean(drop) || !in.uint(sets)) return problem;
    if (drop) forget_changes(name);
    for (; sets > 0; --sets) {
      if (!in.bin(field) || !in.bin(value)) return problem;
      note(key_number(name), field, value, true, false, record);
    }
    if (!in.uint(erases)) return problem;
    for (; erases > 0; --erases) {
      if (!in.bin(field)) return problem;
      note(key_number(name), field, {}, false, false, record);
    }
  }
  return in.ok() ? std::string() : problem;
}

bool Journal::find(std::string_view key, std::string_view field, Known& known) const {
  const auto number = key_numbers_.find(std::string(key));
  if (number == key_numbers_.end()) return false;
  const std::uint32_t at = lookup(number->second, field, hash_of(number->second, field));
  if (at == kNone) return false;
  known = {changes_[at].sets, changes_[at].value};
  return true;
}

void Journal::each(const Visit& visit) const {
  for (std::uint32_t at = oldest_; at != kNone; at = changes_[at].newer) {
    const Change& change = changes_[at];
    if (change.sets) visit(keys_[change.key].name, change.field, change.value);
  }
}

// --- commits -------------------------------------------------------------------------------------

const StoreBatch& Journal::write(Instant now, const StoreBatch& changes,
                                 std::uint64_t commit_no) {
  if (settle_us_ == 0 && records_.empty()) return changes;
  out_.clear();
  if (settle_us_ == 0) {
    // Switched off: the rest of an earlier run first, then the changes, which win.
    while (!records_.empty()) settle(now.mono_us, commit_no);
    for (const StoreBatch::Key& key : changes.keys()) copy(key);
    return out_;
  }
  Record made{commit_no, now.mono_us, {}};
  if (!spare_.empty()) {
    made.bytes = std::move(spare_.back());
    spare_.pop_back();
  }
  // The changes point into it, so it must not move.
  made.bytes.clear();
  made.bytes.reserve(room_for(changes));
  wire::Writer(made.bytes).uint(kJournalVersion);
  const std::size_t header = made.bytes.size();
  const std::size_t room = made.bytes.capacity();
  for (const StoreBatch::Key& key : changes.keys()) {
    if (carries(key.name)) {
      record(key, made);
    } else {
      copy(key);
    }
  }
  CALLBOARD_CHECK(made.bytes.capacity() == room);
  if (made.bytes.size() > header) {
    out_.set(out_.key(KeyKind::hash, kKey), std::to_string(commit_no), made.bytes);
    records_.push_back(std::move(made));
  } else {
    spare_.push_back(std::move(made.bytes));
  }
  settle(now.mono_us, commit_no);
  free_idle_keys();
  return out_;
}

std::int64_t Journal::due_us() const {
  if (records_.empty()) return kNever;
  return records_.front().at_us + settle_us_;
}

void Journal::copy(const StoreBatch::Key& key) {
  const std::uint32_t to = out_.key(key.kind, key.name);
  if (key.drop) out_.drop(to);
  for (const auto& [field, value] : key.sets) out_.set(to, field, value);
  for (std::string_view field : key.erases) out_.erase(to, field);
  if (key.expire_ms >= 0) out_.expire(to, key.expire_ms);
}

void Journal::record(const StoreBatch::Key& key, Record& into) {
  CALLBOARD_CHECK(key.kind == KeyKind::hash && key.expire_ms < 0);
  if (key.drop) {
    forget_changes(key.name);
    out_.drop(out_.key(KeyKind::hash, key.name));
  }
  const bool fresh = fields_are_new(key.name);
  std::size_t sets = key.sets.size();
  if (fresh) {
    for (const auto& [field, value] : key.sets) {
      if (value.size() <= kCarriedBytesMax) continue;
      out_.set(out_.key(KeyKind::hash, key.name), field, value);
      --sets;
    }
  }
  std::string& bytes = into.bytes;
  wire::Writer out(bytes);
  out.str(key.name);
  out.boolean(key.drop);
  out.uint(sets);
  const auto append = [&](std::string_view what) {
    out.bin(what);
    return std::string_view(bytes).substr(bytes.size() - what.size());
  };
  const std::uint32_t number = key_number(key.name);
  for (const auto& [field, value] : key.sets) {
    if (fresh && value.size() > kCarriedBytesMax) continue;
    const std::string_view kept = append(field);
    note(number, kept, append(value), true, fresh, into);
  }
  out.uint(key.erases.size());
  for (std::string_view field : key.erases) note(number, append(field), {}, false, false, into);
  // Beside a call that is in the hash at once none may be left that has ended: HLEN would exceed
  // what the queue may hold.
  if (sets < key.sets.size()) settle_key(number);
}

void Journal::note(std::uint32_t key, std::string_view field, std::string_view value, bool sets,
                   bool fresh, const Record& record) {
  const std::uint32_t hash = hash_of(key, field);
  std::uint32_t at = lookup(key, field, hash);
  if (at != kNone && !sets && changes_[at].fresh) return remove(at);  // as if it had never been
  if (at != kNone) {
    fresh = changes_[at].fresh;
    unlink(at);
  } else {
    if (used_ >= buckets_.size()) grow();
    if (free_ == kNone) {
      at = static_cast<std::uint32_t>(changes_.size());
      changes_.emplace_back();
    } else {
      at = free_;
      free_ = changes_[at].chain;
    }
    ++used_;
    ++keys_[key].changes;
    std::uint32_t& bucket = buckets_[hash & (buckets_.size() - 1)];
    changes_[at].chain = bucket;
    bucket = at;
  }
  Change& change = changes_[at];
  change.field = field;
  change.value = value;
  change.no = record.no;
  change.at_us = record.at_us;
  change.key = key;
  change.hash = hash;
  change.sets = sets;
  change.fresh = fresh;
  link_newest(at);
}

/// Writes the change to its hash and forgets it.
void Journal::settle_change(std::uint32_t at, std::uint32_t to) {
  const Change& change = changes_[at];
  if (change.sets) {
    out_.set(to, change.field, change.value);
  } else {
    out_.erase(to, change.field);
  }
  remove(at);
}

void Journal::settle_key(std::uint32_t key) {
  const std::uint32_t to = out_.key(KeyKind::hash, keys_[key].name);
  for (std::uint32_t at = oldest_; keys_[key].changes > 0;) {
    const std::uint32_t next = changes_[at].newer;
    if (changes_[at].key == key) settle_change(at, to);
    at = next;
  }
}

void Journal::settle(std::int64_t now_us, std::uint64_t commit_no) {
  const std::int64_t until_us = now_us - settle_us_;
  std::uint32_t key = kNone;
  std::uint32_t to = 0;
  for (std::size_t n = 0; n < kSettledMax && oldest_ != kNone; ++n) {
    const std::uint32_t at = oldest_;
    const Change& change = changes_[at];
    if (change.at_us > until_us) break;
    if (change.key != key) {
      key = change.key;
      to = out_.key(KeyKind::hash, keys_[key].name);
    }
    settle_change(at, to);
  }
  // What is still to be settled has its bytes in its record, which goes after it.
  while (!records_.empty()) {
    Record& first = records_.front();
    if (first.no >= commit_no || first.at_us > until_us) break;
    if (oldest_ != kNone && changes_[oldest_].no <= first.no) break;
    out_.erase(out_.key(KeyKind::hash, kKey), std::to_string(first.no));
    if (spare_.size() < kSpareRecords && first.bytes.capacity() <= kSpareBytesMax) {
      spare_.push_back(std::move(first.bytes));
    }
    records_.pop_front();
  }
}

// --- the table of changes ------------------------------------------------------------------------

std::uint32_t Journal::key_number(std::string_view name) {
  const auto [place, made] = key_numbers_.try_emplace(std::string(name), 0);
  if (!made) return place->second;
  std::uint32_t number = 0;
  if (free_keys_.empty()) {
    number = static_cast<std::uint32_t>(keys_.size());
    keys_.emplace_back();
  } else {
    number = free_keys_.back();
    free_keys_.pop_back();
  }
  keys_[number] = {std::string(name), 0, true};
  idle_keys_.push_back(number);
  return place->second = number;
}

std::uint32_t Journal::lookup(std::uint32_t key, std::string_view field,
                              std::uint32_t hash) const {
  std::uint32_t at = buckets_[hash & (buckets_.size() - 1)];
  for (; at != kNone; at = changes_[at].chain) {
    const Change& change = changes_[at];
    if (change.hash == hash && change.key == key && change.field == field) return at;
  }
  return kNone;
}

void Journal::link_newest(std::uint32_t at) {
  changes_[at].older = newest_;
  changes_[at].newer = kNone;
  (newest_ == kNone ? oldest_ : changes_[newest_].newer) = at;
  newest_ = at;
}

void Journal::unlink(std::uint32_t at) {
  const Change& change = changes_[at];
  (change.older == kNone ? oldest_ : changes_[change.older].newer) = change.newer;
  (change.newer == kNone ? newest_ : changes_[change.newer].older) = change.older;
}

void Journal::remove(std::uint32_t at) {
  unlink(at);
  Change& change = changes_[at];
  std::uint32_t* link = &buckets_[change.hash & (buckets_.size() - 1)];
  while (*link != at) link = &changes_[*link].chain;
  *link = change.chain;
  KeyName& key = keys_[change.key];
  if (--key.changes == 0 && !std::exchange(key.idle, true)) idle_keys_.push_back(change.key);
  change.chain = free_;
  free_ = at;
  --used_;
}

/// The key is deleted: whatever was to become of its fields, it has none any more.
void Journal::forget_changes(std::string_view name) {
  const auto found = key_numbers_.find(std::string(name));
  if (found == key_numbers_.end()) return;
  const std::uint32_t number = found->second;
  for (std::uint32_t at = oldest_; keys_[number].changes > 0;) {
    const std::uint32_t next = changes_[at].newer;
    if (changes_[at].key == number) remove(at);
    at = next;
  }
}

void Journal::free_idle_keys() {
  if (idle_keys_.size() <= kIdleKeysMax) return;
  for (const std::uint32_t number : idle_keys_) {
    KeyName& key = keys_[number];
    key.idle = false;
    if (key.changes > 0) continue;
    key_numbers_.erase(key.name);
    free_keys_.push_back(number);
  }
  idle_keys_.clear();
}

void Journal::grow() {
  buckets_.assign(buckets_.size() * 2, kNone);
  for (std::uint32_t at = oldest_; at != kNone; at = changes_[at].newer) {
    std::uint32_t& bucket = buckets_[changes_[at].hash & (buckets_.size() - 1)];
    changes_[at].chain = bucket;
    bucket = at;
  }
}

}  // namespace callboard::broker
