// Workers, the instances (incarnations of actors, task slots) that they hold, and leases.
#pragma once

#include "broker/core/instance.hpp"
#include "broker/core/queue.hpp"
#include "broker/core/session.hpp"
#include "common/messages.hpp"
#include "common/seq_table.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace callboard::broker {

inline constexpr std::uint64_t kNeverLeft = UINT64_MAX;

/// Permission that a worker holds to run one call. Stays until the worker answered.
struct Lease {
  Call* call = nullptr;  ///< none once the call has ended for another reason
  Instance* instance = nullptr;
  std::uint8_t group = 0;
  std::uint64_t batch = 0;  ///< its RUN leaves when this is committed; or kNeverLeft
  explicit operator bool() const { return instance != nullptr; }
};

struct Stranger {
  CallId call;
  ActorId actor;
};

struct Worker {
  std::string name;
  std::string host;
  std::string supervisor;
  std::uint64_t pid = 0;
  std::uint64_t number = 0;  ///< its random instance number
  std::uint32_t serial = 0;  ///< given by this broker run, never reused
  Peer* peer = nullptr;
  std::int64_t heard_us = 0;  ///< by Core::listened_us_
  std::int64_t heartbeat_wall_ms = 0;  ///< what the store says
  std::map<std::string, wire::ClassOffer, std::less<>> classes;
  std::vector<std::string> tasks;
  std::unique_ptr<Instance> task_slot;
  SeqTable<Instance*> slots;
  std::uint32_t next_slot = 1;
  const Instance* told_of = nullptr;  ///< whose call it said last that it has ended; may be gone
  std::uint32_t takes_turns = 0;      ///< it tells of several in turn: for so many results still
  std::uint64_t next_lease = 1;
  SeqMap<Lease> leases;
  /// What its last hello listed as begun and is not leased to it, by lease: calls of level memory
  /// of a broker run that is gone, and calls whose end was decided while they ran. Their actors are
  /// still busy with them.
  std::map<std::uint64_t, Stranger> strangers;
  /// Leases that its last hello listed and that are heard of, but not on record: told again, they
  /// change nothing, and the worker keeps them.
  std::set<std::uint64_t> kept;
  std::vector<std::uint64_t> forget_now;       ///< leases to confirm with the next frame
  std::int64_t forget_due_us = 0;              ///< ... or by then
  std::vector<std::uint64_t> forget_deferred;  ///< ... with the open batch
  bool settling = false;    ///< its hello is being compared; nothing is sent meanwhile
  bool confirming = false;  ///< it is in the list of workers with leases to forget
  std::string status;       ///< last status report, encoded map
  std::int64_t status_wall_ms = 0;  ///< when it came
  std::uint32_t actors = 0;
  bool dedicated = false;  ///< holds a dedicated actor and takes no other
  bool leaving = false;    ///< ends on purpose and takes no actor any more

  /// The actor in a slot, or null.
  Instance* at_slot(std::uint32_t slot) {
    Instance** const found = slots.find(slot);
    return found == nullptr ? nullptr : *found;
  }
  void set_slot(std::uint32_t slot, Instance& instance) {
    Instance** const found = slots.find(slot);
    (found == nullptr ? slots.add(slot) : *found) = &instance;
  }
};

inline bool Instance::room(std::uint8_t group) const {
  return state == InstanceState::alive && !recalling && !worker->settling &&
         group < groups.size() && groups[group].out < groups[group].window;
}

}  // namespace callboard::broker
