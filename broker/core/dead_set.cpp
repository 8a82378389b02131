// The dead set: calls whose attempts are spent or that took down too many workers.
//
// Kept per queue with what is needed to understand them and to run them again; bounded in number,
// bytes and age, the oldest go first. A redriven call is a new call that names the old one.
#include "broker/core/core.hpp"
#include "broker/core/records.hpp"

#include <algorithm>
#include <utility>

namespace callboard::broker {

namespace {

constexpr std::string_view kRedriveHeader = "callboard-redrive-of";

/// Keeps the oldest in front, in whatever order the store gives them back.
void add(DeadSet& set, DeadCall dead) {
  set.bytes += dead.bytes();
  const auto at = std::upper_bound(
      set.calls.begin(), set.calls.end(), dead,
      [](const DeadCall& a, const DeadCall& b) { return a.died_wall_ms < b.died_wall_ms; });
  set.calls.insert(at, std::move(dead));
}

}  // namespace

std::string with_header(std::string_view headers, std::string_view name, std::string_view value) {
  std::vector<std::pair<std::string_view, std::string_view>> all;
  wire::Reader in(headers);
  std::uint32_t n = 0;
  if (!headers.empty() && in.map(n)) {
    for (; n > 0; --n) {
      std::string_view key, text;
      if (!in.str(key) || !in.str(text)) break;
      if (key != name) all.emplace_back(key, text);
    }
  }
  all.emplace_back(name, value);
  std::string out;
  wire::Writer w(out);
  w.map(all.size());
  for (const auto& [key, text] : all) {
    w.str(key);
    w.str(text);
  }
  return out;
}

std::string Core::dead_key(std::string_view queue) { return queue_key(queue, ":dead"); }

void Core::bury(const Call& call, Errc code, std::string_view message,
                const wire::ChildDied* report) {
  if (call.stub) return;  // nobody here knows its arguments
  DeadCall dead;
  dead.id = call.id();
  dead.number = call.number;
  dead.died_wall_ms = now_.wall_ms;
  const Queue& queue = *call.queue;
  if (call.method < queue.methods->names.size()) dead.method = queue.methods->names[call.method];
  wire::CallOptions options;
  std::string problem;
  wire::Reader in(call.options());
  if (call.options_bytes > 0) (void)wire::read(in, options, problem);
  if (options.refs.empty()) {
    dead.args = call.value();
  } else {
    splice(call, dead.args);  // the results that it took may be gone when it runs again
  }
  options.refs.clear();
  options.after.clear();
  options.parent = {};
  options.deadline_ms.reset();
  options.delay_ms.reset();
  options.at_ms.reset();
  options.idempotency_key.clear();
  wire::Writer out(dead.options);
  wire::write(out, options);
  dead.code = code;
  dead.message = message;
  dead.attempts = call.attempts;
  if (call.extra) {
    dead.crashes = call.extra->crashes;
    dead.errors = call.extra->errors;
    dead.redeliveries = call.extra->redeliveries;
  }
  if (report != nullptr) {
    dead.worker = report->worker;
    dead.signal = report->signal;
    dead.exit_status = report->exit_status;
    dead.stderr_tail = report->stderr_tail;
  }
  dead.durable = call.durable;
  if (dead.durable) {
    open_->set(open_->key(KeyKind::hash, dead_key(queue.name())), to_string(dead.id),
               dead_record(dead));
  }
  log(1, "call " + to_string(dead.id) + " of " + queue.name() +
             " went to the dead set: " + dead.message);
  ++counters_.buried;
  DeadSet& set = dead_[queue.name()];
  add(set, std::move(dead));
  trim_dead(queue.name(), set);
}

void Core::remove_dead(const std::string& queue, DeadSet& set, std::size_t index) {
  const DeadCall& dead = set.calls[index];
  if (dead.durable) {
    open_->erase(open_->key(KeyKind::hash, dead_key(queue)), to_string(dead.id));
  }
  set.bytes -= dead.bytes();
  set.calls.erase(set.calls.begin() + static_cast<std::ptrdiff_t>(index));
}

void Core::trim_dead(const std::string& queue, DeadSet& set) {
  while (!set.calls.empty() &&
         (set.calls.size() > options_.dead_max || set.bytes > options_.dead_bytes_max ||
          set.calls.front().died_wall_ms + options_.dead_ttl_ms <= now_.wall_ms)) {
    remove_dead(queue, set, 0);
  }
}

void Core::expire_dead() {
  for (auto at = dead_.begin(); at != dead_.end();) {
    trim_dead(at->first, at->second);
    at = at->second.calls.empty() ? dead_.erase(at) : std::next(at);
  }
}

void Core::drop_dead(const std::string& queue) {
  const auto found = dead_.find(queue);
  if (found == dead_.end()) return;
  open_->drop(open_->key(KeyKind::hash, dead_key(queue)));
  dead_.erase(found);
}

Session& Core::own_session() {
  const SessionId id = broker_session(options_.shard);
  auto& session = sessions_[id];
  if (session == nullptr) {
    session = std::make_unique<Session>();
    session->id = id;
    session->name = "broker";
  }
  session->accepted_through = std::max(session->accepted_through, numbers_begin() - 1);
  return *session;
}

/// A non-empty answer says why it cannot run again now; then it stays where it is.
std::string Core::redrive(const DeadCall& dead, const std::string& queue_name, CallId& made) {
  Queue* const found = queues_.find(queue_name);
  if (found == nullptr || found->state != QueueState::open) {
    return queue_name + " is gone";
  }
  Queue& queue = *found;
  if (queue.full(dead.args.size())) return queue_name + " is full";
  wire::CallOptions options;
  std::string problem;
  wire::Reader in(dead.options);
  if (!wire::read(in, options, problem)) return problem;
  options.no_result = true;
  options.headers = with_header(options.headers, kRedriveHeader, to_string(dead.id));
  std::string encoded;
  wire::Writer out(encoded);
  wire::write(out, options);
  Session& session = own_session();
  made = CallId{session.id, ++session.accepted_through};
  Call& call = make_call(session, queue, made, encoded, wire::Body{dead.args, Blob()}, &options);
  call.durable = dead.durable;
  const int index = queue.intern_method(dead.method);
  call.method = index < 0 ? std::uint16_t{0} : static_cast<std::uint16_t>(index);
  call.group =
      options.group.empty() ? queue.methods->groups[call.method] : queue.group_named(options.group);
  accept(call);
  return {};
}

std::string Core::restore_dead(const Restored::StoredCall& stored) {
  DeadCall dead;
  if (!read_dead_record(stored.value, dead)) {
    return "a dead call of " + stored.queue + " cannot be read";
  }
  dead.id = call_id_from(stored.number);
  dead.durable = true;
  add(dead_[stored.queue], std::move(dead));
  return {};
}

}  // namespace callboard::broker
