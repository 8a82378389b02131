// The quick way to apply a batch: MULTI ... EXEC while the fence is WATCHed.
//
//   watch()  WATCH fence, then what the fence and commit_no are. Is that what this broker left
//            there, whoever changes it from now on makes the next EXEC do nothing.
//   write()  MULTI, the batch, commit_no, EXEC, and watch() for the commit after it
//
// Redis runs this at half the price of a script, which hashes each byte of its arguments. But a
// full memory refuses it whole, an error inside does not stop what comes after it, and it cannot
// say why it did nothing. So it only ever commits: whatever else comes of it, the script of the
// CommitWriter decides (CommitPipeline).
// No I/O. Thread safety: none.
#pragma once

#include "broker/store/batch.hpp"
#include "broker/store/resp.hpp"

#include <cstddef>
#include <cstdint>
#include <string>

namespace callboard::broker {

class Transaction {
 public:
  /// `prefix` is "callboard:{k}:".
  explicit Transaction(const std::string& prefix);

  /// Appends an empty transaction: whether Redis takes one at all. Two replies, +OK and an array.
  void probe(OutBuffer& out) const;
  /// Appends WATCH, GET and HGET.
  void watch(OutBuffer& out) const;
  /// Appends MULTI, the changes and EXEC; how many replies come before that of EXEC.
  std::size_t write(const StoreBatch& batch, std::uint64_t commit_no, OutBuffer& out) const;

 private:
  std::string prefix_;
  std::string fence_key_;
  std::string meta_key_;
};

}  // namespace callboard::broker
