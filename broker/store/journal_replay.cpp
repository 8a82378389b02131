// The journal at start-up: what the records of earlier runs say.
#include "broker/store/journal.hpp"

#include <callboard/codec.hpp>

#include <charconv>
#include <utility>

namespace callboard::broker {

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
    records_.push_back({no, 0, RecordBytes(bytes)});
    std::string problem = replay(records_.back());
    if (!problem.empty()) return problem;
  }
  loaded_.clear();
  return {};
}

std::string Journal::replay(const Record& record) {
  wire::Reader in(record.bytes.view());
  std::uint64_t version = 0;
  bool good = in.uint(version) && (version == 1 || version == kJournalVersion);
  std::uint32_t queue = ChangeTable::kNone;
  std::vector<std::uint32_t> named;
  while (good && !in.at_end()) {
    good = version == 1 ? replay_key(in, record) : replay_operation(in, record, queue, named);
  }
  if (good) return {};
  return "record " + std::to_string(record.no) + " of the journal cannot be read";
}

/// Of version 1: name, dropped; fields that were written to their hash at once; erased fields; set
/// fields with their values. Each list begins with its length.
bool Journal::replay_key(wire::Reader& in, const Record& record) {
  std::string_view key_name, name, field, value;
  QueuePart part{};
  bool drop = false;
  std::uint64_t n = 0;
  if (!in.str(key_name) || !ChangeTable::split(key_name, name, part) || !in.boolean(drop)) {
    return false;
  }
  const std::uint32_t key = ChangeTable::key_of(changes_.queue(name).queue, part);
  if (drop) changes_.forget_key(key);
  if (!in.uint(n)) return false;
  for (; n > 0; --n) {
    if (!in.bin(field)) return false;
    changes_.forget_field(key, ChangeTable::id_of(field), field);
  }
  if (!in.uint(n)) return false;
  for (; n > 0; --n) {
    if (!in.bin(field)) return false;
    Change change = Change::of(key, ChangeTable::id_of(field), record);
    change.set_field(field);
    changes_.note(change);
  }
  if (!in.uint(n)) return false;
  for (; n > 0; --n) {
    if (!in.bin(field) || !in.bin(value)) return false;
    Change change = Change::of(key, ChangeTable::id_of(field), record);
    change.set_field(field);
    change.set_value(value);
    changes_.note(change);
  }
  return true;
}

namespace {

/// Of a call.
bool read_number(wire::Reader& in, std::uint64_t& number) {
  return in.uint(number) && number < ChangeTable::kNumbersEnd;
}

}  // namespace

bool Journal::replay_operation(wire::Reader& in, const Record& record, std::uint32_t& queue,
                               std::vector<std::uint32_t>& named) {
  std::uint64_t what = 0;
  std::uint64_t number = 0;
  std::string_view field, value;
  if (!in.uint(what)) return false;
  const auto operation = static_cast<Operation>(what);
  if (operation == Operation::name) {
    if (!in.str(field)) return false;
    queue = changes_.queue(field).queue;
    named.push_back(queue);
    return true;
  }
  if (operation == Operation::again) {
    if (!in.uint(number) || number >= named.size()) return false;
    queue = named[number];
    return true;
  }
  if (queue == ChangeTable::kNone) return false;
  const std::uint32_t facts = ChangeTable::key_of(queue, QueuePart::facts);
  const std::uint32_t calls = ChangeTable::key_of(queue, QueuePart::calls);
  const std::uint32_t sent = ChangeTable::key_of(queue, QueuePart::sent);
  switch (operation) {
    case Operation::call:
    case Operation::sent: {
      if (!read_number(in, number) || !in.bin(value)) return false;
      Change change = Change::of(operation == Operation::call ? calls : sent, number, record);
      change.set_value(value);
      changes_.note(change);
      return true;
    }
    case Operation::call_ended:
    case Operation::sent_erased:
      if (!read_number(in, number)) return false;
      changes_.note(Change::of(operation == Operation::call_ended ? calls : sent, number, record));
      return true;
    case Operation::call_beside:
      if (!in.uint(number)) return false;
      changes_.forget_field(calls, number);
      return true;
    case Operation::next:
    case Operation::counters: {
      const std::string_view from = in.rest();
      if (!in.uint(number)) return false;
      if (operation == Operation::counters && !in.uint(number)) return false;
      Change change = Change::of(facts, ChangeTable::kCounters, record);
      change.set_value(from.substr(0, from.size() - in.rest().size()));
      changes_.note(change);
      return true;
    }
    case Operation::fact:
    case Operation::fact_erased: {
      if (!in.bin(field)) return false;
      Change change = Change::of(facts, ChangeTable::id_of(field), record);
      change.set_field(field);
      if (operation == Operation::fact) {
        if (!in.bin(value)) return false;
        change.set_value(value);
      }
      changes_.note(change);
      return true;
    }
    case Operation::facts_gone:
      changes_.forget_key(facts);
      return true;
    default:
      return false;
  }
}

bool Journal::read_counters(std::string_view bytes, std::uint64_t& next,
                            std::optional<std::uint64_t>& watermark) {
  wire::Reader in(bytes);
  if (!in.uint(next)) return false;
  std::uint64_t number = 0;
  watermark.reset();
  if (in.at_end()) return true;
  if (!in.uint(number)) return false;
  watermark = number;
  return true;
}

bool Journal::changes(std::string_view key) const {
  return changes_.changed_key(key) != ChangeTable::kNone;
}

bool Journal::says(std::string_view key, std::string_view field) const {
  const std::uint32_t number = changes_.changed_key(key);
  if (number == ChangeTable::kNone) return false;
  if (changes_.find(number, ChangeTable::id_of(field), field) != nullptr) return true;
  if (ChangeTable::part_of(number) != QueuePart::facts) return false;
  const Change* counters = changes_.find(number, ChangeTable::kCounters);
  std::uint64_t next = 0;
  std::optional<std::uint64_t> watermark;
  if (counters == nullptr || !read_counters(counters->value(), next, watermark)) return false;
  return field == kNext || (field == kWatermark && watermark);
}

void Journal::each(const Visit& visit) const {
  changes_.each([&](const Change& change) {
    if (!change.sets) return;
    const std::string key = changes_.name(change.key);
    if (change.id != ChangeTable::kCounters) {
      return visit(key, ChangeTable::FieldText(change).view(), change.value());
    }
    std::uint64_t next = 0;
    std::optional<std::uint64_t> watermark;
    read_counters(change.value(), next, watermark);
    visit(key, kNext, std::to_string(next));
    if (watermark) visit(key, kWatermark, std::to_string(*watermark));
  });
}

}  // namespace callboard::broker
