// The worker session's credits: what each concurrency group may have out.
#include "worker/core/session.hpp"

#include <algorithm>
#include <utility>

namespace callboard::worker {

void WorkerSession::set_limits(std::uint32_t number, Slot& slot,
                               std::span<const std::uint32_t> limits) {
  drop_limits(slot);
  for (std::size_t i = 0; i < slot.groups.size(); ++i) {
    Group& group = slot.groups[i];
    group.limit = i < limits.size() ? limits[i] : 1;
    if (group.limit > 0) ++limits_[group.limit];
    // Calls that somebody else could run are sent ahead only once they have proved to be short.
    group.prefetch = Prefetch(group.limit, slot.shared ? 0 : limits::kPrefetchStart);
    group.told = UINT32_MAX;
  }
  new_limits_.push_back(number);
  limits_changed_ = true;
}

void WorkerSession::drop_limits(const Slot& slot) {
  for (const Group& group : slot.groups) {
    const auto found = limits_.find(group.limit);  // one that has no limit yet is not there
    if (found != limits_.end() && --found->second == 0) limits_.erase(found);
  }
}

/// A call that runs needs a slot of the flight recorder, so all groups together must not run more
/// calls than it has slots; an eighth is left for results that await their confirmation. Small
/// groups get all they want, large ones the same level.
void WorkerSession::share_recorder() {
  const std::uint32_t before = std::exchange(limit_level_, recorder_level());
  std::vector<std::uint32_t> numbers;
  numbers.swap(new_limits_);
  if (limit_level_ != before) {
    numbers.clear();
    slots_.each([&numbers](std::uint64_t number, const auto&) {
      numbers.push_back(static_cast<std::uint32_t>(number));
    });
  }
  for (const std::uint32_t number : numbers) {
    Slot* slot = find_slot(number);
    if (slot == nullptr) continue;
    for (Group& group : slot->groups) {
      group.prefetch.set_limit(std::min(group.limit, limit_level_));
    }
    windows_changed_.push_back(number);
  }
}

/// UINT32_MAX: all groups together do not run more calls than the recorder has slots.
std::uint32_t WorkerSession::recorder_level() const {
  std::uint64_t left = offer_.recorder_slots - offer_.recorder_slots / 8;
  std::uint64_t groups = 0;
  std::uint64_t sum = 0;
  for (const auto& [limit, count] : limits_) {
    groups += count;
    sum += std::uint64_t{limit} * count;
  }
  if (sum <= left) return UINT32_MAX;
  for (const auto& [limit, count] : limits_) {
    const std::uint64_t share = left / groups;
    if (limit > share) return static_cast<std::uint32_t>(std::max<std::uint64_t>(share, 1));
    left -= std::uint64_t{limit} * count;
    groups -= count;
  }
  return UINT32_MAX;
}

void WorkerSession::count_arrivals(Instant now) {
  for (const auto& [number, slot] : active_) {
    for (Group& group : slot->groups) {
      if (group.arrived == 0) continue;
      group.prefetch.received(now.mono_us, group.arrived);
      group.arrived = 0;
    }
  }
}

inline void WorkerSession::adapt(Instant now, std::uint32_t number, Slot& slot) {
  bool changed = false;
  bool rarely = true;
  std::int64_t due_us = kNever;
  for (std::size_t i = 0; i < slot.groups.size(); ++i) {
    Group& group = slot.groups[i];
    if (slot.shared && group.prefetch.stalled(now.mono_us)) {
      changed |= group.prefetch.recall();
      recall(number, i);
    } else {
      changed |= group.prefetch.adapt(now.mono_us);
    }
    group.prefetch.told(now.mono_us);  // this turn's frames carry what ended
    due_us = std::min(due_us, group.prefetch.next_deadline_us());
    rarely = rarely && group.prefetch.is_rarely_called();
  }
  if (changed) windows_changed_.push_back(number);
  if (due_us == kNever) {
    // Others are called again before the look that is due, and watched already then.
    if (rarely && std::exchange(slot.watched, false)) watched_.remove(number);
    return;
  }
  watch_due_us_ = std::min(watch_due_us_, due_us);
  if (!std::exchange(slot.watched, true)) watched_.add(number);
}

/// Calls of that group which were sent ahead go to somebody else.
void WorkerSession::recall(std::uint32_t number, std::size_t group) {
  const std::uint64_t before = counters_.returned;
  const Where here{.slot = number, .group = static_cast<int>(group)};
  take_back(true, &here);
  counters_.recalled += counters_.returned - before;
}

/// Looks at the slots that have calls sent ahead and saw nothing happen.
void WorkerSession::watch(Instant now) {
  if (now.mono_us < watch_due_us_) return;
  watch_due_us_ = kNever;
  ++looks_;
  watched_.visit_all([&](std::uint32_t number) {
    Slot* slot = find_slot(number);
    if (slot == nullptr || std::exchange(slot->look, looks_) == looks_) return;
    if (!std::exchange(slot->watched, false)) return;
    watched_.remove(number);
    adapt(now, number, *slot);
  });
}

void WorkerSession::adapt_windows(Instant now) {
  if (limits_changed_) share_recorder();
  limits_changed_ = false;
  for (const auto& [number, slot] : active_) {
    slot->active = false;
    // One where calls came and none ended has nothing to tell, and is looked at in time.
    if (slot->gone || (slot->watched && !slot->ended)) continue;
    slot->ended = false;
    adapt(now, number, *slot);
  }
  active_.clear();
  gone_.clear();
  watch(now);
}

void WorkerSession::tell_windows(wire::LinkOut& out) {
  for (const std::uint32_t number : windows_changed_) {
    Slot* slot = find_slot(number);
    if (slot == nullptr || slot->starting || slot->failed) continue;
    for (std::size_t i = 0; i < slot->groups.size(); ++i) {
      Group& group = slot->groups[i];
      const bool closed = draining_ || (number == 0 && !takes_tasks());
      const std::uint32_t window = closed ? 0 : group.prefetch.window();
      if (window == group.told) continue;
      group.told = window;
      wire::FrameWriter writer = out.message();
      wire::write(writer, wire::Window{number, static_cast<std::uint32_t>(i), window});
    }
  }
  windows_changed_.clear();
}

}  // namespace callboard::worker
