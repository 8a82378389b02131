// Numbers and what leaves: submit, the order in which calls go, and what is written.
#include "client/core/session.hpp"

#include "common/call_run.hpp"
#include "common/check.hpp"

#include <algorithm>

namespace callboard::client {

namespace {

constexpr std::int64_t kTakenDelayUs = 5'000;  ///< far below limits::kSettleMs
constexpr std::uint64_t kTakenAtOnce = 4096;
constexpr std::int64_t kExpireEveryUs = 100'000;
constexpr std::int64_t kClosedMemoryUs = 10'000'000;
constexpr std::size_t kSpareStrings = 16;

/// splitmix64: the ids of later sessions follow from the seed, so that a simulation repeats itself.
std::uint64_t next_random(std::uint64_t& state) {
  std::uint64_t z = state += 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

}  // namespace

Session::Session(SessionOptions options, SessionSink& sink)
    : options_(std::move(options)), sink_(sink), random_state_(options_.random_seed) {
  CALLBOARD_CHECK(value_of(options_.id) > 1);
}

// --- handles ------------------------------------------------------------------------------------

std::uint32_t Session::new_handle() {
  if (!free_handles_.empty()) {
    const std::uint32_t number = free_handles_.back();
    free_handles_.pop_back();
    *handles_[number] = Handle();
    handles_[number]->open = true;
    return number;
  }
  handles_.push_back(std::make_unique<Handle>());
  handles_.back()->open = true;
  return static_cast<std::uint32_t>(handles_.size() - 1);
}

std::uint32_t Session::open(const Target& target, std::vector<std::string> methods) {
  const std::uint32_t number = new_handle();
  Handle& to = handle(number);
  to.target = target;
  to.methods = std::move(methods);
  if (target.kind == wire::TargetKind::task) {
    to.durability = wire::Durability::durable;
    to.when_full = wire::WhenFull::reject;
    to.retried = true;
  }
  markers_.push_back({.after = last_seq_, .what = Marker::What::open, .handle = number});
  return number;
}

std::uint32_t Session::create(Instant now, Creation creation, std::vector<std::string> methods) {
  const std::uint32_t number = new_handle();
  Handle& to = handle(number);
  const wire::ActorOptions& options = creation.options;
  to.methods = std::move(methods);
  to.durability = options.durability;
  to.when_full = options.when_full;
  to.retried = options.max_retries != 0;
  const bool named = !options.name.empty();
  to.owned = options.lifetime ? *options.lifetime == wire::Lifetime::owned : !named;
  to.get_if_exists = named && options.get_if_exists;
  to.target.kind = wire::TargetKind::actor;
  if (named) {
    to.target.name =
        (options.name_space.empty() ? "" : options.name_space + "/") + options.name;
  }
  NewCall call;
  call.handle = number;
  call.flags = kNoResult | kDurable | kReject;
  call.extra = std::make_unique<CallExtra>();
  call.extra->creation = std::make_unique<Creation>(std::move(creation));
  to.creation = submit(now, std::move(call));
  to.created = true;
  return number;
}

void Session::add_methods(std::uint32_t number, const std::vector<std::string>& names) {
  Handle& to = handle(number);
  to.methods.insert(to.methods.end(), names.begin(), names.end());
  to.methods_due = to.methods_due || !names.empty();
}

void Session::close(std::uint32_t number) {
  markers_.push_back({.after = last_seq_, .what = Marker::What::close, .handle = number});
}

// --- calls --------------------------------------------------------------------------------------

std::uint64_t Session::submit(Instant now, NewCall call) {
  const std::uint64_t seq = ++last_seq_;
  std::size_t bytes = call.args.size() + call.options.size();
  if (call.extra) {
    bytes += call.extra->part.size() + call.extra->args.size();
    for (const Argument& argument : call.extra->arguments) bytes += argument.bytes.size();
    if (call.extra->deadline_us != kNever) ++with_deadline_;
  }
  CallRecord& record =
      add(seq, call, static_cast<std::uint32_t>(std::min<std::size_t>(bytes, UINT32_MAX)));
  record.extra = std::move(call.extra);
  number(seq, record);
  if (ended_) answer(seq, record, ended_->first, ended_->second);
  else if (with_deadline_ > 0 && expire_due_us_ == kNever) {
    expire_due_us_ = now.mono_us + kExpireEveryUs;
  }
  return seq;
}

void Session::number(std::uint64_t seq, CallRecord& record) {
  if (record.extra && record.extra->creation) {
    Handle& to = handle(record.handle);
    to.creation = seq;
    to.target.actor = ActorId{options_.id, seq};
    if (to.created) sink_.on_created(record.handle, to.target.actor);
  }
  if (record.token != 0) sink_.on_numbered(record.token, CallId{options_.id, seq});
}

void Session::keep(std::string bytes) {
  kept_.push_back({last_seq_, std::move(bytes)});
  drop_kept();
}

void Session::drop_kept() {
  while (!kept_.empty() && kept_.front().last <= accepted_through_) {
    if (spare_.size() < kSpareStrings) spare_.push_back(std::move(kept_.front().bytes));
    kept_.pop_front();
  }
}

void Session::own_bytes(CallRecord& record) {
  if (record.args.empty() && record.options.empty()) return;
  if (!record.extra) record.extra = std::make_unique<CallExtra>();
  CallExtra& extra = *record.extra;
  if (!record.args.empty() && record.args.data() != extra.args.data() && !extra.part) {
    extra.args.assign(record.args);
    record.args = extra.args;
  }
  if (!record.options.empty() && record.options.data() != extra.encoded_options.data()) {
    extra.encoded_options.assign(record.options);
    record.options = extra.encoded_options;
  }
}

// --- what may leave -----------------------------------------------------------------------------

void Session::pump(Instant now, wire::LinkOut& out) {
  while (!resends_.empty()) {
    const std::uint64_t seq = resends_.front();
    resends_.pop_front();
    CallRecord* record = calls_.find(seq);
    if (record == nullptr || record->state != CallState::unsent) continue;
    Handle& to = handle(record->handle);
    if ((record->extra || !to.plain()) && !may_leave(seq, *record, to)) continue;
    write_call(now, seq, *record, out);
    record = calls_.find(seq);
    if (seq > seen_through_ || record == nullptr) continue;
    // The broker had refused or parked it: that it accepts it now is told for this number alone.
    record->state = CallState::resent;
    to.change_detours().resent.insert(seq);
    limbo_.insert(seq);
  }
  while (sent_through_ < last_seq_) {
    if (unacked_calls_ >= options_.unacked_calls_max) break;
    if (unacked_bytes_ >= options_.unacked_bytes_max) break;
    if (!markers_.empty() && markers_.front().after <= sent_through_) pump_markers(now, out);
    if (pump_plain(out)) continue;
    const std::uint64_t seq = ++sent_through_;
    CallRecord* record = calls_.find(seq);
    if (record == nullptr || record->state != CallState::unsent) continue;
    Handle& to = handle(record->handle);
    if ((record->extra || !to.plain()) && !may_leave(seq, *record, to)) continue;
    write_call(now, seq, *record, out);
  }
  pump_markers(now, out);
}

/// Writes calls until one comes for which more has to be done than to write it, or its turn has not
/// come. False when that is the first.
bool Session::pump_plain(wire::LinkOut& out) {
  std::uint64_t through = last_seq_;
  if (!markers_.empty()) through = std::min(through, markers_.front().after);
  through = std::min(through, sent_through_ + (options_.unacked_calls_max - unacked_calls_));
  const std::uint64_t first = sent_through_ + 1;
  std::uint64_t seq = first;
  std::size_t bytes = unacked_bytes_;
  std::uint32_t open = UINT32_MAX;  // a handle of which it is known that its calls leave at once
  {
    wire::CallRun run(out);
    for (; seq <= through && bytes < options_.unacked_bytes_max; ++seq) {
      CallRecord* record = calls_.find(seq);
      if (record == nullptr || record->state != CallState::unsent || record->extra) break;
      if (record->handle != open && !leaves_at_once(handle(record->handle))) break;
      if (record->bytes >= limits::kPartBytesMin) break;
      open = record->handle;
      run.write(seq, record->handle, record->method, record->args, record->options);
      record->state = CallState::sent;
      bytes += record->bytes;
    }
  }
  sent_through_ = seq - 1;
  unacked_calls_ += seq - first;
  unacked_bytes_ = bytes;
  return seq > first;
}

bool Session::may_leave(std::uint64_t seq, CallRecord& record, Handle& to) {
  if (record.released) {
    to.change_detours().released.erase(record.order);
    record.released = false;
  }
  if (record.extra && record.extra->creation) return true;
  if (to.create_failed) {
    answer(seq, record, to.code, to.text);
    return false;
  }
  if (!to.detours().doomed.empty()) {
    std::erase_if(to.change_detours().doomed, [this](const auto& span) {
      return limbo_.empty() && resends_.empty() && span.second <= accepted_through_;
    });
  }
  if (is_doomed(seq, record)) {
    refuse_before(seq, record);
    return false;
  }
  const bool queue_free = to.detours().parked.empty() && !to.parked;
  if (queue_free && is_first(record, to) && dependencies_ready(record)) return true;
  hold(seq, record, to);
  return false;
}

/// No call of the handle that was submitted before this one waits to leave.
bool Session::is_first(const CallRecord& record, Handle& to) {
  const auto& released = to.detours().released;
  if (!released.empty() && *released.begin() < record.order) return false;
  for (; !to.detours().held.empty(); to.change_detours().held.pop_front()) {
    const CallRecord* first = calls_.find(to.detours().held.front());
    if (first != nullptr) return first->order > record.order;
  }
  return true;
}

void Session::hold(std::uint64_t seq, CallRecord& record, Handle& to) {
  own_bytes(record);
  record.state = CallState::held;
  auto& held = to.change_detours().held;
  auto at = held.end();
  for (; at != held.begin(); --at) {
    const CallRecord* before = calls_.find(*std::prev(at));
    if (before != nullptr && before->order < record.order) break;
  }
  held.insert(at, seq);
  holding_.insert(record.handle);
}

bool Session::may_be_missing(const Dependency& dependency) {
  if (dependency.state() != Dependency::State::pending) return false;
  const CallId id = dependency.id();
  if (id.session != options_.id) return false;
  const CallRecord* other = calls_.find(id.seq);
  if (other == nullptr) return false;
  switch (other->state) {
    case CallState::unsent:  // its turn comes after that of the call that asks
    case CallState::held:
    case CallState::parked:
    case CallState::resent:
      return true;
    case CallState::sent: {
      // If its queue is full it is parked, and the broker would not know it when this one comes.
      if ((other->flags & (kReject | kBlock)) != 0) return (other->flags & kBlock) != 0;
      return handle(other->handle).when_full.value_or(wire::WhenFull::block) ==
             wire::WhenFull::block;
    }
    default:
      return false;
  }
}

bool Session::dependencies_ready(const CallRecord& record) {
  if (!record.extra) return true;
  for (const Argument& argument : record.extra->arguments) {
    if (argument.dependency && may_be_missing(*argument.dependency)) return false;
  }
  for (const auto& dependency : record.extra->after) {
    if (may_be_missing(*dependency)) return false;
  }
  return true;
}

void Session::release_held() {
  for (auto at = holding_.begin(); at != holding_.end();) {
    Handle& to = handle(*at);
    const Detours& detours = to.detours();
    while (!detours.held.empty() && detours.parked.empty() && !to.parked) {
      const std::uint64_t old = detours.held.front();
      CallRecord* record = calls_.find(old);
      if (record != nullptr && !dependencies_ready(*record)) break;
      to.change_detours().held.pop_front();
      if (record == nullptr) continue;
      // It goes to the end of the line under a new number: its own has been passed.
      CallRecord moved = std::move(*record);
      calls_.erase(old);
      const std::uint64_t seq = ++last_seq_;
      CallRecord& place = calls_.add(seq);
      place = std::move(moved);
      place.state = CallState::unsent;
      place.released = true;
      to.change_detours().released.insert(place.order);
      number(seq, place);
    }
    if (!detours.held.empty()) {
      ++at;
      continue;
    }
    if (detours.parked.empty() && !to.parked) parking_done(*at, to);
    at = holding_.erase(at);
  }
}

void Session::flush_taken(Instant now, wire::LinkOut& out) {
  if (taken_.empty()) return;
  // It rides on a frame that leaves anyway, or follows a moment later.
  if (out.frames().empty() && taken_count_ < kTakenAtOnce && now.mono_us < taken_due_us_) return;
  write_taken(out);
}

void Session::write_taken(wire::LinkOut& out) {
  if (taken_.empty()) return;
  wire::FrameWriter writer = out.message();
  write(writer, wire::Taken{std::move(taken_)});
  taken_.clear();
  taken_count_ = 0;
  taken_due_us_ = kNever;
}

// --- turns --------------------------------------------------------------------------------------

void Session::on_tick(Instant now, bool ready, wire::LinkOut& out) {
  if (!full_.empty()) tell_progress();
  if (!holding_.empty()) release_held();
  if (!connected_) look_whether_known(now);
  if (now.mono_us >= expire_due_us_) {
    expire_waiting(now);
    expire_due_us_ = with_deadline_ > 0 ? now.mono_us + kExpireEveryUs : kNever;
  }
  if (ready && connected_) {
    for (const Marker& marker : closing_) markers_.push_back(marker);
    closing_.clear();
    // Before the calls: what was taken makes room in their queues.
    if (!resends_.empty() || sent_through_ < last_seq_) write_taken(out);
    pump(now, out);
    write_requests(out);
    flush_taken(now, out);
    while (!closed_.empty() && closed_.front().at_us < now.mono_us - kClosedMemoryUs) {
      closed_.pop_front();
    }
  }
  if (settled_calls_ > 0) {
    sink_.on_settled(settled_calls_, settled_bytes_);
    settled_calls_ = settled_bytes_ = 0;
  }
}

std::int64_t Session::next_deadline_us() const {
  return std::min(connected_ ? taken_due_us_ : kNever, expire_due_us_);
}

/// Not of the last range in taken_.
void Session::take_first(Instant now, std::uint64_t seq) {
  taken_.emplace_back(seq, 1);
  ++taken_count_;
  if (taken_due_us_ == kNever) taken_due_us_ = now.mono_us + kTakenDelayUs;
}

/// A parked call has its answer without the broker, which keeps its place in the queue until it
/// hears of that.
void Session::give_up(std::uint64_t seq) {
  taken_.emplace_back(seq, 1);
  ++taken_count_;
  taken_due_us_ = 0;
}

SessionId Session::new_id() {
  const std::uint64_t shard = value_of(options_.id) >> 56;
  std::uint64_t id = 0;
  while ((id & 0x00FFFFFFFFFFFFFFull) <= 1) id = next_random(random_state_);
  return SessionId{shard << 56 | (id & 0x00FFFFFFFFFFFFFFull)};
}

}  // namespace callboard::client
