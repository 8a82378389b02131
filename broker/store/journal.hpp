// The journal: what a commit changes in the hashes of queues becomes one field of one hash; only
// what is still true after the settle time moves on to the hashes themselves.
//
//   commit N ──> journal[N] = its changes ──settle time──> q:NAME:calls, ... ; journal[N] is deleted
//                      └── undone by a later commit meanwhile: never reaches the hashes
//
// Invariants: the records are those of consecutive commits, and deleted oldest first. The hashes
// hold every change of the records that are gone; of those that are there they may hold some. So
// the state is: the hashes, and over them the records, in order. Records say what a field is to
// be, not how it differs, so it does no harm to apply one that was applied already.
// Keys that the journal does not carry (all but q:NAME and its calls and sent) are written at once.
// No I/O, no clock. Thread safety: none.
#pragma once

#include "broker/store/batch.hpp"
#include "common/time.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace callboard::broker {

class Journal {
 public:
  static constexpr std::string_view kKey = "journal";

  /// `settle_ms` = 0: nothing is put off; what an earlier run left is settled all the same.
  explicit Journal(std::int64_t settle_ms);

  // --- at start-up -------------------------------------------------------------------------------
  /// Takes a field of the key kKey. A non-empty answer says why it cannot be read.
  std::string load(std::string_view commit_no, std::string_view record);
  /// All were loaded: from now on find() and each() say what the hashes do not know yet.
  std::string recover();
  /// What the newest record says of a field; null when none says anything.
  struct Known {
    bool sets = false;
    std::string_view value;
  };
  bool find(std::string_view key, std::string_view field, Known& known) const;
  using Visit = std::function<void(std::string_view key, std::string_view field,
                                   std::string_view value)>;
  /// The fields that are set.
  void each(const Visit& visit) const;
  bool empty() const { return records_.empty(); }

  // --- commits -----------------------------------------------------------------------------------
  /// What commit `commit_no` has to write for `changes`. Valid and unchanged until the next call.
  /// REQUIRES: the commits before have been applied or will be; `now` never goes back.
  const StoreBatch& write(Instant now, const StoreBatch& changes, std::uint64_t commit_no);
  /// When a commit is due even if nothing changes; kNever when all is settled.
  std::int64_t due_us() const;

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  struct Record {
    std::uint64_t no = 0;
    std::int64_t at_us = 0;
    std::string bytes;
  };
  /// The newest change of a field that the hashes do not have.
  struct Change {
    std::string_view field, value;  ///< bytes of the record `no`
    std::uint64_t no = 0;
    std::int64_t at_us = 0;
    std::uint32_t key = 0;
    std::uint32_t hash = 0;
    std::uint32_t chain = kNone;  ///< the next one of its bucket, or of the free ones
    std::uint32_t older = kNone;
    std::uint32_t newer = kNone;
    bool sets = false;
    bool fresh = false;  ///< the hash has no such field
  };
  struct KeyName {
    std::string name;
    std::uint32_t changes = 0;
    bool idle = false;  ///< it is in idle_keys_; it may have changes again
  };

  void copy(const StoreBatch::Key& key);
  void record(const StoreBatch::Key& key, Record& into);
  std::string replay(const Record& record);
  void note(std::uint32_t key, std::string_view field, std::string_view value, bool sets,
            bool fresh, const Record& record);
  void settle_change(std::uint32_t at, std::uint32_t to);
  void settle_key(std::uint32_t key);
  void settle(std::int64_t now_us, std::uint64_t commit_no);

  std::uint32_t key_number(std::string_view name);
  std::uint32_t lookup(std::uint32_t key, std::string_view field, std::uint32_t hash) const;
  void link_newest(std::uint32_t at);
  void unlink(std::uint32_t at);
  void remove(std::uint32_t at);
  void forget_changes(std::string_view name);
  void free_idle_keys();
  void grow();

  std::int64_t settle_us_;
  std::map<std::uint64_t, std::string> loaded_;
  std::deque<Record> records_;  ///< oldest first
  std::vector<std::string> spare_;
  StoreBatch out_;

  std::vector<Change> changes_;
  std::vector<std::uint32_t> buckets_;
  std::size_t used_ = 0;
  std::uint32_t free_ = kNone;
  std::uint32_t oldest_ = kNone;
  std::uint32_t newest_ = kNone;
  std::vector<KeyName> keys_;
  std::vector<std::uint32_t> free_keys_;
  std::vector<std::uint32_t> idle_keys_;  ///< had no changes when they were put here
  std::unordered_map<std::string, std::uint32_t> key_numbers_;
};

}  // namespace callboard::broker
