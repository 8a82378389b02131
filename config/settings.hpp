// Every setting of every program of Callboard, as plain structs.
//
// The defaults are the initialisers here. config/table.hpp names each field once, with its type,
// help, bounds and environment variable; files, flags, documents and `callboard config show` all
// come from that table. Plain data; thread safety: that of its fields.
#pragma once

#include "common/limits.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace callboard::config {

/// What every program that talks to a broker needs.
struct ClientSettings {
  std::string broker = "tcp://127.0.0.1:7700";
  std::int64_t connect_timeout_ms = 5000;
};

struct BrokerSettings {
  std::string name = "broker";
  std::vector<std::string> listen = {"tcp://127.0.0.1:7700"};
  std::vector<std::string> advertise;  ///< empty: what it listens on
  std::string events = "tcp://127.0.0.1:7701";
  std::string redis = "redis://127.0.0.1:6379";
  std::int64_t shard = 0;
  bool standby = false;
  std::string require_fsync = "none";
  std::int64_t lease_ms = limits::kLeaseMs;
  std::int64_t worker_lease_ms = limits::kWorkerLeaseMs;
  std::int64_t heartbeat_ms = limits::kHeartbeatMs;
  std::int64_t session_grace_ms = limits::kSessionGraceMs;
  std::int64_t result_ttl_ms = limits::kResultTtlMs;
  std::int64_t max_pending = static_cast<std::int64_t>(limits::kMaxPendingDefault);
  std::int64_t max_pending_bytes = static_cast<std::int64_t>(limits::kMaxPendingBytesDefault);
  std::int64_t memory_max = 0;  ///< 0: no limit
  std::int64_t max_unreleased_bytes = static_cast<std::int64_t>(limits::kUnreleasedBytesMax);
  std::int64_t poison_limit = limits::kPoisonLimit;
  std::int64_t priority_ageing_ms = limits::kPriorityAgeingMs;
  std::int64_t dedupe_ttl_ms = limits::kDedupeTtlMs;
  std::int64_t dead_max = static_cast<std::int64_t>(limits::kDeadMax);
  std::int64_t dead_bytes_max = static_cast<std::int64_t>(limits::kDeadBytesMax);
  std::int64_t dead_ttl_ms = limits::kDeadTtlMs;
};

struct WorkerSettings {
  std::string name;                ///< empty: made of host and process id
  std::vector<std::string> load;   ///< shared libraries with user classes
  std::int64_t processes = 1;
  std::string cores;               ///< empty: not bound
  std::int64_t task_slots = 0;     ///< 0: as many as a child has cores
  std::int64_t loop_warn_ms = limits::kLoopWarnMs;
  std::int64_t drain_timeout_ms = 4000;
  std::string runtime_dir;         ///< empty: one of this user in memory
};

struct LogSettings {
  std::string level = "info";
};

struct Settings {
  ClientSettings client;
  BrokerSettings broker;
  WorkerSettings worker;
  LogSettings log;
};

}  // namespace callboard::config
