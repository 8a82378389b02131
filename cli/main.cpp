// callboard: one program for the broker, workers, and everything that one asks of them.
#include "cli/command.hpp"
#include "cli/commands.hpp"
#include "cli/context.hpp"
#include "cli/exit_code.hpp"
#include "cli/version.hpp"
#include "cli/worker_child.hpp"
#include "worker/child_params.hpp"

#include <callboard/error.hpp>

#include <cstdio>
#include <cstdlib>
#include <exception>

#include <CLI/CLI.hpp>

namespace callboard::cli {
namespace {

constexpr const char* kFooter =
    "Exit codes: 0 ok, 1 the call failed, 2 usage, 3 cannot connect, 4 not found, 5 refused,\n"
    "6 timed out, 7 cancelled, 130 interrupted. See docs/cli.md.";

int complain(ExitCode code, const std::string& line) {
  std::fprintf(stderr, "callboard: %s\n", line.c_str());
  return static_cast<int>(code);
}

void add_everything(CLI::App& app, Context& context) {
  app.require_subcommand(1);
  app.fallthrough();
  app.footer(kFooter);
  app.set_version_flag("--version", "callboard " + std::string(kVersion));
  Command program(app, context);
  program.text("--config", context.config_file, "Settings file", "FILE")
      .choice("-o,--output", context.format_name, {"table", "json"}, "How to print [table]")
      .settings("client")
      .settings("log");
  for (const auto add :
       {add_dev, add_broker, add_worker, add_submit, add_queue, add_actor, add_deployment, add_call,
        add_top, add_health, add_bench, add_config, add_keep, add_relay_part}) {
    add(program);
  }
}

int run(int argc, char** argv) {
  Context context;
  CLI::App app("Durable actors and tasks", "callboard");
  add_everything(app, context);
  try {
    app.parse(argc, argv);
    context.load_settings();
    return context.action();
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    return complain(ExitCode::usage, std::string(error.what()) + " (--help says more)");
  } catch (const Failure& failure) {
    return complain(failure.code(), failure.what());
  } catch (const Error& error) {
    const auto& info = error.info();
    auto line = std::string(name_of(info.code)) + ": " + info.message;
    if (!info.type.empty())
      line = std::string(name_of(info.code)) + ": " + info.type + ": " + info.message;
    if (!info.place.empty()) line += " (" + info.place + ")";
    return complain(exit_code_of(info.code), line);
  } catch (const std::exception& error) {
    return complain(ExitCode::internal, error.what());
  }
}

}  // namespace
}  // namespace callboard::cli

int main(int argc, char** argv) {
  if (std::getenv(callboard::worker::kChildVariable) != nullptr) {
    return callboard::cli::run_worker_child();
  }
  return callboard::cli::run(argc, argv);
}
