// The fence: who owns a shard, and the one step that takes it.
//
// A random token, new for each run of a broker and for each of its connections, is put in a key of
// its own before anything is read; every commit checks it. A run takes the shard from whoever has
// it and raises the epoch; after that it only renews what is still its own.
// No I/O. Thread safety: none.
#pragma once

#include "broker/core/event.hpp"
#include "broker/store/resp.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace callboard::broker {

/// The layout of keys and records that this broker reads and writes.
inline constexpr std::uint64_t kStoreSchema = 4;

class Fence {
 public:
  /// `prefix` is "callboard:{k}:"; `run_token` is random and never used by another run.
  Fence(std::string prefix, std::string run_token, std::string broker_name);

  /// What the fence holds while the current connection owns it.
  const std::string& token() const { return token_; }
  const std::string& key() const { return fence_key_; }

  /// Appends the command that replaces the fence by a new token. Until owned() it takes the shard
  /// over, if `found` (nullptr: whatever) is what it holds still; from then on only if nobody else
  /// did. With a witness it begins a new timeline, unless the store is in a later one already, and
  /// an epoch above any that was seen.
  void write_request(OutBuffer& out, const Witness* witness = nullptr,
                     const std::string* found = nullptr);

  struct Answer {
    enum class Kind : std::uint8_t {
      owned,      ///< the numbers below were read after the fence was replaced
      refused,    ///< Redis answered with an error
      changed,    ///< it does not hold what was found: another broker was quicker
      schema,     ///< the store has a layout that this broker does not know
      taken,      ///< another broker owns the shard
      went_back,  ///< the store is older than what this broker has seen, or empty
    };
    Kind kind = Kind::owned;
    std::string text;  ///< one sentence for a person, unless owned
    std::uint64_t epoch = 0;
    std::uint64_t timeline = 0;
    std::uint64_t commit_no = 0;
  };
  Answer read_answer(const Reply& reply) const;

  /// From now on the shard is this run's, of this epoch; 0: it is to be taken over again.
  void own(std::uint64_t epoch) { epoch_ = epoch; }
  bool owned() const { return epoch_ != 0; }
  /// A token of this run: of a connection that broke before the answer came, say.
  bool is_ours(std::string_view token) const { return token.starts_with(run_token_); }

 private:
  Answer read_loss(std::string_view found_fence, std::string_view found_epoch) const;

  std::string fence_key_;
  std::string meta_key_;
  std::string run_token_;
  std::string broker_name_;
  std::string token_;
  std::uint64_t connections_ = 0;
  std::uint64_t epoch_ = 0;  ///< 0: this run does not own the shard yet
};

}  // namespace callboard::broker
