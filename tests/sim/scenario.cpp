#include "tests/sim/scenario.hpp"

namespace callboard::sim {

bool FaultClasses::parse(std::string_view text, FaultClasses& classes) {
  classes = {};
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view word = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    const bool all = word == "all";
    if (!all && word != "network" && word != "store" && word != "worker" && word != "broker" &&
        word != "client" && word != "backup" && word != "none") {
      return false;
    }
    classes.network |= all || word == "network";
    classes.store |= all || word == "store";
    classes.worker |= all || word == "worker";
    classes.broker |= all || word == "broker";
    classes.client |= all || word == "client";
    classes.backup |= word == "backup";
  }
  return true;
}

namespace {

Features draw_features(Random& random, const FaultClasses& faults) {
  Features f;
  const double p = random.pick<double>({0.2, 0.4, 0.7});
  f.tasks = random.chance(0.5);
  f.deployments = random.chance(p);
  f.concurrent = random.chance(0.5);
  f.groups = random.chance(p / 2);
  f.keys = random.chance(p / 2);
  f.unordered = random.chance(p / 2);
  f.references = random.chance(p);
  f.errors = random.chance(p);
  f.retries = random.chance(0.5);
  f.restarts = random.chance(0.5);
  f.deadlines = random.chance(p / 2);
  f.cancels = random.chance(p / 2);
  f.kills = random.chance(p / 3);
  f.memory = random.chance(p / 2);
  f.no_results = random.chance(p / 2);
  f.bounded_reject = random.chance(p / 2);
  f.bounded_block = random.chance(p / 2);
  f.shared_names = random.chance(0.5);
  f.failing_constructors = random.chance(0.1);
  f.long_calls = random.chance(0.15);
  f.early_releases = random.chance(p / 3);
  f.poison = faults.worker && random.chance(0.2);
  f.delays = random.chance(p / 2);
  f.once = random.chance(p / 2);
  f.priorities = random.chance(p / 3);
  f.inner = random.chance(p / 2);
  return f;
}

}  // namespace

Scenario Scenario::draw(Random& random, FaultClasses faults) {
  Scenario s;
  s.features = draw_features(random, faults);
  s.faults.network = faults.network && random.chance(0.7);
  s.faults.store = faults.store && random.chance(0.5);
  s.faults.worker = faults.worker && random.chance(0.6);
  s.faults.broker = faults.broker && random.chance(0.5);
  s.faults.client = faults.client && random.chance(0.4);
  s.faults.backup = faults.backup;
  s.clients = static_cast<int>(random.between(1, 4));
  s.workers = static_cast<int>(random.between(1, 4));
  s.actors = static_cast<int>(random.between(1, 6));
  s.task_slots = static_cast<std::uint32_t>(random.between(1, 4));
  s.recorder_slots = random.chance(0.3) ? static_cast<std::uint32_t>(random.between(2, 12)) : 512;
  // Methods that wait hold their slots; too few could make them wait for each other.
  if (s.features.inner) s.recorder_slots = 4096;
  // A call that waits at the head of a lane for a result could close a circle of blocking waits.
  if (s.features.inner) s.features.references = false;
  s.calls = static_cast<int>(random.long_tailed(60, 1200));
  s.active_us = random.long_tailed(300'000, 12'000'000);
  s.fault_gap_us = random.long_tailed(20'000, 2'000'000);
  s.burst_max = static_cast<int>(random.long_tailed(1, 60));
  s.in_flight_max = random.chance(0.4) ? static_cast<int>(random.between(1, 30)) : 0;
  s.network.latency_us_max = random.long_tailed(100, 20'000);
  s.network.spike_chance = random.chance(0.5) ? 0.01 : 0.0;
  s.network.spike_us_max = random.long_tailed(1'000, 400'000);
  s.store.latency_us_max = random.long_tailed(100, 20'000);
  s.session_grace_ms = random.chance(0.5) ? 30'000 : 12'000;
  s.result_ttl_ms = 15'000;
  s.dedupe_ttl_ms = random.pick<std::int64_t>({100, 1'000, 60'000});
  Random dice = random;  // a copy: the rest of the history is what it would be without
  if (dice.chance(0.5)) s.memory_max = dice.pick<std::uint64_t>({1, 1, 2'000, 20'000});
  s.features.schedules = dice.chance(0.3);
  return s;
}

void Scenario::enlarge(Random& random, std::uint32_t scale) {
  calls *= static_cast<int>(scale);
  if (random.chance(0.5)) active_us *= scale;
}

}  // namespace callboard::sim
