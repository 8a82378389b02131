// Calls on their way to a serial lane, and whether a thread is there for them: one word, so that
// handing a call over and leaving an empty lane are an instruction each.
//
//   nobody ──push, knock: the caller calls a thread──> somebody ──leave, if nothing came──> nobody
//
// What was pushed at once stays together: the word names the first call of the newest batch, which
// knows its last one and the batch before.
//
// Thread safety: push() is called by one thread at a time, and take() and leave() by one, that for
// which push() or knock() said true; knock() by any thread.
#pragma once

#include "worker/executors/active_call.hpp"

#include <atomic>
#include <cstdint>

namespace callboard::worker {

class CallInbox {
 public:
  /// Appends all of `calls`, of which there are some. True: nobody is there, and the caller sees to
  /// it that a thread comes.
  bool push(CallQueue& calls) {
    ActiveCall& first = *calls.front();
    first.batch_last = calls.back();
    const auto newest = reinterpret_cast<std::uintptr_t>(&first);
    calls = {};
    std::uintptr_t before = word_.load(std::memory_order_relaxed);
    do {
      first.batch_before = call_of(before);
    } while (!word_.compare_exchange_weak(before, newest, std::memory_order_acq_rel,
                                          std::memory_order_relaxed));
    return (before & kNobody) != 0;
  }
  /// There is something to look at beside calls. True: as push() says.
  bool knock() {
    std::uintptr_t before = word_.load(std::memory_order_relaxed);
    while (!word_.compare_exchange_weak(before, (before & ~kNobody) | kKnocked,
                                        std::memory_order_acq_rel, std::memory_order_relaxed)) {
    }
    return (before & kNobody) != 0;
  }
  /// The caller was to see to it that a thread comes, and could not.
  void nobody_comes() { word_.fetch_or(kNobody, std::memory_order_relaxed); }

  /// Appends what was pushed to `calls`. What was written before a knock is seen afterwards.
  void take(CallQueue& calls) {
    if (word_.load(std::memory_order_relaxed) == 0) return;
    CallQueue all;
    ActiveCall* batch = call_of(word_.exchange(0, std::memory_order_acq_rel));
    for (; batch != nullptr; batch = batch->batch_before) all.prepend(*batch, *batch->batch_last);
    calls.append(all);
  }
  /// True: nobody is here any more, and the caller may touch nothing of it. False: something came.
  bool leave() {
    std::uintptr_t nothing = 0;
    return word_.compare_exchange_strong(nothing, kNobody, std::memory_order_acq_rel,
                                         std::memory_order_relaxed);
  }

 private:
  static constexpr std::uintptr_t kNobody = 1;
  static constexpr std::uintptr_t kKnocked = 2;  ///< where there is no call to say it
  static_assert(alignof(ActiveCall) > (kNobody | kKnocked));

  static ActiveCall* call_of(std::uintptr_t word) {
    return reinterpret_cast<ActiveCall*>(word & ~(kNobody | kKnocked));
  }

  std::atomic<std::uintptr_t> word_{0};
};

}  // namespace callboard::worker
