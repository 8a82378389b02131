// One queue that a session has opened, under the small number that its calls carry.
//
// Thread safety: none.
#pragma once

#include "client/core/full_queue.hpp"
#include "common/messages.hpp"
#include "common/options.hpp"
#include "common/prefetch.hpp"

#include <callboard/error.hpp>
#include <callboard/ids.hpp>

#include <cstdint>
#include <deque>
#include <memory>
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

/// Calls of a handle that did not simply leave once. Most handles never have any.
struct Detours {
  std::set<std::uint64_t> parked;    ///< to be sent again, in this order
  std::set<std::uint64_t> resent;    ///< sent again, not acknowledged
  std::deque<std::uint64_t> held;    ///< must not leave yet, in their order
  std::set<std::uint64_t> released;  ///< CallRecord::order of calls whose new number is not up
  /// Calls above `first` and up to `second` are refused because of a refusal that their user could
  /// not have seen; open at the end until the user resumed.
  std::vector<std::pair<std::uint64_t, std::uint64_t>> doomed;

  bool empty() const {
    return parked.empty() && held.empty() && released.empty() && doomed.empty();
  }
};

/// What each call looks at is in the first line: a client may have a hundred thousand of them.
struct alignas(kCacheLine) Handle {
 private:
  std::unique_ptr<Detours> detours_;

 public:
  std::uint64_t opened_on = 0;  ///< the connection on which it was opened last
  std::uint64_t unsettled = 0;  ///< its calls that are neither accepted nor answered
  QueueProgress progress;       ///< of its calls
  bool methods_due = false;     ///< the present connection was not told all of them
  bool parked = false;          ///< a full queue that blocks: PARKED was the broker's last word
  bool create_failed = false;   ///< `code` says why; there will never be an actor
  bool told_full = false;       ///< the sink knows that it was full
  bool progressed = false;      ///< and the sink does not know of the progress since
  bool open = false;            ///< in use by our side

  Target target;
  std::vector<std::string> methods;
  std::size_t methods_told = 0;   ///< on the connection on which it was opened last
  std::uint32_t answers_due = 0;  ///< OPENED that this connection still owes
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
  bool created = false;  ///< our user has the number of this handle

  bool told_parked = false;         ///< what the sink knows
  bool room_left = false;           ///< more was granted than there were parked calls
  std::uint64_t seen_refusal = 0;   ///< the number of the last refusal that the user resumed
  std::int64_t retry_after_ms = 0;  ///< of the last refusal that was for the call's own sake

  const Detours& detours() const { return detours_ ? *detours_ : none(); }
  /// The same to be changed.
  Detours& change_detours() {
    if (!detours_) detours_ = std::make_unique<Detours>();
    return *detours_;
  }
  /// Nothing special: a call may leave without a closer look.
  bool plain() const { return !parked && !create_failed && (!detours_ || detours_->empty()); }

 private:
  static const Detours& none() {
    // Never destroyed: clients may end after static objects.
    static const Detours& nothing = *new Detours;
    return nothing;
  }
};

}  // namespace callboard::client
