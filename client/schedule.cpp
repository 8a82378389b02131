#include "client/schedule.hpp"

#include "client/client_core.hpp"
#include "client/prepared_options.hpp"
#include "client/queue.hpp"
#include "client/raise.hpp"

#include <callboard/actor.hpp>

#include <array>

namespace callboard {

namespace client {

void change_schedule(Core& core, std::string_view verb, std::string_view name) {
  std::string info;
  wire::Writer out(info);
  out.map(1);
  out.str("schedule");
  out.str(name);
  Future<Encoded>(core.admin(verb, std::move(info))).get();
}

}  // namespace client

namespace detail {

namespace {

constexpr std::string_view kTaskPrefix = "task/";

}  // namespace

void make_schedule(const QueuePtr& queue, std::string_view method, const ScheduleOptions& options,
                   const std::string& args) {
  if (!queue) client::raise(Errc::invalid_option, "a handle of no actor");
  if (!options.call.after.empty()) {
    client::raise(Errc::invalid_option, "a scheduled call depends on no other");
  }
  client::PreparedOptions call = client::prepare_options(options.call);
  if (options.call.deadline) call.options.deadline_ms = options.call.deadline->count();
  static constexpr std::array<std::string_view, 3> kCatchUp = {"skip", "one", "all"};
  Future<void>(queue->opened()).get();
  std::string fields;
  wire::Writer out(fields);
  std::size_t count = 0;
  const auto key = [&](std::string_view name) -> wire::Writer& {
    ++count;
    out.str(name);
    return out;
  };
  key("schedule").str(options.name);
  key("cron").str(options.cron);
  key("zone").str(options.zone);
  key("catch_up").str(kCatchUp.at(static_cast<std::size_t>(options.catch_up)));
  key("catch_up_max").uint(options.catch_up_max);
  key("replace").boolean(options.replace);
  write(key("options"), call.options);
  key("args").raw(args);
  const std::string name = queue->name();
  if (method.empty()) {
    key("task").str(name.starts_with(kTaskPrefix) ? name.substr(kTaskPrefix.size()) : name);
  } else {
    // An actor without a name is found by its id.
    key("target").str(name.starts_with('~') ? to_string(queue->id()) : name);
    key("method").str(method);
  }
  std::string info;
  wire::Writer(info).map(count);
  Future<Encoded>(queue->core().admin("schedule.create", info + fields)).get();
}

}  // namespace detail

}  // namespace callboard
