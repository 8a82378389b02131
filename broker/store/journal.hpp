// The journal: what a commit changes in the hashes of queues becomes one field of one hash; only
// what is still true after the settle time moves on to the hashes themselves.
//
//   commit N ──> journal[N] = its changes ──settle time──> q:NAME:calls, ...; journal[N] goes
//                      └── undone by a later commit meanwhile: never reaches the hashes
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

  // --- commits -----------------------------------------------------------------------------------
  /// What commit `commit_no` has to write for `changes`. Valid and unchanged until the next call,
  /// and as long as `changes` stays as it is.
  /// REQUIRES: the commits before have been applied or will be; `now` never goes back.
  const StoreBatch& write(Instant now, const StoreBatch& changes, std::uint64_t commit_no);
  /// The first commit of which some is not in the hashes yet, nor in what write() said last.
  std::uint64_t unsettled_from() const {
    return changes_.empty() ? UINT64_MAX : changes_.oldest().no;
  }
  /// When a commit is due even if nothing changes; kNever when all is settled.
  std::int64_t due_us() const;
  /// From now on nothing is put off: a broker that ends in good order leaves no journal.
  void put_off_nothing() { settle_us_ = 0; }

 private:
  using Change = ChangeTable::Change;
  /// Were the settle time over for a record with each commit, each would be due on its own.
  static constexpr std::int64_t kRidesEarlierBy = 5;  ///< a fifth

  struct Record {
    std::uint64_t no = 0;
    std::int64_t at_us = 0;
    std::string bytes;
  };

  void copy(const StoreBatch::Key& key);
  void record(const StoreBatch::Key& key, Record& into);
  std::string replay(const Record& record);
  bool replay_key(wire::Reader& in, const Record& record);
  /// Without a value it erases.
  static Change change_of(std::uint32_t key, std::string_view field, const Record& record,
                          std::optional<std::string_view> value = std::nullopt);
  std::uint32_t calls_beside(std::string_view key) const;
  bool is_fresh(std::uint32_t key, std::string_view field) const;
  void settle_change(const Change& change, std::uint32_t to);
  void settle_erased(std::uint32_t key);
  bool outlives(std::uint32_t number, const StoreBatch::Key& key, std::int64_t now_us);
  void note_end(std::uint32_t key, std::string_view field, std::int64_t now_us);
  void settle(std::int64_t now_us);
  void drop_records(std::int64_t now_us);
  void write_journal_key(const Record* made = nullptr);
  /// What is older rides with a commit that is made anyway.
  std::int64_t ride_us() const { return settle_us_ - settle_us_ / kRidesEarlierBy; }

  std::int64_t settle_us_;
  const std::uint32_t backlog_;
  std::map<std::uint64_t, std::string> loaded_;
  std::deque<Record> records_;  ///< oldest first
  std::vector<std::uint64_t> dropped_;  ///< numbers of records that go with this commit
  std::vector<std::string> spare_;
  std::size_t noted_ = 0;  ///< changes in the record of the last commit
  ChangeTable changes_;
  StoreBatch out_;
};

}  // namespace callboard::broker
