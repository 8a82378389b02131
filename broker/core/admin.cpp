// The verbs, their requests, and the two that look at the broker as a whole.
#include "broker/core/admin.hpp"

#include "common/fields.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace callboard::broker {

namespace {

constexpr std::uint64_t kPageItemsMax = 1000;

AdminResult health(Core& core, const AdminRequest&) {
  ListWriter problems;
  if (!core.store_up_) problems.add_text("the store is away: " + core.store_problem_);
  if (core.store_full_)
    problems.add_text("the store nears its memory limit: new calls are refused");
  if (core.workers_.empty()) problems.add_text("no worker is connected");
  const bool recovering = core.recovering_ && !core.orphans_.empty();
  if (recovering) problems.add_text("workers are being heard after a restart of the broker");
  const StoreFacts& facts = core.options_.store_facts;
  MapWriter out;
  out.text("broker", core.options_.name)
      .text("version", core.options_.version)
      .number("pid", core.options_.pid)
      .text("host", core.options_.host)
      .text("redis", core.options_.store)
      .number("redis_pid", core.options_.store_pid)
      .number("shard", core.options_.shard)
      .number("epoch", core.options_.epoch)
      .number("timeline", core.options_.timeline)
      .number("commit_no", core.committed_)
      .number("uptime_ms", (core.now_.mono_us - core.began_.mono_us) / kMicrosPerMilli)
      .text("store", !core.store_up_    ? "down"
                     : core.store_full_ ? "full"
                                        : "up")
      .text_or_nil("store_problem", core.store_problem_)
      .text("redis_version", facts.version)
      .text("eviction", facts.eviction)
      .text("fsync", facts.fsync)
      .flag("survives_power_loss", facts.survives_power_loss)
      .text("durability", facts.durability)
      .number("used_memory", facts.used_memory)
      .number("memory_max", facts.memory_max)
      .number("calls_memory", core.memory_used())
      .number("calls_memory_max", core.options_.memory_max)
      .number("times_back", core.options_.times_back)
      .text_or_nil("went_back", core.options_.went_back)
      .number("time_ms", core.now_.wall_ms)
      .flag("recovering", recovering)
      .number("queues", core.queues_.size())
      .number("workers", core.workers_.size())
      .number("sessions", core.sessions_.size())
      .raw("problems", problems.finish());
  return {.value = out.finish()};
}

AdminResult stats(Core& core, const AdminRequest&) {
  const CoreCounters& counters = core.counters_;
  MapWriter out;
  out.text("broker", core.options_.name)
      .number("time_ms", core.now_.wall_ms)
      .number("mono_us", core.now_.mono_us)
      .number("uptime_ms", (core.now_.mono_us - core.began_.mono_us) / kMicrosPerMilli)
      .number("calls", core.slab_.size())
      .number("calls_memory", core.memory_used())
      .number("calls_memory_max", core.options_.memory_max)
      .number("calls_left", counters.calls_left)
      .number("calls_read", counters.calls_read)
      .number("queues", core.queues_.size())
      .number("workers", core.workers_.size())
      .number("sessions", core.sessions_.size())
      .number("connections", core.peers_.size())
      .number("submitted", counters.submitted)
      .number("accepted", counters.accepted)
      .number("refused", counters.refused)
      .number("duplicates", counters.duplicates)
      .number("sent", counters.sent)
      .number("returned", counters.returned)
      .number("retried", counters.retried)
      .number("redelivered", counters.redelivered)
      .number("ended_ok", counters.ended_ok)
      .number("ended_error", counters.ended_error)
      .number("commits", counters.commits)
      .number("bad_frames", counters.bad_frames)
      .number("workers_lost", counters.workers_lost)
      .number("fenced_results", counters.fenced_results)
      .number("idempotency_keys", core.keyed_.size())
      .number("dead", counters.buried)
      .number("times_back", core.options_.times_back)
      .text("fsync", core.options_.store_facts.fsync)
      .text("store", !core.store_up_    ? "down"
                     : core.store_full_ ? "full"
                                        : "up");
  return {.value = out.finish()};
}

struct Verb {
  std::string_view name;
  AdminResult (*answer)(Core&, const AdminRequest&);
};

constexpr std::array kVerbs = {
    Verb{"health", health},
    Verb{"stats", stats},
    Verb{"queue.ls", queue_ls},
    Verb{"queue.inspect", queue_inspect},
    Verb{"queue.explain", queue_explain},
    Verb{"queue.pause", queue_pause},
    Verb{"queue.resume", queue_resume},
    Verb{"queue.purge", queue_purge},
    Verb{"actor.ls", actor_ls},
    Verb{"actor.inspect", actor_inspect},
    Verb{"actor.kill", actor_kill},
    Verb{"deployment.ls", deployment_ls},
    Verb{"deployment.inspect", deployment_inspect},
    Verb{"worker.ls", worker_ls},
    Verb{"worker.inspect", worker_inspect},
    Verb{"call.ls", call_ls},
    Verb{"call.inspect", call_inspect},
    Verb{"call.explain", call_explain},
    Verb{"dead.ls", dead_ls},
    Verb{"dead.show", dead_show},
    Verb{"dead.redrive", dead_redrive},
    Verb{"dead.purge", dead_purge},
    Verb{"schedule.create", schedule_create},
    Verb{"schedule.ls", schedule_ls},
    Verb{"schedule.inspect", schedule_inspect},
    Verb{"schedule.rm", schedule_remove},
    Verb{"schedule.pause", schedule_pause},
    Verb{"schedule.resume", schedule_resume},
};

std::string* text_named(AdminRequest& request, std::string_view key) {
  const std::pair<std::string_view, std::string*> texts[] = {
      {"queue", &request.queue},   {"actor", &request.actor},
      {"deployment", &request.deployment}, {"worker", &request.worker},
      {"call", &request.call},     {"after", &request.after},
      {"schedule", &request.schedule}, {"cron", &request.cron},
      {"zone", &request.zone},     {"target", &request.target},
      {"task", &request.task},     {"method", &request.method},
      {"catch_up", &request.catch_up}};
  for (const auto& [name, text] : texts) {
    if (name == key) return text;
  }
  return nullptr;
}

/// Reads what is no text. False when the key is none of these.
bool read_other(wire::Reader& in, std::string_view key, AdminRequest& request, std::string& wrong) {
  std::string_view bytes;
  if (key == "limit") {
    if (!in.uint(request.limit) || request.limit == 0) wrong = "limit is a number above 0";
    request.limit = std::min(request.limit, kPageItemsMax);
  } else if (key == "catch_up_max") {
    if (!in.uint_max(request.catch_up_max, UINT32_MAX)) wrong = "catch_up_max is a number";
  } else if (key == "replace") {
    if (!in.boolean(request.replace)) wrong = "replace is true or false";
  } else if (key == "options") {
    if (!wire::read_encoded_map(in, bytes)) wrong = "options is a map";
    request.options = bytes;
  } else if (key == "args") {
    if (in.peek() != wire::Kind::array || !in.raw(bytes)) wrong = "args is a list";
    request.args = bytes;
  } else {
    return false;
  }
  return true;
}

/// Reads nil, nothing or a map. A non-empty answer says what is wrong.
std::string read_request(std::string_view bytes, AdminRequest& request) {
  wire::Reader in(bytes);
  if (bytes.empty() || in.try_nil()) return {};
  std::uint32_t n = 0;
  if (!in.map(n)) return "a request is a map";
  for (; n > 0; --n) {
    std::string_view key;
    std::string wrong;
    if (!in.str(key)) return "the keys of a request are texts";
    if (read_other(in, key, request, wrong)) {
      if (!wrong.empty()) return wrong;
      continue;
    }
    std::string* text = text_named(request, key);
    if (text == nullptr) return "unknown key " + std::string(key.substr(0, limits::kNameBytesMax));
    if (!wire::read_text(in, *text, 2 * limits::kNameBytesMax)) {
      return std::string(key) + " is a short text";
    }
  }
  return in.at_end() ? std::string() : "more follows after the request";
}

}  // namespace

AdminResult page(const ListWriter& items, std::string_view next) {
  MapWriter out;
  out.raw("items", items.finish()).text_or_nil("next", next);
  return {.value = out.finish()};
}

Queue* find_queue(Core& core, std::string_view name) {
  if (name.starts_with("default/")) name.remove_prefix(8);
  if (Queue* const found = core.queues_.find(name)) return found;
  const CallId id = call_id_from(std::string(name));
  return id ? core.queues_.actor(ActorId{id.session, id.seq}) : nullptr;
}

void Core::on_admin(Peer& peer, const wire::Admin& message) {
  AdminRequest request;
  AdminResult result;
  const auto verb = std::find_if(kVerbs.begin(), kVerbs.end(),
                                 [&](const Verb& known) { return known.name == message.verb; });
  if (verb == kVerbs.end()) {
    const auto name = message.verb.substr(0, limits::kNameBytesMax);
    result = AdminResult::failed(Errc::unknown_verb, "no such verb: " + std::string(name));
  } else if (auto wrong = read_request(message.info, request); !wrong.empty()) {
    result = AdminResult::failed(Errc::invalid_option, std::string(verb->name) + ": " + wrong);
  } else {
    result = verb->answer(*this, request);
  }
  wire::AdminAnswer answer;
  answer.request = message.request;
  answer.code = result.code;
  std::string text;
  if (result.code != Errc::ok) {
    wire::Writer(text).str(result.value);
    result.value = text;
  }
  answer.info = result.value;
  wire::FrameWriter out = to(peer, result.after_commit ? last_batch() : 0);
  wire::write(out, answer);
}

}  // namespace callboard::broker
