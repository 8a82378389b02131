// callboard top: what goes on, once a second.
#include "cli/command.hpp"
#include "cli/commands.hpp"
#include "cli/connection.hpp"
#include "cli/context.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include <sys/ioctl.h>
#include <unistd.h>

namespace callboard::cli {

namespace {

constexpr std::chrono::milliseconds kSlice{50};
constexpr std::uint64_t kQueuesMax = 2000;  ///< looked at for the longest ones
constexpr std::uint64_t kWorkersMax = 200;
constexpr std::size_t kLinesDefault = 24;

struct TopOptions {
  std::int64_t interval_ms = 1000;
  bool once = false;
};

/// What the broker said at one moment.
struct Sample {
  Json stats;
  Json queues;
  Json workers;
};

Sample take_sample(Connection& broker) {
  Sample sample;
  sample.stats = broker.ask("stats");
  sample.queues = broker.list("queue.ls", Json::object(), kQueuesMax);
  sample.workers = broker.list("worker.ls", Json::object(), kWorkersMax);
  return sample;
}

/// Increase of a counter per second between two moments; 0 when there is only one.
double rate(const Sample& before, const Sample& now, const char* counter) {
  const double took_us =
      now.stats.at("mono_us").get<double>() - before.stats.at("mono_us").get<double>();
  if (took_us <= 0) return 0;
  const double more = now.stats.at(counter).get<double>() - before.stats.at(counter).get<double>();
  return std::max(more, 0.0) * 1e6 / took_us;
}

std::string per_second(double value) {
  return print_count(static_cast<std::uint64_t>(value + 0.5)) + "/s";
}

Json longest(const Json& queues, std::size_t count) {
  std::vector<Json> sorted(queues.begin(), queues.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](const Json& a, const Json& b) {
    return a.at("depth").get<std::uint64_t>() > b.at("depth").get<std::uint64_t>();
  });
  if (sorted.size() > count) sorted.resize(count);
  return Json(sorted);
}

Json as_json(const Sample& before, const Sample& now) {
  Json out = now.stats;
  for (const char* counter : {"accepted", "sent", "ended_ok", "ended_error", "commits"}) {
    out[std::string(counter) + "_per_s"] = rate(before, now, counter);
  }
  out["longest_queues"] = longest(now.queues, kLinesDefault);
  out["worker_list"] = now.workers;
  return out;
}

std::string as_text(const Sample& before, const Sample& now, std::size_t lines) {
  const auto& stats = now.stats;
  std::string out = stats.at("broker").get<std::string>() + "  up " +
                    print_duration_ms(stats.at("uptime_ms").get<double>()) + "  store " +
                    stats.at("store").get<std::string>() + "\n";
  out += "accepted " + per_second(rate(before, now, "accepted")) + "  sent " +
         per_second(rate(before, now, "sent")) + "  ok " +
         per_second(rate(before, now, "ended_ok")) + "  failed " +
         per_second(rate(before, now, "ended_error")) + "  commits " +
         per_second(rate(before, now, "commits")) + "\n";
  out += "calls " + print_count(stats.at("calls").get<std::uint64_t>()) + "  queues " +
         cell(stats.at("queues")) + "  workers " + cell(stats.at("workers")) + "  connections " +
         cell(stats.at("connections")) + "\n\n";
  const std::size_t workers = std::min<std::size_t>(now.workers.size(), 8);
  const std::size_t room = lines > workers + 8 ? lines - workers - 8 : 5;
  out += table({{"queue", "QUEUE"},
                {"kind", "KIND"},
                {"depth", "DEPTH"},
                {"running", "RUNNING"},
                {"accepted", "ACCEPTED"},
                {"ended", "ENDED"},
                {"failed", "FAILED"},
                {"paused", "PAUSED"}},
               longest(now.queues, room));
  Json shown(std::vector<Json>(now.workers.begin(),
                               now.workers.begin() + static_cast<std::ptrdiff_t>(workers)));
  out += "\n" + table({{"worker", "WORKER"},
                       {"pid", "PID"},
                       {"state", "STATE"},
                       {"actors", "ACTORS"},
                       {"running", "RUNNING"},
                       {"tasks_running", "TASKS"}},
                      shown);
  return out;
}

std::size_t terminal_lines() {
  winsize size{};
  const bool known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0;
  return known ? size.ws_row : kLinesDefault;
}

void pause_for(std::int64_t ms) {
  for (; ms > 0 && !interrupted(); ms -= kSlice.count()) std::this_thread::sleep_for(kSlice);
}

int top(const Context& context, Connection& broker, const TopOptions& options) {
  constexpr const char* kHomeAndClear = "\x1b[H\x1b[J";
  const bool live = !options.once && context.format() == Format::table && ::isatty(STDOUT_FILENO);
  Sample before = take_sample(broker);
  do {
    pause_for(options.interval_ms);
    if (interrupted()) return 0;
    Sample now = take_sample(broker);
    if (context.format() == Format::json) {
      print_line(print_json(as_json(before, now)));
    } else {
      print((live ? kHomeAndClear : "") + as_text(before, now, terminal_lines()));
    }
    before = std::move(now);
  } while (!options.once);
  return 0;
}

}  // namespace

void add_top(const Command& program) {
  const auto options = std::make_shared<TopOptions>();
  Command sub = program.sub("top", "Show what goes on, until Ctrl-C");
  sub.flag("--once", options->once, "Print once, after one interval, and end")
      .duration("--interval", options->interval_ms, "Time between two looks [1s]");
  const Context& context = sub.context();
  sub.query([&context, options](Connection& broker) { return top(context, broker, *options); });
}

}  // namespace callboard::cli
