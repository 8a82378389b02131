// One simulated world: a broker, its store, workers, clients, a network, and what goes wrong with
// them; built from a seed, run to its end, judged by the checkers.
//
// Thread safety: none; worlds of different threads share nothing.
#pragma once

#include "tests/sim/broker_process.hpp"
#include "tests/sim/client_process.hpp"
#include "tests/sim/context.hpp"
#include "tests/sim/observer.hpp"
#include "tests/sim/scenario.hpp"
#include "tests/sim/planner_process.hpp"
#include "tests/sim/supervisor_process.hpp"
#include "tests/sim/worker_process.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace callboard::sim {

using TraceFunction = std::function<void(std::int64_t at_us, const std::string& who,
                                         const std::string& line)>;

/// What became of one run.
struct RunResult {
  bool failed = false;
  std::string failure;
  std::uint64_t digest = 0;
  std::uint64_t records = 0;
  std::uint64_t calls = 0;
  std::int64_t virtual_us = 0;
};

class World {
 public:
  World(std::uint64_t seed, FaultClasses faults, std::uint32_t scale = 1);
  ~World();

  /// Every line of what happens, for people.
  void trace(TraceFunction function);
  RunResult run();
  const Coverage& coverage() const { return context_.coverage; }

  /// Names that must occur over many seeds when these faults are on.
  static void require_coverage(const FaultClasses& faults, Coverage& coverage);

 private:
  struct Seat {                 ///< of a worker: its name outlives its process
    std::string name;
    std::unique_ptr<WorkerProcess> worker;
    int lives = 0;
  };

  void make_targets();
  void make_actor(std::uint32_t index);
  void make_clients();
  void start_client(ClientPlan plan);
  void start_worker(std::size_t seat);
  void start_broker();

  void plan_fault();
  void do_fault();
  void network_fault();
  void store_fault();
  void worker_fault();
  void broker_fault();
  void client_fault();
  void backup_fault();
  void kill_broker();
  void kill_worker(std::size_t seat, CallId blamed);
  void exit_worker(std::size_t seat);
  DealerId random_dealer(std::string& whose);
  std::int64_t outage_us(std::int64_t max_us);
  void heal();

  bool run_until(std::int64_t until_us, const std::function<bool()>& done);
  bool quiet() const;
  void clean_up();
  void remove_schedules();
  void check_processes();
  void judge();
  void count_network();

  Context context_;
  Random random_;
  Scenario scenario_;
  std::uint32_t scale_;  ///< so many times the calls, and the time that they may take
  Observer observer_;
  std::vector<std::unique_ptr<Checker>> checkers_;
  std::unique_ptr<BrokerProcess> broker_;
  std::unique_ptr<SupervisorProcess> supervisor_;
  std::unique_ptr<PlannerProcess> planner_;  ///< in worlds with schedules
  std::vector<Seat> seats_;
  std::vector<std::unique_ptr<ClientProcess>> clients_;
  int clients_due_ = 0;  ///< successors of those that left, not started yet
  std::vector<std::unique_ptr<BrokerProcess>> dead_brokers_;  ///< timers may still name them
  std::vector<std::unique_ptr<WorkerProcess>> dead_workers_;
  std::uint64_t next_epoch_ = 1;
  bool healed_ = false;
};

}  // namespace callboard::sim
