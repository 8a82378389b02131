// Opening queues, creating actors, accepting calls or refusing them.
#include "broker/core/core.hpp"

#include "common/check.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace callboard::broker {

namespace {

constexpr std::uint64_t kRetryAfterMs = 50;  ///< told with a refusal that time may cure
constexpr std::uint64_t kRoomAtOnce = 1024;  ///< room granted to one parked session at a time

/// A name that may stand in a Redis key and in a queue's name.
bool good_name(std::string_view name) {
  return !name.empty() && name.size() <= limits::kNameBytesMax &&
         name.find_first_of(":{},=?*[]^%/~ \t\n") == std::string_view::npos;
}

std::string queue_name(const wire::ActorOptions& options, ActorId id) {
  if (options.name.empty()) return "~" + to_string(id);
  if (options.name_space.empty() || options.name_space == "default") return options.name;
  return options.name_space + "/" + options.name;
}

void describe(const Queue& queue, wire::Opened& answer) {
  answer.actor = queue.id;
  answer.queue = queue.name;
  answer.class_name = queue.class_name;
  answer.durability = queue.options.durability;
  answer.when_full = queue.options.when_full;
}

}  // namespace

// --- opening -----------------------------------------------------------------------------------

void Core::on_open(Session& session, const wire::Open& message) {
  wire::Opened answer;
  answer.handle = message.handle;
  if (message.handle >= limits::kHandlesMax) return;
  if (message.handle >= session.handles.size()) session.handles.resize(message.handle + 1);
  Handle& handle = session.handles[message.handle];
  if (handle.open) drop_handle(session, handle);
  handle = Handle();
  handle.open = true;
  if (message.kind == wire::TargetKind::task) {
    if (tasks_known_.contains(message.name) || workers_.empty()) {
      if (message.name.empty() ||
          message.name.find_first_of(":{},=?*[]^%/~ \t\n") != std::string::npos) {
        handle.code = Errc::invalid_option;
        handle.text = "not a task's name: " + message.name;
      } else {
        handle.queue = task_queue(message.name);
      }
    } else {
      handle.code = Errc::unknown_task;
      handle.text = "no worker has offered the task " + message.name;
    }
  } else {
    const ActorId* id = &message.actor;
    if (message.kind == wire::TargetKind::name) {
      std::string_view name = message.name;
      if (name.starts_with("default/")) name.remove_prefix(8);
      const auto found = queues_.find(name);
      if (found != queues_.end() && found->second->kind != QueueKind::task) {
        handle.queue = found->second;
      }
    } else if (const auto found = actors_.find(*id); found != actors_.end()) {
      handle.queue = found->second;
    }
    if (!handle.queue) {
      handle.code = message.kind == wire::TargetKind::name ? Errc::unknown_actor : Errc::actor_died;
      handle.text = message.kind == wire::TargetKind::name ? "no actor is named " + message.name
                                                           : "the actor is gone";
    }
  }
  if (handle.queue) {
    Queue& queue = *handle.queue;
    ++queue.handles;
    if (queue.owner == session.id && queue.owner != SessionId{}) ++queue.owner_handles;
    describe(queue, answer);
    answer.durability = queue.options.durability;
    answer.when_full = queue.options.when_full;
    bind_methods(handle, message.methods);
  } else {
    answer.code = handle.code;
    answer.text = handle.text;
  }
  wire::FrameWriter out = to(*session.peer, session.durable_batch);
  wire::write(out, answer);
}

bool Core::bind_methods(Handle& handle, const std::vector<std::string>& names) {
  if (!handle.queue) return false;
  for (const std::string& name : names) {
    const int index = handle.queue->intern_method(name);
    // Method 65535 is never there: a call of it is refused by its number.
    handle.methods.push_back(index < 0 ? std::uint16_t{0xffff} : static_cast<std::uint16_t>(index));
  }
  return true;
}

void Core::on_methods(Session& session, const wire::Methods& message) {
  if (Handle* handle = session.handle(message.handle)) bind_methods(*handle, message.names);
}

std::shared_ptr<Queue> Core::task_queue(const std::string& function) {
  const std::string name = "task/" + function;
  auto& queue = queues_[name];
  if (queue) return queue;
  queue = std::make_shared<Queue>();
  queue->name = name;
  queue->kind = QueueKind::task;
  queue->class_name = function;
  queue->options.ordering = wire::Ordering::none;
  queue->options.max_retries = limits::kTaskRetriesDefault;
  queue->max_pending = options_.max_pending;
  queue->max_pending_bytes = options_.max_pending_bytes;
  queue->groups.push_back({"", 0});
  queue->intern_method(function);
  for (auto& [worker_name, worker] : workers_) {
    if (std::find(worker->tasks.begin(), worker->tasks.end(), function) != worker->tasks.end()) {
      queue->instances.push_back(worker->task_slot.get());
    }
  }
  store_queue(*queue);
  return queue;
}

Errc Core::class_problem(std::string_view class_name) const {
  // While no worker is here, nobody can say what is unknown: the call waits.
  return classes_known_.contains(class_name) || workers_.empty() ? Errc::ok : Errc::unknown_class;
}

// --- creating ----------------------------------------------------------------------------------

void Core::on_create(Session& session, const wire::Create& message, const std::string& problem) {
  if (!number_is_new(session, message.seq) || message.handle >= limits::kHandlesMax) return;
  if (message.handle >= session.handles.size()) session.handles.resize(message.handle + 1);
  Handle& handle = session.handles[message.handle];
  if (handle.open) drop_handle(session, handle);
  handle = Handle();
  handle.open = true;
  const wire::ActorOptions& options = message.options;
  const ActorId id{session.id, message.seq};
  const bool named = !options.name.empty();
  const std::string name = queue_name(options, id);
  const auto existing = queues_.find(name);

  Errc code = Errc::ok;
  std::string text = problem;
  if (!problem.empty()) {
    code = Errc::invalid_option;
  } else if (named && (!good_name(options.name) ||
                       (!options.name_space.empty() && !good_name(options.name_space)) ||
                       options.name_space == "task")) {
    code = Errc::invalid_option;
    text = "not a name for an actor: " + name;
  } else if (options.groups.size() >= limits::kGroupsMax) {
    code = Errc::invalid_option;
    text = "too many concurrency groups";
  } else if (store_full_ && options.durability == wire::Durability::durable) {
    code = Errc::store_full;
    text = "Redis nears its memory limit";
  } else if (existing != queues_.end()) {
    const Queue& there = *existing->second;
    if (!options.get_if_exists) {
      code = Errc::name_taken;
      text = "an actor is named " + name;
    } else if (there.class_name != message.class_name ||
               (options.replicas > 0) != (there.kind == QueueKind::deployment)) {
      code = Errc::name_taken;
      text = name + " is of class " + there.class_name;
    } else if (there.state != QueueState::open) {
      code = Errc::name_taken;
      text = name + " is being stopped; try again when it is gone";
    }
  } else {
    code = class_problem(message.class_name);
    if (code != Errc::ok) {
      text = "no worker has offered the class " + std::string(message.class_name);
    }
  }

  wire::Opened answer;
  answer.handle = message.handle;
  answer.class_name = std::string(message.class_name);
  session.durable_batch = open_batch();  // a creation is always stored
  mark(session);
  if (code != Errc::ok) {
    handle.code = code;
    handle.text = text;
    answer.code = code;
    answer.text = text;
    wire::FrameWriter out = to(*session.peer, session.durable_batch);
    wire::write(out, answer);
    return;
  }
  std::shared_ptr<Queue> queue;
  if (existing != queues_.end()) {
    queue = existing->second;
  } else {
    queue = std::make_shared<Queue>();
    queue->name = name;
    queue->kind = options.replicas > 0 ? QueueKind::deployment : QueueKind::actor;
    queue->id = id;
    queue->class_name = message.class_name;
    queue->options = options;
    queue->constructor_args = message.args.bytes;
    const bool detached = options.lifetime ? *options.lifetime == wire::Lifetime::detached : named;
    if (!detached) {
      queue->owner = session.id;
      session.owned.insert(id);
    }
    queue->max_pending = options.max_pending > 0 ? options.max_pending : options_.max_pending;
    queue->max_pending_bytes =
        options.max_pending_bytes > 0 ? options.max_pending_bytes : options_.max_pending_bytes;
    queue->groups.push_back({"", options.max_concurrency});
    for (const auto& [group, bound] : options.groups) queue->groups.push_back({group, bound});
    if (const auto counter = name_counters_.find(name); counter != name_counters_.end()) {
      queue->next_number = counter->second;
      name_counters_.erase(counter);
    }
    const auto known = classes_known_.find(message.class_name);
    if (known != classes_known_.end()) resolve_concurrency(*queue, known->second);
    queues_[name] = queue;
    actors_[id] = queue;
    const std::uint32_t replicas = std::max<std::uint32_t>(options.replicas, 1);
    for (std::uint32_t i = 0; i < replicas; ++i) make_instance(queue, i);
    store_queue(*queue);
    if (named) open_->set(open_->key(KeyKind::hash, "names"), name, to_string(id));
    store_actor(*queue);
    for (Instance* instance : queue->instances) place(*instance);
  }
  handle.queue = queue;
  ++queue->handles;
  if (queue->owner == session.id) ++queue->owner_handles;
  bind_methods(handle, message.methods);
  describe(*queue, answer);
  answer.durability = queue->options.durability;
  answer.when_full = queue->options.when_full;
  wire::FrameWriter out = to(*session.peer, session.durable_batch);
  wire::write(out, answer);
}

// --- calls -------------------------------------------------------------------------------------

bool Core::number_is_new(Session& session, std::uint64_t seq) {
  if (seq > session.accepted_through) {
    session.accepted_through = seq;
    return true;
  }
  const auto refused = session.refused.find(seq);
  if (refused == session.refused.end() || !refused->second.parked) {
    ++counters_.duplicates;
    return false;
  }
  if (Handle* handle = session.handle(refused->second.handle)) handle->waiting.erase(seq);
  session.refused.erase(refused);
  if (session.has_record) mark(session);
  session.accepted_again.push_back(seq);
  return true;
}

/// The client has answered a parked call itself: it will not be offered again, and what came after
/// it need not wait for it.
void Core::give_up(Session& session, std::uint64_t seq) {
  const auto refused = session.refused.find(seq);
  if (refused == session.refused.end() || !refused->second.parked) return;
  if (Handle* handle = session.handle(refused->second.handle)) handle->waiting.erase(seq);
  session.refused.erase(refused);
  if (session.has_record) mark(session);
}

void Core::on_submit(Session& session, const wire::Submit& message) {
  ++counters_.submitted;
  if (message.seq == 0 || !number_is_new(session, message.seq)) return;
  Handle* handle = session.handle(message.handle);
  if (handle == nullptr) {
    return refuse(session, message.seq, message.handle, Errc::unknown_actor, "no such handle");
  }
  wire::CallOptions parsed;
  const wire::CallOptions* options = nullptr;
  std::string text;
  Errc code = Errc::ok;
  if (!message.options.empty()) {
    wire::Reader in(message.options);
    if (!wire::read(in, parsed, text))
      code = Errc::invalid_option;
    else
      options = &parsed;
  }
  if (code == Errc::ok) code = submit_problem(session, *handle, message, options, text);
  if (code != Errc::ok) {
    refuse(session, message.seq, message.handle, code, text,
           code == Errc::store_unavailable || code == Errc::store_full ? kRetryAfterMs : 0);
    return offer_waiting(session, message.handle, *handle);
  }
  if (park_or_refuse(session, *handle, message, options)) return;
  Queue& queue = *handle->queue;
  Call& call = make_call(session, queue, CallId{session.id, message.seq}, message.options,
                         message.args, options);
  call.method = queue.kind == QueueKind::task ? 0 : handle->methods[message.method];
  call.group = options != nullptr && !options->group.empty() ? queue.group_named(options->group)
                                                             : queue.method_group[call.method];
  accept(call);
}

Errc Core::submit_problem(Session& session, Handle& handle, const wire::Submit& message,
                          const wire::CallOptions* options, std::string& text) {
  if (!handle.queue) {
    text = handle.text;
    return handle.code;
  }
  Queue& queue = *handle.queue;
  if (queue.state == QueueState::dead) {
    text = queue.reason_text;
    return queue.reason;
  }
  if (queue.state == QueueState::closing) {
    text = "its owner let go of it";
    return Errc::actor_died;
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
                          : queue.options.durability == wire::Durability::memory;
  if (!memory && store_full_) {
    text = "Redis nears its memory limit";
    return Errc::store_full;
  }
  if (!memory && open_->bytes() > options_.store_batch_bytes_max) {
    text = "Redis is away and too much waits for it";
    return Errc::store_unavailable;
  }
  if (session.unreleased_bytes > options_.max_unreleased_bytes) {
    text = "too many results of this session have not been taken";
    return Errc::queue_full;
  }
  if (options == nullptr) return Errc::ok;
  if (!options->group.empty() && queue.group_named(options->group) == 0) {
    text = "no concurrency group is named " + options->group;
    return Errc::invalid_option;
  }
  if (options->delay_ms || !options->idempotency_key.empty()) {
    text = "delays and idempotency keys are not offered by this version";
    return Errc::invalid_option;
  }
  if (options->refs.size() + options->after.size() > limits::kRefsMax) {
    text = "too many dependencies";
    return Errc::too_large;
  }
  return Errc::ok;
}

bool Core::park_or_refuse(Session& session, Handle& handle, const wire::Submit& message,
                          const wire::CallOptions* options) {
  Queue& queue = *handle.queue;
  // Left the client before that had seen that an earlier call was parked: it must not take the room
  // that the earlier one was granted meanwhile.
  const bool out_of_turn = !handle.waiting.empty() && message.seq > *handle.waiting.begin();
  const bool full = queue.full(message.args.size());
  if (!out_of_turn && (handle.granted > 0 || (!handle.parked && queue.parked.empty() && !full))) {
    if (handle.granted > 0) {
      --handle.granted;
      --queue.granted;
    }
    // The rest of its parked calls keep a place in line.
    if (handle.granted == 0 && !handle.waiting.empty()) line_up(session, message.handle, handle);
    return false;
  }
  const auto when_full =
      options != nullptr && options->when_full ? *options->when_full : queue.options.when_full;
  if (when_full == wire::WhenFull::reject && !handle.parked && handle.waiting.empty()) {
    if (!full) return false;
    refuse(session, message.seq, message.handle, Errc::queue_full,
           queue.name + " holds " + std::to_string(queue.count) + " calls", kRetryAfterMs);
    return true;
  }
  session.refused[message.seq] = {message.handle, true};
  std::erase(session.accepted_again, message.seq);
  handle.waiting.insert(message.seq);
  if (out_of_turn && handle.parked) return true;  // the client was told from which number on
  // Room that was granted before is granted anew: the client may have given up what it was for.
  queue.granted -= std::min(queue.granted, std::exchange(handle.granted, 0));
  wire::FrameWriter out = to(*session.peer, 0);
  wire::write(out, wire::Parked{message.handle, message.seq});
  line_up(session, message.handle, handle);
  grant_room(queue);
  return true;
}

/// A call was refused: its parked successors are asked for at once, to be refused as well. Room
/// would never come to them, because the refused call takes none.
void Core::offer_waiting(Session& session, std::uint32_t number, Handle& handle) {
  if (handle.waiting.empty()) return;
  const std::uint64_t calls = handle.waiting.size();
  handle.waiting.clear();
  handle.parked = false;
  handle.queue->granted -= std::min(handle.queue->granted, std::exchange(handle.granted, 0));
  wire::FrameWriter out = to(*session.peer, 0);
  wire::write(out, wire::Room{number, calls});
}

void Core::line_up(const Session& session, std::uint32_t number, Handle& handle) {
  if (handle.parked) return;
  handle.parked = true;
  handle.queue->parked.push_back({session.id, number});
}

void Core::grant_room(Queue& queue) {
  while (!queue.parked.empty() && !queue.full(0)) {
    const ParkedSession next = queue.parked.front();
    const auto found = sessions_.find(next.session);
    Handle* handle = found == sessions_.end() ? nullptr : found->second->handle(next.handle);
    queue.parked.pop_front();
    if (handle == nullptr || handle->queue.get() != &queue || !handle->parked ||
        found->second->peer == nullptr) {
      continue;
    }
    const std::uint64_t room =
        std::min(kRoomAtOnce, queue.max_pending - queue.count - queue.granted);
    handle->parked = false;
    handle->granted = room;
    queue.granted += room;
    wire::FrameWriter out = to(*found->second->peer, 0);
    wire::write(out, wire::Room{next.handle, room});
  }
}

void Core::refuse(Session& session, std::uint64_t seq, std::uint32_t number, Errc code,
                  std::string_view text, std::uint64_t retry_after_ms) {
  ++counters_.refused;
  session.refused[seq] = {number, false};
  std::erase(session.accepted_again, seq);
  // A refusal that time may cure holds back what follows, so that order never has a hole. A queue
  // that is gone refuses every call for its own reason.
  Handle* handle = session.handle(number);
  if (handle != nullptr && handle->queue && handle->queue->state == QueueState::open) {
    handle->refusing = true;
  }
  wire::Refused answer;
  answer.seq = seq;
  answer.code = code;
  answer.text = text;
  answer.retry_after_ms = retry_after_ms;
  wire::FrameWriter out = to(*session.peer, session.durable_batch);
  wire::write(out, answer);
}

void Core::on_resume(Session& session, const wire::Resume& message) {
  Handle* handle = session.handle(message.handle);
  if (handle == nullptr) return;
  handle->refusing = false;
  if (handle->queue && handle->granted > 0) {
    // It needs no more room: what was promised is for others.
    handle->queue->granted -= std::min(handle->queue->granted, handle->granted);
    handle->granted = 0;
    grant_room(*handle->queue);
  }
  std::erase_if(session.refused, [&](const auto& entry) {
    return entry.second.handle == message.handle && !entry.second.parked;
  });
}

Call& Core::make_call(Session& session, Queue& queue, CallId id, std::string_view options,
                      const wire::Body& args, const wire::CallOptions* parsed) {
  Call& call = slab_.make();
  ++queue.objects;
  call.id = id;
  call.queue = &queue;
  call.session = &session;
  call.durable = queue.options.durability == wire::Durability::durable;
  call.max_retries = static_cast<std::int16_t>(queue.options.max_retries);
  call.options_bytes = static_cast<std::uint32_t>(options.size());
  const std::size_t inline_args = args.part ? 0 : args.size();
  call.value_bytes = static_cast<std::uint32_t>(inline_args);
  if (options.size() + inline_args > 0) {
    call.data = std::make_unique_for_overwrite<char[]>(options.size() + inline_args);
    if (!options.empty()) std::memcpy(call.data.get(), options.data(), options.size());
    if (inline_args > 0)
      std::memcpy(call.data.get() + options.size(), args.bytes.data(), inline_args);
  }
  if (args.part) call.more().part = args.part;
  call.stored_bytes =
      static_cast<std::uint32_t>(std::min<std::size_t>(options.size() + args.size(), UINT32_MAX));
  std::int64_t budget_ms = queue.options.deadline_ms.value_or(0);
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
  call.keyed = !options.key.empty() && call.queue->options.ordering == wire::Ordering::key;
  if (call.keyed || !options.refs.empty() || !options.after.empty() || options.retry_on ||
      options.backoff_ms || options.parent) {
    call.more().options = options;
  }
}

void Core::accept(Call& call) {
  Queue& queue = *call.queue;
  Session& session = *call.session;
  call.number = queue.next_number++;
  call.since_us = now_.mono_us;
  call.state = CallState::waiting;
  call.counted = true;
  ++queue.count;
  ++queue.open_calls;
  ++queue.accepted_total;
  ++counters_.accepted;
  queue.bytes += call.stored_bytes;
  session.calls.insert(call.id.seq, &call);
  if (call.durable) {
    session.durable_batch = open_batch();
    mark(session);
    mark(queue);
    store_call(call);
  }
  if (call.deadline_wall_ms != 0) {
    at(now_.mono_us + (call.deadline_wall_ms - now_.wall_ms) * kMicrosPerMilli,
       Timer::Kind::deadline, call);
  }
  if (call.extra && !bind_dependencies(call)) return;
  enter(call);
  wake(queue);
}

bool Core::bind_dependencies(Call& call) {
  CallExtra& extra = *call.extra;
  for (const CallId id : dependencies(extra)) {
    Call* other = find_call(id);
    if (other == &call) other = nullptr;
    if (other == nullptr) {
      end_with(call, Errc::dependency_failed, "the result of call " + to_string(id) + " is gone",
               "result_expired: call " + to_string(id));
      return false;
    }
    if (other->state == CallState::ended && other->status != Errc::ok) {
      const ErrorInfo cause = wire::decode_error(other->value(), other->status);
      end_with(call, Errc::dependency_failed, "call " + to_string(id) + " failed",
               std::string(name_of(cause.code)) + ": " + cause.message +
                   (cause.causes.empty() ? "" : "\n" + cause.causes));
      return false;
    }
    if (other->state == CallState::ended) {
      ++other->more().holders;
      extra.holds.push_back(other);
      // Once another call may see it, it is final.
      if (other->durable && !other->recorded) record_result(*other);
    } else {
      other->more().dependents.push_back(&call);
      ++extra.unresolved;
    }
  }
  return true;
}

void Core::acknowledge(Session& session) {
  if (session.peer == nullptr) return;
  if (session.ack_sent == session.accepted_through && session.accepted_again.empty()) return;
  session.ack_sent = session.accepted_through;
  wire::FrameWriter out = to(*session.peer, session.durable_batch);
  wire::write(out,
              wire::Accepted{session.accepted_through, wire::ranges_of(session.accepted_again)});
  session.accepted_again.clear();
}

}  // namespace callboard::broker
