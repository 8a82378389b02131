// callboard schedule create|ls|inspect|rm|pause|resume
#include "cli/call_flags.hpp"
#include "cli/command.hpp"
#include "cli/commands.hpp"
#include "cli/connection.hpp"
#include "cli/context.hpp"

#include <memory>

namespace callboard::cli {

namespace {

struct CreateOptions {
  std::string name, cron, target, method;
  std::vector<std::string> arguments;
  std::string zone = "UTC";
  std::string catch_up = "one";
  std::uint32_t catch_up_max = 100;
  bool replace = false;
  CallFlags call;
};

int create(const Context& context, Connection& broker, const CreateOptions& options) {
  ScheduleOptions schedule;
  schedule.name = options.name;
  schedule.cron = options.cron;
  schedule.zone = options.zone;
  schedule.catch_up = options.catch_up == "skip"  ? CatchUp::skip
                      : options.catch_up == "all" ? CatchUp::all
                                                  : CatchUp::one;
  schedule.catch_up_max = options.catch_up_max;
  schedule.replace = options.replace;
  schedule.call = call_options(options.call);
  const auto arguments = msgpack_from_json(parse_json_list(options.arguments));
  if (options.target == "task") {
    broker.client().schedule_encoded(schedule, options.method, arguments);
  } else {
    broker.client().get_actor(options.target).schedule_encoded(options.method, schedule, arguments);
  }
  context.show(broker.ask("schedule.inspect", {{"schedule", options.name}}));
  return 0;
}

void add_create(const Command& schedule) {
  const auto options = std::make_shared<CreateOptions>();
  Command sub = schedule.sub("create", "Make a call again and again");
  sub.need_text("name", options->name, "Name of the schedule")
      .need_text("cron", options->cron,
                 "\"MINUTE HOUR DAY MONTH WEEKDAY\", or SECOND in front; or @hourly, @daily, ...",
                 "CRON")
      .need_text("target", options->target,
                 "Name or id of an actor or deployment; or `task`, and METHOD is the task's name")
      .need_text("method", options->method, "Method, or name of the task")
      .json_arguments(options->arguments)
      .text("--zone", options->zone, "Time zone of CRON, such as Europe/Berlin [UTC]")
      .choice("--catch-up", options->catch_up, {"skip", "one", "all"},
              "What becomes of the times at which no broker served [one]")
      .number("--catch-up-max", options->catch_up_max, "Most calls that `all` makes up for [100]",
              1, 1000)
      .flag("--replace", options->replace, "Take the place of another schedule of this name");
  add_call_flags(sub, options->call);
  const Context& context = sub.context();
  sub.query([&context, options](Connection& broker) { return create(context, broker, *options); });
}

}  // namespace

void add_schedule(const Command& program) {
  Command schedule = program.sub("schedule", "Schedules: calls that are made again and again");
  schedule.needs_one();
  add_create(schedule);
  add_ls(schedule, "schedule.ls",
         {{"schedule", "SCHEDULE"},
          {"cron", "CRON"},
          {"zone", "ZONE"},
          {"target", "TARGET"},
          {"method", "METHOD"},
          {"state", "STATE"},
          {"next_ms", "NEXT MS"},
          {"made", "MADE"},
          {"failed", "FAILED"}});
  add_inspect(schedule, "inspect", "Show all of one", "schedule.inspect", "schedule");
  add_inspect(schedule, "rm", "Remove it; the calls that it has made go on", "schedule.rm",
              "schedule");
  add_inspect(schedule, "pause", "No calls until it is resumed", "schedule.pause", "schedule");
  add_inspect(schedule, "resume", "End a pause; what was due meanwhile is left out",
              "schedule.resume", "schedule");
}

}  // namespace callboard::cli
