#include "broker/store/journal.hpp"

#include "common/check.hpp"
#include "common/packed.hpp"

#include <callboard/codec.hpp>

#include <algorithm>
#include <cstring>
#include <utility>

namespace callboard::broker {

namespace {

/// What is settled with one commit, so that a backlog that built up does not hold it up; twice as
/// much as the commit itself brings where that is more, so that what waits cannot grow for ever.
constexpr std::size_t kSettledMax = 4 * 3500;
constexpr std::size_t kSettledBytesMax = 4 << 20;
constexpr std::size_t kSpareRecords = 8;
constexpr std::size_t kSpareBytesMax = 1 << 20;

/// What changes with every call. Calls that are delayed or dead stay for longer than any settling.
bool carries(std::string_view key) {
  std::string_view queue;
  QueuePart part{};
  return ChangeTable::split(key, queue, part);
}

/// A call is stored once, under a number that no other call of the queue has while it lives.
bool is_of_calls(std::string_view key) { return carries(key) && key.ends_with(":calls"); }

}  // namespace

Journal::Journal(std::int64_t settle_ms, std::uint32_t backlog)
    : settle_us_(settle_ms * kMicrosPerMilli), backlog_(backlog) {}

// --- what a commit changes in queues -------------------------------------------------------------

void Journal::start_record(Instant now, std::uint64_t commit_no) {
  // What is noted from now on may take the place of older changes: their records stay until this
  // one is written.
  if (!prepared_) keep_from_ = unsettled_from();
  Record made{commit_no, now.mono_us, {}};
  if (!spare_.empty()) {
    made.bytes = std::move(spare_.back());
    spare_.pop_back();
  }
  made.bytes.truncate(0);
  wire::PackedAt out(made.bytes.room(std::max(kOperationBytes, usual_bytes_)));
  out.uint(kJournalVersion);
  made.bytes.end_at(out.end());
  records_.push_back(std::move(made));
  gathered_ = &records_.back();
  spoken_of_ = ChangeTable::kNone;
  named_ = 0;
  noted_ = 0;
}

void Journal::name_queue(std::uint32_t queue) {
  spoken_of_ = queue;
  ChangeTable::Mention& mention = changes_.mention(queue);
  const std::string_view name = changes_.queue_name(queue);
  wire::PackedAt out(gathered_->bytes.room(kOperationBytes + name.size()));
  if (mention.no == gathered_->no) {
    put(out, Operation::again);
    out.uint(mention.place);
  } else {
    mention = {gathered_->no, named_++};
    put(out, Operation::name);
    out.str(name);
  }
  gathered_->bytes.end_at(out.end());
}

ChangeTable::Change Journal::change_of(std::uint32_t key, std::uint64_t id) const {
  return Change::of(key, id, *gathered_);
}

/// The call whose record is at the end goes to its hash with this commit.
void Journal::write_beside(std::uint32_t queue, std::uint64_t number, std::size_t size) {
  RecordBytes& bytes = gathered_->bytes;
  const std::uint32_t key = ChangeTable::key_of(queue, QueuePart::calls);
  const std::uint32_t to = beside_key(queue);
  const ChangeTable::FieldText field(change_of(key, number));
  beside_->set(to, field.view(), bytes.part(call_at_, size));
  bytes.truncate(call_from_);
  wire::PackedAt out(bytes.room(kOperationBytes));
  put(out, Operation::call_beside);
  out.uint(number);
  bytes.end_at(out.end());
  changes_.forget_field(key, number);
}

std::uint32_t Journal::beside_key(std::uint32_t queue) {
  ChangeTable::Mention& mention = changes_.mention(queue);
  if (mention.beside_no != gathered_->no) {
    mention.beside_no = gathered_->no;
    mention.beside = beside_->key(
        KeyKind::hash, changes_.name(ChangeTable::key_of(queue, QueuePart::calls)));
    beside_queues_.push_back(queue);
  }
  return mention.beside;
}

/// It may be in the hash with this commit: then it leaves it with this commit, too.
void Journal::erase_beside(std::uint32_t queue, std::uint64_t number) {
  const std::uint32_t key = ChangeTable::key_of(queue, QueuePart::calls);
  beside_->erase(beside_key(queue), ChangeTable::FieldText(change_of(key, number)).view());
  changes_.forget_field(key, number);
}

void Journal::set_sent(std::uint32_t queue, std::uint64_t number, std::string_view record) {
  CALLBOARD_CHECK(number < ChangeTable::kNumbersEnd);
  wire::PackedAt out(operation(queue, record.size()));
  put(out, Operation::sent);
  out.uint(number);
  out.bin(record);
  gathered_->bytes.end_at(out.end());
  Change change = change_of(ChangeTable::key_of(queue, QueuePart::sent), number);
  const std::size_t size = gathered_->bytes.size();
  change.set_value(gathered_->bytes.part(size - record.size(), record.size()));
  // That a call was sent is noted after the call itself, and settled after it. So its hash does not
  // have it either.
  const Change* call = changes_.find(ChangeTable::key_of(queue, QueuePart::calls), number);
  change.fresh = call != nullptr && call->fresh;
  changes_.note(change);
}

void Journal::erase_sent(std::uint32_t queue, std::uint64_t number) {
  add_number(queue, Operation::sent_erased, number);
  changes_.note_erased(ChangeTable::key_of(queue, QueuePart::sent), number, *gathered_);
}

void Journal::set_counters(std::uint32_t queue, std::uint64_t next,
                           std::optional<std::uint64_t> watermark) {
  wire::PackedAt out(operation(queue, 0));
  put(out, watermark ? Operation::counters : Operation::next);
  const char* const from = out.end();
  out.uint(next);
  if (watermark) out.uint(*watermark);
  gathered_->bytes.end_at(out.end());
  Change change = change_of(ChangeTable::key_of(queue, QueuePart::facts), ChangeTable::kCounters);
  change.set_value({from, static_cast<std::size_t>(out.end() - from)});
  changes_.note(change);
}

void Journal::set_fact(std::uint32_t queue, std::string_view field, std::string_view value) {
  wire::PackedAt out(operation(queue, field.size() + value.size()));
  put(out, Operation::fact);
  out.bin(field);
  const char* const field_end = out.end();
  out.bin(value);
  gathered_->bytes.end_at(out.end());
  const std::uint32_t key = ChangeTable::key_of(queue, QueuePart::facts);
  Change change = change_of(key, ChangeTable::id_of(field));
  change.set_field({field_end - field.size(), field.size()});
  change.set_value({out.end() - value.size(), value.size()});
  changes_.note(change);
}

void Journal::erase_fact(std::uint32_t queue, std::string_view field) {
  wire::PackedAt out(operation(queue, field.size()));
  put(out, Operation::fact_erased);
  out.bin(field);
  gathered_->bytes.end_at(out.end());
  const std::uint32_t key = ChangeTable::key_of(queue, QueuePart::facts);
  Change change = change_of(key, ChangeTable::id_of(field));
  change.set_field({out.end() - field.size(), field.size()});
  changes_.note(change);
}

/// Since so many did: another sample shows when they do not any more.
void Journal::sample(ChangeTable::Tide& tide, std::uint64_t number) {
  const std::int64_t now_us = gathered_->at_us;
  if (tide.sample != ChangeTable::Tide::kNoSample && now_us < tide.sample_us + settle_us_) return;
  tide.sample = number;
  tide.sample_us = now_us;
}

void Journal::sample_ended(ChangeTable::Tide& tide) {
  if (gathered_->at_us < tide.sample_us + settle_us_) tide.outlived = 0;
  tide.sample = ChangeTable::Tide::kNoSample;
}

void Journal::carry(Instant now, const StoreBatch& changes, std::uint64_t commit_no) {
  CALLBOARD_CHECK(!prepared_);
  prepare();
  if (through_) return;  // it is copied
  // Calls first: what says that one was sent is settled after it.
  for (const bool calls : {true, false}) {
    for (const StoreBatch::Key& key : changes.keys()) {
      if (!carries(key.name) || is_of_calls(key.name) != calls) continue;
      gather(now, commit_no);
      carry_key(key);
    }
  }
}

void Journal::carry_key(const StoreBatch::Key& key) {
  CALLBOARD_CHECK(key.kind == KeyKind::hash && key.expire_ms < 0);
  std::string_view name;
  QueuePart part{};
  ChangeTable::split(key.name, name, part);
  const std::uint32_t queue = changes_.queue(name).queue;
  if (key.drop) {
    CALLBOARD_CHECK(part == QueuePart::facts);
    changes_.forget_key(ChangeTable::key_of(queue, part));
    out_.drop(out_.key(KeyKind::hash, key.name));
    wire::PackedAt out(operation(queue, 0));
    put(out, Operation::facts_gone);
    gathered_->bytes.end_at(out.end());
  }
  // What ends first, then what takes its room: changes are settled in this order.
  for (std::string_view field : key.erases) {
    if (part == QueuePart::facts) erase_fact(queue, field);
    else if (part == QueuePart::calls) erase_call(queue, ChangeTable::id_of(field));
    else erase_sent(queue, ChangeTable::id_of(field));
  }
  for (const auto& [field, value] : key.sets) {
    if (part == QueuePart::facts) {
      set_fact(queue, field, value);
    } else if (part == QueuePart::sent) {
      set_sent(queue, ChangeTable::id_of(field), value);
    } else {
      char* const at = begin_call(queue, ChangeTable::id_of(field), value.size());
      if (!value.empty()) std::memcpy(at, value.data(), value.size());
      end_call(at + value.size());
    }
  }
}

// --- commits -------------------------------------------------------------------------------------

void Journal::prepare() {
  prepared_ = true;
  out_.clear();
  spare(std::move(written_through_));
  written_through_ = RecordBytes();
  if (gathered_ == nullptr) keep_from_ = unsettled_from();
  drop_records();
  through_ = settle_us_ == 0 && records_.size() == (gathered_ == nullptr ? 0 : 1);
}

const StoreBatch& Journal::write(Instant now, const StoreBatch& changes,
                                 std::uint64_t commit_no) {
  if (settle_us_ == 0 && records_.empty() && !prepared_) return changes;
  if (!prepared_) carry(now, changes, commit_no);
  if (gathered_ != nullptr) {
    CALLBOARD_CHECK(gathered_->no == commit_no);
    gathered_->at_us = now.mono_us;
    // Commits under load resemble each other.
    usual_bytes_ = gathered_->bytes.size() + gathered_->bytes.size() / 4;
  }
  for (const StoreBatch::Key& key : changes.keys()) {
    if (through_ || !carries(key.name)) copy(key);
  }
  for (const StoreBatch::Key& key : beside_->keys()) copy(key);
  // Beside a call that is in the hash at once none may be left that has ended: HLEN would exceed
  // what the queue may hold.
  for (const std::uint32_t queue : beside_queues_) {
    settle_erased(ChangeTable::key_of(queue, QueuePart::calls));
  }
  beside_queues_.clear();
  std::swap(beside_, beside_written_);
  beside_->clear();
  settle(now.mono_us);
  if (through_ && gathered_ != nullptr) {
    CALLBOARD_CHECK(changes_.empty());
    written_through_ = std::move(gathered_->bytes);
    records_.pop_back();
    gathered_ = nullptr;
  }
  write_journal_key(gathered_);
  gathered_ = nullptr;
  prepared_ = false;
  changes_.drop_idle_queues();
  changes_.trim();
  return out_;
}

void Journal::write_journal_key(const Record* made) {
  if (made == nullptr && dropped_.empty()) return;
  const std::uint32_t key = out_.key(KeyKind::hash, kKey);
  if (made != nullptr) {
    out_.add_set(key, out_.keep(std::to_string(made->no)), made->bytes.view());
  }
  for (const std::uint64_t no : dropped_) out_.add_erase(key, out_.keep(std::to_string(no)));
}

std::int64_t Journal::due_us() const {
  if (records_.empty()) return kNever;
  // Records that say nothing any more are in nobody's way.
  const std::int64_t drop_us = records_.front().at_us + 2 * settle_us_;
  if (changes_.empty()) return drop_us;
  return std::min(drop_us, changes_.oldest().record->at_us + settle_us_);
}

void Journal::copy(const StoreBatch::Key& key) {
  const std::uint32_t to = out_.key(key.kind, key.name);
  if (key.drop) out_.drop(to);
  for (const auto& [field, value] : key.sets) out_.add_set(to, field, value);
  for (std::string_view field : key.erases) out_.add_erase(to, field);
  if (key.expire_ms >= 0) out_.expire(to, key.expire_ms);
}

/// Writes the change to its hash and forgets it. Of each field there is one change, but counters
/// may be facts, too; its bytes are those of a record that is still there.
void Journal::settle_change(const Change& change, std::uint32_t to) {
  if (change.id == ChangeTable::kCounters) {
    std::uint64_t next = 0;
    std::optional<std::uint64_t> watermark;
    CALLBOARD_CHECK(read_counters(change.value(), next, watermark));
    out_.set(to, kNext, std::to_string(next));
    if (watermark) out_.set(to, kWatermark, std::to_string(*watermark));
    return changes_.remove(change);
  }
  const ChangeTable::FieldText text(change);
  if (ChangeTable::part_of(change.key) == QueuePart::facts) {
    if (change.sets) {
      out_.set(to, text.view(), change.value());
    } else {
      out_.erase(to, text.view());
    }
    return changes_.remove(change);
  }
  const std::string_view field = out_.keep(text.view());
  if (change.sets) {
    std::uint32_t& outlived = changes_.tide(ChangeTable::queue_of(change.key)).outlived;
    if (change.fresh && outlived < 2 * backlog_) ++outlived;
    out_.add_set(to, field, change.value());
  } else {
    out_.add_erase(to, field);
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
  const std::size_t made_bytes = gathered_ == nullptr ? 0 : gathered_->bytes.size();
  const std::size_t noted = gathered_ == nullptr ? 0 : noted_;
  const std::size_t bytes_max = std::max(kSettledBytesMax, 2 * made_bytes);
  const std::size_t changes_max = std::max(kSettledMax, 2 * noted);
  std::size_t bytes = 0;
  for (std::size_t n = 0; n < changes_max && bytes < bytes_max && !changes_.empty(); ++n) {
    const Change& change = changes_.oldest();
    if (change.record->at_us > until_us) break;
    if (change.key != key) {
      key = change.key;
      to = out_.key(KeyKind::hash, changes_.name(key));
    }
    bytes += change.value_bytes;
    settle_change(change, to);
  }
}

/// Those of which earlier commits have settled all, or undone it: their bytes are in the caches
/// still, here and in Redis. What is still to be settled has its bytes in its record.
void Journal::drop_records() {
  dropped_.clear();
  while (!records_.empty() && &records_.front() != gathered_) {
    Record& first = records_.front();
    if (first.no >= keep_from_) break;
    dropped_.push_back(first.no);
    spare(std::move(first.bytes));
    records_.pop_front();
  }
}

void Journal::spare(RecordBytes bytes) {
  if (bytes.capacity() == 0 || bytes.capacity() > kSpareBytesMax) return;
  if (spare_.size() < kSpareRecords) spare_.push_back(std::move(bytes));
}

}  // namespace callboard::broker
