// The commit in flight: from the batch that the core hands over to the answer that it waits for.
//
//              stage()          write()            on_reply()           collect()
//   waiting ────────────> staged ────────> written ────────────> done ────────────> waiting
//                           ^                 │  on_disconnect(),                ^
//                           └─────────────────┘  or an answer other than         │
//                           │                    "committed"                     │
//                           └── resolve(): the store has it already ──> done ────┘
//
// At most one commit is in flight. A lost connection leaves its fate unknown, never failed; it is
// resolved by the commit number that the store holds, read after the fence was replaced, so that
// the old connection can no longer change it.
// Written as a transaction it may be there in part, when an error inside was never told: then the
// script writes it once more. Changes say what a field is to be, so that does no harm.
// No I/O, no clock. Thread safety: none.
#pragma once

#include "broker/store/commit_writer.hpp"
#include "broker/store/transaction.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace callboard::broker {

/// What a reply, or the number that the store holds, says about the commit in flight.
struct CommitAnswer {
  enum class Kind : std::uint8_t {
    committed,   ///< applied, whole
    not_yet,     ///< not applied, or perhaps in part: write() it (also when nothing is in flight)
    no_script,   ///< not applied: the script must be loaded again, then write()
    refused,     ///< Redis answered with an error; its fate is unknown until resolve()
    fenced,      ///< another broker owns the shard; nothing was applied and nothing ever will be
    went_back,   ///< the store is not where this broker left it
  };
  Kind kind = Kind::committed;
  std::string text;  ///< one sentence for a person, where it is not committed
};

class CommitPipeline {
 public:
  enum class State : std::uint8_t { waiting, staged, written, done };

  explicit CommitPipeline(const CommitWriter& writer) : writer_(writer) {}

  State state() const { return state_; }
  /// The last commit that is known to be in the store.
  std::uint64_t committed() const { return committed_; }
  /// The commit in flight. REQUIRES: state() is not waiting.
  std::uint64_t commit_no() const { return commit_no_; }

  /// The store was read and is at this commit. REQUIRES: state() is waiting.
  void begin(std::uint64_t commit_no);
  /// Takes a batch, which must stay unchanged until it was collected.
  /// REQUIRES: state() is waiting, commit_no == committed() + 1
  void stage(const StoreBatch& batch, std::uint64_t commit_no);
  /// Appends the commit's command. REQUIRES: state() is staged
  void write(std::string_view script_sha, std::string_view token, OutBuffer& out);
  /// The same as a transaction; how many replies come before that of EXEC.
  std::size_t write(const Transaction& transaction, OutBuffer& out);
  /// The reply to what write() wrote. REQUIRES: state() is written
  CommitAnswer on_reply(const Reply& reply);
  /// The reply to EXEC. REQUIRES: state() is written
  CommitAnswer on_exec(const Reply& reply);
  bool in_transaction() const { return state_ == State::written && in_part_; }
  /// The connection is gone, and with it the reply.
  void on_disconnect();
  /// The store is to be read anew, and whoever waits for the commit in flight is gone.
  void abandon();
  /// A new connection owns the fence, and the store is at `store_commit_no`.
  CommitAnswer resolve(std::uint64_t store_commit_no);
  /// The number of the commit that is done. REQUIRES: state() is done
  std::uint64_t collect();

 private:
  CommitAnswer finish();

  const CommitWriter& writer_;
  State state_ = State::waiting;
  const StoreBatch* batch_ = nullptr;
  std::uint64_t commit_no_ = 0;
  std::uint64_t committed_ = 0;
  bool unknown_ = false;  ///< it was written, and no reply told whether it was applied
  bool in_part_ = false;  ///< if the store has its number, that does not mean that it has it whole
  bool again_ = false;    ///< the store has its number already
};

}  // namespace callboard::broker
