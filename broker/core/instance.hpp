// One life of an actor or replica, from the broker's side.
#pragma once

#include "common/few.hpp"

#include <callboard/ids.hpp>

#include <cstdint>
#include <string_view>

namespace callboard::broker {

struct Queue;
struct Worker;

enum class InstanceState : std::uint8_t {
  unplaced,  ///< waits for a worker that may hold it
  starting,  ///< START was sent
  alive,
  stopping,    ///< STOP was sent
  recovering,  ///< known from the store; its worker has not said hello yet
  dead,
};
std::string_view name_of(InstanceState state);

/// What one concurrency group of an instance may have out, and has.
struct GroupWindow {
  std::uint32_t window = 0;
  std::uint32_t out = 0;
};

/// One actor or replica in its present incarnation; or the task slot of a worker (no queue).
struct Instance {
  // stored
  std::uint64_t incarnation = 0;
  std::uint32_t restarts = 0;
  std::uint32_t replica = 0;

  // in memory only
  Queue* queue = nullptr;  ///< that it is a part of; none for a task slot
  Worker* worker = nullptr;
  Few<GroupWindow> groups;
  std::uint64_t deferred_batch = 0;  ///< its last RUN waits for this commit
  std::int64_t not_before_us = 0;    ///< backoff before the next start
  std::int64_t since_us = 0;
  std::uint32_t slot = 0;
  std::uint32_t out = 0;  ///< leases, all groups together
  std::uint32_t methods_told = 0;
  std::uint32_t failures = 0;  ///< starts in a row that ended badly
  InstanceState state = InstanceState::unplaced;
  bool recalling = false;        ///< a serial slot hands back; nothing is sent until out == 0
  bool waits_for_place = false;  ///< it is in the list of unplaced instances

  Instance() { groups.resize(1); }

  bool room(std::uint8_t group) const;
  ActorId id() const;  ///< none for a task slot
};

}  // namespace callboard::broker
