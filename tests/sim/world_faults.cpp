// What goes wrong in a world, and how it heals.
#include "tests/sim/world.hpp"

#include <algorithm>
#include <utility>

namespace callboard::sim {

namespace {

constexpr std::int64_t kMilli = 1'000;

}  // namespace

std::int64_t World::outage_us(std::int64_t max_us) {
  // Half of them are blips, the others may outlast a lease.
  return random_.chance(0.5) ? random_.long_tailed(100, 50 * kMilli)
                             : random_.between(50 * kMilli, max_us);
}

void World::plan_fault() {
  if (!scenario_.faults.any()) return;
  context_.schedule.after(random_.between(0, 2 * scenario_.fault_gap_us), [this] {
    if (healed_) return;
    do_fault();
    plan_fault();
  });
}

void World::do_fault() {
  std::vector<void (World::*)()> kinds;
  if (scenario_.faults.network) kinds.push_back(&World::network_fault);
  if (scenario_.faults.store) kinds.push_back(&World::store_fault);
  if (scenario_.faults.worker) kinds.push_back(&World::worker_fault);
  if (scenario_.faults.broker) kinds.push_back(&World::broker_fault);
  if (scenario_.faults.client) kinds.push_back(&World::client_fault);
  if (scenario_.faults.backup) kinds.push_back(&World::backup_fault);
  (this->*random_.pick(kinds))();
}

DealerId World::random_dealer(std::string& whose) {
  std::vector<const LinkProcess*> processes{supervisor_.get()};
  for (int weight = 0; weight < 2; ++weight) {
    for (const Seat& seat : seats_) {
      if (seat.worker != nullptr) processes.push_back(seat.worker.get());
    }
    for (const auto& client : clients_) {
      if (!client->left()) processes.push_back(client.get());
    }
  }
  const LinkProcess* chosen = random_.pick(processes);
  whose = chosen->process().name();
  return chosen->dealer();
}

void World::network_fault() {
  std::string whose;
  const DealerId dealer = random_dealer(whose);
  const std::int64_t outage = outage_us(7'000 * kMilli);
  const std::string text = whose + " for " + std::to_string(outage) + " us";
  switch (random_.below(5)) {
    case 0:
    case 1:
      context_.fault("connection cut", text);
      return context_.network.cut(dealer, outage);
    case 2:
      context_.fault("stall to the broker", text);
      return context_.network.block(dealer, Direction::to_broker, outage);
    case 3:
      context_.fault("stall from the broker", text);
      return context_.network.block(dealer, Direction::from_broker, outage);
    default:
      context_.fault("partition", text);
      context_.network.block(dealer, Direction::to_broker, outage);
      return context_.network.block(dealer, Direction::from_broker, outage);
  }
}

void World::store_fault() {
  if (broker_ == nullptr) return;
  switch (random_.below(4)) {
    case 0: return broker_->stall_store(outage_us(3'000 * kMilli));
    case 1: return broker_->fill_store(outage_us(2'000 * kMilli));
    case 2: return broker_->cut_power(outage_us(4'000 * kMilli));
    default: return broker_->lose_store(outage_us(4'000 * kMilli));
  }
}

void World::backup_fault() {
  if (broker_ == nullptr) return;
  if (!context_.store.has_backup() || random_.chance(0.6)) return context_.store.back_up();
  const bool survives = random_.chance(0.5);
  broker_->take_store_back(outage_us(2'000 * kMilli));
  if (!survives) kill_broker();
}

void World::worker_fault() {
  Seat& seat = seats_[random_.below(seats_.size())];
  if (seat.worker == nullptr) return;
  if (random_.chance(0.4)) {
    const std::int64_t outage = outage_us(6'000 * kMilli);
    context_.fault("worker frozen", seat.name + " for " + std::to_string(outage) + " us");
    return seat.worker->process().freeze(outage);
  }
  kill_worker(static_cast<std::size_t>(&seat - seats_.data()), CallId());
}

void World::kill_worker(std::size_t index, CallId blamed) {
  Seat& seat = seats_[index];
  if (seat.worker == nullptr) return;
  const bool reported = random_.chance(0.75);
  context_.fault(blamed ? "worker crashed in a call" : "worker killed",
                 seat.name + (reported ? ", its supervisor reports it" : ", nobody reports it"));
  const WorkerRemains remains = seat.worker->remains();
  seat.worker->die();
  dead_workers_.push_back(std::move(seat.worker));
  if (reported) {
    const CallId named = blamed && random_.chance(0.7) ? blamed : CallId();
    const int signal = blamed ? 11 : 9;
    context_.schedule.after(random_.between(1, 30 * kMilli), [this, remains, signal, named] {
      supervisor_->report(remains, signal, named);
    });
  }
  context_.schedule.after(random_.between(5 * kMilli, 3'000 * kMilli),
                          [this, index] { start_worker(index); });
}

/// The broker refused it (its name still belongs to the process before it), so it ended; its
/// supervisor starts it again after a pause.
void World::exit_worker(std::size_t index) {
  Seat& seat = seats_[index];
  if (seat.worker == nullptr) return;
  context_.coverage.hit("situation: worker sent away and started again");
  seat.worker->die();
  dead_workers_.push_back(std::move(seat.worker));
  context_.schedule.after(random_.between(50 * kMilli, 500 * kMilli),
                          [this, index] { start_worker(index); });
}

void World::broker_fault() {
  if (broker_ == nullptr) return;
  if (random_.chance(0.4)) {
    const std::int64_t outage = outage_us(6'000 * kMilli);
    context_.fault("broker frozen", "for " + std::to_string(outage) + " us");
    return broker_->process().freeze(outage);
  }
  kill_broker();
}

void World::kill_broker() {
  context_.fault("broker killed", broker_->process().name());
  broker_->die();
  dead_brokers_.push_back(std::move(broker_));
  context_.schedule.after(outage_us(5'000 * kMilli), [this] {
    if (broker_ == nullptr) start_broker();
  });
}

void World::client_fault() {
  if (clients_.empty()) return;
  ClientProcess& client = *clients_[random_.below(clients_.size())];
  if (client.left()) return;
  const std::string& name = client.process().name();
  const double dice = random_.unit();
  if (dice < 0.5) {
    const std::int64_t outage = outage_us(6'000 * kMilli);
    context_.fault("client frozen", name + " for " + std::to_string(outage) + " us");
    return client.process().freeze(outage);
  }
  // Another client takes up its work, with its named actors but not those that it owned.
  ClientPlan successor = client.successor();
  if (dice < 0.75) {
    context_.fault("client killed", name);
    client.die();
  } else {
    context_.fault("client leaves", name);
    client.leave();
  }
  ++clients_due_;
  context_.schedule.after(random_.between(1 * kMilli, 500 * kMilli), [this, successor] {
    --clients_due_;
    start_client(successor);
  });
}

void World::heal() {
  healed_ = true;
  Record record;
  record.what = What::healed;
  context_.note("world", std::move(record));
  if (broker_ == nullptr) start_broker();
  broker_->heal();
  for (Seat& seat : seats_) {
    if (seat.worker != nullptr) seat.worker->process().thaw();
  }
  for (const auto& client : clients_) client->process().thaw();
  context_.network.heal();
}

void World::require_coverage(const FaultClasses& faults, Coverage& coverage) {
  const auto need = [&](bool when, std::initializer_list<const char*> names) {
    for (const char* name : names) {
      if (when) coverage.require(name);
    }
  };
  need(true, {"outcome: ok", "outcome: task_error", "outcome: expired", "outcome: cancelled",
              "outcome: dependency_failed", "outcome: actor_died", "outcome: constructor_failed",
              "refused: queue_full", "refused: refused_before", "situation: another attempt",
              "situation: lane held after an error", "situation: lane handed back",
              "situation: call returned", "situation: parked", "situation: unparked",
              "situation: waiting calls are read back",
              "situation: refused by the client itself",
              "situation: nothing begins, the recorder is full",
              "cancel: cancelled_before_start", "cancel: cancelled_between_attempts",
              "cancel: stopping", "cancel: too_late", "message: forget", "message: go_on",
              "message: revoke", "message: room", "message: taken", "message: window"});
  need(faults.network, {"fault: connection cut", "fault: stall to the broker",
                        "fault: stall from the broker", "fault: partition", "message: who",
                        "outcome: maybe_executed", "situation: submit came again",
                        "situation: session resumed", "situation: link connects again",
                        "situation: worker came back with calls",
                        "situation: worker came back with actors",
                        "situation: nothing begins, the lease is over",
                        "network: frames lost", "network: unsent frames arrived before hello",
                        "network: sent to a peer that is gone", "network: peer found gone"});
  need(faults.store, {"fault: store connection lost", "fault: store stalled", "fault: store full",
                      "fault: store lost its power", "store: commits undone by a power cut",
                      "store: lost answer, commit was applied", "store: late commit was fenced",
                      "store: lost commit is written again", "refused: store_full"});
  need(faults.worker, {"fault: worker frozen", "fault: worker killed",
                       "fault: worker crashed in a call", "message: child_died"});
  need(faults.broker, {"fault: broker killed", "fault: broker frozen", "broker: loaded entries",
                       "store: commit of a dead broker was applied"});
  need(faults.backup, {"fault: store went back", "store: commits gone with an older copy",
                       "situation: a new timeline begins", "situation: a witness is met",
                       "outcome: lost"});
  need(faults.client, {"fault: client killed", "fault: client leaves", "fault: client frozen"});
}

}  // namespace callboard::sim
