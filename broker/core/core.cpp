// Events: what each frame and each passing of time leads to.
#include "broker/core/core.hpp"

#include "common/check.hpp"

#include <algorithm>
#include <utility>

namespace callboard::broker {

using wire::FrameReader;
using wire::Type;

namespace {

constexpr std::int64_t kSweepUs = 100'000;  ///< how often silence is looked for
/// What waits in the sockets after a longer pause is heard before anybody's silence is judged.
constexpr std::int64_t kListenStepUs = 2 * kSweepUs;
constexpr std::int64_t kDeadSweepUs = 10'000'000;
constexpr std::uint64_t kIncarnationsBegin = 1u << 30;  ///< below it the first one is drawn
template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

}  // namespace

Core::Core(const BrokerOptions& options, std::uint64_t random_seed, ZoneReader read_zone)
    : options_(options),
      random_(random_seed),
      read_zone_(std::move(read_zone)),
      journal_(options.journal_ms, options.journal_backlog),
      committed_(options.commit_no),
      // Runs on copies of one store may have the same epoch: this tells them apart, and their
      // incarnations must differ still.
      run_((random_seed * 31 + 2 * options.epoch) | 1),
      incarnations_(random_seed % kIncarnationsBegin) {}

void Core::step(Instant now, const Event& event, Effects& effects) {
  CALLBOARD_CHECK(now.mono_us >= now_.mono_us);
  listen(now);
  now_ = now;
  effects_ = &effects;
  run_timers();  // first: what the event lets go may be past its deadline
  std::visit(Overloaded{
                 [&](const FrameArrived& e) { on_frame(e.peer, e.frame); },
                 [&](const PeerLost& e) {
                   const auto found = peers_.find(static_cast<std::uint64_t>(e.peer));
                   if (found != peers_.end()) forget_peer(*found->second);
                 },
                 [&](const Committed& e) { on_committed(e.commit_no); },
                 [&](const StoreDown& e) {
                   store_up_ = false;
                   store_problem_ = e.text;
                 },
                 [&](const StoreUp&) {
                   store_up_ = true;
                   store_problem_.clear();
                 },
                 [&](const StoreFull& e) { store_full_ = e.full; },
                 [&](const StoreFacts& e) { options_.store_facts = e; },
                 [&](const Resumed&) {
                   for (Peer* peer : peers_by_age_) peer->heard_us = listened_us_;
                   for (auto& [name, worker] : workers_) worker->heard_us = listened_us_;
                 },
                 [&](const Stopping&) {
                   for (const Peer* peer : peers_by_age_) {
                     reject(peer->id, Errc::stopping, "this broker stops");
                   }
                 },
                 [&](const Tick&) {},
                 [&](const CallsRead& e) { on_calls_read(e); },
             },
             event);
  on_tick();
  finish_all_closing();
  finish_step();
  effects_->append_gathered();
  effects_ = nullptr;
}

void Core::on_frame(PeerId id, const wire::FrameView& frame) {
  FrameReader in(frame);
  std::uint64_t version = 0;
  std::uint64_t epoch = 0;
  const auto found = peers_.find(static_cast<std::uint64_t>(id));
  Peer* peer = found == peers_.end() ? nullptr : found->second.get();
  if (frame.head.size() > limits::kFrameBytesMax) {
    ++counters_.bad_frames;
    if (peer != nullptr) forget_peer(*peer);
    return reject(id, Errc::too_large,
                  "the first part of a frame takes more than " +
                      std::to_string(limits::kFrameBytesMax) + " bytes");
  }
  if (!in.header(version, epoch)) {
    ++counters_.bad_frames;
    return reject(id, Errc::protocol_error, "not a frame of this protocol");
  }
  if (peer != nullptr) {
    peer->heard_us = listened_us_;
    if (peer->worker != nullptr) peer->worker->heard_us = listened_us_;
    peers_by_age_.splice(peers_by_age_.end(), peers_by_age_, peer->by_age);
  }
  while (!in.at_end()) {
    std::uint64_t number = 0;
    std::uint32_t fields = 0;
    if (!in.message(number, fields)) break;
    const auto type = static_cast<Type>(number);
    if (type == Type::hello) {
      wire::Hello hello;
      if (!read(in, fields, hello)) break;
      on_hello(id, hello);
      const auto again = peers_.find(static_cast<std::uint64_t>(id));
      if (again == peers_.end()) return;  // it was refused
      peer = again->second.get();
      epoch = options_.epoch;
      continue;
    }
    if (peer == nullptr || epoch != options_.epoch) {
      // We do not know this connection, or it speaks to a broker that was here before us.
      Effects& now = path(0);
      // One that has seen a later run than ours would not hear us otherwise.
      wire::FrameWriter out(now.frame_for(id), std::max(epoch, options_.epoch));
      wire::write_who(out);
      return;
    }
    const std::uint64_t forgotten = peers_forgotten_;
    if (number > 255 || !on_message(*peer, type, fields, in)) {
      in.fail();
      break;
    }
    if (peers_forgotten_ != forgotten && !peers_.contains(static_cast<std::uint64_t>(id))) {
      return;  // it said goodbye
    }
  }
  if (!in.ok()) {
    ++counters_.bad_frames;
    if (peer != nullptr) forget_peer(*peer);
    return reject(id, Errc::protocol_error, "a message of the frame cannot be read");
  }
  if (peer != nullptr && peer->session != nullptr) acknowledge_soon(*peer->session);
}

bool Core::on_message(Peer& peer, Type type, std::uint32_t fields, FrameReader& in) {
  Session* session = peer.session;
  Worker* worker = peer.worker;
  // Reads message `m` and hands it to `handle`; what comes from a peer without the role is bad.
  const auto with = [&](auto m, auto* role, auto handle) {
    if (role == nullptr || !read(in, fields, m)) return false;
    handle(m);
    return true;
  };
  switch (type) {
    case Type::submit:
      return session != nullptr && on_submits(*session, fields, in);
    case Type::done:
      return worker != nullptr && on_dones(*worker, fields, in);
    case Type::taken:
      return with(wire::Taken{}, session, [&](auto& m) { on_taken(*session, m); });
    case Type::ping: {
      std::uint64_t number = 0;
      if (!read_number(in, fields, number)) return false;
      wire::FrameWriter out = to(peer, 0);
      wire::write_pong(out, number, committed_);
      return true;
    }
    case Type::pong: {
      std::uint64_t number = 0;
      return read_number(in, fields, number);
    }
    case Type::goodbye: {
      wire::Goodbye m;
      if (!read(in, fields, m)) return false;
      on_goodbye(peer, m.code);
      return true;
    }
    case Type::open:
      return with(wire::Open{}, session, [&](auto& m) { on_open(*session, m); });
    case Type::methods:
      return with(wire::Methods{}, session, [&](auto& m) { on_methods(*session, m); });
    case Type::close:
      return with(wire::Close{}, session, [&](auto& m) {
        if (Handle* handle = session->handle(m.handle)) drop_handle(*session, *handle);
      });
    case Type::create: {
      wire::Create m;
      std::string problem;
      if (session == nullptr || !read(in, fields, m, problem)) return false;
      on_create(*session, m, problem);
      return true;
    }
    case Type::cancel:
      return with(wire::Cancel{}, session, [&](auto& m) { on_cancel(*session, m); });
    case Type::resume:
      return with(wire::Resume{}, session, [&](auto& m) { on_resume(*session, m); });
    case Type::kill:
      return with(wire::Kill{}, session, [&](auto& m) { on_kill(*session, peer, m); });
    case Type::waiting:
      return with(wire::Waiting{}, session, [&](auto& m) { on_waiting(*session, m); });
    case Type::admin:
      return with(wire::Admin{}, &peer, [&](auto& m) { on_admin(peer, m); });
    case Type::started:
      return with(wire::Started{}, worker, [&](auto& m) { on_started(*worker, m); });
    case Type::window:
      return with(wire::Window{}, worker, [&](auto& m) { on_window(*worker, m); });
    case Type::returned:
      return with(wire::Returned{}, worker, [&](auto& m) { on_returned(*worker, m); });
    case Type::revoke_answer:
      return with(wire::RevokeAnswer{}, worker, [&](auto& m) { on_revoke_answer(*worker, m); });
    case Type::status:
      return with(wire::Status{}, worker, [&](auto& m) {
        worker->status = m.info;
        worker->status_wall_ms = now_.wall_ms;
      });
    case Type::stopped:
      return with(wire::Stopped{}, worker, [&](auto& m) { on_stopped(*worker, m); });
    case Type::child_died: {
      wire::ChildDied m;
      if (peer.supervisor.empty() || !read(in, fields, m)) return false;
      on_child_died(peer, m);
      return true;
    }
    default:
      return false;
  }
}

void Core::on_committed(std::uint64_t commit_no) {
  if (!in_flight_ || commit_no != flight_no_) return;
  committed_ = flight_no_;
  in_flight_ = false;
  flight_->clear();
  ++counters_.commits;
  for (Session* session : flight_sessions_) session->stored = true;
  flight_sessions_.clear();
  effects_->append_gathered();
  flight_effects_.append_gathered();
  for (auto& [peer, frames] : flight_effects_.frames) {
    std::erase_if(frames, [](const wire::Frame& frame) { return frame.empty(); });
    if (frames.empty() || !peers_.contains(static_cast<std::uint64_t>(peer))) continue;
    auto found = effects_->index.find(static_cast<std::uint64_t>(peer));
    if (found == effects_->index.end()) {
      effects_->index.emplace(static_cast<std::uint64_t>(peer), effects_->frames.size());
      effects_->frames.emplace_back(peer, std::move(frames));
    } else {
      auto& there = effects_->frames[found->second].second;
      for (auto& frame : frames) there.push_back(std::move(frame));
    }
  }
  flight_effects_.clear();
  if (options_.memory_max == 0) return;
  note_settled();
  leave_memory();
}

void Core::on_tick() {
  run_timers();
  run_schedules();
  settle();
  if (now_.mono_us < next_sweep_us_) return;
  next_sweep_us_ = now_.mono_us + kSweepUs;
  expire_workers();
  expire_sessions();
  expire_keys();
  if (now_.mono_us >= next_dead_sweep_us_) {
    next_dead_sweep_us_ = now_.mono_us + kDeadSweepUs;
    expire_dead();
  }
  refresh_workers();
  if (recovering_ && listened_us_ >= recovery_ends_us_) end_recovery();
  if (!unplaced_.empty()) place_waiting();
}

void Core::listen(Instant now) {
  if (congested()) return;  // nobody took frames since the last step
  listened_us_ += std::min(now.mono_us - now_.mono_us, kListenStepUs);
}

void Core::run_timers() {
  while (!timers_.empty() && timers_.top().due_us <= now_.mono_us) {
    const Timer timer = timers_.top();
    timers_.pop();
    if (timer.kind == Timer::Kind::place) {
      const QueuePtr queue(queues_.actor(timer.actor));
      if (!queue) continue;
      for (Instance* instance : queue->instances) {
        const bool waits = instance->state == InstanceState::unplaced;
        if (waits && instance->replica == timer.replica) place(*instance);
      }
      continue;
    }
    Call* call = timer.call.get();
    if (call == nullptr || call->state == CallState::ended) continue;
    if (timer.kind == Timer::Kind::deadline) {
      deadline_passed(*call);
    } else if (timer.kind == Timer::Kind::delay_over) {
      delay_over(*call);
    } else if (call->state == CallState::waiting) {
      enter(*call);
      wake(*call->queue);
    }
  }
}

void Core::at(std::int64_t due_us, Timer::Kind kind, Call& call) {
  timers_.push(Timer{.due_us = due_us, .kind = kind, .call = CallSlab::ref(call), .actor = {}});
}

void Core::finish_step() {
  for (Worker* worker : confirm_) {
    if (worker->peer == nullptr) worker->forget_now.clear();
    if (worker->forget_now.empty()) {
      worker->forget_due_us = 0;
      continue;
    }
    if (worker->forget_due_us == 0) {
      worker->forget_due_us = now_.mono_us + options_.confirm_delay_us;
    }
    const bool waits = worker->forget_now.size() < limits::kForgetsRidingMax &&
                       now_.mono_us < worker->forget_due_us && !has_frame(*worker->peer);
    if (waits) continue;
    worker->forget_due_us = 0;
    wire::FrameWriter out = to(*worker->peer, 0);
    wire::write(out, wire::Forget{wire::ranges_of(worker->forget_now)});
    worker->forget_now.clear();
  }
  std::erase_if(confirm_, [](Worker* worker) {
    worker->confirming = !worker->forget_deferred.empty() || !worker->forget_now.empty();
    return !worker->confirming;
  });
  std::erase_if(acks_, [this](Session* session) {
    if (session->peer == nullptr) session->ack_due_us = 0;
    if (session->ack_due_us == 0) return true;  // it was acknowledged since, or has gone away
    const bool rides = session->durable_batch <= committed_ && has_frame(*session->peer);
    if (!rides && now_.mono_us < session->ack_due_us) return false;
    acknowledge(*session);
    return true;
  });
}

bool Core::has_frame(const Peer& peer) const {
  return effects_->index.contains(static_cast<std::uint64_t>(peer.id));
}

std::int64_t Core::next_deadline_us() const {
  std::int64_t due = next_sweep_us_;
  if (!timers_.empty()) due = std::min(due, timers_.top().due_us);
  if (!unsettled_.empty()) due = std::min(due, unsettled_.front().due_us);
  if (!acks_.empty()) due = std::min(due, acks_.front()->ack_due_us);
  for (const Worker* worker : confirm_) {
    if (worker->forget_due_us != 0) due = std::min(due, worker->forget_due_us);
  }
  if (!schedules_due_.empty()) {
    const std::int64_t left_ms = schedules_due_.begin()->first * 1000 - now_.wall_ms;
    due = std::min(due, now_.mono_us + std::max<std::int64_t>(left_ms, 0) * kMicrosPerMilli);
  }
  if (!in_flight_ && store_up_) due = std::min(due, journal_.due_us());
  return due;
}

void Core::announce(std::string_view topic, std::string info) {
  if (effects_ != nullptr) effects_->announcements.push_back({std::string(topic), std::move(info)});
}

void Core::announce_state(std::string_view kind, std::string_view name, std::string_view state,
                          std::string_view detail, std::string_view text) {
  std::string info;
  wire::Writer out(info);
  out.map(3);
  out.str(kind);
  out.str(name);
  out.str("state");
  out.str(state);
  out.str(detail);
  out.str(text);
  announce(kind, std::move(info));
}

void Core::log(int level, std::string text) {
  if (effects_ != nullptr) effects_->log.emplace_back(level, std::move(text));
}

}  // namespace callboard::broker
