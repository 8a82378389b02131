// callboard doctor: looks at everything that commonly goes wrong, one line each, and a verdict.
#include "cli/command.hpp"
#include "cli/commands.hpp"
#include "cli/connection.hpp"
#include "cli/context.hpp"
#include "cli/exit_code.hpp"
#include "cli/version.hpp"
#include "common/clock.hpp"

#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace callboard::cli {

namespace {

constexpr std::uint64_t kWorkersLookedAt = 50;
/// Deadlines are told as spans, so clocks matter for delayed calls, logs and people only.
constexpr std::int64_t kClockWarnMs = 1000;
/// Each peer takes one, each child of a worker a few.
constexpr std::uint64_t kFilesWarn = 4096;
/// The flight recorders of a few hundred children.
constexpr double kSharedBytesWarn = 64.0 * 1024 * 1024;
constexpr double kMemoryWarn = 0.8;

/// What was found: "ok", "warning" or "problem".
class Findings {
 public:
  void add(const char* check, const char* verdict, const std::string& text) {
    list_.push_back({{"check", check}, {"verdict", verdict}, {"text", text}});
  }
  void ok(const char* check, const std::string& text) { add(check, "ok", text); }
  void warn(const char* check, const std::string& text) { add(check, "warning", text); }
  void fail(const char* check, const std::string& text) { add(check, "problem", text); }
  std::size_t count(const char* verdict) const {
    return static_cast<std::size_t>(
        std::count_if(list_.begin(), list_.end(), [&](const Json& item) {
          return item.at("verdict").get<std::string>() == verdict;
        }));
  }
  const Json& list() const { return list_; }

 private:
  Json list_ = Json::array();
};

std::string text_of(const Json& item, const char* key) {
  const auto found = item.find(key);
  return found == item.end() || !found->is_string() ? std::string() : found->get<std::string>();
}

std::string host_name() {
  std::array<char, 256> host{};
  return ::gethostname(host.data(), host.size() - 1) == 0 ? std::string(host.data())
                                                          : std::string();
}

void look_at_store(const Json& health, Findings& found) {
  const std::string store = text_of(health, "store");
  const std::string where = text_of(health, "redis");
  if (store == "down") {
    found.fail("redis", "away at " + where + ": " + text_of(health, "store_problem"));
  } else {
    found.ok("redis", "Redis " + text_of(health, "redis_version") + " at " + where);
  }
  const std::string eviction = text_of(health, "eviction");
  if (eviction == "noeviction") {
    found.ok("eviction", "maxmemory-policy is noeviction: Redis throws nothing away");
  } else {
    found.fail("eviction", "maxmemory-policy is " + eviction + "; set it to noeviction");
  }
  found.add("persistence", health.at("survives_power_loss").get<bool>() ? "ok" : "warning",
            text_of(health, "durability"));
  const double used = health.at("used_memory").get<double>();
  const double max = health.at("memory_max").get<double>();
  if (max == 0) {
    found.ok("memory", print_bytes(used) + " used in Redis, which has no limit (maxmemory)");
  } else {
    const std::string text = print_bytes(used) + " of " + print_bytes(max) + " used in Redis";
    found.add("memory", store == "full" ? "problem" : used > kMemoryWarn * max ? "warning" : "ok",
              text + (store == "full" ? ": new calls are refused" : ""));
  }
  const double calls = health.value("calls_memory", 0.0);
  const double calls_max = health.value("calls_memory_max", 0.0);
  found.ok("calls", calls_max == 0
                        ? print_bytes(calls) + " taken by calls in the broker, without a limit"
                        : print_bytes(calls) + " of " + print_bytes(calls_max) +
                              " (memory_max) taken by calls in the broker");
  if (health.at("times_back").get<std::uint64_t>() == 0) {
    found.ok("timeline", "the store has not gone back in time since this broker began (timeline " +
                             cell(health.at("timeline")) + ")");
  } else {
    found.warn("timeline", "the store went back in time: " + text_of(health, "went_back"));
  }
}

/// `behind_ms`: what this host's clock shows more than the broker's.
void look_at_workers(Connection& broker, std::int64_t behind_ms, Findings& found) {
  const Json workers = broker.list("worker.ls", Json::object(), kWorkersLookedAt);
  std::size_t away = 0;
  std::string worst = "the broker";
  std::int64_t worst_ms = std::abs(behind_ms);
  for (const Json& item : workers) {
    if (text_of(item, "state") != "connected") ++away;
    const Json worker = broker.ask("worker.inspect", {{"worker", text_of(item, "worker")}});
    const Json& status = worker.at("status");
    if (!status.is_object() || !status.contains("time_ms")) continue;
    const std::int64_t there_ms = status.at("time_ms").get<std::int64_t>();
    const std::int64_t here_ms = worker.at("status_ms").get<std::int64_t>() + behind_ms;
    if (std::abs(there_ms - here_ms) <= worst_ms) continue;
    worst_ms = std::abs(there_ms - here_ms);
    worst = text_of(item, "worker");
  }
  if (workers.empty()) {
    found.fail("workers", "no worker is connected");
  } else {
    found.add("workers", away > 0 ? "warning" : "ok",
              std::to_string(workers.size() - away) + " connected, " + std::to_string(away) +
                  " away");
  }
  found.add("clocks", worst_ms > kClockWarnMs ? "warning" : "ok",
            "the clock that differs most from this host's is that of " + worst + ": " +
                print_duration_ms(static_cast<double>(worst_ms)));
}

void look_at_broker(Connection& broker, Findings& found) {
  const auto asked = clock_now();
  const Json health = broker.ask("health");
  const auto answered = clock_now();
  const std::int64_t took_us = answered.mono_us - asked.mono_us;
  found.ok("broker", text_of(health, "broker") + " at " + broker.endpoint() + " answers in " +
                         std::to_string(took_us) + " us, up for " +
                         print_duration_ms(health.at("uptime_ms").get<double>()));
  const std::string version = text_of(health, "version");
  if (version == kVersion) {
    found.ok("version", "the broker and this program are of version " + version);
  } else {
    found.warn("version", "the broker is of version " + version + ", this program of " +
                              std::string(kVersion));
  }
  look_at_store(health, found);
  const std::int64_t here_ms = (asked.wall_ms + answered.wall_ms) / 2;
  look_at_workers(broker, here_ms - health.at("time_ms").get<std::int64_t>(), found);
  for (const Json& problem : health.at("problems")) {
    const auto text = problem.get<std::string>();
    if (text != "no worker is connected") found.fail("health", text);
  }
  if (text_of(health, "host") != host_name()) return;
  // "Max open files            1024                 4096                 files"
  std::ifstream limits("/proc/" + cell(health.at("pid")) + "/limits");
  for (std::string line; std::getline(limits, line);) {
    if (!line.starts_with("Max open files")) continue;
    std::istringstream words(line.substr(14));
    std::uint64_t files = UINT64_MAX;
    words >> files;  // "unlimited" is no number and leaves 0 behind
    if (words.fail()) files = UINT64_MAX;
    const bool few = files < kFilesWarn;
    found.add("broker files", few ? "warning" : "ok",
              few ? "the broker may open " + std::to_string(files) + " files, one for each peer"
                  : "the broker may open files enough");
  }
}

void look_at_host(Findings& found) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  const bool few = files.rlim_cur != RLIM_INFINITY && files.rlim_cur < kFilesWarn;
  found.add("files", few ? "warning" : "ok",
            "a process here may open " +
                (few ? "only " + std::to_string(files.rlim_cur) : std::string("enough")) +
                " files (ulimit -n)");
  constexpr const char* kShared = "/dev/shm";
  struct statvfs shared {};
  if (::access(kShared, W_OK) != 0 || ::statvfs(kShared, &shared) != 0) {
    return found.fail("shared memory",
                      "/dev/shm cannot be written: workers need it or worker.runtime_dir");
  }
  const double free = static_cast<double>(shared.f_bavail) * static_cast<double>(shared.f_frsize);
  found.add("shared memory", free < kSharedBytesWarn ? "warning" : "ok",
            print_bytes(free) + " free in /dev/shm, where workers keep their flight recorders");
}

int examine(const Context& context) {
  Findings found;
  ExitCode code = ExitCode::ok;
  try {
    Connection broker(context);
    look_at_broker(broker, found);
  } catch (const Failure& failure) {
    if (failure.code() != ExitCode::cannot_connect) throw;
    found.fail("broker", failure.what());
    code = ExitCode::cannot_connect;
  }
  look_at_host(found);
  const std::size_t problems = found.count("problem");
  const std::size_t warnings = found.count("warning");
  const std::string verdict = problems > 0 ? "problems" : warnings > 0 ? "warnings" : "healthy";
  if (problems > 0 && code == ExitCode::ok) code = ExitCode::failed;
  if (context.format() == Format::json) {
    context.show(Json{{"verdict", verdict}, {"checks", found.list()}});
  } else {
    print(table({{"verdict", "VERDICT"}, {"check", "CHECK"}, {"text", "WHAT"}}, found.list()));
    print_line(verdict + ": " + std::to_string(problems) + " problems, " +
               std::to_string(warnings) + " warnings");
  }
  return static_cast<int>(code);
}

}  // namespace

void add_doctor(const Command& program) {
  Command doctor =
      program.sub("doctor", "Look at broker, store, workers and this host, with a verdict");
  const Context& context = doctor.context();
  doctor.run([&context] { return examine(context); });
}

}  // namespace callboard::cli
