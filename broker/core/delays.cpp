// Delayed calls: accepted now, numbered when they are due.
//
// Until then they hold up nobody: they are no part of any lane, and are kept apart in the store.
// Numbered at accept, a call that is due in an hour would block a serial actor for an hour.
#include "broker/core/core.hpp"
#include "broker/core/records.hpp"

#include <algorithm>

namespace callboard::broker {

void Core::hold_back(Call& call, std::int64_t due_wall_ms) {
  Queue& queue = *call.queue;
  call.delayed = true;
  call.more().due_wall_ms = due_wall_ms;
  // In the past after a restart: those that are overdue are numbered in the order of their times.
  call.extra->not_before_us = now_.mono_us + (due_wall_ms - now_.wall_ms) * kMicrosPerMilli;
  ++queue.delayed;
  at(call.extra->not_before_us, Timer::Kind::delay_over, call);
}

std::int64_t Core::due_wall_ms(const wire::CallOptions& options) const {
  if (options.at_ms) return *options.at_ms;
  return now_.wall_ms + options.delay_ms.value_or(0);
}

/// A call that needs a delayed one is due right after it. Numbered before it, it would hold up its
/// lane until then, and for ever when what it waits for comes to stand behind it there.
std::int64_t Core::due_of_dependencies(const CallExtra& extra) {
  std::int64_t latest_ms = 0;
  const auto consider = [&](const Call* other) {
    if (other == nullptr || !other->delayed) return;
    latest_ms = std::max(latest_ms, other->extra->due_wall_ms + 1);
  };
  for (const CallId id : dependencies(extra)) {
    const Call* other = find_call(id);
    consider(other);
    if (other != nullptr && other->follows) consider(leader_of(*other));
  }
  return latest_ms;
}

void Core::store_delayed(const Call& call) {
  const auto key = open_->key(KeyKind::hash, queue_key(call.queue->name(), ":delayed"));
  open_->set(key, to_string(call.id()), delayed_record(call));
}

void Core::forget_delayed(Call& call) {
  call.delayed = false;
  call.extra->not_before_us = 0;
  --call.queue->delayed;
  if (!call.durable) return;
  open_->erase(open_->key(KeyKind::hash, queue_key(call.queue->name(), ":delayed")),
               to_string(call.id()));
}

void Core::delay_over(Call& call) {
  if (!call.delayed) return;
  forget_delayed(call);
  call.since_us = now_.mono_us;
  line_up_call(call);
  if (call.follows) return store_follower(call);
  enter(call);
  wake(*call.queue);
}

}  // namespace callboard::broker
