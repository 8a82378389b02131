#include "worker/host.hpp"

#include "common/prefetch.hpp"

#include <algorithm>
#include <utility>

namespace callboard::worker {

namespace {

/// Stalls beyond this many in one turn are the same story told again.
constexpr std::size_t kStallsMax = 64;

}  // namespace

Host::Host(Recorder& recorder, std::function<void()> wake)
    : recorder_(recorder), wake_(std::move(wake)) {}

void Host::expect(std::int64_t now_us) {
  if (now_us < expected_until_us_) return;
  expected_until_us_ = now_us + kOutcomeDelayUs;
  const std::lock_guard lock(mutex_);
  looked_after_ = true;
}

std::int64_t Host::take(Arrivals& arrivals, std::int64_t now_us, bool all) {
  arrivals.outcome_count = 0;
  arrivals.started.clear();
  arrivals.stopped.clear();
  arrivals.stalls.clear();
  const std::lock_guard lock(mutex_);
  if (waiting_.outcome_count > 0 && !told_ && !all) {
    const std::int64_t due_us = std::min(gather_until_us_, taken_us_ + kOutcomeDelayUs);
    if (now_us < due_us) {
      looked_after_ = true;
      return due_us;
    }
  }
  std::swap(arrivals, waiting_);
  taken_us_ = now_us;
  told_ = false;
  looked_after_ = arrivals.outcome_count > 0 || now_us < expected_until_us_;
  return looked_after_ ? now_us + kOutcomeDelayUs : kNever;
}

void Host::release(std::span<const std::uint32_t> tickets) {
  recorder_.release(tickets);
}

std::optional<std::uint32_t> Host::next_waiting() {
  if (!someone_waits_.exchange(false)) return std::nullopt;
  const std::lock_guard lock(wait_mutex_);
  if (waiting_slots_.empty()) return std::nullopt;
  const std::uint32_t slot = waiting_slots_.front();
  waiting_slots_.pop_front();
  if (!waiting_slots_.empty()) someone_waits_.store(true);
  return slot;
}

/// The second look comes after the flag is up: whoever renews the lease or frees a slot after that
/// look sees the flag, and lets those who wait try again.
Begin Host::wait(Job& job, ActorId actor, std::uint64_t incarnation, std::int64_t now_us) {
  {
    const std::lock_guard lock(wait_mutex_);
    waiting_slots_.push_back(job.slot);
    someone_waits_.store(true);
  }
  return try_begin(job, actor, incarnation, now_us) ? Begin::run : Begin::wait;
}

void Host::ended(std::span<Outcome> outcomes, bool more_soon) {
  for (const Outcome& outcome : outcomes) {
    if (outcome.ticket != kNoSlot) recorder_.end(outcome.ticket);
  }
  bool wake = !more_soon;
  {
    const std::lock_guard lock(mutex_);
    auto& queue = waiting_.outcomes;
    for (Outcome& outcome : outcomes) {
      if (waiting_.outcome_count == queue.size()) queue.emplace_back();
      queue[waiting_.outcome_count++].take_over(outcome);
    }
    wake |= !looked_after_;
    told_ |= wake;
    // The I/O thread had the next ones before, and the buffer that the next result comes into.
    if (waiting_.outcome_count + 1 < queue.size()) {
      prefetch_to_write(&queue[waiting_.outcome_count + 1], sizeof(Outcome));
      prefetch_to_write(queue[waiting_.outcome_count].value.text.data(), 2 * kCacheLine);
    }
  }
  if (wake) wake_();
}

void Host::gather(std::int64_t until_us) {
  const std::lock_guard lock(mutex_);
  gather_until_us_ = until_us;
}

void Host::started(std::uint32_t slot, ErrorInfo error) {
  {
    const std::lock_guard lock(mutex_);
    told_ = true;
    waiting_.started.push_back({slot, std::move(error)});
  }
  wake_();
}

void Host::stopped(std::uint32_t slot) {
  {
    const std::lock_guard lock(mutex_);
    told_ = true;
    waiting_.stopped.push_back(slot);
  }
  wake_();
}

void Host::stalled(std::uint32_t slot, std::string_view method, std::int64_t ms, bool over) {
  {
    const std::lock_guard lock(mutex_);
    told_ = true;
    if (waiting_.stalls.size() < kStallsMax) {
      waiting_.stalls.push_back({slot, std::string(method), ms, over});
    }
  }
  wake_();
}

}  // namespace callboard::worker
