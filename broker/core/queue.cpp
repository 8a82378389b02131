#include "broker/core/queue.hpp"

#include "common/check.hpp"
#include "common/limits.hpp"

#include <algorithm>

namespace callboard::broker {

namespace {

/// Most actors have a few methods, and an index would take more room than all else of them.
constexpr std::size_t kMethodsScanned = 16;

}  // namespace

void Lane::insert(Call& call) {
  Call* before = tail;  // the call goes behind this one
  if (before != nullptr && before->number > call.number) {
    // Only calls that come back are older than the tail: their place is near the head.
    before = nullptr;
    for (Call* at = head; at != nullptr && at->number < call.number; at = at->next) before = at;
  }
  insert_behind(before, call);
}

void Lane::insert_late(Call& call) {
  Call* at = tail;
  while (at != nullptr && at->number > call.number) at = at->prev;
  insert_behind(at, call);
}

Call* Lane::before(std::uint64_t number) const {
  if (tail == nullptr || tail->number < number) return tail;
  Call* found = nullptr;
  for (Call* at = head; at != nullptr && at->number < number; at = at->next) found = at;
  return found;
}

void Lane::insert_behind(Call* before, Call& call) {
  CALLBOARD_CHECK(!call.in_list);
  call.prev = before;
  call.next = before == nullptr ? head : before->next;
  (call.prev == nullptr ? head : call.prev->next) = &call;
  (call.next == nullptr ? tail : call.next->prev) = &call;
  call.in_list = true;
  ++length;
}

void Lane::remove(Call& call) {
  CALLBOARD_CHECK(call.in_list);
  (call.prev == nullptr ? head : call.prev->next) = call.next;
  (call.next == nullptr ? tail : call.next->prev) = call.prev;
  call.prev = call.next = nullptr;
  call.in_list = false;
  --length;
}

Lane& Queue::lane(std::uint8_t group, std::int8_t priority) {
  if (!lanes.empty() && lanes.front().group == group && lanes.front().priority == priority) {
    return lanes.front();
  }
  const auto after = [](const Lane& lane, std::pair<std::uint8_t, std::int8_t> key) {
    return lane.group != key.first ? lane.group < key.first : lane.priority > key.second;
  };
  auto at = std::lower_bound(lanes.begin(), lanes.end(), std::pair{group, priority}, after);
  if (at == lanes.end() || at->group != group || at->priority != priority) {
    at = lanes.insert(at, Lane{.group = group, .priority = priority, .stored = nullptr});
  }
  return *at;
}

int Queue::find_method(std::string_view method) const {
  if (method_index) {
    const auto found = method_index->find(std::string(method));
    return found == method_index->end() ? -1 : found->second;
  }
  const auto found = std::find(methods.begin(), methods.end(), method);
  return found == methods.end() ? -1 : static_cast<int>(found - methods.begin());
}

int Queue::intern_method(std::string_view method) {
  const int known = find_method(method);
  if (known >= 0) return known;
  if (methods.size() >= limits::kMethodsMax) return -1;
  const auto index = static_cast<std::uint16_t>(methods.size());
  methods.emplace_back(method);
  if (method_index) {
    method_index->emplace(method, index);
  } else if (methods.size() > kMethodsScanned) {
    method_index = std::make_unique<std::unordered_map<std::string, std::uint16_t>>();
    for (std::size_t i = 0; i < methods.size(); ++i) {
      method_index->emplace(methods[i], static_cast<std::uint16_t>(i));
    }
  }
  std::uint8_t group = 0;
  for (const auto& [grouped, group_name] : options.method_groups) {
    if (grouped == method) group = group_named(group_name);
  }
  method_group.push_back(group);
  return index;
}

std::uint8_t Queue::group_named(std::string_view group) const {
  for (std::size_t i = 1; i < groups.size(); ++i) {
    if (groups[i].name == group) return static_cast<std::uint8_t>(i);
  }
  return 0;
}

}  // namespace callboard::broker
