// Lanes: how a call enters its lane, waits for its turn, and leaves it.
#include "broker/core/core.hpp"

#include <algorithm>

namespace callboard::broker {

namespace {

/// Puts the call into the line of its key, by its number. True: it is the first now, and its turn
/// has come.
bool line_up_for(KeyState& key, Call& call) {
  auto& line = key.waiting;
  if (std::find(line.begin(), line.end(), &call) != line.end()) return false;
  auto at = std::lower_bound(line.begin(), line.end(), &call,
                             [](const Call* a, const Call* b) { return a->number < b->number; });
  if (at != line.begin() || !key.busy) {
    line.insert(at, &call);
    return line.front() == &call;
  }
  // A lower number came late: it followed another call of its idempotency key, which never began.
  // One that has left before keeps its place.
  Call& first = *line.front();
  const bool left = first.attempts > 0 || first.state == CallState::leased ||
                    first.state == CallState::ended;
  line.insert(left ? at + 1 : at, &call);
  if (left) return false;
  if (first.in_list) first.queue->lane(first.group, first.priority).remove(first);
  return true;
}

}  // namespace

void Core::enter(Call& call) {
  if (call.delayed || call.follows) return;
  Queue& queue = *call.queue;
  const bool open_dependencies = call.extra && call.extra->unresolved > 0;
  const std::int64_t not_before_us = call.not_before_us();
  const bool may_go = !open_dependencies && not_before_us <= now_.mono_us && !call.stub;
  call.state = may_go ? CallState::ready : CallState::waiting;
  if (not_before_us > now_.mono_us && !open_dependencies) {
    at(not_before_us, Timer::Kind::call_due, call);
  }
  if (call.in_list) return;
  if (call.keyed) {
    // One call of a key is in the lane or out; the rest wait in the key's own line.
    KeyState& key = queue.more().keys[call.extra->options.key];
    const bool mine = key.busy && !key.waiting.empty() && key.waiting.front() == &call;
    if (!mine) {
      if (!line_up_for(key, call)) return;
      key.busy = true;
    }
    if (!may_go) return;
  } else if (!queue.leaves_in_order() && !may_go && !call.stub) {
    return;  // it may be overtaken while it waits
  }
  queue.lane(call.group, call.priority).insert(call);
}

void Core::give_up_key(Call& call) {
  auto& keys = call.queue->more().keys;
  const auto found = keys.find(call.extra->options.key);
  if (found == keys.end()) return;
  KeyState& key = found->second;
  const bool was_first = !key.waiting.empty() && key.waiting.front() == &call;
  std::erase(key.waiting, &call);
  if (!was_first) return;
  key.busy = false;
  if (key.waiting.empty()) {
    keys.erase(found);
    return;
  }
  key.busy = true;
  Call& next = *key.waiting.front();
  if (next.state != CallState::leased && next.state != CallState::ended) enter(next);
}

}  // namespace callboard::broker
