#include "tests/sim/method_calls.hpp"

#include "tests/sim/call_notes.hpp"

#include <algorithm>
#include <utility>

namespace callboard::sim {

namespace {

constexpr int kDepthMax = 4;

/// The longest wait for an actor of the own chain. When the call of that actor has died meanwhile,
/// its next one may come to wait for this one: a circle that nobody is promised the end of.
constexpr std::int64_t kOwnChainUs = 10'000'000;

/// One at a time whatever is called: a wait for it inside one of its own calls can never end.
bool whole_actor_serial(const TargetSpec& target) {
  return target.serial() && target.options.groups.empty() &&
         target.options.ordering == wire::Ordering::actor;
}

std::vector<const CallSpec*> chain_of(const CallSpec& spec) {
  std::vector<const CallSpec*> chain;
  for (const CallSpec* at = &spec; at != nullptr; at = at->inside) chain.push_back(at);
  return chain;
}

bool in_chain(const TargetSpec& target, const CallSpec& spec) {
  const std::vector<const CallSpec*> chain = chain_of(spec);
  return std::any_of(chain.begin(), chain.end(),
                     [&](const CallSpec* outer) { return outer->target == target.index; });
}

}  // namespace

void choose_callee(Random& random, const Specs& specs, CallSpec& spec) {
  const std::vector<const CallSpec*> chain = chain_of(spec);
  if (chain.size() > kDepthMax) return;
  const bool all_wait = std::all_of(chain.begin() + 1, chain.end(),
                                    [](const CallSpec* outer) { return outer->plan.waits; });
  std::vector<std::uint32_t> targets;
  bool own = false;
  // A coroutine does not block its actor: of its waits `explain` tells, nothing ends them.
  const bool blocks = specs.targets[spec.target].options.mode != wire::Mode::async;
  if (all_wait && blocks && random.chance(0.2)) {
    const CallSpec& outer = *random.pick(chain);
    own = whole_actor_serial(specs.targets[outer.target]);
    if (own) targets.push_back(outer.target);
  }
  for (std::uint32_t i = spec.target + 1; i < specs.targets.size() && !own; ++i) {
    targets.push_back(i);
  }
  if (targets.empty()) return;
  spec.plan.callee = random.pick(targets);
  // The slots of tasks are shared: a task that waits for a task could wait for its own slot.
  const bool task = specs.targets[spec.target].kind == TargetSpec::Kind::task;
  spec.plan.waits = own || (!task && random.chance(0.7));
}

MethodCalls::MethodCalls(Context& context, Process& process, Random random,
                         client::SessionOptions options)
    : context_(context), process_(process), random_(random), session_(std::move(options), *this),
      client_(context.next_client++) {
  session_id_ = session_.id();
}

bool MethodCalls::handle_of(const TargetSpec& target, std::uint32_t& handle) {
  const auto known = handles_.find(target.index);
  if (known != handles_.end()) {
    handle = known->second;
    return true;
  }
  client::Target what;
  if (target.kind == TargetSpec::Kind::task) {
    what.kind = wire::TargetKind::task;
    what.name = target.name;
  } else if (!target.name.empty()) {
    what.name = target.name;
  } else if (target.id) {
    what.kind = wire::TargetKind::actor;
    what.actor = target.id;
  } else {
    return false;  // nobody has made it yet
  }
  handle = session_.open(what, kMethods);
  handles_[target.index] = handle;
  target_of_handle_[handle] = target.index;
  return true;
}

bool MethodCalls::make(const worker::Job& job, bool blocking, std::function<void()> done) {
  CallSpec& outer = *context_.specs.by_id.at(job.call);
  const TargetSpec& target = context_.specs.targets[*outer.plan.callee];
  client::NewCall call;
  if (!handle_of(target, call.handle)) return false;
  CallSpec& spec = context_.specs.calls.emplace_back();
  spec.index = static_cast<std::uint32_t>(context_.specs.calls.size() - 1);
  spec.client = client_;
  spec.target = target.index;
  spec.inside = &outer;
  const bool task = target.kind == TargetSpec::Kind::task;
  const std::uint64_t method = random_.below(kMethods.size());
  spec.method = task ? target.name : kMethods[method];
  spec.token = "inner call " + std::to_string(spec.index);
  spec.plan.service_us = random_.long_tailed(1, 5'000);
  if (random_.chance(0.4)) choose_callee(random_, context_.specs, spec);
  auto extra = std::make_unique<client::CallExtra>();
  spec.options.parent = job.call;
  spec.options.when_full = wire::WhenFull::reject;
  if (job.deadline_us != kNever) context_.coverage.hit("situation: deadline inherited");
  std::int64_t deadline_us = job.deadline_us;
  if (in_chain(target, outer)) {
    deadline_us = std::min(deadline_us, process_.now().mono_us + kOwnChainUs);
  }
  if (deadline_us != kNever) {
    spec.deadline_us = process_.to_virtual(deadline_us);
    spec.options.deadline_ms = 1;
    extra->deadline_us = deadline_us;
  }
  settle_promises(spec, target);
  spec.submitted_us = context_.schedule.now();
  extra->options = spec.options;
  extra->has_options = true;
  call.token = spec.index + 1;
  call.method = task ? 0 : static_cast<std::uint32_t>(method);
  call.flags = flags_of(spec.options);
  std::string args = encode_args(spec.token);
  call.args = args;
  call.extra = std::move(extra);
  ++open_;
  context_.coverage.hit("situation: call made inside a call");
  const bool waits = outer.plan.waits;
  const CallId self = outer.id;
  session_.submit(process_.now(), std::move(call));
  session_.keep(std::move(args));
  if (!waits) return false;
  waits_[spec.index + 1] = {self, blocking, std::move(done)};
  if (blocking) session_.waiting(self, spec.id, true);
  return true;
}

void MethodCalls::gone(bool died) {
  Record record;
  record.what = What::client_left;
  record.process = process_.id();
  record.value = client_;
  record.attempt = died ? 1 : 0;
  open_ = 0;
  context_.note(process_.name(), std::move(record));
}

void MethodCalls::on_numbered(client::Token token, CallId id) {
  note_number(context_, process_, spec_of(token), id);
}

void MethodCalls::on_answer(client::Token token, Errc status, const wire::Body& value) {
  events_.push_back({token, 0, status, std::string(value.bytes), false});
}

void MethodCalls::on_refused(client::Token token, std::uint32_t handle, Errc status,
                             std::string_view error) {
  events_.push_back({token, handle, status, std::string(error), true});
}

void MethodCalls::see_all() {
  if (session_.id() != session_id_) {
    session_id_ = session_.id();
    note_session_refused(context_, process_, client_);
  }
  while (!events_.empty()) {
    const Event event = std::move(events_.front());
    events_.pop_front();
    see(event);
  }
}

void MethodCalls::see(const Event& event) {
  const CallSpec& spec = spec_of(event.token);
  --open_;
  if (is_refusal(event.status)) {
    note_refused(context_, process_, spec, event.status, event.bytes);
    if (event.lane_waits) {
      note_resumed(context_, process_, client_, target_of_handle_.at(event.handle));
      session_.resume(event.handle);
    }
  } else {
    note_resolved(context_, process_, spec, event.status, event.bytes);
  }
  const auto found = waits_.find(event.token);
  if (found == waits_.end()) return;
  const Wait wait = std::move(found->second);
  waits_.erase(found);
  if (wait.announced) session_.waiting(wait.self, spec.id, false);
  wait.done();
}

}  // namespace callboard::sim
