// callboard call ls|inspect|explain|cancel
#include "cli/command.hpp"
#include "cli/commands.hpp"
#include "cli/connection.hpp"
#include "cli/context.hpp"
#include "cli/exit_code.hpp"

#include <memory>

namespace callboard::cli {

namespace {

ExitCode exit_code_of(CancelAnswer answer) {
  switch (answer) {
    case CancelAnswer::cancelled_before_start:
    case CancelAnswer::cancelled_between_attempts:
    case CancelAnswer::stopping:
    case CancelAnswer::killed:
      return ExitCode::ok;
    case CancelAnswer::too_late:
      return ExitCode::failed;
    case CancelAnswer::unknown:
      return ExitCode::not_found;
    case CancelAnswer::needs_consent:
      return ExitCode::refused;
  }
  return ExitCode::internal;
}

int cancel(const Context& context, Connection& broker, const std::string& text, bool force) {
  const CallId call = call_id_from(text);
  if (!call) fail_usage(text + " is not the id of a call");
  const auto answer = broker.client().cancel_async(call, force);
  Connection::wait(answer);
  const auto name = std::string(name_of(answer.get()));
  context.show(Json{{"call", text}, {"answer", name}});
  return static_cast<int>(exit_code_of(answer.get()));
}

void add_call_ls(const Command& call) {
  struct Options {
    std::string queue;
    std::uint64_t limit = 100;
  };
  const auto options = std::make_shared<Options>();
  Command ls = call.sub("ls", "List the calls of a queue: those with workers, then in order");
  ls.need_text("queue", options->queue, "Name of the queue", "NAME")
      .number("--limit", options->limit, "Show at most so many; 0: all [100]");
  const Context& context = ls.context();
  ls.query([&context, options](Connection& broker) {
    context.show({{"call", "CALL"},
                  {"number", "NUMBER"},
                  {"method", "METHOD"},
                  {"state", "STATE"},
                  {"since_ms", "SINCE MS"},
                  {"attempts", "ATTEMPTS"},
                  {"worker", "WORKER"}},
                 broker.list("call.ls", {{"queue", options->queue}}, options->limit));
    return 0;
  });
}

void add_call_cancel(const Command& call) {
  struct Options {
    std::string call;
    bool force = false;
  };
  const auto options = std::make_shared<Options>();
  Command cancelled = call.sub("cancel", "Ask that a call not run, or stop");
  cancelled.need_text("call", options->call, "Id of the call", "ID")
      .flag("--force", options->force, "Kill the process that runs it");
  const Context& context = cancelled.context();
  cancelled.query([&context, options](Connection& broker) {
    return cancel(context, broker, options->call, options->force);
  });
}

}  // namespace

void add_call(const Command& program) {
  Command call = program.sub("call", "Single calls");
  call.needs_one();
  add_call_ls(call);
  add_inspect(call, "inspect", "Show all of one", "call.inspect", "call");
  add_explain(call, "call.explain", "call");
  add_call_cancel(call);
}

}  // namespace callboard::cli
