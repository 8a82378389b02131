// The dialogue of a broker that shares its shard: standing by, taking over, leaving.
#include "broker/store/dialogue.hpp"

#include "common/check.hpp"

#include <algorithm>

namespace callboard::broker {

namespace {

/// How often one that leaves looks whether another has taken over.
constexpr std::int64_t kLeavingProbeMs = 20;

}  // namespace

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
  if (fence_seen_.empty() || left || fence_.is_ours(fence_seen_)) return take_fence(now);
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
  options_.probe_ms = std::min<std::int64_t>(options_.probe_ms, kLeavingProbeMs);
  next_probe_us_ = now.mono_us;
}

}  // namespace callboard::broker
