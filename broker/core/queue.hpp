// A queue: the pending calls of one actor, deployment or task function, in lanes.
//
// One sequence of numbers per queue; a lane (concurrency group x priority) is a view over it.
// Invariants: a lane's list rises in number; with ordering = actor its head holds the lane, ready
// or not; with key or none only calls that may be sent are linked.
#pragma once

#include "broker/core/call.hpp"
#include "broker/core/pace.hpp"
#include "broker/core/stored.hpp"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace callboard::broker {

/// The calls of one queue that must not overtake each other.
struct Lane {
  std::uint8_t group = 0;
  std::int8_t priority = 0;
  Call* head = nullptr;
  Call* tail = nullptr;
  std::uint64_t length = 0;
  std::uint64_t watermark = 0;  ///< highest number that left in order (stored)
  bool watermark_dirty = false;
  std::unique_ptr<StoredCalls> stored;  ///< once some were not in memory

  /// Links the call so that numbers rise; new calls go to the tail at once.
  void insert(Call& call);
  /// As insert(), of a call whose place is near the tail.
  void insert_late(Call& call);
  /// `before` is the call in front of its place; null: it becomes the head.
  void insert_behind(Call* before, Call& call);
  void remove(Call& call);
  /// The last call in memory in front of the number; null when there is none.
  Call* before(std::uint64_t number) const;
  /// The next call of the lane is not in memory.
  bool next_is_stored() const {
    return stored != nullptr && !stored->runs.empty() &&
           (head == nullptr || stored->runs.begin()->first < head->number);
  }
};

/// Calls with one ordering key: one is out (or in the lane), the others wait here in order.
struct KeyState {
  bool busy = false;
  std::deque<Call*> waiting;
};

enum class QueueKind : std::uint8_t { actor, deployment, task };
enum class QueueState : std::uint8_t {
  open,
  closing,  ///< its owner is gone: accepted calls finish, then it stops
  dead,     ///< refuses with `reason`
};

/// A concurrency group: its name and bound.
struct Group {
  std::string name;
  std::uint32_t max_concurrency = 0;
};

/// A session that waits for room in a full queue.
struct ParkedSession {
  SessionId session{};
  std::uint32_t handle = 0;
};

struct Queue {
  // stored
  std::string name;  ///< "hits", "ns/hits", "~HEX" (unnamed), "task/fn"
  QueueKind kind = QueueKind::actor;
  ActorId id;              ///< of the actor or deployment; none for a task
  std::string class_name;  ///< of a task: the function's name
  wire::ActorOptions options;
  std::string constructor_args;  ///< encoded array
  SessionId owner{};             ///< zero when detached
  std::uint64_t next_number = 1;
  bool paused = false;

  // in memory only
  QueueState state = QueueState::open;
  Errc reason = Errc::ok;  ///< why it is dead
  std::string reason_text;
  std::uint64_t max_pending = 0;
  std::uint64_t max_pending_bytes = 0;
  std::vector<std::string> methods;
  /// Where more than a few are looked for.
  std::unique_ptr<std::unordered_map<std::string, std::uint16_t>> method_index;
  std::vector<std::uint8_t> method_group;  ///< method -> group
  std::vector<Group> groups;               ///< [0] is the default group
  std::vector<Lane> lanes;                 ///< by group, then by priority from high to low
  std::unordered_map<std::string, KeyState> keys;
  std::uint64_t count = 0;       ///< unfinished calls: what HLEN says
  std::uint64_t bytes = 0;       ///< their payload
  std::uint64_t open_calls = 0;  ///< accepted and not ended
  std::uint64_t objects = 0;     ///< calls that point here, ended ones too
  std::uint64_t granted = 0;     ///< room promised to parked sessions
  std::uint64_t leased = 0;
  std::uint64_t orphans = 0;         ///< calls of which a worker of before may still tell
  std::uint64_t strangers = 0;       ///< ordering = key: running, and nobody knows their keys
  std::uint64_t delayed = 0;         ///< calls that are not due yet; not in `count`
  std::uint64_t absent = 0;          ///< waiting calls of which only the store has all
  std::uint64_t accepted_total = 0;  ///< counters since this broker began
  std::uint64_t ended_total = 0;
  std::uint64_t failed_total = 0;
  Pace pace;  ///< of its ends while it refuses calls
  std::list<ParkedSession> parked;
  std::vector<Instance*> instances;  ///< its actor, its replicas, or the task slots that have it
  std::size_t turn = 0;              ///< where the search for a free instance begins
  std::uint32_t handles = 0;         ///< open handles of all sessions
  std::uint32_t owner_handles = 0;   ///< of the owner only
  std::uint64_t calls_batch = 0;     ///< the batch in which calls_key stands for its calls
  std::uint32_t calls_key = 0;
  std::uint64_t calls_from = 0;  ///< the lowest number of a call that this batch stores
  std::uint64_t skipped_batch = 0;  ///< in which the last durable call ended that was not out
  bool counters_dirty = false;  ///< next_number or a watermark goes into the next commit
  bool in_ready_tasks = false;

  /// Calls leave in the order of their numbers.
  bool leaves_in_order() const { return options.ordering == wire::Ordering::actor; }
  bool serial() const { return kind == QueueKind::actor && groups[0].max_concurrency == 1; }
  Lane& lane(std::uint8_t group, std::int8_t priority);
  int find_method(std::string_view method) const;  ///< -1 when there is none
  /// Index of the method, adding it; -1 when there are too many.
  int intern_method(std::string_view method);
  std::uint8_t group_named(std::string_view group) const;  ///< 0 when there is none
  /// For a call that finds it full: when a tenth of its room is likely to be free.
  std::uint64_t retry_after_ms(std::int64_t now_us) {
    return pace.retry_after_ms(now_us, ended_total, tenth());
  }
  std::uint64_t tenth() const {
    return std::max<std::uint64_t>(std::min(max_pending, count) / 10, 1);
  }
  bool named() const { return !name.starts_with('~'); }
  bool full(std::uint64_t more_bytes) const {
    return count + granted >= max_pending || bytes + more_bytes > max_pending_bytes;
  }
};

}  // namespace callboard::broker
