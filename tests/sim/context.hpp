// What all parts of one simulated world share.
//
// Thread safety: none.
#pragma once

#include "tests/sim/checker.hpp"
#include "tests/sim/coverage.hpp"
#include "tests/sim/history.hpp"
#include "tests/sim/network.hpp"
#include "tests/sim/process.hpp"
#include "tests/sim/random.hpp"
#include "tests/sim/schedule.hpp"
#include "tests/sim/spec.hpp"
#include "tests/sim/store_model.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

namespace callboard::sim {

struct Context {
  Context(std::uint64_t seed, NetworkShape shape)
      : random(seed), network(schedule, random.fork(), shape), ledger(specs),
        wall_base_ms(random_minute(random)) {}

  Random random;
  Schedule schedule;
  History history;
  Coverage coverage;
  Specs specs;
  Network network;
  StoreModel store;
  Ledger ledger;
  Verdict verdict;
  bool tracing = false;  ///< lines are wanted
  std::function<void(const std::string& who, const std::string& line)> trace;
  std::uint32_t next_process = 1;
  std::uint32_t next_client = 0;  ///< who makes calls: a client process, or a worker's methods
  std::uint64_t next_execution = 1;
  std::int64_t wall_base_ms;

  ProcessId new_process() { return static_cast<ProcessId>(next_process++); }

  /// Wall clocks begin at any moment of a minute, often in its last seconds: what is kept by the
  /// minute is kept for the shortest time then.
  static std::int64_t random_minute(Random& random) {
    constexpr std::int64_t kMinute = 28'333'334ll * 60'000;
    return kMinute - (random.chance(0.5) ? random.between(0, 3'000) : random.between(0, 60'000));
  }
  /// Something was observed.
  void note(const std::string& who, Record record) {
    record.at_us = schedule.now();
    if (tracing) trace(who, describe(record));
    history.add(std::move(record));
  }
  /// A fault of the class `name` happens, to whom `text` says.
  void fault(const std::string& name, const std::string& text) {
    coverage.hit("fault: " + name);
    Record record;
    record.what = What::fault;
    record.text = name + " " + text;
    note("world", std::move(record));
  }
  /// For people only.
  void say(const std::string& who, const std::string& line) {
    if (tracing) trace(who, line);
  }
  /// Steady clocks begin anywhere; wall clocks are kept in step, within kWallSkewMs.
  ClockOffsets random_clocks() {
    return {random.between(0, 1'000'000'000), wall_base_ms + random.between(0, kWallSkewMs)};
  }
};

}  // namespace callboard::sim
