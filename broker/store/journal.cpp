#include "broker/store/journal.hpp"

#include "common/check.hpp"

#include <callboard/codec.hpp>

#include <algorithm>
#include <charconv>
#include <utility>

namespace callboard::broker {

namespace {

constexpr std::uint64_t kJournalVersion = 1;
constexpr std::string_view kCalls = ":calls";
constexpr std::string_view kSent = ":sent";
/// Larger values are written to their hash at once: twice would cost more than it saves, and a
/// record stays far below what Redis takes as one value.
constexpr std::size_t kCarriedBytesMax = 16 * 1024;
/// What is settled with one commit, so that a backlog that built up does not hold it up; twice as
/// much as the commit itself brings where that is more, so that what waits cannot grow for ever.
constexpr std::size_t kSettledMax = 4 * 3500;
constexpr std::size_t kSettledBytesMax = 4 << 20;
constexpr std::size_t kSpareRecords = 8;
constexpr std::size_t kSpareBytesMax = 1 << 20;

/// What changes with every call. Calls that are delayed or dead stay for longer than any settling.
bool carries(std::string_view key) {
  return key.starts_with("q:") && (key.ends_with(kCalls) || key.ends_with(kSent) ||
                                   key.find(':', 2) == std::string_view::npos);
}

/// A call is stored once, under a number that no other call of the queue has while it lives.
bool fields_are_new(std::string_view key) { return key.ends_with(kCalls); }

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

Journal::Journal(std::int64_t settle_ms, std::uint32_t backlog)
    : settle_us_(settle_ms * kMicrosPerMilli), backlog_(backlog) {}

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

Journal::Change Journal::change_of(std::uint32_t key, std::string_view field, const Record& record,
                                   std::optional<std::string_view> value) {
  Change change;
  change.field = field;
  change.value = value.value_or(std::string_view());
  change.no = record.no;
  change.at_us = record.at_us;
  change.key = key;
  change.sets = value.has_value();
  return change;
}

std::string Journal::replay(const Record& record) {
  wire::Reader in(record.bytes);
  std::uint64_t version = 0;
  bool good = in.uint(version) && version == kJournalVersion;
  while (good && !in.at_end()) good = replay_key(in, record);
  if (good) return {};
  return "record " + std::to_string(record.no) + " of the journal cannot be read";
}

bool Journal::replay_key(wire::Reader& in, const Record& record) {
  std::string_view name, field, value;
  bool drop = false;
  std::uint64_t n = 0;
  if (!in.str(name) || !in.boolean(drop)) return false;
  if (drop) changes_.forget_key(name);
  const std::uint32_t key = changes_.key(name);
  if (!in.uint(n)) return false;
  for (; n > 0; --n) {
    if (!in.bin(field)) return false;
    changes_.forget_field(key, field);
  }
  if (!in.uint(n)) return false;
  for (; n > 0; --n) {
    if (!in.bin(field)) return false;
    changes_.note(change_of(key, field, record));
  }
  if (!in.uint(n)) return false;
  for (; n > 0; --n) {
    if (!in.bin(field) || !in.bin(value)) return false;
    changes_.note(change_of(key, field, record, value));
  }
  return true;
}

bool Journal::changes(std::string_view key) const {
  return changes_.changed_key(key) != ChangeTable::kNone;
}

bool Journal::says(std::string_view key, std::string_view field) const {
  const std::uint32_t number = changes_.changed_key(key);
  return number != ChangeTable::kNone && changes_.find(number, field) != nullptr;
}

void Journal::each(const Visit& visit) const {
  changes_.each([&](const Change& change) {
    if (change.sets) visit(changes_.name(change.key), change.field, change.value);
  });
}

// --- commits -------------------------------------------------------------------------------------

const StoreBatch& Journal::write(Instant now, const StoreBatch& changes,
                                 std::uint64_t commit_no) {
  const bool off = settle_us_ == 0;
  if (off && records_.empty()) return changes;
  out_.clear();
  drop_records(now.mono_us);
  if (off && records_.empty()) {
    for (const StoreBatch::Key& key : changes.keys()) copy(key);
    write_journal_key();
    return out_;
  }
  Record made{commit_no, now.mono_us, {}};
  noted_ = 0;
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
  // Calls first: what says that one was sent is settled after it.
  for (const StoreBatch::Key& key : changes.keys()) {
    if (fields_are_new(key.name)) record(key, made);
  }
  for (const StoreBatch::Key& key : changes.keys()) {
    if (fields_are_new(key.name)) continue;
    if (carries(key.name)) {
      record(key, made);
    } else {
      copy(key);
    }
  }
  CALLBOARD_CHECK(made.bytes.capacity() == room);
  const bool holds = made.bytes.size() > header;
  if (holds) {
    records_.push_back(std::move(made));
  } else {
    spare_.push_back(std::move(made.bytes));
  }
  settle(now.mono_us);
  write_journal_key(holds ? &records_.back() : nullptr);
  changes_.drop_idle_keys();
  changes_.trim();
  return out_;
}

void Journal::write_journal_key(const Record* made) {
  if (made == nullptr && dropped_.empty()) return;
  const std::uint32_t key = out_.key(KeyKind::hash, kKey);
  if (made != nullptr) out_.add_set(key, out_.keep(std::to_string(made->no)), made->bytes);
  for (const std::uint64_t no : dropped_) out_.add_erase(key, out_.keep(std::to_string(no)));
}

std::int64_t Journal::due_us() const {
  if (records_.empty()) return kNever;
  // Records that say nothing any more are in nobody's way.
  const std::int64_t drop_us = records_.front().at_us + 2 * settle_us_;
  return changes_.empty() ? drop_us : std::min(drop_us, changes_.oldest().at_us + settle_us_);
}

void Journal::copy(const StoreBatch::Key& key) {
  const std::uint32_t to = out_.key(key.kind, key.name);
  if (key.drop) out_.drop(to);
  for (const auto& [field, value] : key.sets) out_.add_set(to, field, value);
  for (std::string_view field : key.erases) out_.add_erase(to, field);
  if (key.expire_ms >= 0) out_.expire(to, key.expire_ms);
}

/// Layout of a record, for each key: name, dropped; fields that were written to their hash at
/// once; erased fields; set fields with their values. Each list begins with its length.
void Journal::record(const StoreBatch::Key& key, Record& into) {
  CALLBOARD_CHECK(key.kind == KeyKind::hash && key.expire_ms < 0);
  if (key.drop) {
    changes_.forget_key(key.name);
    out_.drop(out_.key(KeyKind::hash, key.name));
  }
  const bool fresh = fields_are_new(key.name);
  const std::uint32_t number = changes_.key(key.name);
  const bool lasts = fresh && outlives(number, key, into.at_us);
  const auto at_once = [&](std::string_view value) {
    return fresh && (lasts || value.size() > kCarriedBytesMax);
  };
  std::size_t large = 0;
  if (fresh) {
    for (const auto& [field, value] : key.sets) large += at_once(value) ? 1 : 0;
  }
  std::string& bytes = into.bytes;
  wire::Writer out(bytes);
  const auto append = [&](std::string_view what) {
    out.bin(what);
    return std::string_view(bytes).substr(bytes.size() - what.size());
  };
  noted_ += key.sets.size() + key.erases.size();
  const std::uint32_t calls = calls_beside(key.name);
  out.str(key.name);
  out.boolean(key.drop);
  out.uint(large);
  if (large > 0) {
    for (const auto& [field, value] : key.sets) {
      if (!at_once(value)) continue;
      append(field);
      changes_.forget_field(number, field);
      out_.add_set(out_.key(KeyKind::hash, key.name), field, value);
    }
  }
  // What ends first, then what takes its room: changes are settled in this order.
  out.uint(key.erases.size());
  for (std::string_view field : key.erases) {
    if (fresh) note_end(number, field, into.at_us);
    changes_.note(change_of(number, append(field), into));
  }
  out.uint(key.sets.size() - large);
  for (const auto& [field, value] : key.sets) {
    if (at_once(value)) continue;
    const std::string_view kept = append(field);
    Change change = change_of(number, kept, into, append(value));
    change.fresh = fresh || (calls != ChangeTable::kNone && is_fresh(calls, field));
    changes_.note(change);
  }
  // Beside a call that is in the hash at once none may be left that has ended: HLEN would exceed
  // what the queue may hold.
  if (large > 0) settle_erased(number);
}

/// Whether the calls of the key that are set now will still be there when the settle time is over:
/// those before were, and none that was written at once has ended sooner since.
bool Journal::outlives(std::uint32_t number, const StoreBatch::Key& key, std::int64_t now_us) {
  ChangeTable::Tide& tide = changes_.tide(number);
  if (tide.outlived < backlog_ || key.sets.empty()) return false;
  if (tide.sample.empty() || now_us >= tide.sample_us + settle_us_) {
    tide.sample = (*key.sets.begin()).first;
    tide.sample_us = now_us;
  }
  return true;
}

void Journal::note_end(std::uint32_t key, std::string_view field, std::int64_t now_us) {
  ChangeTable::Tide& tide = changes_.tide(key);
  if (tide.sample.empty() || field != tide.sample) return;
  if (now_us < tide.sample_us + settle_us_) tide.outlived = 0;
  tide.sample.clear();
}

/// The calls of the queue of which the key says what was sent; kNone for other keys.
std::uint32_t Journal::calls_beside(std::string_view key) const {
  if (!key.ends_with(kSent)) return ChangeTable::kNone;
  key.remove_suffix(kSent.size());
  return changes_.changed_key(std::string(key).append(kCalls));
}

/// That a call was sent is noted after the call itself, and settled after it. So its hash does not
/// have it either.
bool Journal::is_fresh(std::uint32_t key, std::string_view field) const {
  const Change* change = changes_.find(key, field);
  return change != nullptr && change->fresh;
}

/// Writes the change to its hash and forgets it. Of each field there is one change, and its bytes
/// are those of a record that is still there.
void Journal::settle_change(const Change& change, std::uint32_t to) {
  if (change.sets) {
    std::uint32_t& outlived = changes_.tide(change.key).outlived;
    if (change.fresh && outlived < 2 * backlog_) ++outlived;
    out_.add_set(to, change.field, change.value);
  } else {
    out_.add_erase(to, change.field);
  }
  changes_.remove(change);
}

void Journal::settle_erased(std::uint32_t key) {
  const std::uint32_t to = out_.key(KeyKind::hash, changes_.name(key));
  changes_.each_of(key, [&](const Change& change) {
    if (!change.sets) settle_change(change, to);
  });
}

void Journal::settle(std::int64_t now_us) {
  const std::int64_t until_us = now_us - ride_us();
  std::uint32_t key = ChangeTable::kNone;
  std::uint32_t to = 0;
  const std::size_t made_bytes = noted_ > 0 ? records_.back().bytes.size() : 0;
  const std::size_t bytes_max = std::max(kSettledBytesMax, 2 * made_bytes);
  const std::size_t changes_max = std::max(kSettledMax, 2 * noted_);
  std::size_t bytes = 0;
  for (std::size_t n = 0; n < changes_max && bytes < bytes_max && !changes_.empty(); ++n) {
    const Change& change = changes_.oldest();
    if (change.at_us > until_us) break;
    if (change.key != key) {
      key = change.key;
      to = out_.key(KeyKind::hash, changes_.name(key));
    }
    bytes += change.value.size();
    settle_change(change, to);
  }
}

/// Those of which earlier commits have settled all. What is still to be settled has its bytes in
/// its record.
void Journal::drop_records(std::int64_t now_us) {
  const std::int64_t until_us = now_us - ride_us();
  dropped_.clear();
  while (!records_.empty()) {
    Record& first = records_.front();
    if (first.at_us > until_us) break;
    if (!changes_.empty() && changes_.oldest().no <= first.no) break;
    dropped_.push_back(first.no);
    if (spare_.size() < kSpareRecords && first.bytes.capacity() <= kSpareBytesMax) {
      spare_.push_back(std::move(first.bytes));
    }
    records_.pop_front();
  }
}

}  // namespace callboard::broker
