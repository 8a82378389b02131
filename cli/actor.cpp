// callboard actor ls|inspect|create|kill
#include "cli/command.hpp"
#include "cli/commands.hpp"
#include "cli/connection.hpp"
#include "cli/context.hpp"
#include "cli/exit_code.hpp"

#include <chrono>
#include <memory>

namespace callboard::cli {

namespace {

constexpr std::chrono::seconds kOpenedWithin{30};

struct CreateOptions {
  std::string class_name;
  std::vector<std::string> arguments;
  ActorOptions actor;
  std::int64_t deadline_ms = 0;
};

int create(const Context& context, Connection& broker, const CreateOptions& options) {
  ActorOptions actor = options.actor;
  actor.lifetime = Lifetime::detached;  // it shall outlive this program
  if (options.deadline_ms > 0) actor.deadline = std::chrono::milliseconds(options.deadline_ms);
  const auto made = broker.client().create_encoded(
      options.class_name, actor, msgpack_from_json(parse_json_list(options.arguments)));
  const auto opened = made.opened();
  if (!Connection::wait(opened, kOpenedWithin)) {
    throw Failure(ExitCode::timed_out, "the broker did not answer");
  }
  opened.get();
  context.show(Json{{"actor", made.name()},
                    {"id", to_string(made.id())},
                    {"class", made.class_name()},
                    {"replicas", actor.replicas}});
  return 0;
}

void add_create(const Command& parent) {
  const auto options = std::make_shared<CreateOptions>();
  ActorOptions& actor = options->actor;
  Command app = parent.sub("create", "Make an actor or a deployment that lives until it is killed");
  app.need_text("class", options->class_name, "Its class", "CLASS")
      .json_arguments(options->arguments)
      .text("--name", actor.name, "Its name; without one only its id leads to it")
      .text("--namespace", actor.name_space, "Namespace of the name")
      .flag("--get-if-exists", actor.get_if_exists, "Take the actor of this name if there is one")
      .number("--replicas", actor.replicas, "Make a deployment of so many actors")
      .number("--max-concurrency", actor.max_concurrency, "Calls that run at once")
      .choice("--mode", actor.mode,
              {{"serial", Mode::serial},
               {"threaded", Mode::threaded},
               {"async", Mode::async},
               {"batched", Mode::batched}},
              "How its calls run [as its class asks for]")
      .choice("--ordering", actor.ordering,
              {{"actor", Ordering::actor}, {"key", Ordering::key}, {"none", Ordering::none}},
              "Which calls keep their order [actor]")
      .number("--max-pending", actor.max_pending, "Calls that may wait")
      .number("--max-pending-bytes", actor.max_pending_bytes, "Bytes that may wait")
      .choice("--when-full", actor.when_full,
              {{"reject", WhenFull::reject}, {"block", WhenFull::block}},
              "What happens to calls beyond that [reject]")
      .number("--max-restarts", actor.max_restarts, "Lives after the first; -1: for ever [0]", -1)
      .number("--max-retries", actor.max_retries, "Attempts of a call after the first [0]", -1)
      .flag("--dedicated", actor.dedicated, "A worker process of its own")
      .choice("--durability", actor.durability,
              {{"durable", Durability::durable}, {"memory", Durability::memory}},
              "Of its calls [durable]")
      .duration("--deadline", options->deadline_ms, "Time for each of its calls");
  const Context& context = app.context();
  app.query([&context, options](Connection& broker) { return create(context, broker, *options); });
}

}  // namespace

void add_actor(const Command& program) {
  Command actor = program.sub("actor", "Actors: make, look at and kill them");
  actor.needs_one();
  add_ls(actor, "actor.ls",
         {{"actor", "ACTOR"},
          {"class", "CLASS"},
          {"state", "STATE"},
          {"worker", "WORKER"},
          {"depth", "DEPTH"},
          {"running", "RUNNING"},
          {"restarts", "RESTARTS"},
          {"lifetime", "LIFETIME"}});
  add_inspect(actor, "inspect", "Show all of one", "actor.inspect", "actor");
  add_create(actor);
  add_inspect(actor, "kill", "End one now; its unfinished calls fail with actor_died", "actor.kill",
              "actor");
}

}  // namespace callboard::cli
