#include "broker/core/queue.hpp"

#include "common/limits.hpp"

#include <algorithm>

namespace callboard::broker {

namespace {

/// Most actors have a few methods, and an index would take more room than all else of them.
constexpr std::size_t kMethodsScanned = 16;
/// Tables that one is remembered to have grown to.
constexpr std::size_t kNextMax = 64;

}  // namespace

void Lane::insert_early(Call& call) {
  Call* before = nullptr;  // the call goes behind this one
  for (Call* at = head; at != nullptr && at->number < call.number; at = at->next) before = at;
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

Lane& Queue::find_lane(std::uint8_t group, std::int8_t priority) {
  const auto after = [](const Lane& lane, std::pair<std::uint8_t, std::int8_t> key) {
    return lane.group != key.first ? lane.group < key.first : lane.priority > key.second;
  };
  auto at = std::lower_bound(lanes.begin(), lanes.end(), std::pair{group, priority}, after);
  if (at == lanes.end() || at->group != group || at->priority != priority) {
    at = lanes.insert(at, Lane{.group = group, .priority = priority, .stored = nullptr});
  }
  return *at;
}

int MethodTable::find(std::string_view method) const {
  if (index) {
    const auto found = index->find(std::string(method));
    return found == index->end() ? -1 : found->second;
  }
  const auto found = std::find(names.begin(), names.end(), method);
  return found == names.end() ? -1 : static_cast<int>(found - names.begin());
}

std::shared_ptr<const MethodTable> MethodTable::with(std::string_view method,
                                                     std::uint8_t group) const {
  for (const std::weak_ptr<const MethodTable>& known : next) {
    auto table = known.lock();
    if (table && table->names.back() == method && table->groups.back() == group) return table;
  }
  auto made = std::make_shared<MethodTable>();
  made->names = names;
  made->names.emplace_back(method);
  made->groups = groups;
  made->groups.push_back(group);
  if (made->names.size() > kMethodsScanned) {
    made->index = std::make_unique<std::unordered_map<std::string, std::uint16_t>>();
    for (std::size_t i = 0; i < made->names.size(); ++i) {
      made->index->emplace(made->names[i], static_cast<std::uint16_t>(i));
    }
  }
  std::erase_if(next, [](const auto& known) { return known.expired(); });
  if (next.size() < kNextMax) next.push_back(made);
  return made;
}

int Queue::intern_method(std::string_view method) {
  const int known = methods->find(method);
  if (known >= 0) return known;
  if (methods->names.size() >= limits::kMethodsMax) return -1;
  std::uint8_t group = 0;
  for (const auto& [grouped, group_name] : options().method_groups) {
    if (grouped == method) group = group_named(group_name);
  }
  methods = methods->with(method, group);
  return static_cast<int>(methods->names.size()) - 1;
}

std::uint8_t Queue::group_named(std::string_view group) const {
  for (std::size_t i = 1; i < groups(); ++i) {
    if (group_name(i) == group) return static_cast<std::uint8_t>(i);
  }
  return 0;
}

}  // namespace callboard::broker
