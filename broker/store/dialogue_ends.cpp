// How a dialogue ends: a connection is given up, a store that went back is read anew, all is over.
#include "broker/store/dialogue.hpp"

#include <algorithm>

namespace callboard::broker {

namespace {

constexpr std::int64_t kSayAgainMs = 10'000;

std::string milliseconds_since(std::int64_t since_us, Instant now) {
  return std::to_string((now.mono_us - since_us) / kMicrosPerMilli) + " ms";
}

}  // namespace

// --- a store that went back ----------------------------------------------------------------------

void StoreDialogue::begin_timeline(Instant now, const Witness& seen) {
  if (phase_ == Phase::ended || !loaded_) return;
  renew_run(now, seen.text, seen);
}

/// This broker is the witness.
void StoreDialogue::went_back(Instant now, const std::string& text) {
  fence_.own(0);
  renew_run(now, text, {state_.epoch, state_.timeline, pipeline_.committed(), text});
}

void StoreDialogue::renew_run(Instant now, const std::string& text, const Witness& seen) {
  if (options_.require_fsync == RequireFsync::always) {
    return end("the store went back in time, which require_fsync = always does not allow: " + text);
  }
  say(2, "the store seems to have gone back in time: " + text);
  if (!witness_) witness_.emplace();
  witness_->epoch = std::max({witness_->epoch, seen.epoch, state_.epoch});
  witness_->timeline = std::max({witness_->timeline, seen.timeline, state_.timeline});
  witness_->commit_no = std::max({witness_->commit_no, seen.commit_no, pipeline_.committed()});
  witness_->text = text;
  hang_up();
  pipeline_.abandon();
  loader_.reset();
  loaded_ = down_ = false;
  refusals_ = 0;
  next_try_us_ = now.mono_us;
  news_.events.clear();
  news_.begins_again = true;
}

void StoreDialogue::hang_up() {
  phase_ = Phase::resting;
  output_.clear();
  asked_.clear();
  replies_.reset();
  guard_ = Guard::none;
  pipeline_.on_disconnect();
}

void StoreDialogue::rest(Instant now, std::string text) {
  hang_up();
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
