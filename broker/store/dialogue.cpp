#include "broker/store/dialogue.hpp"

#include "common/check.hpp"

#include <algorithm>

namespace callboard::broker {

namespace {

/// How often the fsync policy is looked at, and the memory limit while there is none.
constexpr std::int64_t kSeldomProbeMs = 10'000;
/// hiredis moves what is left of its buffer after each kilobyte of replies, so it gets little.
constexpr std::size_t kFeedBytes = 16 * 1024;

// KEYS: fence, meta. A sign of life for those who stand by, also when Redis is full.
constexpr std::string_view kBeatScript = R"lua(#!lua flags=allow-oom
redis.call('HINCRBY', KEYS[2], 'beat', 1)
return redis.call('GET', KEYS[1])
)lua";

std::string shard_prefix(std::uint32_t shard) {
  return "callboard:{" + std::to_string(shard) + "}:";
}

void ask_config(RespWriter& out) {
  out.command({"CONFIG", "GET", "maxmemory-policy", "appendonly", "appendfsync",
               "no-appendfsync-on-rewrite", "save"});
}

}  // namespace

StoreDialogue::StoreDialogue(StoreOptions options, std::string run_token, StoreReader& reader)
    : options_(std::move(options)),
      prefix_(shard_prefix(options_.shard)),
      reader_(reader),
      writer_(prefix_),
      transaction_(prefix_),
      pipeline_(writer_),
      fence_(prefix_, std::move(run_token), options_.broker_name) {}

// --- the connection ----------------------------------------------------------------------------

bool StoreDialogue::wants_connection(Instant now) const {
  return phase_ == Phase::resting && now.mono_us >= next_try_us_;
}

void StoreDialogue::connecting(Instant now) {
  CALLBOARD_CHECK(resting());
  phase_ = Phase::connecting;
  progress_us_ = now.mono_us;
}

void StoreDialogue::connected(Instant now) {
  CALLBOARD_CHECK(phase_ == Phase::connecting);
  phase_ = Phase::greeting;
  progress_us_ = now.mono_us;
  facts_ = ServerFacts{};
  probing_ = false;
  RespWriter out(output_);
  const RedisUrl& url = options_.url;
  if (!url.user.empty()) {
    out.command({"AUTH", url.user, url.password});
    ask(Asked::login);
  } else if (!url.password.empty()) {
    out.command({"AUTH", url.password});
    ask(Asked::login);
  }
  if (url.db != 0) {
    out.command({"SELECT", std::to_string(url.db)});
    ask(Asked::login);
  }
  out.command({"CLIENT", "SETNAME", "callboard-broker-" + std::to_string(options_.shard)});
  ask(Asked::name);
  out.command({"INFO"});
  ask(Asked::info);
  ask_config(out);
  ask(Asked::config);
  out.command({"SCRIPT", "LOAD", writer_.script()});
  ask(Asked::script);
}

void StoreDialogue::received(Instant now, std::string_view bytes) {
  progress_us_ = now.mono_us;
  while (!bytes.empty() && has_connection()) {
    skip_queued(bytes);
    replies_.feed(bytes.substr(0, kFeedBytes));
    bytes.remove_prefix(std::min(bytes.size(), kFeedBytes));
    while (const Reply* reply = replies_.next()) {
      if (asked_.empty()) return rest(now, "Redis answers what nobody asked");
      const Asked what = asked_.front();
      asked_.pop_front();
      on_reply(now, what, *reply);
      if (!has_connection()) return;
    }
    if (!replies_.problem().empty()) return rest(now, "what comes is not Redis's protocol");
  }
}

void StoreDialogue::failed(Instant now, std::string_view why) {
  if (has_connection()) rest(now, std::string(why));
}

void StoreDialogue::on_reply(Instant now, Asked what, const Reply& reply) {
  switch (what) {
    case Asked::login:
    case Asked::name:
    case Asked::info:
    case Asked::config:
    case Asked::script:
      return on_greeting(now, what, reply);
    case Asked::watch:
      return on_watch(now, reply);
    case Asked::fence:
      return on_fence(now, reply);
    case Asked::leave:
      return;
    case Asked::scan:
      return on_scan(now, reply);
    case Asked::commit:
      return on_commit(now, reply);
    case Asked::read:
      return on_read(now, reply);
    case Asked::probe_fence:
    case Asked::probe_memory:
      return on_probe(now, what, reply);
    case Asked::probe_config:
      return read_policy(now, reply);
    default:
      return on_transaction(now, what, reply);
  }
}

// --- greeting and fencing ------------------------------------------------------------------------

void StoreDialogue::on_greeting(Instant now, Asked what, const Reply& reply) {
  if (what == Asked::name) return;  // only for people who read CLIENT LIST
  if (what == Asked::config) return read_config(reply, facts_);
  if (reply.is_error()) return rest(now, "Redis says: " + std::string(reply.text()));
  if (what == Asked::info) read_info(reply.text(), facts_);
  if (what != Asked::script) return;
  script_sha_ = reply.text();
  if (phase_ == Phase::greeting) check_server(now);
}

void StoreDialogue::check_server(Instant now) {
  if (facts_.loading) return rest(now, "Redis is still loading its data");
  const std::string problem = unfit();
  if (!problem.empty() && !loaded_ && !witness_) return end(problem);
  // While the broker runs, a server that must not be used is like one that is away: what is in the
  // broker's memory stays, nothing is acknowledged, and work goes on when it was repaired.
  if (!problem.empty()) return rest(now, problem);
  // In a store that went back the owner may be another one, unless a witness said so to us.
  if (options_.standby && !loaded_ && !(witness_ && fence_.owned())) return stand_by(now);
  take_fence(now);
}

std::string StoreDialogue::unfit() const {
  const std::string problem = refusal(facts_);
  return problem.empty() ? too_weak(facts_, options_.require_fsync) : problem;
}

// --- fencing -------------------------------------------------------------------------------------

void StoreDialogue::take_fence(Instant now) {
  phase_ = Phase::fencing;
  probe_asked_us_ = now.mono_us;
  // Of several that stand by, and of several that find an empty store, one takes the shard.
  const bool shares = options_.standby && !fence_.owned();
  fence_.write_request(output_, witness_ ? &*witness_ : nullptr, shares ? &fence_seen_ : nullptr);
  ask(Asked::fence);
}

void StoreDialogue::on_fence(Instant now, const Reply& reply) {
  const Fence::Answer answer = fence_.read_answer(reply);
  switch (answer.kind) {
    case Fence::Answer::Kind::refused:
      return rest(now, "Redis says: " + answer.text);
    case Fence::Answer::Kind::changed:
      return stand_by(now);
    case Fence::Answer::Kind::schema:
    case Fence::Answer::Kind::taken:
      return end(answer.text);
    case Fence::Answer::Kind::went_back:
      return went_back(now, answer.text);
    case Fence::Answer::Kind::owned:
      break;
  }
  confirmed_us_ = probe_asked_us_;
  if (loaded_) return resolve(now, answer.commit_no);

  state_.facts = facts_;
  state_.epoch = answer.epoch;
  state_.timeline = answer.timeline;
  state_.commit_no = answer.commit_no;
  if (witness_) {
    state_.went_back = witness_->text;
    ++state_.times_back;
    witness_.reset();
    fence_.own(0);  // it is on record: should this connection break, the next run takes over
  }
  pipeline_.begin(answer.commit_no);
  phase_ = Phase::loading;
  next_probe_us_ = now.mono_us + options_.probe_ms * kMicrosPerMilli;
  reads_.clear();
  reader_.load_begins(state_);
  loader_.emplace(prefix_, [this](const StoreEntry& entry) { return reader_.load(entry); });
  go_on_loading(now);
}

// --- loading -------------------------------------------------------------------------------------

void StoreDialogue::on_scan(Instant now, const Reply& reply) {
  if (is_passing(reply.error_word())) return rest(now, "Redis says: " + std::string(reply.text()));
  const std::string problem = loader_->on_reply(reply);
  if (!problem.empty()) return end("the store cannot be read: " + problem);
  go_on_loading(now);
}

void StoreDialogue::go_on_loading(Instant now) {
  for (std::size_t asked = loader_->ask(output_); asked > 0; --asked) ask(Asked::scan);
  if (!loader_->finished()) return;
  fence_.own(state_.epoch);
  loaded_ = true;
  state_.went_back.clear();
  reader_.load_ended();
  become_ready(now);
}

void StoreDialogue::become_ready(Instant now) {
  phase_ = Phase::ready;
  say_ready(now);
  next_probe_us_ = now.mono_us + options_.probe_ms * kMicrosPerMilli;
  next_memory_us_ = now.mono_us + kSeldomProbeMs * kMicrosPerMilli;
  watch_memory();
  news_.events.emplace_back(facts_for_people(facts_));
  if (down_) news_.events.emplace_back(StoreUp{});
  down_ = false;
  for (const StoreRead& read : reads_) ask_read(read);
}

// --- reading -------------------------------------------------------------------------------------

void StoreDialogue::read(Instant now, StoreRead read) {
  if (phase_ == Phase::ready) {
    if (asked_.empty()) progress_us_ = now.mono_us;
    ask_read(read);
  }
  reads_.push_back(std::move(read));
}

void StoreDialogue::ask_read(const StoreRead& read) {
  RespWriter out(output_);
  out.array(2 + read.numbers.size());
  out.bulk("HMGET");
  out.bulk(prefix_ + read.key);
  for (const std::uint64_t number : read.numbers) out.number(number);
  ask(Asked::read);
}

void StoreDialogue::on_read(Instant now, const Reply& reply) {
  if (reply.is_error()) return rest(now, "Redis says: " + std::string(reply.text()));
  if (reads_.empty() || reply.size() != reads_.front().numbers.size()) {
    return rest(now, "Redis answers what nobody asked");
  }
  CallsRead read;
  read.id = reads_.front().id;
  reads_.pop_front();
  for (std::size_t i = 0; i < reply.size(); ++i) {
    if (reply[i].is_nil()) {
      read.add_none();
    } else {
      read.add(reply[i].text());
    }
  }
  news_.events.emplace_back(std::move(read));
}

// --- probes and time -----------------------------------------------------------------------------

void StoreDialogue::probe(Instant now) {
  next_probe_us_ = now.mono_us + options_.probe_ms * kMicrosPerMilli;
  if (probing_) return;  // Redis is slow; one question is enough
  probing_ = true;
  if (asked_.empty()) progress_us_ = now.mono_us;
  probe_asked_us_ = now.mono_us;
  RespWriter out(output_);
  if (options_.standby) {
    out.command({"EVAL", kBeatScript, "2", fence_.key(), prefix_ + "meta"});
  } else {
    out.command({"GET", fence_.key()});
  }
  ask(Asked::probe_fence);
  if (phase_ == Phase::loading) return;
  const bool seldom = now.mono_us >= next_memory_us_;
  if (facts_.memory_max == 0 && !seldom) return;
  out.command({"INFO", "memory"});
  ask(Asked::probe_memory);
  if (!seldom) return;
  next_memory_us_ = now.mono_us + kSeldomProbeMs * kMicrosPerMilli;
  ask_config(out);
  ask(Asked::probe_config);
}

/// What holds now; somebody may have used CONFIG SET.
void StoreDialogue::read_policy(Instant now, const Reply& reply) {
  read_config(reply, facts_);
  const std::string problem = unfit();
  if (!problem.empty()) return rest(now, problem);
  if (durability(facts_) == durability(state_.facts)) return;
  say(survives_power_loss(facts_) ? 0 : 1, "Redis: " + durability(facts_));
  state_.facts = facts_;
  news_.events.emplace_back(facts_for_people(facts_));
}

void StoreDialogue::on_probe(Instant now, Asked what, const Reply& reply) {
  if (reply.is_error()) return rest(now, "Redis says: " + std::string(reply.text()));
  if (what == Asked::probe_memory) {
    read_info(reply.text(), facts_);
    news_.events.emplace_back(facts_for_people(facts_));
    return watch_memory();
  }
  probing_ = false;
  if (reply.is_nil()) return went_back(now, "the fence is gone: Redis was emptied or replaced");
  if (reply.text() != fence_.token()) {
    return end("another broker took over (fence " + std::string(reply.text()) + ")");
  }
  confirmed_us_ = std::max(confirmed_us_, probe_asked_us_);
  if (pipeline_.state() == CommitPipeline::State::waiting) backoff_ms_ = 0;
}

void StoreDialogue::watch_memory() {
  if (!memory_.update(facts_)) return;
  news_.events.emplace_back(StoreFull{memory_.full()});
  const std::string used = std::to_string(facts_.used_memory >> 20) + " of " +
                           std::to_string(facts_.memory_max >> 20) + " MiB";
  if (memory_.full()) {
    say(1, "Redis is nearly full (" + used + "): new calls are refused until there is room");
  } else {
    say(0, "Redis has room again (" + used + ")");
  }
}

void StoreDialogue::tick(Instant now) {
  if (now.mono_us < next_deadline_us()) return;
  if (phase_ == Phase::connecting) return rest(now, "the connection is not accepted");
  if (phase_ > Phase::connecting && !asked_.empty() &&
      now.mono_us >= progress_us_ + options_.reply_ms_max * kMicrosPerMilli) {
    return rest(now, "Redis does not answer");
  }
  if (phase_ == Phase::standing_by && now.mono_us >= next_watch_us_) watch_owner(now);
  if (beats() && now.mono_us >= next_probe_us_) probe(now);
}

std::int64_t StoreDialogue::next_deadline_us() const {
  if (phase_ == Phase::ended) return kNever;
  if (phase_ == Phase::resting) return next_try_us_;
  if (phase_ == Phase::connecting) return progress_us_ + options_.connect_ms_max * kMicrosPerMilli;
  std::int64_t due = kNever;
  if (!asked_.empty()) due = progress_us_ + options_.reply_ms_max * kMicrosPerMilli;
  if (phase_ == Phase::standing_by) due = std::min(due, next_watch_us_);
  if (beats()) due = std::min(due, next_probe_us_);
  return due;
}

}  // namespace callboard::broker
