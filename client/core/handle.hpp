// One queue that a session has opened, under the small number that its calls carry.
//
// Thread safety: none.
#pragma once

#include "client/core/full_queue.hpp"
#include "common/messages.hpp"
#include "common/options.hpp"

#include <callboard/error.hpp>
#include <callboard/ids.hpp>

#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace callboard::client {

/// What a handle is to be opened for.
struct Target {
  wire::TargetKind kind = wire::TargetKind::name;
  ActorId actor;     ///< kind actor
  std::string name;  ///< kind name: "name" or "namespace/name"; kind task: the function
};

struct Handle {
  Target target;
  std::vector<std::string> methods;
  std::size_t methods_told = 0;   ///< on the present connection
  std::uint64_t opened_on = 0;    ///< the connection on which it was opened last
  std::uint32_t answers_due = 0;  ///< OPENED that this connection still owes
  bool open = false;              ///< in use by our side
  std::uint64_t unsettled = 0;    ///< its calls that are neither accepted nor answered
  bool owned = false;             ///< its actor stops with its last handle
  Errc code = Errc::ok;           ///< as the broker answered
  std::string text;

  // what is known of the queue's promises
  std::optional<wire::Durability> durability;
  std::optional<wire::WhenFull> when_full;
  bool retried = false;  ///< at least once is the default of its calls

  /// Calls that an earlier broker accepted, while nobody has said at which level they are.
  std::vector<std::uint64_t> of_before;

  /// The creation's number while the broker has not answered it.
  std::uint64_t creation = 0;
  bool get_if_exists = false;
  bool created = false;        ///< our user has the number of this handle
  bool create_failed = false;  ///< `code` says why; there will never be an actor

  // a full queue that blocks
  bool parked = false;                   ///< PARKED was the broker's last word
  std::set<std::uint64_t> parked_calls;  ///< to be sent again, in this order
  std::set<std::uint64_t> resent_calls;  ///< sent again, not acknowledged
  bool told_parked = false;              ///< what the sink knows
  bool room_left = false;                ///< more was granted than there were parked calls

  std::deque<std::uint64_t> held;    ///< calls that must not leave yet, in their order
  std::set<std::uint64_t> released;  ///< CallRecord::order of calls whose new number is not up

  /// Calls above `first` and up to `second` are refused because of a refusal that their user could
  /// not have seen; open at the end until the user resumed.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> doomed;
  std::uint64_t seen_refusal = 0;   ///< the number of the last refusal that the user resumed
  std::int64_t retry_after_ms = 0;  ///< of the last refusal that was for the call's own sake
  bool told_full = false;           ///< the sink knows that it was full
  QueueProgress progress;           ///< of its calls
  bool progressed = false;          ///< and the sink does not know of it

  /// Nothing special: a call may leave without a closer look.
  bool plain() const {
    return !parked && parked_calls.empty() && held.empty() && released.empty() && doomed.empty() &&
           !create_failed;
  }
};

}  // namespace callboard::client
