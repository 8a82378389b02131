// A call inside the broker, and the slab that calls live in.
//
//   submit ─> waiting ──> ready ──> leased ──> ended ──> (freed)
//               │  ▲        │ ▲        │         ok | error | cancelled | expired | ...
//               │  └ backoff│ └────────┘ returned, or retried: back to the HEAD of its lane
//               └───────────┴──> ended (cancelled, expired, dependency_failed, actor_died)
//
//   waiting: dependencies, a delay or a backoff are open      ready: may be sent
//   leased:  sent to a worker, perhaps begun                   ended: has its one outcome, which
//   stays until the owner has taken it and no dependent needs it.
#pragma once

#include "broker/core/slots.hpp"
#include "common/blob.hpp"
#include "common/options.hpp"

#include <callboard/error.hpp>
#include <callboard/ids.hpp>

#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <vector>

namespace callboard::broker {

struct Instance;
struct Queue;
struct Session;
struct Lane;

enum class CallState : std::uint8_t { free, waiting, ready, leased, ended };

/// What only some calls have; most have none of it.
struct CallExtra {
  wire::CallOptions options;             ///< as parsed at submit
  Blob part;                             ///< big arguments, later the big result
  std::vector<struct Call*> dependents;  ///< calls that wait for this one's end
  std::vector<struct Call*> holds;       ///< ended calls whose results this one will use
  std::uint32_t unresolved = 0;          ///< dependencies that have not ended
  std::uint32_t holders = 0;             ///< calls that will use this one's result
  std::uint16_t crashes = 0;
  std::uint16_t errors = 0;
  std::uint16_t redeliveries = 0;
  bool deadlock = false;           ///< end with deadlock when it comes back unbegun
  bool expire = false;             ///< its deadline passed while it was out
  bool killed = false;             ///< its actor was killed while it was out
  std::vector<SessionId> cancels;  ///< sessions that wait for the answer to a cancel
  std::string last_error;          ///< of the attempt before, encoded
  std::int64_t due_wall_ms = 0;    ///< of a delayed call
  std::int64_t not_before_us = 0;  ///< backoff or delay, steady clock
  std::string digest;              ///< of the payload, when it has an idempotency key

  ~CallExtra();
};

/// One call. In memory only; what is stored of it is in records.hpp. There may be millions that
/// wait: what only some have is in CallExtra.
struct Call {
  std::uint64_t seq = 0;     ///< of its session
  std::uint64_t number = 0;  ///< in its queue, from 1
  Queue* queue = nullptr;
  Session* session = nullptr;
  // While it is in a lane its neighbours there, otherwise what instance() and lease() say.
  union {
    Call* prev = nullptr;
    Instance* instance_;
  };
  union {
    Call* next = nullptr;
    std::uint64_t lease_;
  };
  char* data = nullptr;  ///< options then arguments; once ended: the result
  std::uint32_t options_bytes = 0;
  std::uint32_t value_bytes = 0;      ///< of the arguments, or of the result once ended
  std::int64_t deadline_wall_ms = 0;  ///< 0 none
  std::int64_t since_us = 0;          ///< when it came into its present state
  std::unique_ptr<CallExtra> extra;
  std::uint32_t data_bytes = 0;    ///< that `data` has room for
  std::uint32_t holder = 0;        ///< serial of the worker that keeps its result
  std::uint32_t generation = 0;    ///< of no other call at this place; 0: there is none
  std::uint32_t stored_bytes = 0;  ///< what counts against max_pending_bytes
  std::uint16_t method = 0;        ///< index in the queue's method table
  std::uint16_t attempts = 0;      ///< begun or perhaps begun
  std::int16_t max_retries = 0;    ///< -1 without bound
  std::int8_t priority = 0;
  std::uint8_t group = 0;  ///< concurrency group, 0 the default
  CallState state = CallState::free;
  Errc status = Errc::ok;  ///< once ended
  bool durable : 1 = true;
  bool no_result : 1 = false;
  bool in_list : 1 = false;      ///< linked into a lane
  bool keyed : 1 = false;        ///< has an ordering key
  bool sent_record : 1 = false;  ///< `sent` holds a field for it
  bool counted : 1 = false;      ///< still counted in its queue (HLEN)
  bool told : 1 = false;         ///< the owner was sent the result
  bool taken : 1 = false;        ///< the owner has taken the result
  bool recorded : 1 = false;     ///< the result is in the store's batch or beyond
  bool orphan : 1 = false;       ///< leased by a broker before this one, holder unknown
  bool delayed : 1 = false;      ///< not due yet: it has no number and is in no lane
  bool idempotent : 1 = false;   ///< has an idempotency key
  bool follows : 1 = false;      ///< ends as the first call of its key does; never begins
  bool special : 1 = false;      ///< `extra` has more than a big value
  bool stub : 1 = false;         ///< only the store has its arguments: see stored.hpp

  CallId id() const;
  /// Where it is while its lease is out.
  Instance* instance() const { return in_list ? nullptr : instance_; }
  /// Until the worker was told to forget it; 0: it has none.
  std::uint64_t lease() const { return in_list ? 0 : lease_; }
  /// REQUIRES: it is in no lane.
  void set_instance(Instance* instance) { instance_ = instance; }
  void set_lease(std::uint64_t lease) { lease_ = lease; }
  /// Not to be sent before; 0: at any time.
  std::int64_t not_before_us() const { return extra ? extra->not_before_us : 0; }

  std::string_view options() const { return {data, options_bytes}; }
  std::string_view value() const {
    if (extra && extra->part) return extra->part.view();
    return {data + options_bytes, value_bytes};
  }
  CallExtra& more() {
    special = true;
    return with_part();
  }
  /// Where a big value is kept.
  CallExtra& with_part() {
    if (!extra) extra = std::make_unique<CallExtra>();
    return *extra;
  }
};

/// A backlog of a million durable calls takes 160 bytes beyond the arguments of each at most: this,
/// room in steps of 8, and a place in its session's table.
static_assert(sizeof(Call) <= 120);

/// Calls at stable addresses, reused. A Ref notices when its call is gone.
class CallSlab {
 public:
  struct Ref {
    Call* call = nullptr;
    std::uint32_t generation = 0;
    Call* get() const { return call != nullptr && call->generation == generation ? call : nullptr; }
  };
  static Ref ref(Call& call) { return {&call, call.generation}; }

  CallSlab();
  ~CallSlab();
  CallSlab(const CallSlab&) = delete;
  CallSlab& operator=(const CallSlab&) = delete;

  Call& make() {
    Call* call = nullptr;
    if (ready_.empty()) {
      call = new (calls_.take()) Call;
    } else {
      call = ready_.back();
      ready_.pop_back();
    }
    if (++generation_ == 0) ++generation_;
    call->generation = generation_;
    ++used_;
    return *call;
  }
  void free(Call& call);
  /// Gives a call room for its bytes. What it held before is lost when that had less room.
  void give_room(Call& call, std::size_t bytes);
  /// Copies what the call holds now: options and arguments, or only its result.
  void fill(Call& call, std::string_view options, std::string_view value) {
    if (options.size() + value.size() > call.data_bytes) {
      give_room(call, options.size() + value.size());
    }
    if (!options.empty()) std::memcpy(call.data, options.data(), options.size());
    if (!value.empty()) std::memcpy(call.data + options.size(), value.data(), value.size());
    call.options_bytes = static_cast<std::uint32_t>(options.size());
    call.value_bytes = static_cast<std::uint32_t>(value.size());
  }
  void take_room(Call& call);
  std::size_t size() const { return used_; }
  /// Memory of the calls, of their places in their sessions' tables and of what they have room for.
  std::uint64_t bytes() const { return used_ * (sizeof(Call) + sizeof(Call*)) + room_bytes_; }

 private:
  /// Room comes in steps; what is larger comes from the heap.
  static constexpr std::size_t kRoomStep = 8;
  static constexpr std::size_t kRoomSteps = 32;
  static constexpr std::size_t kReadyMax = 1024;
  /// A Ref that is looked at some 50 ms after its call was freed finds the page there still.
  static constexpr std::size_t kWarmChunks = 64;

  Slots calls_;
  std::vector<Slots> rooms_;   ///< by number of steps, from 1
  std::vector<Call*> ready_;   ///< that ended last: they keep their room for the next ones
  std::uint32_t generation_ = 0;
  std::size_t used_ = 0;
  std::uint64_t room_bytes_ = 0;
};

}  // namespace callboard::broker
