#include "broker/store/dialogue.hpp"

#include "common/check.hpp"

#include <algorithm>
#include <array>

namespace callboard::broker {

namespace {

constexpr std::int64_t kSayAgainMs = 10'000;
/// How often the memory limit itself is looked for while there is none.
constexpr std::int64_t kNoLimitProbeMs = 10'000;
/// A commit that Redis refuses this often in a row, for no passing reason, is refused for good.
constexpr int kRefusalsMax = 3;
/// hiredis moves what is left of its buffer after each kilobyte of replies, so it gets little.
constexpr std::size_t kFeedBytes = 16 * 1024;

// KEYS: fence, meta. A sign of life for those who stand by, also when Redis is full.
constexpr std::string_view kBeatScript = R"lua(#!lua flags=allow-oom
redis.call('HINCRBY', KEYS[2], 'beat', 1)
return redis.call('GET', KEYS[1])
)lua";

/// Errors that pass by themselves, or when somebody repairs Redis.
bool is_passing(std::string_view error_word) {
  static constexpr std::array<std::string_view, 13> kPassing = {
      "LOADING",     "BUSY",     "READONLY", "MISCONF",   "OOM",    "MASTERDOWN", "NOREPLICAS",
      "CLUSTERDOWN", "TRYAGAIN", "NOAUTH",   "WRONGPASS", "NOPERM", "NOSCRIPT"};
  return std::find(kPassing.begin(), kPassing.end(), error_word) != kPassing.end();
}

std::string shard_prefix(std::uint32_t shard) {
  return "callboard:{" + std::to_string(shard) + "}:";
}

std::string milliseconds_since(std::int64_t since_us, Instant now) {
  return std::to_string((now.mono_us - since_us) / kMicrosPerMilli) + " ms";
}

}  // namespace

StoreDialogue::StoreDialogue(StoreOptions options, std::string run_token, StoreReader& reader)
    : options_(std::move(options)),
      prefix_(shard_prefix(options_.shard)),
      reader_(reader),
      writer_(prefix_),
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
  out.command({"CONFIG", "GET", "maxmemory-policy", "appendonly", "appendfsync",
               "no-appendfsync-on-rewrite", "save"});
  ask(Asked::config);
  out.command({"SCRIPT", "LOAD", writer_.script()});
  ask(Asked::script);
}

void StoreDialogue::received(Instant now, std::string_view bytes) {
  progress_us_ = now.mono_us;
  while (!bytes.empty() && has_connection()) {
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
    case Asked::probe_fence:
    case Asked::probe_memory:
      return on_probe(now, what, reply);
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
  const std::string problem = refusal(facts_);
  if (!problem.empty() && !loaded_) return end(problem);
  // While the broker runs, a server that must not be used is like one that is away: what is in the
  // broker's memory stays, nothing is acknowledged, and work goes on when it was repaired.
  if (!problem.empty()) return rest(now, problem);
  if (options_.standby && !loaded_) return stand_by(now);
  take_fence(now);
}

// --- standing by ---------------------------------------------------------------------------------

void StoreDialogue::stand_by(Instant now) {
  phase_ = Phase::standing_by;
  watched_us_ = quiet_us_ = 0;
  seen_.clear();
  watch_owner(now);
}

void StoreDialogue::watch_owner(Instant now) {
  next_watch_us_ = now.mono_us + options_.standby_poll_ms * kMicrosPerMilli;
  if (!asked_.empty()) return;  // Redis is slow; one question is enough
  progress_us_ = now.mono_us;
  RespWriter out(output_);
  out.command({"GET", fence_.key()});
  ask(Asked::watch);
  out.command({"HMGET", prefix_ + "meta", "beat", "commit_no", "left", "broker"});
  ask(Asked::watch);
}

void StoreDialogue::on_watch(Instant now, const Reply& reply) {
  if (reply.is_error()) return rest(now, "Redis says: " + std::string(reply.text()));
  if (reply.size() == 0) {  // the first of the two answers: the fence
    fence_seen_ = reply.is_nil() ? std::string() : std::string(reply.text());
    return;
  }
  const std::string sign =
      fence_seen_ + " " + std::string(reply[0].text()) + " " + std::string(reply[1].text());
  const bool left = !fence_seen_.empty() && reply[2].text() == fence_seen_;
  if (fence_seen_.empty() || left) return take_fence(now);
  if (watched_us_ == 0) {
    say(0, "standing by: " + std::string(reply[3].text()) + " serves shard " +
               std::to_string(options_.shard));
  }
  if (watched_us_ == 0 || sign != seen_) {
    seen_ = sign;
    quiet_us_ = 0;
  } else {
    // Only time in which Redis answered counts: while it stalls, its owner cannot be heard either.
    quiet_us_ +=
        std::min(now.mono_us - watched_us_, 2 * options_.standby_poll_ms * kMicrosPerMilli);
  }
  watched_us_ = now.mono_us;
  if (quiet_us_ < options_.takeover_ms * kMicrosPerMilli) return;
  say(1, std::string(reply[3].text()) + " gave no sign of life for " +
             std::to_string(quiet_us_ / kMicrosPerMilli) + " ms: taking shard " +
             std::to_string(options_.shard) + " over");
  take_fence(now);
}

bool StoreDialogue::confirmed(Instant now) const {
  return !options_.standby || now.mono_us - confirmed_us_ < options_.lease_ms * kMicrosPerMilli;
}

void StoreDialogue::leave(Instant now) {
  CALLBOARD_CHECK(idle());
  if (asked_.empty()) progress_us_ = now.mono_us;
  RespWriter(output_).command({"HSET", prefix_ + "meta", "left", fence_.token()});
  ask(Asked::leave);
}

// --- fencing -------------------------------------------------------------------------------------

void StoreDialogue::take_fence(Instant now) {
  phase_ = Phase::fencing;
  probe_asked_us_ = now.mono_us;
  fence_.write_request(output_);
  ask(Asked::fence);
}

void StoreDialogue::on_fence(Instant now, const Reply& reply) {
  const Fence::Answer answer = fence_.read_answer(reply);
  switch (answer.kind) {
    case Fence::Answer::Kind::refused:
      return rest(now, "Redis says: " + answer.text);
    case Fence::Answer::Kind::schema:
    case Fence::Answer::Kind::taken:
    case Fence::Answer::Kind::went_back:
      return end(answer.text);
    case Fence::Answer::Kind::owned:
      break;
  }
  confirmed_us_ = probe_asked_us_;
  if (loaded_) return resolve(now, answer.commit_no);

  state_.facts = facts_;
  state_.epoch = answer.epoch;
  state_.timeline = answer.timeline;
  state_.commit_no = answer.commit_no;
  pipeline_.begin(answer.commit_no);
  phase_ = Phase::loading;
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
  reader_.load_ended();
  become_ready(now);
}

void StoreDialogue::become_ready(Instant now) {
  phase_ = Phase::ready;
  say_ready(now);
  next_probe_us_ = now.mono_us + options_.probe_ms * kMicrosPerMilli;
  next_memory_us_ = now.mono_us + kNoLimitProbeMs * kMicrosPerMilli;
  watch_memory();
  if (down_) news_.events.emplace_back(StoreUp{});
  down_ = false;
}

// --- commits -------------------------------------------------------------------------------------

bool StoreDialogue::idle() const {
  return phase_ == Phase::ready && pipeline_.state() == CommitPipeline::State::waiting;
}

void StoreDialogue::commit(Instant now, const StoreBatch& batch, std::uint64_t commit_no) {
  CALLBOARD_CHECK(idle());
  if (asked_.empty()) progress_us_ = now.mono_us;
  commit_asked_us_ = now.mono_us;
  pipeline_.stage(batch, commit_no);
  script_was_gone_ = false;
  write_commit();
}

void StoreDialogue::write_commit() {
  pipeline_.write(script_sha_, fence_.token(), output_);
  ask(Asked::commit);
}

void StoreDialogue::on_commit(Instant now, const Reply& reply) {
  const CommitAnswer answer = pipeline_.on_reply(reply);
  switch (answer.kind) {
    case CommitAnswer::Kind::committed:
      confirmed_us_ = std::max(confirmed_us_, commit_asked_us_);
      return committed();
    case CommitAnswer::Kind::no_script:
      if (script_was_gone_) return rest(now, "Redis forgets scripts as soon as they are loaded");
      script_was_gone_ = true;
      RespWriter(output_).command({"SCRIPT", "LOAD", writer_.script()});
      ask(Asked::script);
      return write_commit();
    case CommitAnswer::Kind::not_yet:
    case CommitAnswer::Kind::refused:
      return on_refused_commit(now, answer.text);
    case CommitAnswer::Kind::fenced:
    case CommitAnswer::Kind::went_back:
      return end(answer.text);
  }
}

void StoreDialogue::on_refused_commit(Instant now, const std::string& text) {
  const std::string_view word = std::string_view(text).substr(0, text.find(' '));
  if (!is_passing(word) && ++refusals_ >= kRefusalsMax) {
    return end("Redis refuses commit " + std::to_string(pipeline_.commit_no()) + ": " + text);
  }
  rest(now, "Redis refuses a commit: " + text);
}

void StoreDialogue::committed() {
  refusals_ = 0;
  backoff_ms_ = 0;
  state_.commit_no = pipeline_.collect();
  news_.events.emplace_back(Committed{state_.commit_no});
}

void StoreDialogue::resolve(Instant now, std::uint64_t store_commit_no) {
  const CommitAnswer answer = pipeline_.resolve(store_commit_no);
  switch (answer.kind) {
    case CommitAnswer::Kind::committed:
      committed();
      break;
    case CommitAnswer::Kind::not_yet:
      if (pipeline_.state() == CommitPipeline::State::staged) write_commit();
      break;
    default:
      return end(answer.text);
  }
  become_ready(now);
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
  if (facts_.memory_max == 0 && now.mono_us < next_memory_us_) return;
  next_memory_us_ = now.mono_us + kNoLimitProbeMs * kMicrosPerMilli;
  out.command({"INFO", "memory"});
  ask(Asked::probe_memory);
}

void StoreDialogue::on_probe(Instant now, Asked what, const Reply& reply) {
  if (reply.is_error()) return rest(now, "Redis says: " + std::string(reply.text()));
  if (what == Asked::probe_memory) {
    read_info(reply.text(), facts_);
    return watch_memory();
  }
  probing_ = false;
  if (reply.is_nil()) return end("the fence is gone: Redis was emptied or replaced");
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
  if (phase_ == Phase::ready && now.mono_us >= next_probe_us_) probe(now);
}

std::int64_t StoreDialogue::next_deadline_us() const {
  if (phase_ == Phase::ended) return kNever;
  if (phase_ == Phase::resting) return next_try_us_;
  if (phase_ == Phase::connecting) return progress_us_ + options_.connect_ms_max * kMicrosPerMilli;
  std::int64_t due = kNever;
  if (!asked_.empty()) due = progress_us_ + options_.reply_ms_max * kMicrosPerMilli;
  if (phase_ == Phase::standing_by) due = std::min(due, next_watch_us_);
  if (phase_ == Phase::ready) due = std::min(due, next_probe_us_);
  return due;
}

// --- the ends of a connection --------------------------------------------------------------------

void StoreDialogue::rest(Instant now, std::string text) {
  phase_ = Phase::resting;
  output_.clear();
  asked_.clear();
  replies_.reset();
  pipeline_.on_disconnect();
  backoff_ms_ = std::clamp(backoff_ms_ * 2, options_.backoff_ms_min, options_.backoff_ms_max);
  next_try_us_ = now.mono_us + backoff_ms_ * kMicrosPerMilli;
  say_away(now, text);
  if (loaded_ && !down_) {
    down_ = true;
    news_.events.emplace_back(StoreDown{std::move(text)});
  }
}

void StoreDialogue::end(std::string text) {
  phase_ = Phase::ended;
  output_.clear();
  asked_.clear();
  pipeline_.on_disconnect();
  news_.fatal = "shard " + std::to_string(options_.shard) + " at " + options_.url.text() + ": " +
                std::move(text);
}

void StoreDialogue::say_away(Instant now, const std::string& text) {
  if (away_text_.empty()) away_since_us_ = now.mono_us;
  if (text == away_text_ && now.mono_us < said_us_ + kSayAgainMs * kMicrosPerMilli) return;
  const bool known = text == away_text_;
  away_text_ = text;
  said_us_ = now.mono_us;
  const std::string since = known ? " for " + milliseconds_since(away_since_us_, now) : "";
  say(1, (loaded_ ? "Redis is away at " : "waiting for Redis at ") + options_.url.text() + since +
             ": " + text);
}

void StoreDialogue::say_ready(Instant now) {
  const bool first = loader_.has_value();
  if (first) {
    say(0, "shard " + std::to_string(options_.shard) + " at " + options_.url.text() + ", Redis " +
               facts_.version + ": epoch " + std::to_string(state_.epoch) + ", commit " +
               std::to_string(state_.commit_no) + ", " + std::to_string(loader_->entries()) +
               " entries read");
  } else {
    say(0, "Redis is back after " + milliseconds_since(away_since_us_, now));
  }
  if (first || durability(facts_) != durability(state_.facts)) {
    say(survives_power_loss(facts_) ? 0 : 1, "Redis: " + durability(facts_));
  }
  state_.facts = facts_;
  loader_.reset();
  away_text_.clear();
}

}  // namespace callboard::broker
