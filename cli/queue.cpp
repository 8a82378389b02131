// callboard queue ls|inspect|explain|pause|resume|purge
#include "cli/command.hpp"
#include "cli/commands.hpp"
#include "cli/connection.hpp"
#include "cli/context.hpp"

#include <memory>

namespace callboard::cli {

namespace {

/// The broker ends some calls at a time, so that a long queue does not stop its loop.
int purge(const Context& context, Connection& broker, const std::string& queue) {
  std::uint64_t purged = 0;
  Json answer;
  do {
    throw_if_interrupted();
    answer = broker.ask("queue.purge", {{"queue", queue}});
    purged += answer.at("purged").get<std::uint64_t>();
  } while (answer.at("left").get<std::uint64_t>() > 0 &&
           answer.at("purged").get<std::uint64_t>() > 0);
  answer["purged"] = purged;
  context.show(answer);
  return 0;
}

}  // namespace

void add_queue(const Command& program) {
  Command queue = program.sub("queue", "Queues: the pending calls of actors and tasks");
  queue.needs_one();
  add_ls(queue, "queue.ls",
         {{"queue", "QUEUE"},
          {"kind", "KIND"},
          {"class", "CLASS"},
          {"depth", "DEPTH"},
          {"running", "RUNNING"},
          {"blocked", "BLOCKED"},
          {"accepted", "ACCEPTED"},
          {"ended", "ENDED"},
          {"failed", "FAILED"},
          {"paused", "PAUSED"}});
  add_inspect(queue, "inspect", "Show all of one", "queue.inspect", "queue");
  add_explain(queue, "queue.explain", "queue");
  add_inspect(queue, "pause", "Send nothing of it to workers until it is resumed", "queue.pause",
              "queue");
  add_inspect(queue, "resume", "End a pause", "queue.resume", "queue");

  const auto name = std::make_shared<std::string>();
  Command purged = queue.sub("purge", "End all its calls that no worker has, with cancelled");
  purged.need_text("queue", *name, "Its name or id", "NAME");
  const Context& context = purged.context();
  purged.query([&context, name](Connection& broker) { return purge(context, broker, *name); });
}

}  // namespace callboard::cli
