// From the store to memory: what a broker run finds of those before it.
//
// A call that the store says was sent is an orphan until its worker says hello (it lists what it
// has begun) or a supervisor tells how that died, or until the recovery time is over; then nobody
// can know.
#include "broker/core/core.hpp"
#include "broker/core/records.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace callboard::broker {

namespace {

std::int32_t signed_number_of(std::string_view text) {
  std::int32_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

bool begin_record(wire::Reader& in, std::uint32_t fields) {
  std::uint32_t n = 0;
  std::uint64_t version = 0;
  return in.array(n) && n >= fields && in.uint(version) && version == kRecordVersion;
}

}  // namespace

std::string Core::load(const StoreEntry& entry) {
  const auto keep = [&](std::map<std::string, std::string>& where) {
    where.emplace(entry.field, entry.value);
    return std::string();
  };
  if (entry.key == "sessions") return keep(restored_.sessions);
  if (entry.key == "actors") return keep(restored_.actors);
  if (entry.key == "names") return keep(restored_.names);
  if (entry.key == "classes") return keep(restored_.classes);
  if (entry.key == "schedules") return keep(restored_.schedules);
  if (entry.key == "runs") {
    runs_[number_of(entry.field)] = number_of(entry.value, 16);
    return {};
  }
  if (entry.key == "queues") {
    restored_.queues.try_emplace(std::string(entry.field));
    return {};
  }
  if (entry.key == "workers" || entry.key == "meta" || entry.key == "fence" ||
      entry.key == "dedupe") {
    return {};
  }
  if (entry.key.starts_with("results:")) {
    restored_.results.push_back(
        {std::string(entry.key.substr(8)), std::string(entry.field), std::string(entry.value)});
    return {};
  }
  if (entry.key.starts_with("dedupe:")) {
    restored_.keyed.push_back({{}, std::string(entry.field), std::string(entry.value)});
    return {};
  }
  if (entry.key == Journal::kKey) return journal_.load(entry.field, entry.value);
  if (!entry.key.starts_with("q:")) return "unknown key " + std::string(entry.key);
  std::string_view name = entry.key.substr(2);
  if (name.ends_with(":calls")) {
    name.remove_suffix(6);
    if (load_stored(name, number_of(entry.field), entry.value)) return {};
    auto calls = restored_.calls.find(name);
    if (calls == restored_.calls.end()) {
      calls = restored_.calls.try_emplace(std::string(name)).first;
    }
    calls->second.emplace_back(number_of(entry.field), entry.value);
  } else if (name.ends_with(":sent")) {
    name.remove_suffix(5);
    if (restored_.stores) stored_queue(name).sent.insert(number_of(entry.field));
    restored_.sent.push_back(
        {std::string(name), std::string(entry.field), std::string(entry.value)});
  } else if (name.ends_with(":delayed")) {
    name.remove_suffix(8);
    restored_.delayed.push_back(
        {std::string(name), std::string(entry.field), std::string(entry.value)});
  } else if (name.ends_with(":dead")) {
    name.remove_suffix(5);
    restored_.dead.push_back(
        {std::string(name), std::string(entry.field), std::string(entry.value)});
  } else {
    restored_.queues[std::string(name)][std::string(entry.field)] = entry.value;
  }
  return {};
}

bool Core::restore_actor(const QueuePtr& queue, const std::string& record) {
  wire::Reader in(record);
  std::string problem;
  std::string_view args;
  std::uint64_t owner = 0;
  std::uint32_t n = 0;
  std::string class_name;
  wire::ActorOptions options;
  std::string name;  // it is known
  const bool good = begin_record(in, 8) && in.str(name) && in.uint_max(queue->kind, 2) &&
                    in.str(class_name) && in.bin(args) && wire::read(in, options, problem) &&
                    in.uint(owner) && in.array(n);
  if (!good) return false;
  set_making(*queue, std::move(class_name), std::move(options));
  queue->constructor_args = args;
  queue->owner = SessionId{owner};
  for (; n > 0; --n) {
    std::uint32_t width = 0;
    std::uint32_t replica = 0;
    std::uint64_t incarnation = 0;
    std::uint32_t restarts = 0;
    bool placed = false;
    if (!in.array(width) || width != 4 || !in.uint_max(replica, UINT32_MAX) ||
        !in.uint(incarnation) || !in.uint_max(restarts, UINT32_MAX) || !in.boolean(placed)) {
      return false;
    }
    Instance& instance = make_instance(queue, replica);
    instance.restarts = restarts;
    if (!placed) {  // it lives nowhere: no worker is waited for
      place(instance);
      continue;
    }
    instance.incarnation = incarnation;
    instance.state = InstanceState::recovering;
  }
  return true;
}

std::string Core::restore_queue(const std::string& name,
                                std::map<std::string, std::string>& fields) {
  QueuePtr queue;
  if (fields["kind"] == "task") {
    queue = task_queue(fields["class"]);
  } else {
    wire::ActorOptions options;
    options.max_concurrency = 1;
    options.max_retries = signed_number_of(fields["max_retries"]);
    queue = new_queue(name, fields["class"], std::move(options));
    // An unnamed one has its id in its name, and fields only of what has changed since.
    if (fields["id"].empty() && name.starts_with('~')) fields["id"] = name.substr(1);
    const CallId id = call_id_from(fields["id"]);
    queue->id = ActorId{id.session, id.seq};
    const auto record = restored_.actors.find(fields["id"]);
    if (record == restored_.actors.end()) {
      // Killed before: only results and counters are left of it.
      queue->state = QueueState::dead;
      queue->reason = Errc::actor_died;
      queue->more().reason_text = name + " was killed";
    } else {
      if (!restore_actor(queue, record->second)) {
        return "the record of actor " + name + " cannot be read";
      }
      if (const auto session = sessions_.find(queue->owner); session != sessions_.end()) {
        session->second->own(*queue);
      }
    }
    queues_.add(queue);
  }
  queue->next_number =
      std::max({number_of(fields["next"]), queue->next_number, numbers_begin()});
  queue->paused = fields["paused"] == "1";
  for (const auto& [field, value] : fields) {
    if (!field.starts_with("sent.")) continue;
    const std::size_t dot = field.find('.', 5);
    if (dot == std::string::npos) continue;
    const auto group =
        static_cast<std::uint8_t>(number_of(std::string_view(field).substr(5, dot - 5)));
    const std::int32_t priority = signed_number_of(std::string_view(field).substr(dot + 1));
    queue->lane(group, static_cast<std::int8_t>(priority)).watermark = number_of(value);
  }
  return {};
}

/// A call as its record says; null when its session is gone (no problem) or it cannot be read.
Call* Core::restore_record(Queue& queue, std::string_view record, std::string& problem) {
  CallRecord stored;
  if (!read_call_record(record, stored)) {
    problem = "a call of queue " + queue.name() + " cannot be read";
    return nullptr;
  }
  const auto session = sessions_.find(stored.id.session);
  if (session == sessions_.end()) return nullptr;
  wire::CallOptions parsed;
  std::string unused;
  wire::Reader encoded(stored.options);
  const bool has_options = !stored.options.empty() && wire::read(encoded, parsed, unused);
  Call& call = make_call(*session->second, queue, stored.id, stored.options,
                         wire::Body{stored.args, Blob()}, has_options ? &parsed : nullptr);
  call.durable = true;
  call.deadline_wall_ms = stored.deadline_wall_ms;
  call.since_us = now_.mono_us;
  const int index = queue.intern_method(stored.method);
  call.method = index < 0 ? std::uint16_t{0} : static_cast<std::uint16_t>(index);
  call.group = has_options && !parsed.group.empty() ? queue.group_named(parsed.group)
                                                    : queue.methods->groups[call.method];
  if (call.idempotent) call.extra->digest = payload_digest(stored.method, parsed, call.value());
  call.state = CallState::waiting;
  ++queue.open_calls;
  session->second->calls.insert(call.seq, &call);
  return &call;
}

std::string Core::restore_calls() {
  for (auto& [name, calls] : restored_.calls) {
    Queue* const queue = queues_.find(name);
    if (queue == nullptr) continue;
    std::sort(calls.begin(), calls.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    for (const auto& [number, record] : calls) {
      std::string problem = restore_call(*queue, number, record);
      if (!problem.empty()) return problem;
    }
    calls = {};  // the calls themselves hold it all now
  }
  for (auto& [name, stored] : restored_.stored) {
    if (Queue* const queue = queues_.find(name)) restore_stored(*queue, stored);
    stored.calls = {};
  }
  return {};
}

std::string Core::restore_call(Queue& queue, std::uint64_t number, std::string_view record) {
  std::string problem;
  Call* call = restore_record(queue, record, problem);
  if (call == nullptr) return problem;
  restored_.unfinished.push_back(call);
  call->number = number;
  call->counted = true;
  ++queue.count;
  queue.bytes += call->stored_bytes;
  queue.next_number = std::max(queue.next_number, call->number + 1);
  // What is left of a queue that was killed had been sent: all else ended with it. Which lanes it
  // had, nobody knows any more.
  call->orphan = queue.state == QueueState::dead ||
                 (queue.leaves_in_order() &&
                  call->number <= queue.lane(call->group, call->priority).watermark);
  return {};
}

std::string Core::restore_delayed(const Restored::StoredCall& stored) {
  Queue* const found = queues_.find(stored.queue);
  if (found == nullptr) return {};
  wire::Reader in(stored.value);
  std::int64_t due = 0;
  std::string_view record;
  if (!begin_record(in, 3) || !in.integer(due) || !in.bin(record)) {
    return "a delayed call of queue " + stored.queue + " cannot be read";
  }
  std::string problem;
  Call* call = restore_record(*found, record, problem);
  if (call == nullptr) return problem;
  hold_back(*call, due);
  restored_.unfinished.push_back(call);
  return {};
}

std::string Core::restore_session(const std::string& name, const std::string& record) {
  auto session = std::make_unique<Session>();
  session->id = SessionId{number_of(name, 16)};
  wire::Reader in(record);
  std::uint32_t n = 0;
  if (!begin_record(in, 5) || !in.uint(session->accepted_through) || !in.str(session->name) ||
      !in.integer(session->gone_wall_ms) || !in.array(n)) {
    return "the record of session " + name + " cannot be read";
  }
  for (; n > 0; --n) {
    std::uint32_t width = 0;
    std::uint64_t seq = 0;
    bool parked = false;
    if (!in.array(width) || width != 2 || !in.uint(seq) || !in.boolean(parked)) break;
    session->refused[seq] = {UINT32_MAX, parked, false};
  }
  session->has_record = session->stored = true;
  session->away_since_us = listened_us_;
  if (session->id == broker_session(options_.shard)) {
    // Our own: it needs no connection.
  } else if (session->gone_wall_ms == 0) {
    away_.push_back(session->id);
  } else {
    gone_.emplace_back(session->gone_wall_ms + options_.result_ttl_ms, session->id);
  }
  sessions_.emplace(session->id, std::move(session));
  return {};
}

std::string Core::restore_result(const Restored::StoredCall& stored) {
  const auto session = sessions_.find(SessionId{number_of(stored.queue, 16)});
  if (session == sessions_.end()) return {};
  wire::Reader in(stored.value);
  std::uint64_t status = 0;
  bool taken = false;
  std::string queue_name;
  std::string_view value;
  if (!begin_record(in, 5) || !in.uint(status) || !in.boolean(taken) || !in.str(queue_name) ||
      !in.bin(value)) {
    return "a result of session " + stored.queue + " cannot be read";
  }
  const std::uint64_t seq = number_of(stored.number);
  if (session->second->calls.find(seq) != nullptr) return {};
  if (stored_run(*session->second, seq) != nullptr) return {};
  QueuePtr queue(queues_.find(queue_name));
  if (!queue) {
    // Its queue is gone; the result outlives it.
    wire::ActorOptions options;
    options.max_concurrency = 1;
    queue = new_queue(queue_name, {}, std::move(options));
    queue->state = QueueState::dead;
    queue->reason = Errc::actor_died;
    queue->more().reason_text = queue_name + " is gone";
    queues_.add(queue);
  }
  Call& call = make_call(*session->second, *queue, CallId{session->second->id, seq}, {},
                         wire::Body{value, Blob()}, nullptr);
  call.state = CallState::ended;
  call.status = static_cast<Errc>(status);
  call.recorded = true;
  call.durable = true;
  call.taken = taken;
  session->second->calls.insert(seq, &call);
  if (taken) {
    ++call.more().holders;
    restored_.taken.push_back(&call);
  } else {
    session->second->unreleased_bytes += value.size();
  }
  return {};
}

/// How often a call was tried, and whether it was out when the last broker run ended.
void Core::restore_attempts(Call* call, const SentRecords& sent_records) {
  const auto record = sent_records.find({call->queue->name(), call->number});
  if (record != sent_records.end()) {
    SentRecord sent;
    if (!read_sent_record(record->second, sent)) return;
    call->attempts = sent.attempts;
    call->orphan = sent.out;
    call->sent_record = true;
    if (sent.crashes + sent.errors + sent.redeliveries > 0) {
      call->more().crashes = sent.crashes;
      call->extra->errors = sent.errors;
      call->extra->redeliveries = sent.redeliveries;
    }
    // Where the store went back, a worker may have forgotten what it has done.
    if (sent.worker != 0 && options_.went_back.empty()) restored_.sent_to[call] = sent.worker;
  } else if (call->orphan) {
    call->attempts = 1;
  }
}

/// REQUIRES: every call and result is restored.
void Core::resume_call(Call* call) {
  if (call->deadline_wall_ms != 0) {
    at(now_.mono_us +
           std::max<std::int64_t>(call->deadline_wall_ms - now_.wall_ms, 0) * kMicrosPerMilli,
       Timer::Kind::deadline, *call);
  }
  if (call->extra && !bind_dependencies(*call)) return;
  if (call->idempotent && !lead_key(*call)) return;
  if (call->orphan) {
    call->state = CallState::leased;
    if (call->keyed) {  // the others of its key wait for it, as they did when it was sent
      KeyState& key = call->queue->more().keys[call->extra->options.key];
      key.waiting.push_front(call);
      key.busy = true;
    }
    orphans_.push_back(CallSlab::ref(*call));
    ++call->queue->orphans;
    if (const auto sent = restored_.sent_to.find(call); sent != restored_.sent_to.end()) {
      tasks_out_[sent->second].push_back(CallSlab::ref(*call));
    }
    return;
  }
  if (call->queue->state == QueueState::dead) {
    end_with(*call, call->queue->reason, call->queue->rare().reason_text);
    return;
  }
  enter(*call);
}

/// Those that were sent first, delayed ones last: of the calls of one idempotency key, the one that
/// was sent leads, also while it waits for its retry.
void Core::sort_restored(std::vector<Call*>& calls) {
  const auto rank = [](const Call* call) {
    if (call->delayed) return 2;
    return call->orphan || call->attempts > 0 ? 0 : 1;
  };
  std::stable_sort(calls.begin(), calls.end(),
                   [&](const Call* a, const Call* b) { return rank(a) < rank(b); });
}

/// What the journal says of a field counts more than what its hash says.
void Core::apply_journal() {
  std::string problem = journal_.recover();
  restored_.journal_read = true;
  if (!problem.empty()) effects_->fatal = std::move(problem);
  if (journal_.empty()) return;
  for (auto& [name, calls] : restored_.calls) {
    const std::string key = queue_key(name, ":calls");
    if (!journal_.changes(key)) continue;
    std::erase_if(calls, [&](const auto& each) {
      return journal_.says(key, std::to_string(each.first));
    });
  }
  std::erase_if(restored_.sent, [&](const Restored::StoredCall& each) {
    return journal_.says(queue_key(each.queue, ":sent"), each.number);
  });
  for (auto& [name, fields] : restored_.queues) {
    const std::string key = queue_key(name, "");
    std::erase_if(fields, [&](const auto& each) { return journal_.says(key, each.first); });
  }
  journal_.each([&](std::string_view key, std::string_view field, std::string_view value) {
    // Only queues that exist are read, as from the hashes.
    const std::string_view name = key.substr(2, key.find(':', 2) - 2);
    if (restored_.queues.contains(std::string(name))) load(StoreEntry{key, field, value});
  });
}

void Core::restore_all() {
  const auto fail = [&](const std::string& problem) {
    if (!problem.empty() && effects_->fatal.empty()) effects_->fatal = problem;
  };
  for (const auto& [name, mode] : restored_.classes) {
    if (name.starts_with("task/"))
      tasks_known_[name.substr(5)] = true;
    else
      classes_known_[name] = static_cast<wire::Mode>(number_of(mode));
  }
  for (const auto& [name, record] : restored_.sessions) fail(restore_session(name, record));
  for (auto& [name, fields] : restored_.queues) fail(restore_queue(name, fields));
  fail(restore_calls());
  // Delayed ones last: of the calls of one idempotency key, the one that was sent leads.
  for (const auto& stored : restored_.delayed) fail(restore_delayed(stored));
  for (const auto& stored : restored_.keyed) fail(restore_key(stored));
  for (const auto& stored : restored_.dead) fail(restore_dead(stored));
  for (const auto& stored : restored_.results) fail(restore_result(stored));
  for (const auto& [name, record] : restored_.schedules) fail(restore_schedule(name, record));
}

void Core::say_went_back() {
  if (options_.went_back.empty()) return;
  log(2, "the store went back in time: " + options_.went_back + ". Timeline " +
             std::to_string(options_.timeline) + " begins with epoch " +
             std::to_string(options_.epoch) +
             "; what was acknowledged and is not in the store is lost");
  announce_state("store", options_.name, "went_back", "timeline",
                 std::to_string(options_.timeline));
}

void Core::loaded(Instant now, Effects& effects) {
  now_ = began_ = now;
  effects_ = &effects;
  say_went_back();
  runs_[options_.epoch] = run_;
  recovering_ = true;
  recovery_ends_us_ = options_.lease_ms * kMicrosPerMilli;
  apply_journal();
  restore_all();
  SentRecords sent;
  for (auto& record : restored_.sent) {
    sent[{record.queue, number_of(record.number)}] = std::move(record.value);
  }
  std::uint64_t absent = 0;
  std::size_t lanes = 0;
  queues_.each([&](const QueuePtr& queue) {
    absent += queue->absent;
    for (const Lane& lane : queue->lanes) lanes += lane.stored != nullptr ? 1 : 0;
  });
  if (absent > 0) share_pages(lanes);
  std::vector<Call*> calls = std::move(restored_.unfinished);
  for (Call* call : calls) restore_attempts(call, sent);
  sort_restored(calls);
  for (Call* call : calls) resume_call(call);
  for (Call* call : restored_.taken) {
    --call->extra->holders;
    drop_if_done(*call);
  }
  if (!calls.empty()) {
    log(0, "found " + std::to_string(calls.size()) + " unfinished calls, " +
               std::to_string(orphans_.size()) + " of them sent, in " +
               std::to_string(queues_.size()) + " queues");
  }
  if (absent > 0) log(0, std::to_string(absent) + " more are left in the store until their turn");
  std::vector<QueuePtr> dead;
  queues_.each([&dead](const QueuePtr& queue) {
    if (queue->state == QueueState::dead) dead.push_back(queue);
  });
  for (const auto& queue : dead) remove_queue_if_gone(*queue);
  // Owned by those who left before: their calls finish, then they stop.
  std::vector<QueuePtr> left;
  queues_.each([&](const QueuePtr& queue) {
    const auto owner = sessions_.find(queue->owner);
    const bool gone = owner == sessions_.end() || owner->second->gone_wall_ms != 0;
    const bool lives = queue->state != QueueState::dead;
    if (lives && queue->owner != SessionId{} && gone) left.push_back(queue);
  });
  for (const auto& queue : left) close_queue(*queue);
  finish_all_closing();
  restored_ = Restored();
  effects_->append_gathered();
  effects_ = nullptr;
}

void Core::end_recovery() {
  recovering_ = false;
  std::vector<CallSlab::Ref> orphans;
  orphans.swap(orphans_);
  tasks_out_.clear();
  for (const CallSlab::Ref& ref : orphans) {
    Call* call = ref.get();
    if (call == nullptr || !call->orphan || call->state != CallState::leased) continue;
    settle_orphan(*call);
    // At most once nobody can say that it began; its owner may even have its result.
    if (call->extra && call->extra->expire && call->max_retries != 0) {
      end_with(*call, Errc::deadline_exceeded, "its deadline passed while its worker was away");
      continue;
    }
    lease_lost(*call,
               {.begun = true, .why = "its worker did not come back after the broker's restart"});
  }
  std::vector<std::pair<QueuePtr, Instance*>> lost;
  queues_.each([&lost](const QueuePtr& queue) {
    for (Instance* instance : queue->instances) {
      if (instance->state == InstanceState::recovering) lost.emplace_back(queue, instance);
    }
  });
  for (const auto& [queue, instance] : lost) {
    if (instance->state != InstanceState::recovering) continue;
    instance_lost(*instance, "its worker did not come back after the broker's restart");
  }
  queues_.each([this](const QueuePtr& queue) { wake(*queue); });
}

}  // namespace callboard::broker
