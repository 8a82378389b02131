// callboard dead ls|show|redrive|purge
#include "cli/command.hpp"
#include "cli/commands.hpp"
#include "cli/connection.hpp"
#include "cli/context.hpp"
#include "cli/exit_code.hpp"

#include <memory>

namespace callboard::cli {

namespace {

void add_dead_ls(const Command& dead) {
  struct Options {
    std::string queue;
    std::uint64_t limit = 100;
  };
  const auto options = std::make_shared<Options>();
  Command ls = dead.sub("ls", "List the calls that were given up, the oldest first");
  ls.text("queue", options->queue, "Of this queue only", "NAME")
      .number("--limit", options->limit, "Show at most so many; 0: all [100]");
  const Context& context = ls.context();
  ls.query([&context, options](Connection& broker) {
    Json request = Json::object();
    if (!options->queue.empty()) request["queue"] = options->queue;
    context.show({{"call", "CALL"},
                  {"queue", "QUEUE"},
                  {"method", "METHOD"},
                  {"error", "ERROR"},
                  {"attempts", "ATTEMPTS"},
                  {"crashes", "CRASHES"},
                  {"age_ms", "AGE MS"},
                  {"message", "MESSAGE"}},
                 broker.list("dead.ls", request, options->limit));
    return 0;
  });
}

/// Adds `redrive` or `purge`: of one call, or of a whole queue. The broker handles some at a time.
void add_change(const Command& dead, const std::string& name, const std::string& help) {
  struct Options {
    std::string call, queue;
  };
  const auto options = std::make_shared<Options>();
  Command change = dead.sub(name, help);
  change.text("call", options->call, "Id of one call", "ID")
      .text("--queue", options->queue, "All of this queue", "NAME");
  const Context& context = change.context();
  change.query([&context, options, name](Connection& broker) {
    if (options->call.empty() == options->queue.empty()) {
      fail_usage("give the id of a call or --queue NAME");
    }
    if (!options->call.empty()) {
      context.show(broker.ask("dead." + name, {{"call", options->call}}));
      return 0;
    }
    const std::string done = name == "redrive" ? "redriven" : "purged";
    std::uint64_t count = 0;
    Json answer;
    std::uint64_t now = 0;
    do {
      throw_if_interrupted();
      answer = broker.ask("dead." + name, {{"queue", options->queue}});
      now = answer.at(done).is_array() ? answer.at(done).size()
                                       : answer.at(done).get<std::uint64_t>();
      count += now;
    } while (now > 0 && answer.at("left").get<std::uint64_t>() > 0);
    answer[done] = count;
    context.show(answer);
    return 0;
  });
}

}  // namespace

void add_dead(const Command& program) {
  Command dead = program.sub("dead", "The dead set: calls that were given up");
  dead.needs_one();
  add_dead_ls(dead);
  add_inspect(dead, "show", "Show why one was given up", "dead.show", "call");
  add_change(dead, "redrive", "Submit again, as new calls that name the old ones");
  add_change(dead, "purge", "Forget for good");
}

}  // namespace callboard::cli
