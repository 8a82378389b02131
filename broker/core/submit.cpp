// Accepting calls: what is new, what is allowed, what becomes of it.
#include "broker/core/core.hpp"

#include "common/prefetch.hpp"

#include <algorithm>
#include <utility>

namespace callboard::broker {

namespace {

bool time_may_cure(Errc code) {
  return code == Errc::store_unavailable || code == Errc::store_full || code == Errc::queue_full ||
         code == Errc::refused_before;
}

}  // namespace

bool Core::number_is_new(Session& session, std::uint64_t seq, std::uint32_t handle_no) {
  if (seq <= session.accepted_through) return old_number_is_new(session, seq, handle_no);
  session.accepted_through = seq;
  return true;
}

bool Core::old_number_is_new(Session& session, std::uint64_t seq, std::uint32_t handle_no) {
  const auto refused = session.refused.find(seq);
  if (refused != session.refused.end() && refused->second.missed) {
    refuse(session, seq, handle_no, Errc::refused_before,
           "a call that takes its result has failed, because it was refused");
    return false;
  }
  if (refused == session.refused.end() || !refused->second.parked) {
    ++counters_.duplicates;
    return false;
  }
  if (Handle* handle = session.handle(refused->second.handle)) handle->more().waiting.erase(seq);
  session.refused.erase(refused);
  if (session.has_record) mark(session);
  session.accepted_again.push_back(seq);
  return true;
}

/// Of a client that calls many actors in turn: asks for the queue of a call that stands so many
/// bytes behind the one that was read.
void Core::expect_submit(Session& session, const wire::FrameReader& in, std::size_t bytes) {
  const auto handle_at = [&](std::size_t at) -> const Handle* {
    wire::Reader ahead;
    std::uint64_t seq = 0;
    std::uint64_t number = 0;
    const bool seen = in.glance(static_cast<std::uint8_t>(wire::Type::submit), at, ahead) &&
                      ahead.uint(seq) && ahead.uint(number) && number < session.handles.size();
    return seen ? &session.handles[number] : nullptr;
  };
  if (const Handle* const far = handle_at(2 * bytes)) prefetch_to_read(far, 1);
  const Handle* const near = handle_at(bytes);
  if (near != nullptr) prefetch_to_write(near->queue.get(), sizeof(Queue));
}

[[gnu::always_inline]] inline void Core::on_submit(Session& session, const wire::Submit& message) {
  ++counters_.submitted;
  if (!number_is_new(session, message.seq, message.handle)) return;
  Handle* const handle = session.handle(message.handle);
  if (handle == nullptr) {
    return refuse(session, message.seq, message.handle, Errc::unknown_actor, "no such handle");
  }
  if (message.options.empty()) return submit(session, *handle, message, nullptr);
  wire::CallOptions options;
  wire::Reader in(message.options);
  std::string text;
  if (!wire::read(in, options, text)) {
    return refuse_submit(session, *handle, message, Errc::invalid_option, text);
  }
  submit(session, *handle, message, &options);
}

/// One submit, and those right behind it.
bool Core::on_submits(Session& session, std::uint32_t fields, wire::FrameReader& in) {
  const std::uint64_t forgotten = peers_forgotten_;
  wire::Submit message;
  std::size_t left = in.rest().size();
  do {
    if (!read(in, fields, message)) return false;
    const bool other = std::exchange(session.called, message.handle) != message.handle;
    if (other) expect_submit(session, in, left - in.rest().size());
    left = in.rest().size();
    on_submit(session, message);
  } while (peers_forgotten_ == forgotten &&
           in.message_of(static_cast<std::uint8_t>(wire::Type::submit), fields));
  return true;
}

Errc Core::key_problem(const Handle& handle, const wire::Submit& message,
                       const wire::CallOptions& options, std::string& text) const {
  const Queue& queue = *handle.queue;
  if (keyed_.size() >= limits::kIdempotencyKeysMax || keyed_bytes_ > limits::kIdempotencyBytesMax) {
    text = "too many outcomes of idempotency keys are kept";
    return Errc::queue_full;
  }
  const std::string& method = queue.kind == QueueKind::task
                                  ? queue.methods->names[0]
                                  : queue.methods->names[handle.methods[message.method]];
  const std::string_view args = message.args.part ? message.args.part.view() : message.args.bytes;
  if (key_conflicts(queue, options.idempotency_key, payload_digest(method, options, args))) {
    text = "the idempotency key was used with another method or other arguments";
    return Errc::idempotency_conflict;
  }
  return Errc::ok;
}

[[gnu::always_inline]] inline Errc Core::submit_problem(Session& session, Handle& handle,
                                                        const wire::Submit& message,
                                                        const wire::CallOptions* options,
                                                        std::string& text) {
  if (!handle.queue) {
    text = handle.rare().text;
    return handle.code;
  }
  Queue& queue = *handle.queue;
  if (queue.state != QueueState::open) {
    const bool dead = queue.state == QueueState::dead;
    text = dead ? queue.rare().reason_text : "its owner let go of it";
    return dead ? queue.reason : Errc::actor_died;
  }
  if (handle.refusing) {
    text = "an earlier call of this queue was refused";
    return Errc::refused_before;
  }
  if (queue.kind != QueueKind::task &&
      (message.method >= handle.methods.size() || handle.methods[message.method] == 0xffff)) {
    text = "the method's number was not announced";
    return Errc::unknown_method;
  }
  if (message.args.size() > limits::kPayloadBytesMax) {
    text = "the arguments take more than " + std::to_string(limits::kPayloadBytesMax) + " bytes";
    return Errc::too_large;
  }
  const bool memory = options != nullptr && options->durability
                          ? *options->durability == wire::Durability::memory
                          : queue.options().durability == wire::Durability::memory;
  if (!memory && store_full_) {
    text = "Redis nears its memory limit";
    return Errc::store_full;
  }
  if (!memory && open_bytes() > options_.store_batch_bytes_max) {
    text = "Redis is away and too much waits for it";
    return Errc::store_unavailable;
  }
  if (session.unreleased_bytes > options_.max_unreleased_bytes) {
    text = "too many results of this session have not been taken";
    return Errc::queue_full;
  }
  if (options == nullptr) return Errc::ok;
  if (options->delay_ms && options->at_ms) {
    text = "a call has a delay or a time at which it may start, not both";
    return Errc::invalid_option;
  }
  if (!options->group.empty() && queue.group_named(options->group) == 0) {
    text = "no concurrency group is named " + options->group;
    return Errc::invalid_option;
  }
  if (options->refs.size() + options->after.size() > limits::kRefsMax) {
    text = "too many dependencies";
    return Errc::too_large;
  }
  return options->idempotency_key.empty() ? Errc::ok : key_problem(handle, message, *options, text);
}

void Core::refuse_submit(Session& session, Handle& handle, const wire::Submit& message, Errc code,
                         std::string_view text) {
  refuse(session, message.seq, message.handle, code, text,
         time_may_cure(code) ? limits::kRetryAfterMs : 0);
  offer_waiting(session, message.handle, handle);
}

void Core::submit(Session& session, Handle& handle, const wire::Submit& message,
                  const wire::CallOptions* options) {
  std::string text;
  const Errc code = submit_problem(session, handle, message, options, text);
  if (code != Errc::ok) return refuse_submit(session, handle, message, code, text);
  if (park_or_refuse(session, handle, message, options)) return;
  Queue& queue = *handle.queue;
  Call& call = make_call(session, queue, CallId{session.id, message.seq}, message.options,
                         message.args, options);
  call.method = queue.kind == QueueKind::task ? 0 : handle.methods[message.method];
  call.group = options != nullptr && !options->group.empty() ? queue.group_named(options->group)
                                                             : queue.methods->groups[call.method];
  session.ack_urgent = session.ack_urgent || call.no_result;
  accept(call);
}

Call& Core::make_call(Session& session, Queue& queue, CallId id, std::string_view options,
                      const wire::Body& args, const wire::CallOptions* parsed) {
  Call& call = slab_.make();
  ++queue.objects;
  call.seq = id.seq;
  call.queue = &queue;
  call.session = &session;
  call.durable = queue.options().durability == wire::Durability::durable;
  call.max_retries = static_cast<std::int16_t>(queue.options().max_retries);
  slab_.fill(call, options, args.part ? std::string_view() : args.bytes);
  if (args.part) {
    call.with_part().part = args.part;
    part_bytes_ += args.part.size();
  }
  call.stored_bytes =
      static_cast<std::uint32_t>(std::min<std::size_t>(options.size() + args.size(), UINT32_MAX));
  std::int64_t budget_ms = queue.options().deadline_ms.value_or(0);
  if (parsed != nullptr) {
    if (parsed->deadline_ms) budget_ms = *parsed->deadline_ms;
    apply_options(call, *parsed);
  }
  // Zero is no deadline; one that has passed already is due at once.
  if (budget_ms != 0) call.deadline_wall_ms = now_.wall_ms + std::max<std::int64_t>(budget_ms, 0);
  return call;
}

void Core::apply_options(Call& call, const wire::CallOptions& options) {
  if (options.durability) call.durable = *options.durability == wire::Durability::durable;
  if (options.max_retries) {
    call.max_retries = static_cast<std::int16_t>(std::min(*options.max_retries, 30'000));
  }
  if (options.priority) call.priority = *options.priority;
  call.no_result = options.no_result;
  call.keyed = !options.key.empty() && call.queue->options().ordering == wire::Ordering::key;
  call.idempotent = !options.idempotency_key.empty();
  if (call.keyed || call.idempotent || options.delay_ms || options.at_ms || !options.refs.empty() ||
      !options.after.empty() || options.retry_on || options.backoff_ms || options.parent) {
    call.more().options = options;
  }
}

void Core::accept(Call& call) {
  Queue& queue = *call.queue;
  Session& session = *call.session;
  call.since_us = now_.mono_us;
  call.state = CallState::waiting;
  ++queue.open_calls;
  ++queue.accepted_total;
  ++counters_.accepted;
  session.calls.insert(call.seq, &call);
  if (call.durable) {
    session.durable_batch = open_batch();
    mark(session);
  }
  const std::int64_t due_ms =
      call.extra ? std::max(due_wall_ms(call.extra->options), due_of_dependencies(*call.extra)) : 0;
  if (due_ms > now_.wall_ms) {
    hold_back(call, due_ms);
    if (call.durable) store_delayed(call);
    grant_room(queue);  // the room that it was granted is for others
  } else {
    line_up_call(call);
  }
  if (call.deadline_wall_ms != 0) {
    at(now_.mono_us + (call.deadline_wall_ms - now_.wall_ms) * kMicrosPerMilli,
       Timer::Kind::deadline, call);
  }
  if (call.extra && !bind_dependencies(call)) return;
  if (call.idempotent) {
    call.extra->digest =
        payload_digest(queue.methods->names[call.method], call.extra->options, call.value());
    if (!lead_key(call)) return;
  }
  enter(call);
  wake(queue);
}

void Core::acknowledge_soon(Session& session) {
  const std::uint64_t news = session.accepted_through - session.ack_sent;
  const bool waits = options_.confirm_delay_us > 0 && !session.ack_urgent &&
                     session.accepted_again.empty() && news < limits::kAcksRidingMax;
  if (!waits) return acknowledge(session);
  if (news == 0 || session.ack_due_us != 0) return;
  session.ack_due_us = now_.mono_us + options_.confirm_delay_us;
  acks_.push_back(&session);
}

void Core::acknowledge(Session& session) {
  session.ack_due_us = 0;
  session.ack_urgent = false;
  if (session.peer == nullptr) return;
  if (session.ack_sent == session.accepted_through && session.accepted_again.empty()) return;
  session.ack_sent = session.accepted_through;
  wire::FrameWriter out = to(*session.peer, session.durable_batch);
  wire::write(out, wire::Accepted{session.accepted_through,
                                  wire::ranges_of(session.accepted_again),
                                  std::max(session.durable_batch, committed_)});
  session.accepted_again.clear();
}

}  // namespace callboard::broker
