// callboard dev: a whole system of one's own, until Ctrl-C.
#include "cli/command.hpp"
#include "cli/commands.hpp"
#include "cli/context.hpp"
#include "cli/exit_code.hpp"
#include "common/clock.hpp"

#include <callboard/embedded.hpp>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

namespace callboard::cli {

namespace {

constexpr std::uint16_t kPortDefault = 7700;
constexpr std::chrono::milliseconds kNewsEvery{500};

struct DevOptions {
  std::vector<std::string> load;
  int workers = 1;
  std::string data;
  std::string fsync = "everysec";
  std::uint16_t port = kPortDefault;
  int task_slots = 0;
};

void say_ready(const Context& context, const DevOptions& options, EmbeddedSystem& system,
               std::int64_t took_ms) {
  const auto pids = system.processes();
  if (context.format() == Format::json) {
    print_line(print_json({{"endpoint", system.endpoint()},
                           {"ipc_endpoint", system.ipc_endpoint()},
                           {"redis_socket", system.redis_socket()},
                           {"runtime_dir", system.runtime_dir()},
                           {"data_dir", options.data},
                           {"ready_ms", took_ms},
                           {"pids",
                            {{"keeper", pids.keeper},
                             {"redis", pids.redis},
                             {"broker", pids.broker},
                             {"worker", pids.worker}}}}));
    return;
  }
  print_line("ready after " + print_duration_ms(static_cast<double>(took_ms)) + "; Ctrl-C ends it");
  print_line("  broker   " + system.endpoint() + "  " + system.ipc_endpoint());
  print_line("  redis    redis-cli -s " + system.redis_socket() +
             (options.data.empty() ? "  (nothing is kept)" : "  (kept in " + options.data + ")"));
  print_line("  workers  " + std::to_string(options.workers));
  if (options.port != kPortDefault) {
    print_line("  export CALLBOARD_BROKER=" + system.endpoint());
  }
}

int run(const Context& context, const DevOptions& options) {
  catch_interrupts();
  EmbeddedOptions embedded;
  embedded.load = options.load;
  embedded.workers = options.workers;
  embedded.data_dir = options.data;
  embedded.fsync = options.fsync;
  embedded.port = options.port;
  embedded.config_file = context.file();
  embedded.callboard_program = this_program();
  if (options.task_slots > 0) {
    embedded.worker_flags = {"--task-slots", std::to_string(options.task_slots)};
  }
  const auto began_us = clock_now().mono_us;
  EmbeddedSystem system(embedded);
  say_ready(context, options, system, (clock_now().mono_us - began_us) / kMicrosPerMilli);
  while (!interrupted() && system.running()) {
    for (const auto& sentence : system.news(kNewsEvery)) {
      std::fprintf(stderr, "callboard: %s\n", sentence.c_str());
    }
  }
  const bool ended_by_itself = !system.running();
  system.stop();
  return static_cast<int>(ended_by_itself ? ExitCode::failed : ExitCode::ok);
}

}  // namespace

void add_dev(const Command& program) {
  const auto options = std::make_shared<DevOptions>();
  Command dev = program.sub("dev", "Run a private Redis, broker and workers until Ctrl-C");
  dev.texts("--load", options->load, "Shared library with classes and tasks", "FILE")
      .number("--workers", options->workers, "Worker processes; 0: none [1]", 0, 4096)
      .text("--data", options->data, "Keep the data here [nothing is kept]", "DIR")
      .choice("--fsync", options->fsync, {"everysec", "always"},
              "With --data, when the data is certainly on disk [everysec]")
      .number("--port", options->port, "TCP port of the broker; 0: any that is free [7700]")
      .number("--task-slots", options->task_slots, "Tasks that one worker process runs at once", 1,
              100'000);
  const Context& context = dev.context();
  dev.run([&context, options] { return run(context, *options); });
}

}  // namespace callboard::cli
