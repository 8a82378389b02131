// Redis as the broker sees it: keys, atomic group commits, a fence token, and a disk behind it.
//
// A commit is applied whole or not at all, and only under the token that was set last. What was
// applied after the last sync is forgotten by lose_power(). Thread safety: none.
#pragma once

#include "broker/core/event.hpp"
#include "broker/store/batch.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace callboard::sim {

class StoreModel {
 public:
  using Fields = std::map<std::string, std::string, std::less<>>;
  struct Key {
    broker::KeyKind kind = broker::KeyKind::hash;
    Fields fields;
    std::int64_t expires_us = -1;  ///< -1: never
  };
  using Keys = std::map<std::string, Key, std::less<>>;

  enum class Answer : std::uint8_t { applied, fenced };

  /// From now on only commits with this token are applied.
  void set_token(std::uint64_t token) { token_ = token; }

  Answer commit(std::int64_t now_us, std::uint64_t token, std::uint64_t commit_no,
                const broker::StoreBatch& batch);

  /// Forgets keys whose time has come.
  void expire(std::int64_t now_us);
  const Keys& keys() const { return keys_; }
  std::uint64_t commit_no() const { return numbers_.commit_no; }
  std::size_t length(std::string_view key) const;

  /// fsync: what was applied up to this commit survives a power cut.
  void sync(std::uint64_t through) {
    while (!undo_.empty() && undo_.front().commit_no < through) undo_.pop_front();
  }
  /// Back to the last sync; the number of commits that are gone.
  std::uint64_t lose_power();
  // --- copies ---
  /// What the store says of itself, and a broker run that begins changes.
  struct Numbers {
    std::uint64_t epoch = 0, timeline = 1, commit_no = 0;
  };
  const Numbers& numbers() const { return numbers_; }
  /// As the fence's script does: a new epoch; a witness of a later state begins a new timeline.
  const Numbers& begin_run(const std::optional<broker::Witness>& witness);
  /// A copy of all of it is put aside, in place of the one before.
  void back_up();
  bool has_backup() const { return backup_.has_value(); }
  /// The copy takes its place; the number of commits that are gone.
  std::uint64_t go_back();

  /// Whether commits are remembered until sync() so that lose_power() can undo them.
  void keep_undo(bool keep) { keep_undo_ = keep; }

  struct Counts {
    std::uint64_t commits = 0, fenced = 0, expired = 0, fields_written = 0;
  };
  const Counts& counts() const { return counts_; }

 private:
  struct Undo {
    std::uint64_t commit_no;  ///< before
    std::vector<std::pair<std::string, std::optional<Key>>> keys;
  };

  struct Backup {
    Keys keys;
    Numbers numbers;
    std::multimap<std::int64_t, std::string> expiries;
  };

  void apply(std::int64_t now_us, const broker::StoreBatch::Key& change);

  Keys keys_;
  std::uint64_t token_ = 0;
  Numbers numbers_;
  bool keep_undo_ = false;
  std::deque<Undo> undo_;  ///< oldest first
  std::multimap<std::int64_t, std::string> expiries_;  ///< may name keys that changed since
  std::optional<Backup> backup_;
  Counts counts_;
};

}  // namespace callboard::sim
