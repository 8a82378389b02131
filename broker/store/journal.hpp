// The journal: what a commit changes in the hashes of queues becomes one field of one hash; only
// what is still true after the settle time moves on to the hashes themselves.
//
//   commit N ──> journal[N] = its changes ──settle time──> q:NAME:calls, ...; journal[N] goes
//                      └── undone by a later commit meanwhile: never reaches the hashes, and
//                          journal[N] goes with the commit after that
//
// Invariants: records are deleted oldest first. The hashes hold every change of the records that
// are gone; of those that are there they may hold some. So the state is: the hashes, and over them
// the records, in order. Records say what a field is to be, not how it differs, so it does no harm
// to apply one that was applied already. A commit that goes wrong may leave any part of itself: so
// a record goes only with a commit after the one that brought the last of it to the hashes.
// Changes reach a hash in the order in which they were made, so it never holds more calls than the
// queue did at some moment.
// Where calls outlive the settle time, as in a backlog, they go to their hash at once: what is
// written twice there is written once in vain.
// What happens with every call goes straight into the record of the commit that is being gathered,
// without a name and without a look at what the batch says.
// Keys that the journal does not carry (all but q:NAME and its calls and sent) are written at once.
// No I/O, no clock. Thread safety: none.
#pragma once

#include "broker/store/batch.hpp"
#include "broker/store/change_table.hpp"
#include "common/time.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace callboard::wire {
class Reader;
}

namespace callboard::broker {

class Journal {
 public:
  static constexpr std::string_view kKey = "journal";

  /// So many calls of a queue have outlived the settle time, more than have not: those that follow
  /// will, too.
  static constexpr std::uint32_t kBacklog = 2048;

  /// `settle_ms` = 0: nothing is put off but what an earlier run left and one commit cannot hold.
  explicit Journal(std::int64_t settle_ms, std::uint32_t backlog = kBacklog);

  // --- at start-up -------------------------------------------------------------------------------
  /// Takes a field of the key kKey. A non-empty answer says why it cannot be read.
  std::string load(std::string_view commit_no, std::string_view record);
  /// All were loaded: from now on changes(), says() and each() tell what the hashes may not know.
  std::string recover();
  /// Whether the records say anything of the key.
  bool changes(std::string_view key) const;
  /// Whether they say anything of the field: then what the hash says of it does not count.
  bool says(std::string_view key, std::string_view field) const;
  using Visit = std::function<void(std::string_view key, std::string_view field,
                                   std::string_view value)>;
  /// The fields that are set.
  void each(const Visit& visit) const;
  bool empty() const { return records_.empty(); }

  // --- what a commit changes in queues -----------------------------------------------------------
  // gather() comes first, for the commit after the last one that was written. Counters and what
  // carry() finds in the batch are the last of a record.

  /// Of the queue's keys. It stands until the next write(), and then for as long as knows() says.
  QueueTicket queue(std::string_view name) { return changes_.queue(name); }
  bool knows(QueueTicket ticket) const { return changes_.knows(ticket); }
  void gather(Instant now, std::uint64_t commit_no) {
    if (gathered_ == nullptr) start_record(now, commit_no);
  }
  bool gathers() const { return gathered_ != nullptr; }
  /// Memory that waits for its commit, about.
  std::size_t gathered_bytes() const {
    return gathered_ == nullptr ? 0 : gathered_->bytes.size() + beside_->bytes();
  }
  /// A call is stored: its record is written to the place that begin_call() gives, which has
  /// `room`; end_call() tells the record's end.
  /// REQUIRES: no other call that is not erased has its number.
  char* begin_call(std::uint32_t queue, std::uint64_t number, std::size_t room);
  void end_call(const char* end);
  void erase_call(std::uint32_t queue, std::uint64_t number);
  void set_sent(std::uint32_t queue, std::uint64_t number, std::string_view record);
  void erase_sent(std::uint32_t queue, std::uint64_t number);
  /// "next", and "sent.0.0" where there is one: all of them, changed or not.
  void set_counters(std::uint32_t queue, std::uint64_t next,
                    std::optional<std::uint64_t> watermark);
  /// What the batch says of queues. Once for a commit; write() does it where nobody has.
  void carry(Instant now, const StoreBatch& changes, std::uint64_t commit_no);

  // --- commits -----------------------------------------------------------------------------------
  /// What commit `commit_no` has to write for `changes` and what was gathered. Valid and unchanged
  /// until the next call, and as long as `changes` stays as it is.
  /// REQUIRES: the commits before have been applied or will be; `now` never goes back.
  const StoreBatch& write(Instant now, const StoreBatch& changes, std::uint64_t commit_no);
  /// The first commit of which some is not in the hashes yet, nor in what write() said last.
  std::uint64_t unsettled_from() const {
    return changes_.empty() ? UINT64_MAX : changes_.oldest().record->no;
  }
  /// When a commit is due even if nothing changes; kNever when all is settled.
  std::int64_t due_us() const;
  /// From now on nothing is put off: a broker that ends in good order leaves no journal.
  void put_off_nothing() { settle_us_ = 0; }

 private:
  using Change = ChangeTable::Change;
  /// Were the settle time over for a record with each commit, each would be due on its own.
  static constexpr std::int64_t kRidesEarlierBy = 5;  ///< a fifth

  using Record = JournalRecord;
  using Operation = JournalOperation;

  std::string replay(const Record& record);
  bool replay_key(wire::Reader& in, const Record& record);
  bool replay_operation(wire::Reader& in, const Record& record, std::uint32_t& queue,
                        std::vector<std::uint32_t>& named);
  static bool read_counters(std::string_view bytes, std::uint64_t& next,
                            std::optional<std::uint64_t>& watermark);

  /// An operation without its values, and what names its queue.
  static constexpr std::size_t kOperationBytes = 64;
  static constexpr std::size_t kLengthBytes = 5;  ///< of a value, always in its longest form
  /// Larger values are written to their hash at once: twice would cost more than it saves, and a
  /// record stays far below what Redis takes as one value.
  static constexpr std::size_t kCarriedBytesMax = 16 * 1024;

  static void put(wire::PackedAt& out, Operation operation) {
    out.uint(static_cast<std::uint64_t>(operation));
  }
  void start_record(Instant now, std::uint64_t commit_no);
  char* operation(std::uint32_t queue, std::size_t room);
  void name_queue(std::uint32_t queue);
  void add_number(std::uint32_t queue, Operation what, std::uint64_t number);
  void set_fact(std::uint32_t queue, std::string_view field, std::string_view value);
  void erase_fact(std::uint32_t queue, std::string_view field);
  void write_beside(std::uint32_t queue, std::uint64_t number, std::size_t size);
  void erase_beside(std::uint32_t queue, std::uint64_t number);
  std::uint32_t beside_key(std::uint32_t queue);
  bool outlives(std::uint32_t queue, std::uint64_t number);
  void sample(ChangeTable::Tide& tide, std::uint64_t number);
  void sample_ended(ChangeTable::Tide& tide);
  ChangeTable::Change change_of(std::uint32_t key, std::uint64_t id) const;

  void prepare();
  void carry_key(const StoreBatch::Key& key);
  void copy(const StoreBatch::Key& key);
  void settle_change(const Change& change, std::uint32_t to);
  void settle_erased(std::uint32_t key);
  void settle(std::int64_t now_us);
  void drop_records();
  void spare(RecordBytes bytes);
  void write_journal_key(const Record* made);
  /// What is older rides with a commit that is made anyway.
  std::int64_t ride_us() const { return settle_us_ - settle_us_ / kRidesEarlierBy; }

  std::int64_t settle_us_;
  const std::uint32_t backlog_;
  std::map<std::uint64_t, std::string> loaded_;
  std::deque<Record> records_;  ///< oldest first
  std::vector<std::uint64_t> dropped_;  ///< numbers of records that go with this commit
  std::vector<RecordBytes> spare_;
  ChangeTable changes_;
  StoreBatch out_;

  // the commit that is being gathered
  Record* gathered_ = nullptr;     ///< the last of records_, or none yet
  std::uint64_t keep_from_ = 0;    ///< the record of the oldest change before it
  std::uint32_t spoken_of_ = ChangeTable::kNone;  ///< the queue of the last operation
  std::uint32_t named_ = 0;        ///< queues in the record
  std::size_t noted_ = 0;          ///< changes in it
  std::size_t usual_bytes_ = 0;    ///< of a record, with some room
  std::uint64_t call_number_ = 0;  ///< of begin_call()
  std::size_t call_from_ = 0;      ///< where the operation begins ...
  std::size_t call_at_ = 0;        ///< ... and the call's record
  bool prepared_ = false;
  bool through_ = false;  ///< it goes to the hashes without a record
  StoreBatch beside_a_, beside_b_;
  StoreBatch* beside_ = &beside_a_;   ///< calls that go to their hash at once
  StoreBatch* beside_written_ = &beside_b_;
  std::vector<std::uint32_t> beside_queues_;  ///< whose calls are in *beside_
  RecordBytes written_through_;       ///< of the last commit, when it had no record
};

}  // namespace callboard::broker

#include "broker/store/journal_steps.hpp"
