// What the workload asked for: the truth that the checkers compare with, written down by the
// clients before anything reaches the system.
//
// Thread safety: none.
#pragma once

#include "common/options.hpp"
#include "common/time.hpp"

#include <callboard/error.hpp>
#include <callboard/ids.hpp>

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace callboard::sim {

/// Who a process life is. A restarted process is another one.
enum class ProcessId : std::uint32_t { none = 0 };

/// An actor, a deployment or a task function that calls are made to.
struct TargetSpec {
  enum class Kind : std::uint8_t { actor, deployment, task };
  Kind kind = Kind::actor;
  std::uint32_t index = 0;
  ActorId id;                     ///< unset for tasks, and until created
  std::string name;               ///< of a named actor or deployment, or the task function
  wire::ActorOptions options;     ///< as asked for at creation; defaults for a task
  std::uint32_t owner = 0;        ///< client that creates it
  std::int64_t constructor_us = 0;
  bool constructor_throws = false;
  bool killed = false;            ///< somebody asked for its end (kill, or its owner went away)

  /// As the store and people know its queue.
  std::string queue_name() const {
    if (kind == Kind::task) return "task/" + name;
    return name.empty() ? "~" + to_string(id) : name;
  }
  /// Calls start in order and one at a time.
  bool serial() const { return kind == Kind::actor && options.max_concurrency == 1; }
};

/// What one execution does; a method of the simulated classes.
struct Plan {
  std::int64_t service_us = 0;
  std::uint32_t failing_attempts = 0;  ///< the first so many attempts throw ...
  std::string error_type;              ///< ... this
  std::uint32_t killing_attempts = 0;  ///< the process dies in the first so many attempts
  std::optional<std::uint32_t> callee; ///< target of a call that it makes at its end ...
  bool waits = false;                  ///< ... and whose answer it waits for
};

struct CallSpec;

/// One idempotency key of one target, and the calls that were made with it.
struct KeyUse {
  std::uint32_t target = 0;
  std::string key;
  std::vector<const CallSpec*> calls;  ///< in the order of submission
};

/// One call, as its client asked for it.
struct CallSpec {
  std::uint32_t index = 0;             ///< place in Specs::calls: the order of submission
  CallId id;                           ///< changes when a call that has not left is numbered anew
  std::uint32_t client = 0;            ///< a client process life
  std::uint32_t target = 0;
  std::string method;
  wire::CallOptions options;
  Plan plan;
  std::string token;                   ///< the bytes that must arrive as its own argument
  std::vector<CallSpec*> takes;        ///< must have ended well before it starts
  std::vector<CallSpec*> arguments;    ///< of those, the ones whose results it gets, in order
  std::int64_t submitted_us = 0;
  std::int64_t deadline_us = kNever;   ///< virtual time
  // What the options of call and actor come to.
  std::int32_t max_retries = 0;
  bool errors_retried = false;         ///< its plan's errors count as retryable
  bool durable = true;
  std::string group;
  std::int64_t delay_us = 0;           ///< it must not begin before this much later
  const CallSpec* inside = nullptr;    ///< the call whose method made this one
  /// A delay or a key gives it its place in line, its own or one of what it takes.
  bool out_of_line = false;
  KeyUse* once = nullptr;              ///< of its idempotency key

  bool retryable() const { return max_retries != 0; }
  bool same_payload(const CallSpec& other) const {
    return method == other.method && token == other.token;
  }
};

/// A schedule that makes a call every second.
struct TickSpec {
  bool every = false;            ///< no time is left out but at the ends
  std::int32_t max_retries = 0;
};

/// All targets and calls of one run.
struct Specs {
  std::deque<TargetSpec> targets;
  std::deque<CallSpec> calls;          ///< in the order of submission; addresses stay
  std::deque<KeyUse> key_uses;         ///< addresses stay
  std::map<std::string, TickSpec> ticks;  ///< schedules, by name
  std::unordered_map<CallId, CallSpec*> by_id;       // looked up, never walked
  std::unordered_map<ActorId, TargetSpec*> by_actor; // looked up, never walked

  /// The calls of this key, which is new or not.
  KeyUse& use_of(std::uint32_t target, const std::string& key) {
    for (KeyUse& use : key_uses) {
      if (use.target == target && use.key == key) return use;
    }
    return key_uses.emplace_back(KeyUse{target, key, {}});
  }
  const CallSpec* find(CallId id) const {
    const auto found = by_id.find(id);
    return found == by_id.end() ? nullptr : found->second;
  }
  const TargetSpec* find(ActorId id) const {
    const auto found = by_actor.find(id);
    return found == by_actor.end() ? nullptr : found->second;
  }
};

}  // namespace callboard::sim
