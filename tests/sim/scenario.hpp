// The shape of one run, drawn from its seed: how many of what, which features, which faults.
//
// Each seed switches features on and off at random (swarm testing): a run that does a few things
// often finds what a run that does everything at times never meets. Thread safety: none.
#pragma once

#include "tests/sim/broker_process.hpp"
#include "tests/sim/network.hpp"
#include "tests/sim/random.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace callboard::sim {

/// Classes of faults that may be switched on.
struct FaultClasses {
  bool network = false;
  bool store = false;
  bool worker = false;
  bool broker = false;
  bool client = false;
  bool backup = false;  ///< the store is replaced by an older copy; not part of "all"

  /// From "network,store"; "all" and "none" are words too. False for an unknown word.
  static bool parse(std::string_view text, FaultClasses& classes);
  bool any() const { return network || store || worker || broker || client || backup; }
};

/// What the calls of one run use.
struct Features {
  bool tasks = false;
  bool deployments = false;
  bool concurrent = false;     ///< actors with max_concurrency > 1
  bool groups = false;
  bool keys = false;
  bool unordered = false;
  bool references = false;
  bool errors = false;
  bool retries = false;
  bool restarts = false;
  bool deadlines = false;
  bool cancels = false;
  bool kills = false;
  bool memory = false;
  bool no_results = false;
  bool bounded_reject = false;
  bool bounded_block = false;
  bool shared_names = false;   ///< clients use each other's actors
  bool failing_constructors = false;
  bool long_calls = false;
  bool early_releases = false; ///< futures dropped before their result came
  bool poison = false;         ///< calls that kill their worker
  bool delays = false;
  bool once = false;           ///< idempotency keys
  bool priorities = false;
  bool inner = false;          ///< methods make calls
  bool schedules = false;      ///< calls that the broker makes every second
};

struct Scenario {
  NetworkShape network;
  StoreShape store;
  Features features;
  FaultClasses faults;
  int clients = 1;
  int workers = 1;
  int actors = 1;
  std::uint32_t task_slots = 1;
  std::uint32_t recorder_slots = 64;
  int calls = 0;                        ///< of all clients together
  std::int64_t active_us = 0;           ///< calls are made and faults happen until then
  std::int64_t fault_gap_us = 0;        ///< mean time between two faults
  int burst_max = 1;                    ///< calls that a client makes at one moment
  int in_flight_max = 0;                ///< of one client; 0: no bound
  std::int64_t session_grace_ms = 0;
  std::int64_t result_ttl_ms = 0;
  std::int64_t dedupe_ttl_ms = 0;
  std::uint64_t memory_max = 0;         ///< of calls in the broker; 0: no limit

  static Scenario draw(Random& random, FaultClasses faults);
  /// So many times as many calls: closer together, or over a longer time.
  void enlarge(Random& random, std::uint32_t scale);
};

}  // namespace callboard::sim
