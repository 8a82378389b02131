// What the hashes of the store do not have yet: of each field the newest change, oldest first.
//
// Pure data; the bytes of fields and values are in the records of the journal. Every operation
// takes the same time however much is in the table, but for those on a whole key, which take as
// long as the key has changes. Thread safety: none.
#pragma once

#include "broker/store/journal_record.hpp"

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace callboard::broker {

/// The keys of a queue that the journal carries: q:NAME, q:NAME:calls, q:NAME:sent.
enum class QueuePart : std::uint32_t { facts, calls, sent };

/// Finds the keys of a queue without its name, for as long as ChangeTable::knows() it.
struct QueueTicket {
  std::uint32_t queue = UINT32_MAX;
  std::uint32_t turn = 0;
};

class ChangeTable {
 public:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  /// Ids of fields: their number, or a hash with the topmost bit. Fields of calls are numbers.
  static constexpr std::uint64_t kHashed = 1ull << 63;
  static constexpr std::uint64_t kNumbersEnd = 1ull << 62;
  /// Counters of a queue, which are several fields with one change.
  static constexpr std::uint64_t kCounters = kNumbersEnd;
  static std::uint64_t id_of(std::string_view field);

  struct Change {
    const JournalRecord* record = nullptr;
    std::uint64_t id = 0;  ///< of the field, the same for no other number
    std::uint32_t field_at = 0, field_bytes = 0;  ///< in the record; not of a number
    std::uint32_t value_at = 0, value_bytes = 0;
    std::uint32_t key = 0;
    bool sets = false;   ///< otherwise it erases
    bool fresh = false;  ///< the hash has no such field

    /// That the field is erased.
    static Change of(std::uint32_t key, std::uint64_t id, const JournalRecord& record) {
      Change change;
      change.record = &record;
      change.key = key;
      change.id = id;
      return change;
    }
    /// Bytes of the record, as those of the value.
    void set_field(std::string_view field) {
      field_at = record->bytes.place_of(field);
      field_bytes = static_cast<std::uint32_t>(field.size());
    }
    void set_value(std::string_view value) {
      sets = true;
      value_at = record->bytes.place_of(value);
      value_bytes = static_cast<std::uint32_t>(value.size());
    }
    std::string_view value() const { return record->bytes.part(value_at, value_bytes); }

   private:
    friend class ChangeTable;
    std::uint32_t chain = kNone;  ///< the next one of its bucket, or of the free ones
    std::uint32_t older = kNone;
    std::uint32_t newer = kNone;
    std::uint32_t previous_of_key = kNone;
    std::uint32_t next_of_key = kNone;
  };

  /// The name of a change's field.
  class FieldText {
   public:
    explicit FieldText(const Change& change) {
      if (change.id < kNumbersEnd) {
        const char* end = std::to_chars(digits_, digits_ + sizeof digits_, change.id).ptr;
        text_ = {digits_, static_cast<std::size_t>(end - digits_)};
      } else {
        text_ = change.record->bytes.part(change.field_at, change.field_bytes);
      }
    }
    FieldText(const FieldText&) = delete;
    FieldText& operator=(const FieldText&) = delete;
    std::string_view view() const { return text_; }

   private:
    char digits_[20];
    std::string_view text_;
  };

  /// How long the calls of a queue stay, as far as that was seen.
  struct Tide {
    static constexpr std::uint64_t kNoSample = UINT64_MAX;
    std::uint32_t outlived = 0;  ///< those that reached the hash, less those that were undone
    std::uint64_t sample = kNoSample;  ///< one of those that were written to the hash at once ...
    std::int64_t sample_us = 0;        ///< ... and when
  };

  /// What the record that is being written says of a queue.
  struct Mention {
    std::uint64_t no = 0;         ///< the last record that names it
    std::uint32_t place = 0;      ///< among the queues that it names
    std::uint32_t beside = 0;     ///< its key among calls that go to their hash at once ...
    std::uint64_t beside_no = 0;  ///< ... with this commit
  };

  ChangeTable();

  // --- keys --------------------------------------------------------------------------------------
  /// Of a queue of that name; it is made when there is none.
  QueueTicket queue(std::string_view name);
  bool knows(QueueTicket ticket) const {
    return ticket.queue < queues_.size() && queues_[ticket.queue].turn == ticket.turn;
  }
  static constexpr std::uint32_t key_of(std::uint32_t queue, QueuePart part) {
    return queue << 2 | static_cast<std::uint32_t>(part);
  }
  static constexpr std::uint32_t queue_of(std::uint32_t key) { return key >> 2; }
  static constexpr QueuePart part_of(std::uint32_t key) { return static_cast<QueuePart>(key & 3); }
  /// False when it is not such a key.
  static bool split(std::string_view key, std::string_view& queue, QueuePart& part);
  /// kNone when the key has no changes.
  std::uint32_t changed_key(std::string_view key) const;
  std::string_view queue_name(std::uint32_t queue) const { return queues_[queue].name; }
  std::string name(std::uint32_t key) const;
  /// Forgotten with the queue's number, as the next one.
  Tide& tide(std::uint32_t queue) { return queues_[queue].tide; }
  Mention& mention(std::uint32_t queue) { return queues_[queue].mention; }
  /// Forgets queues without changes once there are many.
  void drop_idle_queues();

  // --- changes -----------------------------------------------------------------------------------
  bool empty() const { return oldest_ == kNone; }
  /// REQUIRES: !empty()
  const Change& oldest() const { return changes_[oldest_]; }
  /// Calls visit(change) for those of the key; it may remove the change that it is given.
  template <class Visit>
  void each_of(std::uint32_t key, const Visit& visit) {
    for (std::uint32_t at = first_of(key); at != kNone;) {
      const std::uint32_t next = changes_[at].next_of_key;
      visit(changes_[at]);
      at = next;
    }
  }
  /// What is known of the field; null when nothing is. `field`: where the id is a hash.
  const Change* find(std::uint32_t key, std::uint64_t id, std::string_view field = {}) const;
  template <class Visit>
  void each(const Visit& visit) const {
    for (std::uint32_t at = oldest_; at != kNone; at = changes_[at].newer) visit(changes_[at]);
  }

  /// Takes the place of what was known of the field. Nothing is known any more when the change
  /// erases what never reached the hash.
  void note(const Change& change);
  /// The same of a number, as every call does it: it is set to a value of the record (and the hash
  /// has no such field unless the table says so), or erased.
  void note_set(std::uint32_t key, std::uint64_t number, const JournalRecord& record,
                std::string_view value);
  void note_erased(std::uint32_t key, std::uint64_t number, const JournalRecord& record);
  /// `change` is one of the table's own.
  void remove(const Change& change);
  void forget_field(std::uint32_t key, std::uint64_t id, std::string_view field = {});
  void forget_key(std::uint32_t key);
  /// An empty table gives back what it took when it was large.
  void trim();

 private:
  struct Queue {
    std::string name;
    std::array<std::uint32_t, 3> first = {kNone, kNone, kNone};  ///< of the changes of each part
    std::uint32_t turn = 0;  ///< rises when the number is another queue's
    bool idle = false;       ///< it is in idle_queues_; it may have changes again
    Mention mention;
    Tide tide;

    bool changes() const {
      return first[0] != kNone || first[1] != kNone || first[2] != kNone;
    }
  };

  std::uint32_t& first_of(std::uint32_t key) { return queues_[key >> 2].first[key & 3]; }
  std::uint32_t lookup(std::uint32_t key, std::uint64_t id, std::string_view field) const;
  std::uint32_t make(std::uint32_t key, std::uint64_t id);
  std::uint32_t renew(std::uint32_t at, std::uint32_t key, std::uint64_t id);
  std::uint32_t& bucket(std::uint32_t key, std::uint64_t id);
  std::size_t bucket_of(std::uint32_t key, std::uint64_t id) const;
  void link_newest(std::uint32_t at);
  void unlink(std::uint32_t at);
  std::uint32_t* link_to(std::uint32_t key, std::uint64_t number);
  std::uint32_t* link_of(std::uint32_t at);
  void remove_at(std::uint32_t at);
  void remove_at(std::uint32_t at, std::uint32_t* link);
  void remove_fresh(std::uint32_t at, std::uint32_t* link);
  void grow();

  std::vector<Change> changes_;
  std::vector<std::uint32_t> buckets_;
  std::size_t used_ = 0;
  std::uint32_t free_ = kNone;
  std::uint32_t oldest_ = kNone;
  std::uint32_t newest_ = kNone;
  std::vector<Queue> queues_;
  std::vector<std::uint32_t> free_queues_;
  std::vector<std::uint32_t> idle_queues_;  ///< had no changes when they were put here
  struct NameHash {
    using is_transparent = void;  // a view is looked for as it is
    std::size_t operator()(std::string_view name) const {
      return std::hash<std::string_view>()(name);
    }
  };
  std::unordered_map<std::string, std::uint32_t, NameHash, std::equal_to<>> queue_numbers_;
};

}  // namespace callboard::broker

#include "broker/store/change_steps.hpp"
