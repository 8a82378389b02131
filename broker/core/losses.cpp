// Workers that are lost, and what becomes of the calls and actors that they had.
#include "broker/core/core.hpp"

#include <algorithm>
#include <utility>

namespace callboard::broker {

namespace {

/// Whether a call that had begun took the process down with it.
bool is_to_blame(const Call& call, const wire::ChildDied& report) {
  if (report.signal == 0) return false;
  return report.blamed ? report.blamed == call.id() : report.begun.size() == 1;
}

}  // namespace

void Core::on_child_died(Peer& peer, const wire::ChildDied& message) {
  std::string why = "process " + std::to_string(message.pid) + " of worker " + message.worker;
  why += message.signal != 0 ? " was ended by signal " + std::to_string(message.signal)
                             : " ended with status " + std::to_string(message.exit_status);
  (void)peer;
  const auto found = workers_.find(message.worker);
  if (found != workers_.end() && found->second->number == message.instance) {
    return worker_lost(*found->second, &message, why);
  }
  settle_tasks(message.instance, &message, why);  // it may be known by what it was sent only
}

/// Calls of a lost worker: those it had begun are charged or uncertain, the others go back.
void Core::settle_leases(Worker& worker, const wire::ChildDied* report, std::string_view why) {
  std::vector<std::pair<std::uint64_t, Lease>> leases;
  worker.leases.each([&](std::uint64_t no, const Lease& lease) { leases.emplace_back(no, lease); });
  std::sort(leases.begin(), leases.end(), [](auto& a, auto& b) { return a.first > b.first; });
  for (const auto& [number, lease] : leases) {
    const std::uint64_t no = number;
    Call& call = *lease.call;
    close_lease(worker, no, lease);
    if (call.state == CallState::ended) {
      call.set_lease(0);
      key_done(call);
      drop_if_done(call);
      continue;
    }
    // From silence alone nobody can know, unless its RUN still waits for a commit.
    bool begun = report == nullptr && lease.batch <= committed_;
    bool blamed = false;
    if (report != nullptr) {
      // By its lease: an earlier attempt may be listed still, ended and not confirmed.
      begun = std::any_of(report->begun.begin(), report->begun.end(),
                          [&](const wire::HeldCall& held) { return held.lease == no; });
      blamed = begun && is_to_blame(call, *report);
    }
    lease_lost(call, {begun, report != nullptr, blamed, why, report});
  }
}

/// Tasks that an earlier broker run has sent to a process which has said since what it has begun of
/// them, with its hello, or of which its supervisor says so: all others never will begin.
void Core::settle_tasks(std::uint64_t worker, const wire::ChildDied* report, std::string_view why) {
  const auto sent = tasks_out_.extract(worker);
  if (sent.empty()) return;
  for (const CallSlab::Ref& ref : sent.mapped()) {
    Call* call = ref.get();
    if (call == nullptr || !call->orphan || call->state != CallState::leased) continue;
    settle_orphan(*call);
    // By its attempt: an earlier one may be listed still, ended and not confirmed.
    const auto is_this = [&](const wire::HeldCall& held) {
      return held.call == call->id() && held.attempt >= call->attempts;
    };
    const bool begun = report != nullptr &&
                       std::any_of(report->begun.begin(), report->begun.end(), is_this);
    const bool blamed = begun && is_to_blame(*call, *report);
    lease_lost(*call, {begun, report != nullptr, blamed, why, report});
  }
}

/// Results that were told early and that this worker keeps until they are on record. They are now:
/// the next broker run would take what the worker's successor does not hold for never begun.
void Core::record_kept_results(const Worker& worker) {
  for (const auto& unsettled : unsettled_) {
    Call* call = unsettled.call.get();
    if (call == nullptr || call->state != CallState::ended || call->taken) continue;
    if (call->lease() != 0 && call->holder == worker.serial) record_result(*call);
  }
}

void Core::worker_lost(Worker& worker, const wire::ChildDied* report, std::string_view why,
                       bool planned) {
  log(1, "worker " + worker.name + " is gone: " + std::string(why));
  ++counters_.workers_lost;
  announce_state("worker", worker.name, "gone", "why", why);
  if (worker.peer != nullptr) {
    // If it still lives it is fenced: it must say hello again and gives up what it holds.
    worker.peer->worker = nullptr;
    forget_peer(*worker.peer);
    worker.peer = nullptr;
  }
  for (const auto& [name, offer] : worker.classes) {
    const auto offers = offers_.find(name);
    offers->second.erase(worker.name);
    if (offers->second.empty()) offers_.erase(offers);
  }
  for (const std::string& task : worker.tasks) {
    task_queue(task)->instances.erase_value(worker.task_slot.get());
  }
  open_->erase(open_->key(KeyKind::sorted_set, "workers"), worker.name);

  part_with_strangers(worker);
  settle_leases(worker, report, why);
  record_kept_results(worker);
  std::vector<Instance*> held;
  worker.slots.each([&held](std::uint64_t, Instance* instance) { held.push_back(instance); });
  for (Instance* instance : held) {
    const bool moves = planned && instance->state != InstanceState::stopping &&
                       instance->queue->state != QueueState::dead;
    if (moves) {
      start_again(*instance);
    } else {
      instance_lost(*instance, why);
    }
  }
  std::erase(confirm_, &worker);
  lease_floor_ = std::max(lease_floor_, worker.next_lease);
  workers_by_serial_.erase(worker.serial);
  if (holder_ == &worker) holder_ = nullptr;
  workers_.erase(workers_.find(worker.name));
  place_waiting();
  std::vector<QueuePtr> tasks;
  queues_.each([&tasks](const QueuePtr& queue) {
    if (queue->kind == QueueKind::task) tasks.push_back(queue);
  });
  for (const auto& queue : tasks) wake(*queue);
}

void Core::lease_lost(Call& call, const Loss& loss) {
  call.set_lease(0);
  if (!loss.begun) {
    if (call.extra && !call.extra->cancels.empty()) {
      if (call.attempts > 0) --call.attempts;
      return end_with(call, Errc::cancelled, "cancelled before it began");
    }
    return put_back(call);
  }
  CallExtra& extra = call.more();
  ++(loss.blamed ? extra.crashes : extra.redeliveries);
  const std::string why(loss.why);
  if (call.max_retries == 0) {
    const bool actor = call.queue->kind == QueueKind::actor;
    return end_with(call, Errc::maybe_executed,
                    (loss.known ? "it was running when " : "it may have run: ") + why +
                        (actor ? "; the actor's state is lost" : ""));
  }
  // At most once it is not certain how far it came; here it is only not run again.
  if (!extra.cancels.empty()) return end_with(call, Errc::cancelled, "cancelled while it ran");
  Errc verdict = Errc::ok;
  std::string text;
  if (loss.blamed && extra.crashes >= options_.poison_limit) {
    verdict = Errc::poisoned;
    text = "it took down " + std::to_string(extra.crashes) + " workers; the last: " + why;
  } else if (!has_attempts(call)) {
    verdict = Errc::maybe_executed;
    text = "its " + std::to_string(call.attempts) + " attempts are spent; the last: " + why;
  }
  if (verdict != Errc::ok) {
    bury(call, verdict, text, loss.report);
    return end_with(call, verdict, text);
  }
  ++counters_.redelivered;
  retry(call, loss.blamed ? backoff_ms(call, extra.crashes) : 0);
}

}  // namespace callboard::broker
