// The unanswered calls of a session by their number.
//
// Thread safety: none. References stay valid until the call is erased.
#pragma once

#include "common/blob.hpp"
#include "common/options.hpp"
#include "common/seq_table.hpp"

#include <callboard/error.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace callboard::client {

/// What the owner of a session calls a call or a request; 0: it does not want to hear of it.
using Token = std::uint64_t;

/// The result of a call as an argument of another: its owner keeps it.
class Dependency {
 public:
  enum class State : std::uint8_t { pending, value, failed };

  virtual ~Dependency() = default;
  virtual State state() const = 0;
  /// The call. Not set when it is no call of a broker.
  virtual CallId id() const = 0;
  /// The encoded value, or the encoded ErrorInfo. REQUIRES: not pending.
  virtual std::string_view bytes() const = 0;
};

/// One argument of a call with dependencies: encoded, or the result of another call.
struct Argument {
  std::string bytes;
  std::shared_ptr<Dependency> dependency;
};

/// The creation of an actor.
struct Creation {
  std::string class_name;
  std::string args;  ///< encoded list
  wire::ActorOptions options;
};

/// What only some calls have.
struct CallExtra {
  wire::CallOptions options;  ///< deadline_ms and refs are filled in whenever it is written
  bool has_options = false;
  std::int64_t deadline_us = INT64_MAX;  ///< steady clock; INT64_MAX: none
  std::vector<Argument> arguments;       ///< instead of the encoded list when a dependency is there
  std::vector<std::shared_ptr<Dependency>> after;
  Blob part;                             ///< a big argument list
  std::string args;                      ///< bytes that the call itself keeps
  std::string encoded_options;
  std::unique_ptr<Creation> creation;
};

enum class CallState : std::uint8_t {
  unsent,    ///< waits for its turn
  held,      ///< must not leave yet; gets a new number when it may
  sent,      ///< the broker has not said whether it accepts it
  accepted,  ///< only the result is missing
  parked,    ///< the queue was full; it is sent again when there is room
  resent,    ///< sent again after it was parked
};

/// What is known of a call's promises.
enum CallFlags : std::uint8_t {
  kNoResult = 1,        ///< nobody waits for the result
  kMemory = 2,          ///< durability memory, said by the call
  kDurable = 4,         ///< durability durable, said by the call
  kRetried = 8,         ///< at least once, said by the call
  kOnce = 16,           ///< at most once, said by the call
  kReject = 32,         ///< when_full = reject, said by the call
  kBlock = 64,          ///< when_full = block, said by the call
  kBoundedApart = 128,  ///< a full queue may take it: it has an idempotency key or a delay
};

struct CallRecord {
  Token token = 0;
  std::uint64_t order = 0;   ///< its first number: the order of submission, whatever it is now
  std::string_view args;     ///< in bytes that the session keeps until the call is accepted
  std::string_view options;
  std::unique_ptr<CallExtra> extra;
  std::uint32_t handle = 0;
  std::uint32_t method = 0;
  std::uint32_t bytes = 0;   ///< counted against the bound on what is not acknowledged
  CallState state = CallState::unsent;
  std::uint8_t flags = 0;
  bool released = false;     ///< was held, and waits for its turn under a new number

  /// For another call, which sets all else.
  void reset() {
    if (extra) extra.reset();
    released = false;
  }
};

using CallTable = SeqTable<CallRecord>;

}  // namespace callboard::client
