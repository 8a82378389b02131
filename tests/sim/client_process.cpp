#include "tests/sim/client_process.hpp"

#include "tests/sim/call_notes.hpp"
#include "tests/sim/executor.hpp"
#include "tests/sim/method_calls.hpp"
#include "tests/sim/worker_process.hpp"

#include <algorithm>
#include <utility>

namespace callboard::sim {

namespace {

constexpr std::size_t kRecentMax = 40;

std::string encode_token(const std::string& token) {
  std::string bytes;
  wire::Writer out(bytes);
  out.bin(token);
  return bytes;
}

}  // namespace

/// The result of a call as an argument of later ones; what a Future is for a real client.
class ClientProcess::Answer final : public client::Dependency {
 public:
  State state() const override { return state_; }
  CallId id() const override { return id_; }
  std::string_view bytes() const override { return bytes_; }

  void number(CallId id) { id_ = id; }
  void set(Errc status, std::string bytes) {
    state_ = status == Errc::ok ? State::value : State::failed;
    bytes_ = std::move(bytes);
  }

 private:
  State state_ = State::pending;
  CallId id_;
  std::string bytes_;
};

ClientProcess::ClientProcess(Context& context, Observer& observer, const Scenario& scenario,
                             ClientPlan plan, const std::string& name)
    : LinkProcess(context, observer, name),
      scenario_(scenario),
      plan_(std::move(plan)),
      session_(session_options(random_, name), *this),
      calls_left_(plan_.calls) {
  session_id_ = session_.id();
  link_.add(session_, wire::Side::client);
  start();
  process_.later(random_.between(0, 20'000), [this] { open_targets(); });
}

void ClientProcess::die() {
  LinkProcess::die();
  left_ = true;
  let_go_of_owned();
  Record record;
  record.what = What::client_left;
  record.process = process_.id();
  record.call.session = session_.id();
  record.value = plan_.index;
  context_.note(process_.name(), std::move(record));
}

void ClientProcess::let_go_of_owned() {
  for (const std::uint32_t index : plan_.creates) {
    TargetSpec& target = context_.specs.targets[index];
    if (target.name.empty()) target.killed = true;
  }
}

void ClientProcess::leave() {
  if (left_) return;
  let_go_of_owned();
  Record record;
  record.what = What::client_left;
  record.process = process_.id();
  record.call.session = session_.id();
  record.value = plan_.index;
  left_ = true;
  close();
  context_.note(process_.name(), std::move(record));
}

ClientPlan ClientProcess::successor() const {
  ClientPlan plan;
  plan.calls = calls_left_;
  plan.opens = plan_.opens;
  for (const std::uint32_t index : plan_.creates) {
    const TargetSpec& target = context_.specs.targets[index];
    if (target.options.get_if_exists)
      plan.creates.push_back(index);
    else if (!target.name.empty())
      plan.opens.push_back(index);
  }
  return plan;
}

// --- what it does --------------------------------------------------------------------------------

void ClientProcess::open_targets() {
  for (const std::uint32_t index : plan_.creates) {
    TargetSpec& target = context_.specs.targets[index];
    client::Creation creation;
    creation.class_name = target.options.mode == wire::Mode::async ? kAsyncClass : kSerialClass;
    wire::Writer out(creation.args);
    out.array(1);
    out.uint(index);
    creation.options = target.options;
    creation.options.name = target.name;
    uses_[index].handle = session_.create(process_.now(), std::move(creation), kMethods);
  }
  for (const std::uint32_t index : plan_.opens) {
    const TargetSpec& target = context_.specs.targets[index];
    client::Target what;
    what.kind =
        target.kind == TargetSpec::Kind::task ? wire::TargetKind::task : wire::TargetKind::name;
    what.name = target.name;
    uses_[index].handle = session_.open(what, kMethods);
  }
  opened_ = true;
  for (const auto& [index, use] : uses_) target_of_handle_[use.handle] = index;
  turn_soon();
  burst();
}

void ClientProcess::burst() {
  if (!calling_ || left_ || calls_left_ == 0 || uses_.empty()) return;
  const std::int64_t size = random_.between(1, scenario_.burst_max);
  const int before = calls_left_;
  for (std::int64_t i = 0; i < size && calls_left_ > 0; ++i) {
    if (scenario_.in_flight_max > 0 && open_ >= static_cast<std::size_t>(scenario_.in_flight_max)) {
      break;
    }
    make_call();
  }
  const bool made_some = calls_left_ < before;
  if (made_some && scenario_.features.cancels && random_.chance(0.3)) cancel_something();
  if (made_some && scenario_.features.kills && random_.chance(0.01)) kill_something();
  turn_soon();
  // Spread over the active time, whatever the size of the bursts.
  const std::int64_t left_us =
      std::max<std::int64_t>(scenario_.active_us - context_.schedule.now(), 1'000);
  const std::int64_t bursts =
      std::max<std::int64_t>(2 * calls_left_ / (scenario_.burst_max + 1), 1);
  const std::int64_t gap =
      made_some ? random_.between(0, 2 * left_us / bursts + 1) : random_.between(2'000, 20'000);
  process_.later(gap, [this] { this->burst(); });
}

void ClientProcess::make_call() {
  auto use = uses_.begin();
  std::advance(use, static_cast<std::ptrdiff_t>(random_.below(uses_.size())));
  // An application of a blocking queue waits; one that does not care goes on submitting.
  if (use->second.parked && random_.chance(0.8)) return;
  const TargetSpec& target = context_.specs.targets[use->first];
  --calls_left_;
  CallSpec& spec = context_.specs.calls.emplace_back();
  spec.index = static_cast<std::uint32_t>(context_.specs.calls.size() - 1);
  spec.client = plan_.index;
  spec.target = use->first;
  spec.method = target.kind == TargetSpec::Kind::task ? target.name : random_.pick(kMethods);
  spec.token = "call " + std::to_string(spec.index) + " ";
  spec.token.append(random_.chance(0.005) ? 20'000 : random_.below(30), 'x');
  auto extra = std::make_unique<client::CallExtra>();
  choose_options(spec, target);
  choose_plan(spec);
  if (scenario_.features.once && random_.chance(0.3)) choose_key(spec, target);
  if (spec.once == nullptr) choose_dependencies(spec, *extra);
  settle_promises(spec, target);
  if (scenario_.features.inner && random_.chance(0.3)) {
    choose_callee(random_, context_.specs, spec);
  }
  submit(spec, std::move(extra));
}

void ClientProcess::choose_options(CallSpec& spec, const TargetSpec& target) {
  const Features& features = scenario_.features;
  wire::CallOptions& options = spec.options;
  if (features.retries && random_.chance(0.5)) {
    options.max_retries = static_cast<std::int32_t>(random_.between(0, 3));
    if (random_.chance(0.7)) {
      options.retry_on.emplace();
      options.retry_on->which = wire::RetryOn::Which::all;
    } else if (random_.chance(0.5)) {
      options.retry_on.emplace();
      options.retry_on->which = wire::RetryOn::Which::listed;
      options.retry_on->types = {"sim::Transient"};
    }
    options.backoff_ms = {random_.between(1, 10), random_.between(10, 60)};
  }
  if (features.deadlines && random_.chance(0.3)) {
    const std::int64_t budget_ms = random_.long_tailed(1, 3'000);
    options.deadline_ms = budget_ms;
    spec.deadline_us = context_.schedule.now() + budget_ms * 1000;
  }
  if (features.memory && random_.chance(0.4)) options.durability = wire::Durability::memory;
  if (features.no_results && random_.chance(0.2)) options.no_result = true;
  if (target.options.ordering == wire::Ordering::key && random_.chance(0.8)) {
    options.key = std::string("k") + static_cast<char>('a' + random_.below(4));
  }
  if (features.delays && random_.chance(0.2)) {
    options.delay_ms = random_.long_tailed(1, 3'000);
    spec.delay_us = *options.delay_ms * 1000;
    context_.coverage.hit("situation: delayed call");
  }
  if (features.priorities && random_.chance(0.5)) {
    options.priority = random_.pick<std::int8_t>({-2, 1, 5});
  }
  if (!target.options.groups.empty() && random_.chance(0.2)) {
    options.group = random_.pick(target.options.groups).first;
  }
}

/// Few keys, so that calls share them; most calls of a key have the same payload.
void ClientProcess::choose_key(CallSpec& spec, const TargetSpec& target) {
  const std::uint64_t number = random_.below(6);
  const std::string key = "once " + std::to_string(number);
  if (target.kind != TargetSpec::Kind::task) spec.method = kMethods[number % kMethods.size()];
  spec.token = key + (random_.chance(0.9) ? "" : ", other payload");
  spec.options.idempotency_key = key;
  spec.once = &context_.specs.use_of(spec.target, key);
  spec.once->calls.push_back(&spec);
}

void ClientProcess::choose_plan(CallSpec& spec) {
  const Features& features = scenario_.features;
  spec.plan.service_us =
      random_.long_tailed(1, features.long_calls && random_.chance(0.02) ? 4'000'000 : 15'000);
  if (features.errors && random_.chance(0.25)) {
    spec.plan.failing_attempts = static_cast<std::uint32_t>(random_.between(1, 5));
    spec.plan.error_type = random_.chance(0.6) ? "sim::Transient" : "sim::Fatal";
  }
  if (features.poison && random_.chance(0.01)) {
    spec.plan.killing_attempts = static_cast<std::uint32_t>(random_.between(1, 4));
  }
}

void ClientProcess::choose_dependencies(CallSpec& spec, client::CallExtra& extra) {
  if (!scenario_.features.references || recent_.empty() || !random_.chance(0.3)) return;
  const std::int64_t count = random_.between(1, 3);
  for (std::int64_t i = 0; i < count; ++i) {
    const client::Token token = recent_[random_.below(recent_.size())];
    const auto found = answers_.find(token);
    if (found == answers_.end()) continue;
    spec.takes.push_back(&spec_of(token));
    if (random_.chance(0.75)) {
      spec.arguments.push_back(&spec_of(token));
      extra.arguments.push_back({{}, found->second});
    } else {
      extra.after.push_back(found->second);
    }
  }
  if (!extra.arguments.empty()) {
    extra.arguments.insert(extra.arguments.begin(),
                           client::Argument{encode_token(spec.token), nullptr});
  }
}

void ClientProcess::submit(CallSpec& spec, std::unique_ptr<client::CallExtra> extra) {
  const client::Token token = spec.index + 1;
  const TargetSpec& target = context_.specs.targets[spec.target];
  spec.submitted_us = context_.schedule.now();
  if (refuse_here(spec)) return;
  client::NewCall call;
  call.token = token;
  call.handle = uses_[spec.target].handle;
  if (target.kind != TargetSpec::Kind::task) {
    call.method = static_cast<std::uint32_t>(
        std::find(kMethods.begin(), kMethods.end(), spec.method) - kMethods.begin());
  }
  const wire::CallOptions& options = spec.options;
  call.flags = flags_of(options);
  std::string args = encode_args(spec.token);
  if (extra->arguments.empty()) call.args = args;
  if (!options.empty()) {
    extra->options = options;
    extra->has_options = true;
    if (spec.deadline_us != kNever) {
      extra->deadline_us = process_.now().mono_us + *options.deadline_ms * kMicrosPerMilli;
    }
  }
  if (extra->has_options || !extra->arguments.empty() || !extra->after.empty()) {
    call.extra = std::move(extra);
  }
  auto answer = std::make_shared<Answer>();
  if (!options.no_result) {
    answers_[token] = answer;
    recent_.push_back(token);
    ++open_;
  }
  session_.submit(process_.now(), std::move(call));
  session_.keep(std::move(args));
  if (recent_.size() > kRecentMax) recent_.pop_front();
}

/// As Core does it, before the call has a number.
bool ClientProcess::refuse_here(CallSpec& spec) {
  client::FullQueue& full = uses_[spec.target].full;
  const std::int64_t now_us = process_.now().mono_us;
  if (!full.refuses(now_us, flags_of(spec.options))) return false;
  note_refused_here(context_, process_, spec);
  if (spec.options.no_result) return true;
  // Its future is as good as any as an argument of later calls.
  const auto answer = std::make_shared<Answer>();
  answer->set(Errc::queue_full, std::string(full.error(now_us)));
  answers_[spec.index + 1] = answer;
  recent_.push_back(spec.index + 1);
  if (recent_.size() > kRecentMax) recent_.pop_front();
  return true;
}

void ClientProcess::cancel_something() {
  if (recent_.empty()) return;
  const client::Token token = recent_[random_.below(recent_.size())];
  CallSpec& spec = spec_of(token);
  if (!spec.id) return;
  const client::Token request = next_request_++;
  cancels_[request] = token;
  context_.note(process_.name(), record_of(What::cancel_asked, process_, spec));
  session_.cancel(request, spec.id, random_.chance(0.1));
}

void ClientProcess::kill_something() {
  auto use = uses_.begin();
  std::advance(use, static_cast<std::ptrdiff_t>(random_.below(uses_.size())));
  TargetSpec& target = context_.specs.targets[use->first];
  if (target.kind == TargetSpec::Kind::task) return;
  target.killed = true;
  Record record;
  record.what = What::kill_asked;
  record.process = process_.id();
  record.value = use->first;
  context_.note(process_.name(), std::move(record));
  session_.kill(next_request_++, use->second.handle, random_.chance(0.3));
}

void ClientProcess::kill_named() {
  if (left_) return;
  for (const auto& [index, use] : uses_) {
    TargetSpec& target = context_.specs.targets[index];
    if (target.name.empty() || target.kind == TargetSpec::Kind::task) continue;
    target.killed = true;
    // By name: its own handle may be of a creation that was refused.
    client::Target what;
    what.kind = wire::TargetKind::name;
    what.name = target.name;
    session_.kill(next_request_++, session_.open(what, {}), false);
  }
  turn_soon();
}

// --- what it is told -----------------------------------------------------------------------------

void ClientProcess::on_numbered(client::Token token, CallId id) {
  note_number(context_, process_, spec_of(token), id);
  if (const auto found = answers_.find(token); found != answers_.end()) found->second->number(id);
}

void ClientProcess::on_answer(client::Token token, Errc status, const wire::Body& value) {
  // As a future is: calls that leave from now on know of it.
  if (const auto found = answers_.find(token); found != answers_.end()) {
    found->second->set(status, std::string(value.bytes));
  }
  events_.push_back({Event::Kind::answer, token, 0, status, std::string(value.bytes), 0});
}

void ClientProcess::on_refused(client::Token token, std::uint32_t handle, Errc status,
                               std::string_view error) {
  events_.push_back({Event::Kind::refused, token, handle, status, std::string(error), 0});
}

void ClientProcess::on_opened(std::uint32_t handle, const wire::Opened& opened) {
  events_.push_back({Event::Kind::opened, 0, handle, opened.code, opened.text, 0});
}

void ClientProcess::on_parked(std::uint32_t handle, bool parked) {
  events_.push_back({Event::Kind::parked, 0, handle, Errc::ok, {}, parked ? 1u : 0u});
}

void ClientProcess::on_full(std::uint32_t handle, const client::FullTold& told) {
  const auto found = target_of_handle_.find(handle);
  if (found != target_of_handle_.end()) uses_[found->second].full.refused(told, "the queue");
}

void ClientProcess::on_not_full(std::uint32_t handle) {
  const auto found = target_of_handle_.find(handle);
  if (found != target_of_handle_.end()) uses_[found->second].full.forget();
}

void ClientProcess::on_progress(std::uint32_t handle, const client::QueueProgress& progress) {
  const auto found = target_of_handle_.find(handle);
  if (found != target_of_handle_.end()) uses_[found->second].full.progressed(progress);
}

void ClientProcess::on_cancel_answer(client::Token request, wire::CancelAnswer answer) {
  events_.push_back(
      {Event::Kind::cancel_answer, request, 0, Errc::ok, {}, static_cast<std::uint64_t>(answer)});
}

void ClientProcess::before_tick() {
  if (session_.id() != session_id_) {
    session_id_ = session_.id();
    note_session_refused(context_, process_, plan_.index);
  }
  while (!events_.empty()) {
    const Event event = std::move(events_.front());
    events_.pop_front();
    see(event);
  }
}

void ClientProcess::see(const Event& event) {
  switch (event.kind) {
    case Event::Kind::answer:
      return see_answer(event, spec_of(event.token));
    case Event::Kind::refused:
      return see_refusal(event, spec_of(event.token), true);
    case Event::Kind::cancel_answer: {
      Record record = record_of(What::cancel_answered, process_, spec_of(cancels_[event.token]));
      record.value = event.value;
      context_.coverage.hit(
          "cancel: " + std::string(wire::name_of(static_cast<wire::CancelAnswer>(event.value))));
      return context_.note(process_.name(), std::move(record));
    }
    case Event::Kind::parked:
      if (const auto found = target_of_handle_.find(event.handle);
          found != target_of_handle_.end()) {
        uses_[found->second].parked = event.value != 0;
        context_.coverage.hit(event.value != 0 ? "situation: parked" : "situation: unparked");
      }
      return;
    case Event::Kind::opened:
      if (event.status != Errc::ok) {
        context_.coverage.hit("opened: " + std::string(callboard::name_of(event.status)));
      }
      return;
  }
}

void ClientProcess::see_answer(const Event& event, CallSpec& spec) {
  if (is_refusal(event.status)) return see_refusal(event, spec, false);
  if (!spec.options.no_result) --open_;
  note_resolved(context_, process_, spec, event.status, event.bytes);
}

void ClientProcess::see_refusal(const Event& event, CallSpec& spec, bool lane_waits) {
  if (!spec.options.no_result) --open_;
  if (const auto found = answers_.find(event.token); found != answers_.end()) {
    found->second->set(event.status, event.bytes);
  }
  note_refused(context_, process_, spec, event.status, event.bytes);
  if (!lane_waits) return;
  // The application may take its time to look at it.
  const std::uint32_t handle = event.handle;
  const std::int64_t pause = random_.chance(0.7) ? 0 : random_.between(0, 100'000);
  if (pause == 0) return resume(handle);
  process_.later(pause, [this, handle] {
    if (left_) return;
    resume(handle);
    turn_soon();
  });
}

void ClientProcess::resume(std::uint32_t handle) {
  note_resumed(context_, process_, plan_.index, target_of_handle_.at(handle));
  session_.resume(handle);
}

}  // namespace callboard::sim
