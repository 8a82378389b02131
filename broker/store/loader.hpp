// Reads all that a store holds, page by page, many keys at a time.
//
// Order: the keys that exist once; then the options of every queue, results, what was sent out of
// order, and calls. Within a key fields come in any order. Nobody else writes once the fence is
// taken, so each field comes once.
// Memory: a page is sized by the values seen so far, so one reply stays near kPageBytes unless a
// single value is larger.
// No I/O, no clock. Thread safety: none.
#pragma once

#include "broker/core/event.hpp"
#include "broker/store/batch.hpp"
#include "broker/store/resp.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace callboard::broker {

class StoreLoader {
 public:
  /// Takes an entry; a non-empty answer says why it cannot be read.
  using Sink = std::function<std::string(const StoreEntry&)>;

  /// `prefix` is "callboard:{k}:".
  StoreLoader(std::string prefix, Sink sink);

  /// Appends the commands that may be asked now, and returns how many there are.
  std::size_t ask(OutBuffer& out);
  /// Takes the reply to the oldest command that was asked. A non-empty answer says what is wrong.
  std::string on_reply(const Reply& reply);
  bool finished() const;
  std::uint64_t entries() const { return entries_; }

 private:
  enum class Stage : std::uint8_t {
    single, queues, results, sent, calls, delayed, dead, keyed, end,
  };
  struct Scan {
    std::string key;  ///< without the prefix
    KeyKind kind = KeyKind::hash;
    std::string cursor = "0";
    std::size_t count = 0;
  };

  bool next_scan(Scan& scan);
  bool next_of_stage(Scan& scan);
  std::string take_page(const Scan& scan, const Reply& page, std::size_t& bytes);

  std::string prefix_;
  Sink sink_;
  Stage stage_ = Stage::single;
  std::size_t next_in_stage_ = 0;
  std::vector<std::string> queues_;
  std::vector<std::string> sessions_;
  std::vector<std::string> buckets_;  ///< of idempotency keys
  std::deque<Scan> to_continue_;
  std::deque<Scan> asked_;  ///< oldest first
  std::uint64_t entries_ = 0;
};

}  // namespace callboard::broker
