// What is known of a queue that was full: which of its calls would only be refused once more.
//
// Whoever submits asks it before a call gets a number, and refuses the call itself where it may: an
// overloaded broker is not asked again and again. docs/semantics.md has the rule.
//
//   refused by the broker ──> closed for retry_after: only as many pass as have ended meanwhile
//     ──> `room` pass, the rest is refused for another retry_after, and so on;
//         half as many after each further refusal, twice as many after a time without
//     ──> a time in which nothing had to be refused: nothing is known any more
//
// Thread safety: none.
// Invariant: nothing is refused that was not refused by the broker within the last retry_after,
// unless another call of the queue passed within that time.
#pragma once

#include <callboard/error.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace callboard::client {

/// The broker's word for a queue that is full.
struct FullTold {
  std::int64_t now_us = 0;          ///< steady clock
  std::int64_t retry_after_us = 0;
  std::uint64_t room = 0;           ///< calls that are likely to find room after that time
  bool all = false;                 ///< calls that say nothing of it do not wait for room
};

class FullQueue {
 public:
  /// A call was refused. `name`: of the queue, for people.
  void refused(const FullTold& told, std::string_view name);
  /// So many calls of it have ended since.
  void ended(std::uint64_t calls) { room_ += calls; }
  /// Nothing is known any more.
  void forget() { *this = FullQueue(); }

  bool known() const { return until_us_ != 0; }
  /// Whether a call with these CallFlags is refused here.
  bool refuses(std::int64_t now_us, std::uint8_t flags);
  /// The encoded error of a call that was. Valid until the next call of this.
  std::string_view error(std::int64_t now_us);

 private:
  void begin_again(std::int64_t now_us);

  std::int64_t until_us_ = 0;   ///< of the present time; 0: nothing is known
  std::int64_t length_us_ = 0;  ///< of a time: the broker's retry_after
  bool all_ = false;
  std::uint64_t room_ = 0;      ///< calls that may still pass in this time
  std::uint64_t next_room_ = 0; ///< in the next one
  bool tried_ = false;          ///< calls have passed because a time was over
  bool busy_ = false;           ///< calls were refused in this time
  std::string name_;
  std::int64_t told_ms_ = 0;    ///< retry_after in `bytes_`
  std::string bytes_;
};

}  // namespace callboard::client
