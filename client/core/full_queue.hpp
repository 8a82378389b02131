// What is known of a queue that was full: which of its calls would only be refused once more.
//
// Whoever submits asks it before a call gets a number, and refuses the call itself where it may: an
// overloaded broker is not asked again and again. docs/semantics.md has the rule.
//
//   refused by the broker ──> closed for retry_after: as many pass as have ended meanwhile
//     ──> open for some at once: so many may be unanswered, one more for each that is accepted,
//         half as many after the next refusal
//     ──> a while in which nothing had to be refused: nothing is known any more
//
// Thread safety: none, but for known().
// Invariant: a call is refused only within the broker's retry_after, or while others of the queue
// are neither accepted nor answered.
#pragma once

#include <callboard/error.hpp>

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

namespace callboard::client {

/// What has become of the calls of a queue that passed, since it was opened.
struct QueueProgress {
  std::uint64_t settled = 0;   ///< accepted or answered
  std::uint64_t accepted = 0;  ///< of those, the ones that were not refused
  std::uint64_t ended = 0;     ///< with a result
};

/// The broker's word for a queue that is full.
struct FullTold {
  std::int64_t now_us = 0;          ///< steady clock
  std::int64_t retry_after_us = 0;
  std::uint64_t room = 0;           ///< calls that are likely to find room after that time
  bool all = false;                 ///< calls that say nothing of it do not wait for room
  QueueProgress progress{};
};

class FullQueue {
 public:
  /// A call was refused. `name`: of the queue, for people.
  void refused(const FullTold& told, std::string_view name);
  void progressed(const QueueProgress& progress);
  /// Nothing is known any more.
  void forget() { closed_until_us_ = 0; }

  /// Whether a call with these CallFlags is refused here. If not it passes, and is part of the
  /// progress that follows.
  bool refuses(std::int64_t now_us, std::uint8_t flags) {
    if (known() && judge(now_us, flags)) return true;
    passes();
    return false;
  }
  /// A call that is not refused, because nothing is known.
  void passes() { ++passed_; }
  /// A call that has passed was not submitted in the end.
  void withdrawn() { --passed_; }
  bool known() const { return closed_until_us_.load(std::memory_order_relaxed) != 0; }
  /// The encoded error of a call that was refused. Valid until the next call of this.
  std::string_view error(std::int64_t now_us);

 private:
  bool judge(std::int64_t now_us, std::uint8_t flags);

  std::atomic<std::int64_t> closed_until_us_{0};  ///< 0: nothing is known
  std::int64_t retry_after_us_ = 0;
  std::int64_t busy_us_ = 0;          ///< when a call was last refused
  bool all_ = false;
  std::uint64_t passed_ = 0;
  QueueProgress progress_;
  std::uint64_t credit_ = 0;          ///< calls that may pass because others have ended
  std::uint64_t window_ = 0;          ///< calls that may be unanswered when it is open
  std::string name_;
  std::int64_t told_ms_ = 0;          ///< retry_after in `bytes_`
  std::string bytes_;
};

}  // namespace callboard::client
