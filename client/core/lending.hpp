// When a thread that waits for a result may take the connection's turns itself, so that nobody has
// to be woken for it. decisions/0022 and 0027 have the reasons.
//
//   one at a time   a thread waited for the only call that was unanswered: for a while after that,
//                   while calls come and are waited for singly
//   steady          one thread waits again and again with many calls on their way, and comes back
//                   soon each time: until it stays away, or another thread waits as well
//
// Thread safety: all of it, but for one_at_a_time() and steady(), which whoever has the turns asks.
#pragma once

#include <atomic>
#include <cstdint>

namespace callboard::client {

class Lending {
 public:
  /// A thread begins to wait, with so many calls unanswered.
  void wait_begins(std::int64_t now_us, std::uint64_t unanswered);
  /// It is over.
  void wait_ends(std::int64_t now_us);
  /// A call is submitted while none is unanswered. True when its thread should take a turn for it.
  bool submits_alone();
  /// Something is asked of the broker that is no call.
  void asks();
  /// The turns were left to others, and nobody took them for a while.
  void left_alone() { returns_.store(0, std::memory_order_relaxed); }

  bool one_at_a_time(std::int64_t now_us, std::uint64_t unanswered) const;
  bool steady() const;
  /// Some thread waits.
  bool any_waits() const { return waiting_.load(std::memory_order_relaxed) > 0; }

 private:
  std::atomic<std::int64_t> alone_us_{0};  ///< when a thread last waited for a single call
  std::atomic<std::uint32_t> unmissed_{0}; ///< calls submitted alone since, not waited for
  std::atomic<std::uint32_t> waiting_{0};
  std::atomic<std::uint32_t> returns_{0};  ///< waits in a row that began soon after the last
  std::atomic<std::int64_t> ended_us_{0};  ///< when a wait last ended
};

}  // namespace callboard::client
