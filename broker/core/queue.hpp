// A queue: the pending calls of one actor, deployment or task function, in lanes.
//
// One sequence of numbers per queue; a lane (concurrency group x priority) is a view over it.
// Invariants: a lane's list rises in number; with ordering = actor its head holds the lane, ready
// or not; with key or none only calls that may be sent are linked.
#pragma once

#include "broker/core/call.hpp"
#include "broker/core/instance.hpp"
#include "broker/core/pace.hpp"
#include "broker/core/stored.hpp"
#include "broker/store/change_table.hpp"
#include "common/check.hpp"
#include "common/few.hpp"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace callboard::broker {

/// The calls of one queue that must not overtake each other.
struct Lane {
  std::uint8_t group = 0;
  std::int8_t priority = 0;
  bool watermark_dirty = false;
  std::uint32_t length = 0;
  Call* head = nullptr;
  Call* tail = nullptr;
  std::uint64_t watermark = 0;  ///< highest number that left in order (stored)
  std::unique_ptr<StoredCalls> stored;  ///< once some were not in memory

  /// Links the call so that numbers rise; new calls go to the tail at once.
  void insert(Call& call) {
    if (tail != nullptr && tail->number > call.number) return insert_early(call);
    insert_behind(tail, call);
  }
  /// Only calls that come back are older than the tail: their place is near the head.
  void insert_early(Call& call);
  /// As insert(), of a call whose place is near the tail.
  void insert_late(Call& call);
  /// `before` is the call in front of its place; null: it becomes the head.
  void insert_behind(Call* before, Call& call) {
    CALLBOARD_CHECK(!call.in_list);
    call.prev = before;
    call.next = before == nullptr ? head : before->next;
    (call.prev == nullptr ? head : call.prev->next) = &call;
    (call.next == nullptr ? tail : call.next->prev) = &call;
    call.in_list = true;
    ++length;
  }
  void remove(Call& call) {
    CALLBOARD_CHECK(call.in_list);
    (call.prev == nullptr ? head : call.prev->next) = call.next;
    (call.next == nullptr ? tail : call.next->prev) = call.prev;
    call.prev = call.next = nullptr;
    call.in_list = false;
    --length;
  }
  /// The last call in memory in front of the number; null when there is none.
  Call* before(std::uint64_t number) const;
  /// Its first call is in memory and waits for nothing but room.
  bool may_go() const {
    return head != nullptr && head->state == CallState::ready && !next_is_stored();
  }
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

/// A session that waits for room in a full queue.
struct ParkedSession {
  SessionId session{};
  std::uint32_t handle = 0;
};

/// The methods of a queue, as its calls number them. Most actors of a class have the same ones in
/// the same order, so their queues share a table, which never changes: with one more it is another.
struct MethodTable {
  std::vector<std::string> names;
  std::vector<std::uint8_t> groups;  ///< method -> its concurrency group
  /// Where more than a few are looked for.
  std::unique_ptr<std::unordered_map<std::string, std::uint16_t>> index;
  /// Those that were made from this one.
  mutable std::vector<std::weak_ptr<const MethodTable>> next;

  int find(std::string_view method) const;  ///< -1 when there is none
  std::shared_ptr<const MethodTable> with(std::string_view method, std::uint8_t group) const;
};

/// What a queue was made with; the same for most actors of a class, which share it.
struct QueueMaking {
  std::string class_name;  ///< of a task: the function's name
  wire::ActorOptions options;
  std::uint64_t max_pending = 0;
  std::uint64_t max_pending_bytes = 0;

  bool operator==(const QueueMaking&) const = default;
};

/// An encoded array. Most actors are made without arguments, and keep nothing.
class ConstructorArgs {
 public:
  std::string_view view() const { return bytes_ ? std::string_view(*bytes_) : kNone; }
  ConstructorArgs& operator=(std::string_view bytes) {
    bytes_ = bytes == kNone ? nullptr : std::make_unique<const std::string>(bytes);
    return *this;
  }

 private:
  static constexpr std::string_view kNone = "\x90";
  std::unique_ptr<const std::string> bytes_;
};

/// What few queues have.
struct QueueExtra {
  std::unordered_map<std::string, KeyState> keys;
  std::list<ParkedSession> parked;
  Pace pace;                ///< of its ends while it refuses calls
  std::string reason_text;  ///< why it is dead
  std::vector<std::unique_ptr<Instance>> replicas;  ///< but for the first
};

struct Queue {
  // stored
  std::unique_ptr<const std::string> given_name;  ///< none: it says the id
  QueueKind kind = QueueKind::actor;
  bool paused = false;
  ActorId id;  ///< of the actor or deployment; none for a task
  std::shared_ptr<const QueueMaking> making;
  ConstructorArgs constructor_args;
  SessionId owner{};             ///< zero when detached
  std::uint64_t next_number = 1;

  // in memory only
  QueueState state = QueueState::open;
  bool counters_dirty = false;  ///< next_number or a watermark goes into the next commit
  bool in_ready_tasks = false;
  Errc reason = Errc::ok;       ///< why it is dead
  std::uint32_t references = 0;  ///< those of QueuePtr
  std::shared_ptr<const MethodTable> methods;
  Few<Lane> lanes;               ///< by group, then by priority from high to low
  Few<Instance*> instances;      ///< its actor, its replicas, or the task slots that have it
  std::unique_ptr<QueueExtra> extra;
  std::uint64_t bytes = 0;        ///< payload of unfinished calls
  std::uint32_t count = 0;        ///< unfinished calls: what HLEN says
  std::uint32_t open_calls = 0;   ///< accepted and not ended
  std::uint32_t objects = 0;      ///< calls that point here, ended ones too
  std::uint32_t leased = 0;
  std::uint32_t orphans = 0;      ///< calls of which a worker of before may still tell
  std::uint32_t strangers = 0;    ///< ordering = key: running, and nobody knows their keys
  std::uint32_t delayed = 0;      ///< calls that are not due yet; not in `count`
  std::uint32_t absent = 0;       ///< waiting calls of which only the store has all
  std::uint32_t turn = 0;         ///< where the search for a free instance begins
  std::uint64_t granted = 0;      ///< room promised to parked sessions
  std::uint64_t accepted_total = 0;  ///< counters since this broker began
  std::uint64_t ended_total = 0;
  std::uint64_t failed_total = 0;
  std::uint32_t handles = 0;        ///< open handles of all sessions
  std::uint32_t owner_handles = 0;  ///< of the owner only
  std::uint64_t skipped_batch = 0;  ///< in which the last durable call ended that was not out
  QueueTicket journal_ticket;       ///< of its keys
  std::uint32_t owned_at = 0;       ///< its place among what its owner owns
  Instance first;                   ///< its actor or first replica; of a task: nothing

  /// "hits", "ns/hits", "~HEX" (unnamed), "task/fn"
  std::string name() const { return given_name ? *given_name : "~" + to_string(id); }
  const wire::ActorOptions& options() const { return making->options; }
  const std::string& class_name() const { return making->class_name; }
  std::uint64_t max_pending() const { return making->max_pending; }
  std::uint64_t max_pending_bytes() const { return making->max_pending_bytes; }

  /// To read what few have: there need not be any.
  const QueueExtra& rare() const {
    static const QueueExtra none;
    return extra ? *extra : none;
  }
  QueueExtra& more() {
    if (!extra) extra = std::make_unique<QueueExtra>();
    return *extra;
  }

  /// Concurrency groups; 0 is the default group, which has no name.
  std::size_t groups() const { return 1 + options().groups.size(); }
  std::string_view group_name(std::size_t group) const {
    return group == 0 || group >= groups() ? std::string_view() : options().groups[group - 1].first;
  }
  std::uint32_t max_concurrency(std::size_t group) const {
    return group == 0 ? options().max_concurrency : options().groups[group - 1].second;
  }
  /// Calls leave in the order of their numbers.
  bool leaves_in_order() const { return options().ordering == wire::Ordering::actor; }
  bool serial() const { return kind == QueueKind::actor && max_concurrency(0) == 1; }
  Lane& lane(std::uint8_t group, std::int8_t priority) {
    const bool front = !lanes.empty() && lanes.front().group == group &&
                       lanes.front().priority == priority;
    return front ? lanes.front() : find_lane(group, priority);
  }
  Lane& find_lane(std::uint8_t group, std::int8_t priority);
  /// Index of the method, adding it; -1 when there are too many.
  int intern_method(std::string_view method);
  std::uint8_t group_named(std::string_view group) const;  ///< 0 when there is none
  /// For a call that finds it full: when a tenth of its room is likely to be free.
  std::uint64_t retry_after_ms(std::int64_t now_us) {
    return more().pace.retry_after_ms(now_us, ended_total, tenth());
  }
  std::uint64_t tenth() const {
    return std::max<std::uint64_t>(std::min<std::uint64_t>(max_pending(), count) / 10, 1);
  }
  bool named() const { return given_name && !given_name->starts_with('~'); }
  bool full(std::uint64_t more_bytes) const {
    return count + granted >= max_pending() || bytes + more_bytes > max_pending_bytes();
  }
};

/// Shared ownership of a queue, counted in the queue. Thread safety: none.
class QueuePtr {
 public:
  QueuePtr() = default;
  explicit QueuePtr(Queue* queue) : queue_(queue) { add(); }
  QueuePtr(const QueuePtr& other) : queue_(other.queue_) { add(); }
  QueuePtr(QueuePtr&& other) noexcept : queue_(std::exchange(other.queue_, nullptr)) {}
  QueuePtr& operator=(QueuePtr other) noexcept {
    std::swap(queue_, other.queue_);
    return *this;
  }
  ~QueuePtr() { reset(); }
  static QueuePtr make() { return QueuePtr(new Queue); }

  Queue* get() const { return queue_; }
  Queue& operator*() const { return *queue_; }
  Queue* operator->() const { return queue_; }
  explicit operator bool() const { return queue_ != nullptr; }
  void reset() {
    Queue* const queue = std::exchange(queue_, nullptr);
    if (queue != nullptr && --queue->references == 0) delete queue;
  }

 private:
  void add() {
    if (queue_ != nullptr) ++queue_->references;
  }

  Queue* queue_ = nullptr;
};

inline ActorId Instance::id() const { return queue == nullptr ? ActorId{} : queue->id; }

}  // namespace callboard::broker
