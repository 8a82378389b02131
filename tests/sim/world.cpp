#include "tests/sim/world.hpp"

#include <algorithm>
#include <utility>

namespace callboard::sim {

namespace {

constexpr std::int64_t kSecond = 1'000'000;
/// Backoffs, leases and reconnects are long over by then; what is open still hangs.
constexpr std::int64_t kQuietWithin = 150 * kSecond;
constexpr std::uint64_t kEventsMax = 3'000'000;

Scenario draw_scenario(std::uint64_t seed, FaultClasses faults, std::uint32_t scale) {
  Random random(seed ^ 0x5CE7'A210'0000'0001ull);
  Scenario scenario = Scenario::draw(random, faults);
  if (scale > 1) scenario.enlarge(random, scale);
  return scenario;
}

}  // namespace

World::World(std::uint64_t seed, FaultClasses faults, std::uint32_t scale)
    : context_(seed, draw_scenario(seed, faults, scale).network),
      random_(context_.random.fork()),
      scenario_(draw_scenario(seed, faults, scale)),
      scale_(scale),
      observer_(context_),
      checkers_(make_checkers(scenario_.dedupe_ttl_ms, !scenario_.faults.store,
                              scenario_.faults.backup)) {
  context_.history.listen([this](const Record& record) {
    context_.ledger.on(record);
    for (const auto& checker : checkers_) checker->on(record, context_.ledger, context_.verdict);
  });
}

World::~World() = default;

void World::trace(TraceFunction function) {
  context_.tracing = true;
  context_.trace = [this, function = std::move(function)](const std::string& who,
                                                          const std::string& line) {
    function(context_.schedule.now(), who, line);
  };
}

// --- who is there
// ----------------------------------------------------------------------------------

void World::make_actor(std::uint32_t index) {
  const Features& features = scenario_.features;
  TargetSpec& target = context_.specs.targets[index];
  wire::ActorOptions& options = target.options;
  target.constructor_us = random_.long_tailed(1, 20'000);
  target.constructor_throws = features.failing_constructors && random_.chance(0.3);
  options.max_concurrency = 1;
  options.mode = wire::Mode::serial;
  if (features.concurrent && random_.chance(0.5)) {
    options.max_concurrency = static_cast<std::uint32_t>(random_.between(2, 8));
    options.mode = random_.chance(0.5) ? wire::Mode::async : wire::Mode::threaded;
  }
  if (features.deployments && random_.chance(0.4)) {
    target.kind = TargetSpec::Kind::deployment;
    options.replicas = static_cast<std::uint32_t>(random_.between(1, scenario_.workers));
  }
  if (features.groups && random_.chance(0.5)) {
    options.groups = {{"g0", 1}, {"g1", static_cast<std::uint32_t>(random_.between(1, 3))}};
    options.method_groups = {{"m0", "g0"}, {"m1", "g1"}};
  }
  if (features.keys && random_.chance(0.4))
    options.ordering = wire::Ordering::key;
  else if (features.unordered && random_.chance(0.4))
    options.ordering = wire::Ordering::none;
  if (features.bounded_reject && random_.chance(0.4)) {
    options.max_pending = static_cast<std::uint64_t>(random_.between(1, 12));
  } else if (features.bounded_block && random_.chance(0.4)) {
    options.max_pending = static_cast<std::uint64_t>(random_.between(1, 12));
    options.when_full = wire::WhenFull::block;
  }
  if (features.restarts && random_.chance(0.6)) {
    options.max_restarts = static_cast<std::int32_t>(random_.between(-1, 5));
  }
  if (features.retries && random_.chance(0.4)) {
    options.max_retries = static_cast<std::int32_t>(random_.between(1, 3));
    options.retry_on.emplace();
    options.retry_on->which = wire::RetryOn::Which::all;
    options.backoff_ms = {random_.between(1, 10), random_.between(10, 60)};
  }
  if (features.memory && random_.chance(0.2)) options.durability = wire::Durability::memory;
  const bool shared = features.shared_names && random_.chance(0.6);
  if (shared || random_.chance(0.3)) {
    target.name = "actor" + std::to_string(index);
    options.get_if_exists = shared;
  }
}

void World::make_targets() {
  const auto add = [&](TargetSpec::Kind kind) {
    TargetSpec& target = context_.specs.targets.emplace_back();
    target.kind = kind;
    target.index = static_cast<std::uint32_t>(context_.specs.targets.size() - 1);
    return target.index;
  };
  for (int i = 0; i < scenario_.actors; ++i) make_actor(add(TargetSpec::Kind::actor));
  if (!scenario_.features.tasks) return;
  for (int i = 0; i < kTaskFunctions; ++i) {
    TargetSpec& target = context_.specs.targets[add(TargetSpec::Kind::task)];
    target.name = "task" + std::to_string(i);
    target.options.ordering = wire::Ordering::none;
    target.options.max_concurrency = scenario_.task_slots;
  }
}

void World::make_clients() {
  std::vector<ClientPlan> plans(static_cast<std::size_t>(scenario_.clients));
  for (TargetSpec& target : context_.specs.targets) {
    if (target.kind == TargetSpec::Kind::task) {
      for (ClientPlan& plan : plans) plan.opens.push_back(target.index);
      continue;
    }
    target.owner = static_cast<std::uint32_t>(random_.below(plans.size()));
    for (std::uint32_t i = 0; i < plans.size(); ++i) {
      // With get_if_exists any of its users may be the one that makes it.
      if (i == target.owner)
        plans[i].creates.push_back(target.index);
      else if (target.options.get_if_exists)
        plans[i].creates.push_back(target.index);
    }
  }
  for (ClientPlan& plan : plans) {
    plan.calls = scenario_.calls / scenario_.clients;
    start_client(std::move(plan));
  }
}

void World::start_client(ClientPlan plan) {
  plan.index = context_.next_client++;
  const std::string name = "client-" + std::to_string(plan.index);
  clients_.push_back(
      std::make_unique<ClientProcess>(context_, observer_, scenario_, std::move(plan), name));
}

void World::start_worker(std::size_t index) {
  Seat& seat = seats_[index];
  ++seat.lives;
  seat.worker = std::make_unique<WorkerProcess>(
      context_, observer_, seat.name, "supervisor", scenario_.task_slots, scenario_.recorder_slots,
      [this, index](CallId call) { kill_worker(index, call); },
      [this, index] { exit_worker(index); });
}

void World::start_broker() {
  BrokerSetup setup;
  setup.epoch = next_epoch_++;
  setup.epochs_in_store = scenario_.faults.backup;
  setup.store = scenario_.store;
  setup.session_grace_ms = scenario_.session_grace_ms;
  setup.result_ttl_ms = scenario_.result_ttl_ms;
  setup.dedupe_ttl_ms = scenario_.dedupe_ttl_ms;
  setup.memory_max = scenario_.memory_max;
  broker_ = std::make_unique<BrokerProcess>(context_, observer_, setup);
}

// --- the run
// ---------------------------------------------------------------------------------------

RunResult World::run() {
  make_targets();
  context_.store.keep_undo(scenario_.faults.store);
  start_broker();
  supervisor_ = std::make_unique<SupervisorProcess>(context_, observer_, "supervisor");
  seats_.resize(static_cast<std::size_t>(scenario_.workers));
  for (std::size_t i = 0; i < seats_.size(); ++i) {
    seats_[i].name = "worker-" + std::to_string(i);
    context_.schedule.at(random_.between(0, 50'000), [this, i] { start_worker(i); });
  }
  context_.schedule.at(random_.between(0, 50'000), [this] { make_clients(); });
  if (scenario_.features.schedules) {
    const Random dice(static_cast<std::uint64_t>(context_.wall_base_ms));
    planner_ = std::make_unique<PlannerProcess>(context_, observer_, dice);
  }
  plan_fault();

  run_until(scenario_.active_us, [] { return false; });
  heal();
  run_until(context_.schedule.now() + kQuietWithin * scale_, [this] { return quiet(); });
  clean_up();
  judge();

  count_network();
  observer_.flush_counts();
  RunResult result;
  result.failed = context_.verdict.failed();
  result.failure = context_.verdict.text();
  result.digest = context_.history.digest();
  result.records = context_.history.size();
  result.calls = context_.specs.calls.size();
  result.virtual_us = context_.schedule.now();
  return result;
}

void World::count_network() {
  const Network::Counts& counts = context_.network.counts();
  const auto hit = [this](const char* name, std::uint64_t times) {
    if (times > 0) context_.coverage.hit(name, times);
  };
  hit("network: frames", counts.frames);
  hit("network: frames lost", counts.frames_lost);
  hit("network: unsent frames arrived before hello", counts.frames_kept_unsent);
  hit("network: sent to a peer that is gone", counts.sent_to_void);
  hit("network: peer found gone", counts.peers_lost);
  hit("network: spikes", counts.spikes);
}

bool World::run_until(std::int64_t until_us, const std::function<bool()>& done) {
  std::uint64_t events = 0;
  while (!context_.verdict.failed() && !context_.schedule.empty() &&
         context_.schedule.next_due() <= until_us) {
    context_.schedule.run_one();
    if (++events % 64 == 0 && done()) return true;
    if (events > kEventsMax * scale_) {
      context_.verdict.fail("world", "it does not come to rest: events without end");
    }
  }
  return done();
}

bool World::quiet() const {
  if (clients_.empty() || clients_due_ > 0) return false;
  return std::all_of(clients_.begin(), clients_.end(),
                     [](const auto& client) { return client->left() || client->quiet(); }) &&
         std::all_of(seats_.begin(), seats_.end(), [](const Seat& seat) {
           return seat.worker == nullptr || seat.worker->method_calls().quiet();
         });
}

void World::clean_up() {
  if (context_.verdict.failed()) return;
  // Fire-and-forget calls have no answer to wait for.
  const auto settle = [this](std::int64_t for_us) {
    run_until(context_.schedule.now() + for_us, [] { return false; });
  };
  remove_schedules();
  settle(scenario_.features.no_results ? 20 * kSecond * scale_ : 2 * kSecond);
  for (const auto& client : clients_) client->kill_named();
  settle(8 * kSecond);
  for (const auto& client : clients_) client->leave();
  settle(4 * kSecond);
  // Sessions of processes that died say no goodbye, nor do those that were away for too long; a
  // call may take its worker down without any class of faults.
  const bool workers_died = scenario_.faults.any() || !dead_workers_.empty();
  if (scenario_.faults.client || context_.ledger.any_session_refused() ||
      (scenario_.features.inner && workers_died)) {
    settle((scenario_.session_grace_ms + scenario_.result_ttl_ms + 15'000) * 1000);
  }
  if (!scenario_.features.inner) return;
  for (const Seat& seat : seats_) {
    if (seat.worker != nullptr) seat.worker->leave();
  }
  settle(4 * kSecond);
}

void World::remove_schedules() {
  if (planner_ == nullptr) return;
  planner_->remove_all();
  if (!run_until(context_.schedule.now() + kQuietWithin, [this] { return planner_->idle(); })) {
    context_.verdict.fail("liveness", "a request about schedules has no answer");
  }
  planner_->close();
}

void World::judge() {
  if (context_.verdict.failed()) return;
  for (const auto& checker : checkers_) {
    checker->at_end(context_.ledger, context_.store, context_.verdict);
  }
  check_processes();
}

void World::check_processes() {
  for (const Seat& seat : seats_) {
    if (seat.worker == nullptr) continue;
    if (seat.worker->calls() != 0 || seat.worker->recorder_in_use() != 0) {
      context_.verdict.fail("baseline", seat.name + " still holds " +
                                            std::to_string(seat.worker->calls()) + " calls and " +
                                            std::to_string(seat.worker->recorder_in_use()) +
                                            " slots of its recorder");
    }
    if (seat.worker->actors() != 0) {
      context_.verdict.fail("baseline", seat.name + " still holds " +
                                            std::to_string(seat.worker->actors()) + " actors");
    }
  }
}

}  // namespace callboard::sim
