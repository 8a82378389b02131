// callboard broker: runs a broker in this process.
#include "broker/server.hpp"
#include "cli/command.hpp"
#include "cli/commands.hpp"
#include "cli/context.hpp"
#include "cli/version.hpp"
#include "common/log.hpp"

#include <cstdlib>

#include <unistd.h>

namespace callboard::cli {

namespace {

/// Tells whoever started us that we serve.
void say_ready(const broker::BrokerReady& ready) {
  for (const auto& endpoint : ready.endpoints) log::info("listening", {{"endpoint", endpoint}});
  const char* variable = std::getenv("CALLBOARD_READY_FD");
  if (variable == nullptr) return;
  const int fd = std::atoi(variable);
  [[maybe_unused]] const auto written = ::write(fd, "ready\n", 6);
  ::close(fd);
}

broker::RequireFsync required(const std::string& word) {
  if (word == "always") return broker::RequireFsync::always;
  return word == "everysec" ? broker::RequireFsync::everysec : broker::RequireFsync::none;
}

int run_with(const config::BrokerSettings& settings) {
  broker::BrokerServerOptions options;
  options.endpoints = settings.listen;
  options.advertise = settings.advertise;
  options.event_endpoint = settings.events;
  options.redis_url = settings.redis;
  options.standby = settings.standby;
  options.require_fsync = required(settings.require_fsync);
  options.broker.name = settings.name;
  options.broker.version = kVersion;
  options.broker.shard = static_cast<std::uint32_t>(settings.shard);
  options.broker.lease_ms = settings.lease_ms;
  options.broker.worker_lease_ms = settings.worker_lease_ms;
  options.broker.heartbeat_ms = settings.heartbeat_ms;
  options.broker.session_grace_ms = settings.session_grace_ms;
  options.broker.result_ttl_ms = settings.result_ttl_ms;
  options.broker.max_pending = static_cast<std::uint64_t>(settings.max_pending);
  options.broker.max_pending_bytes = static_cast<std::uint64_t>(settings.max_pending_bytes);
  options.broker.memory_max = static_cast<std::uint64_t>(settings.memory_max);
  options.broker.max_unreleased_bytes = static_cast<std::uint64_t>(settings.max_unreleased_bytes);
  options.broker.poison_limit = static_cast<int>(settings.poison_limit);
  options.broker.priority_ageing_ms = settings.priority_ageing_ms;
  options.broker.dedupe_ttl_ms = settings.dedupe_ttl_ms;
  options.broker.dead_max = static_cast<std::uint64_t>(settings.dead_max);
  options.broker.dead_bytes_max = static_cast<std::uint64_t>(settings.dead_bytes_max);
  options.broker.dead_ttl_ms = settings.dead_ttl_ms;
  options.on_ready = say_ready;
  log::set_program(settings.name);
  return broker::run_broker(options);
}

}  // namespace

void add_broker(const Command& program) {
  Command broker = program.sub("broker", "Run a broker");
  broker.settings("broker");
  const Context& context = broker.context();
  broker.run([&context] { return run_with(context.settings().broker); });
}

}  // namespace callboard::cli
