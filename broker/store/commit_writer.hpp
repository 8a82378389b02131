// Turns a batch into the commands that apply it as one unit.
//
// This is the seam at which a journal can replace one field per change: whatever is written, it is
// one command with one reply, and Redis applies all of it or, when another broker owns the shard,
// nothing.
// No I/O. Thread safety: none.
#pragma once

#include "broker/store/batch.hpp"
#include "broker/store/resp.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace callboard::broker {

/// What a commit is checked against, and what it leaves behind.
struct CommitStamp {
  std::string_view script_sha;    ///< as SCRIPT LOAD named script() on this connection
  std::string_view token;         ///< the fence must be this ...
  std::uint64_t previous = 0;     ///< ... and the store must be at this commit
  std::uint64_t commit_no = 0;    ///< where it is afterwards
};

class CommitWriter {
 public:
  virtual ~CommitWriter() = default;

  /// The server-side script that write() calls. Its reply is a status COMMITTED, or an array:
  /// FENCED and the token that it found (nil: none), MOVED and the commit that it found.
  virtual std::string_view script() const = 0;
  /// Appends one command, which has one reply.
  virtual void write(const StoreBatch& batch, const CommitStamp& stamp, OutBuffer& out) const = 0;
};

/// One script call that applies each key's changes with variadic commands.
class ScriptCommitWriter : public CommitWriter {
 public:
  /// `prefix` is "callboard:{k}:".
  explicit ScriptCommitWriter(std::string prefix);

  std::string_view script() const override;
  void write(const StoreBatch& batch, const CommitStamp& stamp, OutBuffer& out) const override;

 private:
  std::string prefix_;
  std::string fence_key_;
  std::string meta_key_;
};

}  // namespace callboard::broker
