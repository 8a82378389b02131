// What the hashes of the store do not have yet: of each field the newest change, oldest first.
//
// Pure data; the bytes of fields and values live elsewhere, in the records of the journal. Every
// operation takes the same time however much is in the table, but for those on a whole key, which
// take as long as the key has changes. Thread safety: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace callboard::broker {

class ChangeTable {
 public:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  struct Change {
    std::string_view field, value;  ///< bytes of the record `no`
    std::uint64_t no = 0;           ///< commit
    std::int64_t at_us = 0;
    std::uint32_t key = 0;
    bool sets = false;   ///< otherwise it erases
    bool fresh = false;  ///< the hash has no such field

   private:
    friend class ChangeTable;
    std::uint64_t id = 0;  ///< of the field, the same for no other number
    std::uint32_t chain = kNone;  ///< the next one of its bucket, or of the free ones
    std::uint32_t older = kNone;
    std::uint32_t newer = kNone;
    std::uint32_t previous_of_key = kNone;
    std::uint32_t next_of_key = kNone;
  };

  /// How long the fields of a key stay, as far as that was seen.
  struct Tide {
    std::uint32_t outlived = 0;  ///< fields that reached the hash, less those that were undone
    std::string sample;          ///< one of those that were written to the hash at once ...
    std::int64_t sample_us = 0;  ///< ... and when
  };

  ChangeTable();

  /// The number of a key in this table; it stands until drop_idle_keys().
  std::uint32_t key(std::string_view name);
  /// kNone when the key has no changes.
  std::uint32_t changed_key(std::string_view name) const;
  const std::string& name(std::uint32_t key) const { return keys_[key].name; }

  bool empty() const { return oldest_ == kNone; }
  /// REQUIRES: !empty()
  const Change& oldest() const { return changes_[oldest_]; }
  /// Forgotten with the key's number.
  Tide& tide(std::uint32_t key) { return keys_[key].tide; }
  /// Calls visit(change) for those of the key; it may remove the change that it is given.
  template <class Visit>
  void each_of(std::uint32_t key, const Visit& visit) {
    for (std::uint32_t at = keys_[key].first; at != kNone;) {
      const std::uint32_t next = changes_[at].next_of_key;
      visit(changes_[at]);
      at = next;
    }
  }
  /// What is known of the field; null when nothing is.
  const Change* find(std::uint32_t key, std::string_view field) const;
  template <class Visit>
  void each(const Visit& visit) const {
    for (std::uint32_t at = oldest_; at != kNone; at = changes_[at].newer) visit(changes_[at]);
  }

  /// Takes the place of what was known of the field. Nothing is known any more when the change
  /// erases what never reached the hash.
  void note(const Change& change);
  /// `change` is one of the table's own.
  void remove(const Change& change);
  void forget_field(std::uint32_t key, std::string_view field);
  void forget_key(std::string_view name);
  /// Forgets the numbers of keys without changes once there are many.
  void drop_idle_keys();
  /// An empty table gives back what it took when it was large.
  void trim();

 private:
  struct KeyName {
    std::string name;
    std::uint32_t first = kNone;  ///< of its changes
    bool idle = false;            ///< it is in idle_keys_; it may have changes again
    Tide tide;
  };

  std::uint32_t lookup(std::uint32_t key, std::string_view field, std::uint64_t id) const;
  std::uint32_t make(std::uint32_t key, std::uint64_t id);
  std::uint32_t& bucket(std::uint32_t key, std::uint64_t id);
  std::size_t bucket_of(std::uint32_t key, std::uint64_t id) const;
  void link_newest(std::uint32_t at);
  void unlink(std::uint32_t at);
  void remove_at(std::uint32_t at);
  void grow();

  std::vector<Change> changes_;
  std::vector<std::uint32_t> buckets_;
  std::size_t used_ = 0;
  std::uint32_t free_ = kNone;
  std::uint32_t oldest_ = kNone;
  std::uint32_t newest_ = kNone;
  std::vector<KeyName> keys_;
  std::vector<std::uint32_t> free_keys_;
  std::vector<std::uint32_t> idle_keys_;  ///< had no changes when they were put here
  struct NameHash {
    using is_transparent = void;  // a view is looked for as it is
    std::size_t operator()(std::string_view name) const {
      return std::hash<std::string_view>()(name);
    }
  };
  std::unordered_map<std::string, std::uint32_t, NameHash, std::equal_to<>> key_numbers_;
};

}  // namespace callboard::broker
