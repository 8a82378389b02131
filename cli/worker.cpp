// callboard worker: runs a worker in this process; and ls|inspect of those that a broker has.
#include "cli/command.hpp"
#include "cli/commands.hpp"
#include "cli/context.hpp"
#include "cli/echo.hpp"
#include "cli/worker_child.hpp"

#include <callboard/worker.hpp>

#include <algorithm>

namespace callboard::cli {

namespace {

void register_built_in(Registry& registry) { registry.add<Echo>(); }

std::vector<std::string> split(const std::string& endpoints) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at <= endpoints.size();) {
    const auto comma = std::min(endpoints.find(',', at), endpoints.size());
    if (comma > at) out.push_back(endpoints.substr(at, comma - at));
    at = comma + 1;
  }
  return out;
}

int run_with(const config::Settings& settings) {
  WorkerOptions options;
  options.brokers = split(settings.client.broker);
  options.name = settings.worker.name;
  options.processes = static_cast<std::uint32_t>(settings.worker.processes);
  options.cores = settings.worker.cores;
  options.load = settings.worker.load;
  options.task_slots = static_cast<std::uint32_t>(settings.worker.task_slots);
  options.loop_warn_ms = settings.worker.loop_warn_ms;
  options.drain_timeout_ms = settings.worker.drain_timeout_ms;
  options.runtime_dir = settings.worker.runtime_dir;
  options.log_level = settings.log.level;
  return run_worker(options, register_built_in);
}

}  // namespace

int run_worker_child() { return run_worker({}, register_built_in); }

void add_worker(const Command& program) {
  Command worker = program.sub("worker", "Run a worker; or look at those that there are");
  worker.settings("worker");
  const Context& context = worker.context();
  worker.run([&context] { return run_with(context.settings()); });
  add_ls(worker, "worker.ls",
         {{"worker", "WORKER"},
          {"host", "HOST"},
          {"pid", "PID"},
          {"state", "STATE"},
          {"heard_ms", "HEARD MS"},
          {"actors", "ACTORS"},
          {"running", "RUNNING"},
          {"task_slots", "TASK SLOTS"},
          {"tasks_running", "TASKS"}});
  add_inspect(worker, "inspect", "Show all of one", "worker.inspect", "worker");
}

}  // namespace callboard::cli
