// The options of calls and actors as they travel: maps with small integer keys.
//
// Keys are part of the protocol (docs/protocol.md) and never renumbered. Unknown keys are an error
// (invalid_option): an option that is silently ignored is a promise silently broken.
#pragma once

#include <callboard/codec.hpp>
#include <callboard/ids.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace callboard::wire {

enum class Durability : std::uint8_t { durable = 0, memory = 1 };
enum class WhenFull : std::uint8_t { reject = 0, block = 1 };
enum class Mode : std::uint8_t { automatic = 0, serial = 1, threaded = 2, async = 3, batched = 4 };
enum class Ordering : std::uint8_t { actor = 0, key = 1, none = 2 };
enum class Lifetime : std::uint8_t { owned = 0, detached = 1 };

/// "The argument at `index` is the result of `call`."
struct Ref {
  std::uint32_t index = 0;
  CallId call;
};

/// Which errors of the method itself are retried.
struct RetryOn {
  enum class Which : std::uint8_t { none = 0, all = 1, listed = 2 } which = Which::none;
  std::vector<std::string> types;  ///< remote exception types, when listed

  bool matches(std::string_view type) const;
  bool operator==(const RetryOn&) const = default;
};

/// Options of one call. Absent means: what the actor or the method says, else the default.
struct CallOptions {
  enum Key : std::uint8_t {
    kDeadline = 1, kPriority = 2, kOrderingKey = 3, kHeaders = 4, kRefs = 5, kAfter = 6,
    kMaxRetries = 7, kRetryOn = 8, kBackoff = 9, kIdempotencyKey = 10, kDurability = 11,
    kDelay = 12, kGroup = 13, kNoResult = 14, kParent = 15, kWhenFull = 16,
    kAt = 17,
  };
  /// Remaining budget when the message was written; 0: none, not even an inherited one; below 0:
  /// it has passed.
  std::optional<std::int64_t> deadline_ms;
  std::optional<std::int8_t> priority;       ///< -128..127, higher first
  std::string key;                           ///< for ordering = key
  std::string headers;                       ///< encoded map str -> str, opaque to the broker
  std::vector<Ref> refs;                     ///< then args is an array of bin, one an argument
  std::vector<CallId> after;                 ///< must have ended ok before this starts
  std::optional<std::int32_t> max_retries;   ///< attempts beyond the first; -1 without bound
  std::optional<RetryOn> retry_on;
  std::optional<std::pair<std::int64_t, std::int64_t>> backoff_ms;  ///< min, max
  std::string idempotency_key;
  std::optional<Durability> durability;
  std::optional<std::int64_t> delay_ms;      ///< not before this much later
  std::string group;                         ///< concurrency group, instead of the method's own
  bool no_result = false;                    ///< fire and forget
  CallId parent;                             ///< the call inside which this one was made
  std::optional<WhenFull> when_full;
  std::optional<std::int64_t> at_ms;         ///< not before this time, ms since 1970

  bool empty() const;
};

/// Options of an actor or deployment, given when it is created.
struct ActorOptions {
  enum Key : std::uint8_t {
    kName = 1, kNamespace = 2, kGetIfExists = 3, kLifetime = 4, kReplicas = 5,
    kMaxConcurrency = 6, kMode = 7, kMaxPending = 8, kMaxPendingBytes = 9, kWhenFull = 10,
    kOrdering = 11, kGroups = 12, kMethodGroups = 13, kMaxRestarts = 14, kMaxRetries = 15,
    kDedicated = 16, kMaxBatchSize = 17, kBatchWait = 18, kDurability = 19, kResources = 20,
    kBackoff = 21, kRetryOn = 22, kDeadline = 23,
  };
  std::string name;                          ///< empty: unnamed
  std::string name_space;                    ///< empty: "default"
  bool get_if_exists = false;
  std::optional<Lifetime> lifetime;          ///< default: named detached, unnamed owned
  std::uint32_t replicas = 0;                ///< 0: an actor; >= 1: a deployment of that many
  std::uint32_t max_concurrency = 0;         ///< 0: the mode's default
  Mode mode = Mode::automatic;
  std::uint64_t max_pending = 0;             ///< 0: the default
  std::uint64_t max_pending_bytes = 0;
  WhenFull when_full = WhenFull::reject;
  Ordering ordering = Ordering::actor;
  std::vector<std::pair<std::string, std::uint32_t>> groups;          ///< name -> max_concurrency
  std::vector<std::pair<std::string, std::string>> method_groups;     ///< method -> group
  std::int32_t max_restarts = 0;             ///< -1: for ever
  std::int32_t max_retries = 0;              ///< default of its calls
  bool dedicated = false;                    ///< a worker process of its own
  std::uint32_t max_batch_size = 0;          ///< 0: the default; mode batched
  std::int64_t batch_wait_us = 0;
  Durability durability = Durability::durable;
  std::vector<std::pair<std::string, double>> resources;
  std::optional<std::pair<std::int64_t, std::int64_t>> backoff_ms;
  std::optional<RetryOn> retry_on;
  std::optional<std::int64_t> deadline_ms;   ///< default of its calls

  bool operator==(const ActorOptions&) const = default;
};

/// Writes only what differs from the default; nil when nothing does.
void write(Writer& out, const CallOptions& options);
void write(Writer& out, const ActorOptions& options);

/// Reads a map or nil. On failure `problem` says in one sentence what is wrong with which option.
bool read(Reader& in, CallOptions& options, std::string& problem);
bool read(Reader& in, ActorOptions& options, std::string& problem);

}  // namespace callboard::wire
