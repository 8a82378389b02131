// Workers: how they join, and how their silence is noticed.
#include "broker/core/core.hpp"

#include <algorithm>

namespace callboard::broker {

bool Core::hello_worker(Peer& peer, const wire::Hello& hello) {
  if (hello.name.empty()) {
    reject(peer.id, Errc::invalid_option, "a worker needs a name");
    return false;
  }
  const auto found = workers_.find(hello.name);
  if (found != workers_.end() && found->second->number != hello.instance) {
    Worker& other = *found->second;
    if (other.peer != nullptr && other.peer != &peer) {
      reject(peer.id, Errc::name_taken, "a living worker has the name " + hello.name);
      return false;
    }
    if (other.peer == &peer) {
      other.peer = nullptr;
      peer.worker = nullptr;
    }
    worker_lost(other, nullptr, "another process took its name");
  }
  auto& place = workers_[hello.name];
  const bool is_new = place == nullptr;
  if (is_new) {
    place = std::make_unique<Worker>();
    place->next_lease = lease_floor_;
    place->task_slot = std::make_unique<Instance>();
    place->serial = ++worker_serials_;
    workers_by_serial_[place->serial] = place.get();
    place->task_slot->worker = place.get();
    place->task_slot->state = InstanceState::alive;
  }
  Worker& worker = *place;
  if (worker.peer != nullptr && worker.peer != &peer) {
    Peer& old = *worker.peer;
    old.worker = nullptr;
    forget_peer(old);
  }
  worker.peer = &peer;
  peer.worker = &worker;
  worker.name = hello.name;
  worker.host = hello.host;
  worker.supervisor = hello.supervisor;
  worker.pid = hello.pid;
  worker.number = hello.instance;
  worker.heard_us = listened_us_;
  worker.forget_now.clear();
  worker.forget_deferred.clear();
  for (const auto& offer : hello.classes) {
    worker.classes[offer.name] = offer;
    offers_[offer.name][worker.name] = &worker;
    if (classes_known_.try_emplace(offer.name, offer.mode).second) store_class(offer.name, &offer);
  }
  worker.tasks = hello.tasks;
  Instance& slot = *worker.task_slot;
  slot.groups.assign(1, GroupWindow{.window = hello.task_slots, .out = slot.out});
  slot.recalling = false;
  worker.leaving = false;
  for (const std::string& task : hello.tasks) {
    if (tasks_known_.try_emplace(task, true).second) store_class(task, nullptr);
    auto& runners = task_queue(task)->instances;
    if (std::find(runners.begin(), runners.end(), &slot) == runners.end()) runners.push_back(&slot);
  }
  if (is_new) {
    log(0, "worker " + worker.name + " joined from " + worker.host);
    announce_state("worker", worker.name, "joined", "host", worker.host);
  }
  return true;
}

void Core::expire_workers() {
  std::vector<Worker*> lost;
  for (auto& [name, worker] : workers_) {
    if (listened_us_ - worker->heard_us > options_.lease_ms * kMicrosPerMilli) {
      lost.push_back(worker.get());
    }
  }
  for (Worker* worker : lost) {
    worker_lost(*worker, nullptr, "it was silent for " + std::to_string(options_.lease_ms) + " ms");
  }
}

void Core::refresh_workers() {
  constexpr std::int64_t kEveryMs = 5000;
  for (auto& [name, worker] : workers_) {
    if (now_.wall_ms - worker->heartbeat_wall_ms < kEveryMs) continue;
    worker->heartbeat_wall_ms = now_.wall_ms;
    open_->set(open_->key(KeyKind::sorted_set, "workers"), name, std::to_string(now_.wall_ms));
  }
}

}  // namespace callboard::broker
