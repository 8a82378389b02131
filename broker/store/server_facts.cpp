#include "broker/store/server_facts.hpp"

namespace callboard::broker {

namespace {

constexpr std::uint64_t kFullAbovePercent = 90;
constexpr std::uint64_t kRoomBelowPercent = 85;
/// Scripts with flags, which commits need (allow-oom), came with Redis 7.
constexpr std::uint64_t kMajorVersionMin = 7;

void take_fact(std::string_view name, std::string_view value, ServerFacts& facts) {
  if (name == "redis_version") facts.version = value;
  if (name == "run_id") facts.run_id = value;
  if (name == "role") facts.role = value;
  if (name == "loading") facts.loading = value == "1";
  if (name == "maxmemory_policy") facts.eviction_policy = value;
  if (name == "process_id") parse_number(value, facts.process_id);
  if (name == "used_memory") parse_number(value, facts.used_memory);
  if (name == "maxmemory") parse_number(value, facts.memory_max);
  if (name == "aof_enabled") facts.append_only = value == "1" ? "yes" : "no";
}

}  // namespace

void read_info(std::string_view info, ServerFacts& facts) {
  while (!info.empty()) {
    const std::size_t end = info.find('\n');
    std::string_view line = info.substr(0, end);
    info.remove_prefix(end == std::string_view::npos ? info.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    take_fact(line.substr(0, colon), line.substr(colon + 1), facts);
  }
}

void read_config(const Reply& reply, ServerFacts& facts) {
  if (!reply.is_array()) {
    facts.config_problem = reply.is_error() ? reply.text() : "the answer makes no sense";
    return;
  }
  for (std::size_t i = 0; i + 1 < reply.size(); i += 2) {
    const std::string_view name = reply[i].text();
    const std::string_view value = reply[i + 1].text();
    if (name == "maxmemory-policy") facts.eviction_policy = value;
    if (name == "appendonly") facts.append_only = value;
    if (name == "appendfsync") facts.append_fsync = value;
    if (name == "no-appendfsync-on-rewrite") facts.no_fsync_on_rewrite = value;
    if (name == "save") facts.save = value;
  }
}

std::string refusal(const ServerFacts& facts) {
  std::uint64_t major = 0;
  const std::string_view version = facts.version;
  if (!parse_number(version.substr(0, version.find('.')), major) || major < kMajorVersionMin) {
    return "Redis 7 or newer is needed, this server is " +
           (version.empty() ? "of unknown version" : facts.version);
  }
  if (facts.eviction_policy != "noeviction") {
    return "Redis may throw calls away: set maxmemory-policy to noeviction (it is " +
           (facts.eviction_policy.empty() ? "unknown" : facts.eviction_policy) + ")";
  }
  return {};
}

std::string durability(const ServerFacts& facts) {
  if (facts.append_only == "no") {
    if (facts.save.empty() && facts.config_problem.empty()) {
      return "appendonly is no and there are no snapshots: when Redis ends, everything is lost";
    }
    return "appendonly is no: when Redis dies, everything since its last snapshot is lost";
  }
  if (facts.append_fsync.empty()) {
    return "CONFIG is not permitted (" + facts.config_problem +
           "), so nobody knows what a crash of Redis's machine loses";
  }
  const bool gaps = facts.no_fsync_on_rewrite == "yes";
  if (facts.append_fsync == "always" && gaps) {
    return "appendfsync is always, but no-appendfsync-on-rewrite is yes: a crash of Redis's "
           "machine during a rewrite of the append-only file may lose what was acknowledged since "
           "the rewrite began";
  }
  if (facts.append_fsync == "always") {
    return "appendfsync is always: nothing acknowledged is lost when Redis or its machine crashes";
  }
  if (facts.append_fsync == "everysec" && gaps) {
    return "appendfsync is everysec and no-appendfsync-on-rewrite is yes: a crash of Redis's "
           "machine may lose the last two seconds, or all since a rewrite of the append-only file "
           "began";
  }
  if (facts.append_fsync == "everysec") {
    return "appendfsync is everysec: a crash of Redis or its machine may lose up to two seconds of "
           "what was acknowledged";
  }
  return "appendfsync is " + facts.append_fsync +
         ": a crash of Redis's machine may lose what the operating system had not written yet, "
         "usually 30 seconds";
}

std::string fsync_policy(const ServerFacts& facts) {
  if (facts.append_only == "no") return "off";
  return facts.append_fsync.empty() ? "unknown" : facts.append_fsync;
}

StoreFacts facts_for_people(const ServerFacts& facts) {
  StoreFacts out;
  out.version = facts.version;
  out.eviction = facts.eviction_policy;
  out.fsync = fsync_policy(facts);
  out.durability = durability(facts);
  out.survives_power_loss = survives_power_loss(facts);
  out.used_memory = facts.used_memory;
  out.memory_max = facts.memory_max;
  return out;
}

std::string too_weak(const ServerFacts& facts, RequireFsync required) {
  const std::string policy = fsync_policy(facts);
  // While the file is rewritten nothing is synced: then the policy promises nothing.
  const bool gaps = facts.no_fsync_on_rewrite != "no";
  const bool good = required == RequireFsync::none || survives_power_loss(facts) ||
                    (required == RequireFsync::everysec && policy == "everysec" && !gaps);
  if (good) return {};
  return std::string("require_fsync is ") +
         (required == RequireFsync::always ? "always" : "everysec") + ", but " + durability(facts);
}

bool survives_power_loss(const ServerFacts& facts) {
  return facts.append_only == "yes" && facts.append_fsync == "always" &&
         facts.no_fsync_on_rewrite == "no";
}

bool MemoryWatch::update(const ServerFacts& facts) {
  const bool was = full_;
  if (facts.memory_max == 0) {
    full_ = false;
  } else {
    const std::uint64_t percent = facts.memory_max / 100;  // divided first: cannot overflow
    if (facts.used_memory > percent * kFullAbovePercent) full_ = true;
    if (facts.used_memory < percent * kRoomBelowPercent) full_ = false;
  }
  return full_ != was;
}

}  // namespace callboard::broker
