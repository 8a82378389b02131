#include "worker/core/session.hpp"

#include <algorithm>
#include <utility>

namespace callboard::worker {

WorkerSession::WorkerSession(WorkerOffer offer, Executors& executors, const wire::Link& link)
    : offer_(std::move(offer)), executors_(executors), link_(link) {
  Slot& tasks = add_slot(0);
  tasks.shared = true;
  tasks.starting = false;
  tasks.groups.resize(1);
  tasks.group_names.resize(1);
  for (std::uint32_t i = 0; i < offer_.tasks.size(); ++i) {
    tasks.methods.push_back({i, 0});  // the broker numbers task functions as our hello lists them
  }
  executors_.add_methods(0, offer_.tasks);
  const std::uint32_t limit = offer_.task_slots;
  set_limits(0, tasks, {&limit, 1});
}

// --- the link ----------------------------------------------------------------------------------

void WorkerSession::fill_hello(wire::Hello& hello) {
  ready_ = false;
  take_back(false);
  hello.role = wire::Role::worker;
  hello.name = offer_.name;
  hello.supervisor = offer_.supervisor;
  hello.host = offer_.host;
  hello.pid = offer_.pid;
  hello.instance = offer_.instance;
  hello.task_slots = takes_tasks() ? offer_.task_slots : 0;
  hello.classes = offer_.classes;
  hello.tasks = offer_.tasks;
  slots_.each([&hello](std::uint64_t number, const auto& slot) {
    if (number == 0) return;
    hello.held_actors.push_back(
        {slot->actor, slot->incarnation, static_cast<std::uint32_t>(number)});
  });
  calls_.each([&](std::uint64_t lease, const Held& call) {
    hello.held_calls.push_back({.lease = lease,
                                .call = call.call,
                                .attempt = call.attempt,
                                .actor = call.actor,
                                .incarnation = call.incarnation,
                                .ended = call.ended});
  });
}

void WorkerSession::on_welcome(Instant, const wire::Welcome& welcome, bool new_epoch,
                               wire::LinkOut&) {
  ready_ = true;
  lease_us_ = welcome.lease_ms * kMicrosPerMilli;
  ended_leases_.clear();
  returned_leases_.clear();
  if (new_epoch) leases_seen_.clear();
  revoked_ahead_.clear();  // their RUNs were given up with the hello
  calls_.each([&](std::uint64_t lease, const Held& call) {
    leases_seen_.insert(lease);
    if (call.ended) (call.taken_back ? returned_leases_ : ended_leases_).push_back(lease);
  });
  std::sort(ended_leases_.begin(), ended_leases_.end());
  std::sort(returned_leases_.begin(), returned_leases_.end());
  slots_.each([this](std::uint64_t number, const auto& slot) {
    if (number != 0) slot->methods.clear();  // the broker tells its table anew
    for (Group& group : slot->groups) {
      group.told = UINT32_MAX;
      group.prefetch.reconnected();
    }
    windows_changed_.push_back(static_cast<std::uint32_t>(number));
  });
}

bool WorkerSession::on_message(Instant now, std::uint64_t type, std::uint32_t fields,
                               wire::FrameReader& in, wire::LinkOut& out) {
  if (!ready_) return in.skip_fields(fields);  // meant for what our hello has given up
  switch (static_cast<wire::Type>(type)) {
    case wire::Type::run: return on_runs(now, fields, in);
    case wire::Type::forget: return on_forget(fields, in);
    case wire::Type::start: return on_start(fields, in);
    case wire::Type::stop: return on_stop(fields, in);
    case wire::Type::method_table: return on_method_table(fields, in);
    case wire::Type::revoke: return on_revoke(fields, in, out);
    case wire::Type::go_on: return on_go_on(fields, in);
    default: return in.skip_fields(fields);
  }
}

void WorkerSession::on_tick(Instant now, bool ready, wire::LinkOut& out) {
  submit_jobs();
  count_arrivals(now);
  if (ready) {
    renew_lease();
    adapt_windows(now);
    tell(out);
  }
  if (!tickets_.empty()) executors_.release(tickets_);
  tickets_.clear();
}

std::int64_t WorkerSession::next_deadline_us() const { return watch_due_us_; }

void WorkerSession::on_disconnected(Instant) { ready_ = false; }

void WorkerSession::on_session_unknown(Instant, bool) {}  // the client side begins a new one

void WorkerSession::on_ended(Instant, const wire::Goodbye&) {
  ready_ = false;
  ended_ = true;
  take_back(false);
}

void WorkerSession::renew_lease() {
  // Renewed in steps, so that executors need not be told every turn.
  constexpr std::int64_t kStepUs = 10'000;
  const std::int64_t until_us = link_.answered_us() + lease_us_;
  if (until_us < lease_until_us_ + kStepUs) return;
  lease_until_us_ = until_us;
  executors_.set_lease(until_us);
}

// --- slots -------------------------------------------------------------------------------------

WorkerSession::Slot& WorkerSession::add_slot(std::uint32_t number) {
  std::unique_ptr<Slot>& slot = slots_.add(number);
  slot = std::make_unique<Slot>();
  return *slot;
}

void WorkerSession::erase_slot(std::uint32_t number) {
  cached_slot_ = nullptr;
  std::unique_ptr<Slot>& found = *slots_.find(number);
  Slot& slot = *found;
  if (slot.dedicated && --dedicated_ == 0) windows_changed_.push_back(0);
  drop_limits(slot);
  slot.gone = true;
  if (slot.watched) watched_.remove(number);
  if (slot.active) gone_.push_back(std::move(found));
  slots_.erase(number);
  limits_changed_ = true;
}

std::vector<std::uint32_t> WorkerSession::busy_slots() {
  std::vector<std::uint32_t> busy;
  calls_.each([&busy](std::uint64_t, const Held& call) {
    if (!call.ended) busy.push_back(call.slot);
  });
  std::sort(busy.begin(), busy.end());
  busy.erase(std::unique(busy.begin(), busy.end()), busy.end());
  return busy;
}

std::string_view WorkerSession::name_of_slot(std::uint32_t number) {
  const Slot* const slot = find_slot(number);
  return slot == nullptr ? std::string_view() : slot->name;
}

bool WorkerSession::on_start(std::uint32_t fields, wire::FrameReader& in) {
  wire::Start start;
  std::string problem;
  if (!wire::read(in, fields, start, problem)) return false;
  if (start.slot == 0 || slots_.contains(start.slot)) return true;  // said twice
  Slot& slot = add_slot(start.slot);
  slot.actor = start.actor;
  slot.incarnation = start.incarnation;
  slot.name = start.name;
  slot.shared = start.options.replicas > 0;
  if (start.options.dedicated) {
    slot.dedicated = true;
    ++dedicated_;
    windows_changed_.push_back(0);
    const Where tasks{.slot = 0};
    take_back(true, &tasks);  // who kills the actor's process must not hit them
  }
  slot.groups.resize(1 + start.options.groups.size());
  slot.group_names.emplace_back();
  for (const auto& [name, limit] : start.options.groups) slot.group_names.push_back(name);
  slot.method_groups.assign(start.options.method_groups.begin(),
                            start.options.method_groups.end());
  if (problem.empty() && !draining_) {
    executors_.start(start);
    return true;
  }
  slot.failed = true;
  const Errc code = draining_ ? Errc::stopping : Errc::invalid_option;
  if (draining_) problem = "it is stopping";
  started_slots_.push_back({start.slot, code, encoded_error(code, std::move(problem))});
  stopped(start.slot);
  return true;
}

void WorkerSession::started(std::uint32_t number, const ErrorInfo& error,
                            std::span<const std::uint32_t> limits) {
  Slot* slot = find_slot(number);
  if (slot == nullptr || number == 0 || !slot->starting) return;
  slot->starting = false;
  const bool good = error.code == Errc::ok;
  started_slots_.push_back({number, error.code, good ? std::string() : wire::encode(error)});
  if (good) return set_limits(number, *slot, limits);
  slot->failed = true;
  if (!slot->stopping) executors_.stop(number, true);
}

bool WorkerSession::on_stop(std::uint32_t fields, wire::FrameReader& in) {
  wire::Stop stop;
  if (!wire::read(in, fields, stop)) return false;
  Slot* slot = find_slot(stop.slot);
  if (stop.slot == 0) return true;
  if (slot == nullptr) {
    stopped_slots_.push_back(stop.slot);  // it is not here, so it has stopped
    return true;
  }
  submit_jobs();
  slot->stopping = true;
  executors_.stop(stop.slot, stop.now);
  return true;
}

void WorkerSession::stopped(std::uint32_t number) {
  if (number == 0 || find_slot(number) == nullptr) return;
  // Also after a constructor that failed: a broker to which a hello listed the actor while it was
  // still starting takes it for alive.
  stopped_slots_.push_back(number);
  erase_slot(number);
}

bool WorkerSession::on_method_table(std::uint32_t fields, wire::FrameReader& in) {
  wire::MethodTable table;
  if (!wire::read(in, fields, table)) return false;
  Slot* slot = find_slot(table.slot);
  if (slot == nullptr) return true;
  std::vector<std::string> unknown;
  for (std::string& name : table.names) {
    std::uint8_t group = 0;
    const auto& groups = slot->method_groups;
    const auto named = std::find_if(groups.begin(), groups.end(),
                                    [&name](const auto& each) { return each.first == name; });
    if (named != groups.end()) {
      const auto& names = slot->group_names;
      const auto found = std::find(names.begin() + 1, names.end(), named->second);
      if (found != names.end()) group = static_cast<std::uint8_t>(found - names.begin());
    }
    auto& known = slot->known_methods;
    const auto method = std::find(known.begin(), known.end(), name);
    slot->methods.push_back({static_cast<std::uint32_t>(method - known.begin()), group});
    if (method != known.end()) continue;
    known.push_back(name);
    unknown.push_back(std::move(name));
  }
  if (!unknown.empty()) executors_.add_methods(table.slot, unknown);
  return true;
}

bool WorkerSession::on_go_on(std::uint32_t fields, wire::FrameReader& in) {
  wire::GoOn message;
  if (!wire::read(in, fields, message)) return false;
  Slot* slot = find_slot(message.slot);
  if (slot == nullptr || slot->held == 0) return true;
  submit_jobs();
  --slot->held;
  executors_.go_on(message.slot, message.hand_back);
  return true;
}

void WorkerSession::release_lanes() {
  // A lane that waits for an answer about a result which is confirmed waits for one that was lost
  // with its connection or its broker: nobody else will answer.
  std::unordered_map<std::uint32_t, std::uint32_t> waiting;
  calls_.each([&](std::uint64_t, const Held& call) {
    if (call.held) ++waiting[call.slot];
  });
  slots_.each([&](std::uint64_t at, const auto& slot) {
    const auto number = static_cast<std::uint32_t>(at);
    for (const std::uint32_t open = waiting[number]; slot->held > open; --slot->held) {
      submit_jobs();
      executors_.go_on(number, true);  // the failed call comes again, before what waits here
    }
  });
}

std::string WorkerSession::encoded_error(Errc code, std::string message) const {
  ErrorInfo error;
  error.code = code;
  error.message = std::move(message);
  error.place = "worker " + offer_.name;
  return wire::encode(error);
}

}  // namespace callboard::worker
