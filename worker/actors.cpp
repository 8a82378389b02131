#include "worker/actors.hpp"

#include "common/clock.hpp"
#include "common/prefetch.hpp"
#include "worker/executors/lane_threads.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

namespace callboard::worker {

namespace {

/// How long a method may take to notice that its actor is to stop at once.
constexpr std::int64_t kOverstayUs = 200'000;
/// So many jobs before its own, an executor is asked for, and then what it needs beside itself.
constexpr std::size_t kFarAhead = 16;
constexpr std::size_t kNearAhead = 8;
constexpr std::size_t kExecutorBytes = 192;  ///< what it uses for a call, about

}  // namespace

Actors::Actors(const Environment& environment, Host& host, const Registry& registry,
               std::uint32_t task_slots)
    : environment_(environment), host_(host), registry_(registry), task_slots_(task_slots) {}

Actors::~Actors() = default;

Actors::Slot* Actors::find(std::uint32_t number) {
  return slots_.find(number);
}

void Actors::Slot::reset() {
  executor.reset();
  host.reset();
  construction.reset();
  ticket = kNoSlot;
  waits = stopping = dedicated = false;
}

Actors::Slot& Actors::make_slot(std::uint32_t number, ActorId actor, std::uint64_t incarnation) {
  Slot& slot = slots_.add(number);
  slot.host = std::make_unique<SlotHost>(host_, actor, incarnation);
  return slot;
}

/// Made by the first task: a process that runs none has no threads for them.
Actors::Slot& Actors::tasks() {
  if (Slot* slot = find(0)) return *slot;
  Slot& slot = make_slot(0, {}, 0);
  slot.executor = make_task_executor(environment_, registry_, task_slots_, *slot.host);
  slot.executor->add_methods(task_names_);
  return slot;
}

// --- commands ----------------------------------------------------------------------------------

void Actors::start(const wire::Start& start) {
  const ClassEntry* entry = registry_.find(start.class_name);
  if (entry == nullptr) {
    ErrorInfo error;
    error.code = Errc::unknown_class;
    error.message = "this worker has no class " + std::string(start.class_name);
    error.place = "worker " + environment_.worker;
    return host_.started(start.slot, std::move(error));
  }
  Slot& slot = make_slot(start.slot, start.actor, start.incarnation);
  ActorSpec spec;
  spec.slot = start.slot;
  spec.actor = start.actor;
  spec.incarnation = start.incarnation;
  spec.name = start.name;
  wire::ActorOptions options = start.options;
  options.name.clear();
  options.name_space.clear();
  spec.options = options_.share(std::move(options));
  spec.host = slot.host.get();
  slot.executor = make_actor_executor(environment_, *entry, std::move(spec));
  slot.dedicated = start.options.dedicated;
  slot.construction = std::make_unique<Construction>();
  slot.construction->call = {.call = {start.actor.session, start.actor.seq},
                             .attempt = 0,
                             .actor = start.actor,
                             .incarnation = start.incarnation};
  Payload& args = slot.construction->args;
  if (start.args.part) args.part = start.args.part;
  else args.text = start.args.bytes;
  if (construct(slot)) return;
  slot.waits = true;
  constructors_waiting_.push_back(start.slot);
}

/// False when the flight recorder has no room for it, or the lease is over.
bool Actors::construct(Slot& slot) {
  RecordedCall& call = slot.construction->call;
  call.began_us = clock_now().mono_us;
  if (call.began_us >= host_.lease_until_us()) return false;
  slot.ticket = host_.recorder().begin(call);
  if (slot.ticket == kNoSlot) return false;
  slot.waits = false;
  const std::unique_ptr<Construction> construction = std::move(slot.construction);
  slot.executor->start(std::move(construction->args), slot.ticket);
  return true;
}

void Actors::add_methods(std::uint32_t number, std::span<const std::string> names) {
  if (number == 0) task_names_.insert(task_names_.end(), names.begin(), names.end());
  if (Slot* slot = find(number)) slot->executor->add_methods(names);
}

/// Asks for the memory of actors whose turn comes soon: of many actors, few are in the caches.
void Actors::submit(std::span<Job> jobs) {
  const LaneThreads::Gather gather(*environment_.threads);
  find_runs(jobs);
  const auto at = [this](std::size_t n) {
    return n < runs_.size() && runs_[n].slot != nullptr ? runs_[n].slot->executor.get() : nullptr;
  };
  for (std::size_t n = 0; n < runs_.size(); ++n) {
    prefetch_to_write(at(n + kFarAhead), kExecutorBytes);
    if (Executor* const next = at(n + kNearAhead)) next->expect();
    if (Executor* const executor = at(n)) executor->submit(runs_[n].jobs);
    else turn_away(runs_[n].jobs);
  }
}

void Actors::find_runs(std::span<Job> jobs) {
  runs_.clear();
  while (!jobs.empty()) {
    const std::uint32_t number = jobs.front().slot;
    std::size_t count = 1;
    while (count < jobs.size() && jobs[count].slot == number) ++count;
    Slot* const slot = number == 0 ? &tasks() : find(number);
    prefetch_to_read(slot, sizeof(Slot));
    runs_.push_back({slot, jobs.first(count)});
    jobs = jobs.subspan(count);
  }
}

/// Their class is unknown here, and the broker has not heard of that yet.
void Actors::turn_away(std::span<Job> jobs) {
  std::vector<Outcome> outcomes;
  for (const Job& job : jobs) outcomes.emplace_back(job, Outcome::Fate::returned);
  host_.ended(outcomes, false);
}

Revoked Actors::revoke(std::uint32_t number, std::uint64_t lease, bool running_too) {
  Slot* slot = find(number);
  return slot == nullptr ? Revoked::unknown : slot->executor->revoke(lease, running_too);
}

void Actors::go_on(std::uint32_t number, bool hand_back) {
  if (Slot* slot = find(number)) slot->executor->go_on(hand_back);
}

void Actors::stop(std::uint32_t number, bool now) {
  Slot* slot = find(number);
  if (slot == nullptr) return host_.stopped(number);
  slot->stopping = true;
  // A constructor that waits is not run any more.
  if (slot->waits) return host_.stopped(number);
  if (now && slot->dedicated && overstay_us_ == kNever) {
    overstaying_ = number;
    overstay_us_ = clock_now().mono_us + kOverstayUs;
  }
  slot->executor->stop(now);
}

void Actors::stop_all() {
  slots_.each([this](std::uint64_t number, const Slot& slot) {
    if (!slot.stopping) stop(static_cast<std::uint32_t>(number), true);
  });
}

void Actors::release(std::span<const std::uint32_t> tickets) {
  host_.release(tickets);
  // As many as find room: each of thousands that were woken for one free slot would wait again.
  const std::uint32_t used = host_.recorder().in_use();
  try_again(limits::kRecorderSlots - std::min(used, limits::kRecorderSlots));
  construct_waiting();
}

void Actors::construct_waiting() {
  while (!constructors_waiting_.empty()) {
    Slot* slot = find(constructors_waiting_.front());
    if (slot != nullptr && slot->waits && !slot->stopping && !construct(*slot)) break;
    constructors_waiting_.pop_front();
  }
}

void Actors::set_lease(std::int64_t until_us) {
  host_.set_lease(until_us);
  try_again(SIZE_MAX);
  construct_waiting();
}

void Actors::try_again(std::size_t most) {
  while (most > 0) {
    const std::optional<std::uint32_t> number = host_.next_waiting();
    if (!number) return;
    Slot* slot = find(*number);
    if (slot == nullptr) continue;
    slot->executor->try_again();
    --most;
  }
}

// --- what executors reported -------------------------------------------------------------------

std::vector<std::uint32_t> Actors::constructed(std::uint32_t number) {
  std::vector<std::uint32_t> limits;
  Slot* slot = find(number);
  if (slot == nullptr) return limits;
  const std::uint32_t ticket = std::exchange(slot->ticket, kNoSlot);
  std::vector<GroupStats> stats;
  slot->executor->stats(stats);
  for (const GroupStats& group : stats) limits.push_back(group.limit);
  if (ticket != kNoSlot) release({&ticket, 1});
  return limits;
}

void Actors::destroy(std::uint32_t number) {
  const Slot* const found = find(number);
  if (found == nullptr) return;
  const std::uint32_t ticket = found->ticket;
  slots_.erase(number);
  if (number == overstaying_) overstay_us_ = kNever;
  if (ticket != kNoSlot) release({&ticket, 1});
}

std::uint64_t Actors::queued(std::span<const std::uint32_t> numbers) {
  std::uint64_t queued = 0;
  std::vector<GroupStats> stats;
  for (const std::uint32_t number : numbers) {
    const Slot* slot = find(number);
    if (slot == nullptr) continue;
    slot->executor->stats(stats);
    for (const GroupStats& group : stats) queued += group.queued;
  }
  return queued;
}

void Actors::abandon() {
  slots_.each([](std::uint64_t, Slot& slot) {
    static_cast<void>(slot.executor.release());
    static_cast<void>(slot.host.release());
  });
}

}  // namespace callboard::worker
