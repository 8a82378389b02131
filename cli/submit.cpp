// callboard submit TARGET METHOD [JSON arguments]
#include "cli/call_flags.hpp"
#include "cli/command.hpp"
#include "cli/commands.hpp"
#include "cli/connection.hpp"
#include "cli/context.hpp"
#include "cli/exit_code.hpp"

#include <chrono>
#include <memory>
#include <optional>

namespace callboard::cli {

namespace {

struct SubmitOptions {
  std::string target;
  std::string method;
  std::vector<std::string> arguments;
  std::string at, idempotency_key, durability, when_full;
  std::int64_t delay_ms = 0;
  std::int64_t timeout_ms = 0;
  bool no_wait = false;
  CallFlags call;
};

/// Leaves as soon as the broker has the call, whose result nobody takes then.
int leave_it(const Context& context, Connection& broker, const Future<Encoded>& result) {
  const auto id = to_string(result.id());
  broker.client().close();
  if (const auto error = result.error(); error && error->code != Errc::disconnected) {
    throw_error(*error);
  }
  context.show(Json{{"call", id}});
  return 0;
}

int submit(const Context& context, Connection& broker, const SubmitOptions& options) {
  CallOptions call = call_options(options.call);
  if (options.delay_ms > 0) call.delay = std::chrono::milliseconds(options.delay_ms);
  if (!options.at.empty()) call.at = parse_time(options.at);
  call.idempotency_key = options.idempotency_key;
  if (!options.durability.empty()) {
    call.durability = options.durability == "memory" ? Durability::memory : Durability::durable;
  }
  if (!options.when_full.empty()) {
    call.when_full = options.when_full == "block" ? WhenFull::block : WhenFull::reject;
  }
  auto arguments = msgpack_from_json(parse_json_list(options.arguments));
  const auto result = options.target == "task"
                          ? broker.client().call_encoded(options.method, std::move(arguments), call)
                          : broker.client()
                                .get_actor(options.target)
                                .with(call)
                                .call_encoded(options.method, std::move(arguments));
  if (options.no_wait) return leave_it(context, broker, result);
  std::optional<std::chrono::milliseconds> timeout;
  if (options.timeout_ms > 0) timeout = std::chrono::milliseconds(options.timeout_ms);
  if (!Connection::wait(result, timeout)) {
    throw Failure(ExitCode::timed_out, "no result after " + std::to_string(options.timeout_ms) +
                                           " ms; call " + to_string(result.id()) + " goes on");
  }
  print_line(print_json(json_from_msgpack(result.get().bytes)));
  return 0;
}

}  // namespace

void add_submit(const Command& program) {
  const auto options = std::make_shared<SubmitOptions>();
  Command sub = program.sub("submit", "Make a call and print its result as JSON");
  sub.need_text("target", options->target,
                "Name or id of an actor or deployment; or `task`, and METHOD is the task's name")
      .need_text("method", options->method, "Method, or name of the task")
      .json_arguments(options->arguments)
      .duration("--timeout", options->timeout_ms, "Wait so long only; the call goes on without us")
      .flag("--no-wait", options->no_wait, "Print the call's id once the broker has it")
      .text("--idempotency-key", options->idempotency_key,
            "Calls of one key and the same arguments are one call")
      .duration("--delay", options->delay_ms, "Not before so much later")
      .text("--at", options->at, "Not before then: 2030-12-31T23:59:59Z, or with +01:00", "TIME")
      .choice("--durability", options->durability, {"durable", "memory"}, "Instead of the actor's")
      .choice("--when-full", options->when_full, {"reject", "block"}, "Instead of the actor's");
  add_call_flags(sub, options->call);
  const Context& context = sub.context();
  sub.query([&context, options](Connection& broker) { return submit(context, broker, *options); });
}

}  // namespace callboard::cli
