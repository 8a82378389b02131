// callboard health: is all well? The exit code says so too.
#include "cli/command.hpp"
#include "cli/commands.hpp"
#include "cli/connection.hpp"
#include "cli/context.hpp"
#include "cli/exit_code.hpp"

namespace callboard::cli {

namespace {

int tell_health(const Context& context, Connection& broker) {
  Json answer = broker.ask("health");
  const bool well = answer.at("problems").empty();
  if (context.format() == Format::json) {
    answer["healthy"] = well;
    context.show(answer);
  } else if (well) {
    print_line("healthy: " + answer.at("broker").get<std::string>() + " at " + broker.endpoint() +
               ", up for " + print_duration_ms(answer.at("uptime_ms").get<double>()) + ", " +
               cell(answer.at("workers")) + " workers, " + cell(answer.at("queues")) + " queues");
  } else {
    for (const auto& problem : answer.at("problems")) print_line(problem.get<std::string>());
  }
  return static_cast<int>(well ? ExitCode::ok : ExitCode::failed);
}

}  // namespace

void add_health(const Command& program) {
  Command health = program.sub("health", "Say whether all is well, with exit code 0, 1 or 3");
  const Context& context = health.context();
  health.query([&context](Connection& broker) { return tell_health(context, broker); });
}

}  // namespace callboard::cli
