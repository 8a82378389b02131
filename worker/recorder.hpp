// The flight recorder: a page of memory that a worker child shares with its supervisor, in which
// it notes which calls it has begun and ended.
//
//   free --begin--> begun --end--> ended --release--> free
//
// A slot is taken before the arguments of a call are decoded, and freed only when the broker has
// confirmed that it keeps the result; a child without a free slot begins nothing. Whoever reads
// the page after a kill -9 therefore knows exactly what had begun.
//
// Thread safety: every method may be called by any thread; none blocks.
// Invariant: a slot's fields are complete before its state says begun.
#pragma once

#include "common/check.hpp"
#include "common/limits.hpp"
#include "common/prefetch.hpp"
#include "worker/flight_page.hpp"

#include <callboard/ids.hpp>

#include <atomic>
#include <bit>
#include <cstdint>
#include <span>
#include <vector>

namespace callboard::worker {

/// Names no slot. Slots are numbered from 1.
inline constexpr std::uint32_t kNoSlot = 0;

/// What a slot says about its call.
struct RecordedCall {
  CallId call;                ///< of a constructor: the call that created the actor
  std::uint32_t attempt = 0;  ///< 0 for a constructor
  ActorId actor;              ///< none for a task
  std::uint64_t incarnation = 0;
  std::uint64_t lease = 0;    ///< 0 for a constructor
  std::int64_t began_us = 0;  ///< steady clock
};

/// What runs now.
struct RunningNow {
  std::uint32_t calls = 0;    ///< begun and not ended
  std::int64_t oldest_us = 0; ///< when the oldest of them began; 0 when there is none
};

class Recorder {
 public:
  /// A page shared with nobody, for a worker that runs inside another program.
  Recorder();
  /// Maps the page in a file that FlightFile made. Takes over `fd`, and with it this process's
  /// share of the lock. Throws std::runtime_error when it is not such a file.
  explicit Recorder(int fd);
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  /// Notes that a call begins now. kNoSlot when no slot is free: then it must not begin.
  std::uint32_t begin(const RecordedCall& call) {
    const std::uint32_t number = take();
    if (number == kNoSlot) return kNoSlot;
    FlightSlot& slot = page_->slot[number - 1];
    slot.attempt = call.attempt;
    slot.call_session = value_of(call.call.session);
    slot.call_seq = call.call.seq;
    slot.actor_session = value_of(call.actor.session);
    slot.actor_seq = call.actor.seq;
    slot.incarnation = call.incarnation;
    slot.lease = call.lease;
    slot.began_us.store(call.began_us, std::memory_order_relaxed);
    // The reader is another process that looks after this one is dead: what counts is the order in
    // which this thread's own instructions store.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    slot.state.store(static_cast<std::uint32_t>(SlotState::begun), std::memory_order_release);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    return number;
  }
  /// end() comes soon: asks for the slot's memory.
  void expect_end(std::uint32_t slot) const {
    if (slot != kNoSlot) prefetch_to_write(&page_->slot[slot - 1], sizeof(FlightSlot));
  }
  /// Its result is encoded. REQUIRES: begin() gave this slot.
  void end(std::uint32_t slot) {
    CALLBOARD_CHECK(slot != kNoSlot && slot <= limits::kRecorderSlots);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    page_->slot[slot - 1].state.store(static_cast<std::uint32_t>(SlotState::ended),
                                      std::memory_order_release);
  }
  /// The broker keeps their results, or will never ask for them. REQUIRES: begin() gave these
  /// slots.
  void release(std::span<const std::uint32_t> slots);
  void release(std::uint32_t slot) { release({&slot, 1}); }
  /// Slots that are not free.
  std::uint32_t in_use() const {
    const Freed freed = of_word(freed_.load(std::memory_order_acquire));
    return untouched_.load(std::memory_order_relaxed) - kNoSlot - 1 - freed.count;
  }
  /// Looks at every slot that was ever used: not for every turn.
  RunningNow running_now() const;

  void set_pid(std::uint64_t pid);
  /// Names the call in this slot (or none) as the one that was running where the process crashed.
  /// The first to say so is believed. Async-signal-safe.
  void blame(std::uint32_t slot, int signal);

 private:
  /// The stack of freed slots, which is one word.
  struct Freed {
    std::uint16_t top = kNoSlot;
    std::uint16_t count = 0;
    std::uint32_t change = 0;  ///< counts changes, against the ABA problem
  };
  static_assert(limits::kRecorderSlots <= UINT16_MAX);
  static Freed of_word(std::uint64_t word) { return std::bit_cast<Freed>(word); }
  static std::uint64_t word_of(Freed freed) { return std::bit_cast<std::uint64_t>(freed); }

  std::uint32_t take() {
    std::uint64_t word = freed_.load(std::memory_order_acquire);
    for (Freed freed = of_word(word); freed.top != kNoSlot; freed = of_word(word)) {
      const std::uint16_t below = below_[freed.top].load(std::memory_order_relaxed);
      const Freed next{below, static_cast<std::uint16_t>(freed.count - 1), freed.change + 1};
      if (freed_.compare_exchange_weak(word, word_of(next), std::memory_order_acquire)) {
        // The thread that released it wrote to the next one, too.
        if (below != kNoSlot) {
          prefetch_to_write(&page_->slot[below - 1], sizeof(FlightSlot));
          prefetch_to_read(&below_[below], 1);
        }
        return freed.top;
      }
    }
    return take_untouched();
  }
  std::uint32_t take_untouched();

  FlightPage* page_ = nullptr;
  int fd_ = -1;
  std::atomic<std::uint64_t> freed_{word_of({})};
  std::vector<std::atomic<std::uint16_t>> below_;      ///< slot -> the one below it on the stack
  std::atomic<std::uint32_t> untouched_{kNoSlot + 1};  ///< slots from here on were never taken
};

}  // namespace callboard::worker
