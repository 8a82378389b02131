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
#include <string>
#include <string_view>
#include <vector>

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
        add_schedule, add_dead, add_top, add_health, add_doctor, add_bench, add_config, add_keep,
        add_relay_part}) {
    add(program);
  }
}

/// The command line in the form in which CLI11 takes it, last argument first. CLI11 would take
/// [1,2] apart; a space in front, which means nothing in JSON, hides it.
std::vector<std::string> arguments_of(int argc, char** argv) {
  std::vector<std::string> out;
  for (int i = argc - 1; i > 0; --i) {
    out.emplace_back(argv[i]);
    if (out.back().starts_with('[')) out.back().insert(0, " ");
  }
  return out;
}

/// What is wrong with a command line, where CLI11's words are not the best.
std::string problem_of(const CLI::ParseError& error, const CLI::App& app) {
  const auto left = app.remaining(true);
  const bool no_command = error.get_name() == "RequiredError" && !left.empty() &&
                          std::string_view(error.what()) == "A subcommand is required";
  return no_command ? "no such command: " + left.front() : error.what();
}

int run(int argc, char** argv) {
  Context context;
  CLI::App app("Durable actors and tasks", "callboard");
  add_everything(app, context);
  try {
    auto arguments = arguments_of(argc, argv);
    app.parse(arguments);
    context.load_settings();
    return context.action();
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    return complain(ExitCode::usage, problem_of(error, app) + " (--help says more)");
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
