// callboard bench roundtrip|submit|overload|payload|relay
#include "cli/bench.hpp"

#include "cli/bench_file.hpp"
#include "cli/bench_payload.hpp"
#include "cli/bench_run.hpp"
#include "cli/command.hpp"
#include "cli/commands.hpp"
#include "cli/context.hpp"

#include <callboard/embedded.hpp>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

namespace callboard::cli {

namespace {

using Measure = std::function<Json(const Context&, Connection&, const BenchOptions&)>;

void add_load_options(Command& command, BenchOptions& options) {
  command.number("--window", options.window, "Calls on their way at once [1000]", 1, 1'000'000)
      .number("--payload", options.payload, "Bytes of each argument and result [64]", 0, 256 << 20);
}

void add_file_options(Command& command, BenchOptions& options) {
  command.text("--json", options.json_file, "Write the figures to this file too", "FILE")
      .text("--compare", options.compare_file, "Say what has changed since that file was written",
            "FILE");
}

std::string cpu_text(const Json& cpu) {
  std::string out;
  for (const auto& [role, us] : cpu.items()) {
    out += (out.empty() ? "" : ", ") + role + " " + (us.is_null() ? "?" : cell(us));
  }
  return out;
}

std::string figure(const Json& value) {
  const double number = value.get<double>();
  return number >= 100 ? print_count(static_cast<std::uint64_t>(number + 0.5)) : print_json(value);
}

Json row(const std::string& name, const Json& figures) {
  return {{"name", name},
          {"calls_per_s", figure(figures.at("calls_per_s"))},
          {"p50_us", figure(figures.at("p50_us"))},
          {"p99_us", figure(figures.at("p99_us"))},
          {"cpu", cpu_text(figures.at("cpu_us_per_call"))}};
}

void show_payloads(const Json& figures) {
  print(table({{"bytes", "BYTES"},
               {"in_gb_per_s", "IN GB/S"},
               {"echo_gb_per_s", "ECHO GB/S"},
               {"memcpy_gb_per_s", "MEMCPY GB/S"},
               {"relay_gb_per_s", "RELAY GB/S"},
               {"in_of_memcpy", "IN/MEMCPY"},
               {"echo_of_memcpy", "ECHO/MEMCPY"},
               {"echo_of_relay", "ECHO/RELAY"}},
              figures.at("rows")));
}

std::string percent(const Json& change) {
  if (change.is_null()) return "?";
  const auto value = change.get<double>();
  return (value > 0 ? "+" : "") + cell(change) + " %";
}

void show_compared(const Json& rows) {
  Json shown = rows;
  for (auto& row : shown) {
    row["then"] = figure(row["then"]);
    row["now"] = figure(row["now"]);
    row["change_percent"] = percent(row["change_percent"]);
  }
  print("\n" + table({{"figure", "FIGURE"}, {"then", "THEN"}, {"now", "NOW"},
                      {"change_percent", "CHANGE"}},
                     shown));
}

void show_measured(const Context& context, const Json& figures) {
  if (figures.value("bench", "") == "payload") return show_payloads(figures);
  if (figures.value("bench", "") == "overload") return context.show(figures);
  Json rows = Json::array();
  if (figures.contains("bench")) {
    rows.push_back(row(
        figures.at("bench").get<std::string>() + ", " + figures.at("durability").get<std::string>(),
        figures));
  }
  for (const auto& relay : figures.value("relay", Json::array())) {
    rows.push_back(row("relay, " + cell(relay.at("batch")) + " in a frame", relay));
  }
  print(table({{"name", ""},
               {"calls_per_s", "CALLS/S"},
               {"p50_us", "P50 US"},
               {"p99_us", "P99 US"},
               {"cpu", "CPU US PER CALL"}},
              rows));
}

/// Beside an earlier run's, when there is one.
void show_figures(const Context& context, const BenchOptions& options, const Json& earlier,
                  Json figures) {
  write_figures(options.json_file, figures);
  const Json changes = earlier.is_null() ? Json() : compared(earlier, figures);
  if (context.format() == Format::json) {
    if (!changes.is_null()) figures["compared"] = changes;
    return print_line(print_json(figures));
  }
  show_measured(context, figures);
  if (!changes.is_null()) show_compared(changes);
}

/// What figures of another run must have been asked for as well, to say anything of these.
Json asked_of(const std::string& bench, const BenchOptions& options) {
  Json out = {{"bench", bench}, {"durability", options.durability}};
  if (bench == "payload") return out;
  out["payload"] = options.payload;
  out["actors"] = options.actors;
  if (bench != "overload") {
    out["window"] = options.window;
    return out;
  }
  out["clients"] = options.clients;
  out["work_us"] = options.work_us;
  out["times"] = options.times;
  return out;
}

/// A directory of its own for the store of one measurement: a durable call is only as dear as it is
/// in earnest when Redis writes its log of changes.
class TemporaryData {
 public:
  TemporaryData() : path_((std::filesystem::temp_directory_path() / "callboard-bench-XXXXXX")) {
    if (::mkdtemp(path_.data()) == nullptr) path_.clear();
  }
  ~TemporaryData() {
    std::error_code error;
    if (!path_.empty()) std::filesystem::remove_all(path_, error);
  }
  TemporaryData(const TemporaryData&) = delete;
  TemporaryData& operator=(const TemporaryData&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

int run_measure(const Context& context, const std::string& bench, const BenchOptions& options,
                const Measure& measure) {
  const Json earlier = read_earlier(options.compare_file, asked_of(bench, options));
  const TemporaryData data;
  std::optional<EmbeddedSystem> system;
  std::string endpoint = context.settings().client.broker;
  if (options.embedded) {
    EmbeddedOptions embedded;
    embedded.workers = options.workers;
    embedded.data_dir = data.path();
    embedded.callboard_program = this_program();
    embedded.broker_flags = {"--log-level", "error"};
    embedded.worker_flags = {"--log-level", "error"};
    system.emplace(embedded);
    endpoint = system->endpoint();
  }
  Json figures;
  {
    Connection broker(context, endpoint);
    figures = measure(context, broker, options);
  }
  if (options.with_relay) figures["relay"] = bench_relay(options);
  show_figures(context, options, earlier, std::move(figures));
  return 0;
}

void add_calls_option(Command& command, BenchOptions& options) {
  command.number("--calls", options.calls, "Calls that are measured [100000]", 1, 1'000'000'000);
}

Command add_measure(const Command& bench, const std::string& name, const std::string& help,
                    const std::shared_ptr<BenchOptions>& options, const Measure& measure) {
  Command command = bench.sub(name, help);
  add_load_options(command, *options);
  add_file_options(command, *options);
  command.number("--actors", options->actors, "Actors that the calls go to [1]", 1, 100'000)
      .choice("--durability", options->durability, {"durable", "memory"}, "Of the calls [durable]")
      .flag("--embedded", options->embedded, "Against a private system, started for this")
      .number("--workers", options->workers, "Worker processes of the private system [1]", 1, 256);
  const Context& context = command.context();
  command.run([&context, name, options, measure] {
    return run_measure(context, name, *options, measure);
  });
  return command;
}

void add_overload(const Command& bench) {
  const auto options = std::make_shared<BenchOptions>();
  options->with_relay = false;
  Command command = add_measure(bench, "overload", "What is left of the peak under far more load",
                                options, measure_overload);
  command.number("--clients", options->clients, "Connections that submit [2]", 1, 100)
      .number("--work-us", options->work_us, "Time that each call takes [0]", 0, 1'000'000)
      .number("--rounds", options->rounds, "Each a phase at the peak and one above it [5]", 1, 100)
      .number("--seconds", options->seconds, "Of each phase [5]", 1, 3600)
      .number("--times", options->times, "How many times the peak is asked for [3]", 1, 100);
}

void add_payload(const Command& bench) {
  const auto options = std::make_shared<BenchOptions>();
  options->with_relay = false;
  options->durability = "memory";
  Command command = bench.sub("payload", "Big arguments and results, beside a memcpy and a relay");
  command.number("--bytes", options->bytes, "Of arguments in each measurement [1073741824]", 1)
      .number("--rounds", options->rounds, "Of which the medians are shown [5]", 1, 100)
      .choice("--durability", options->durability, {"durable", "memory"}, "Of the calls [memory]")
      .flag("--embedded", options->embedded, "Against a private system, started for this");
  add_file_options(command, *options);
  const Context& context = command.context();
  command.run([&context, options] {
    return run_measure(context, "payload", *options, measure_payload);
  });
}

}  // namespace

void add_bench(const Command& program) {
  Command bench = program.sub("bench", "Measure this machine and this system");
  bench.needs_one();
  const auto roundtrip = std::make_shared<BenchOptions>();
  Command timed = add_measure(bench, "roundtrip", "From submit to result, beside a raw relay",
                              roundtrip, measure_roundtrip);
  add_calls_option(timed, *roundtrip);
  const auto submit = std::make_shared<BenchOptions>();
  submit->with_relay = false;
  Command accepted = add_measure(bench, "submit", "How fast calls without a result are accepted",
                                 submit, measure_submit);
  add_calls_option(accepted, *submit);
  add_overload(bench);
  add_payload(bench);
  const auto options = std::make_shared<BenchOptions>();
  Command relay = bench.sub("relay", "A raw ROUTER/DEALER relay, without any of our code");
  add_load_options(relay, *options);
  add_calls_option(relay, *options);
  add_file_options(relay, *options);
  const Context& context = relay.context();
  relay.run([&context, options] {
    const Json asked = {{"window", options->window}, {"payload", options->payload}};
    const Json earlier = read_earlier(options->compare_file, asked);
    show_figures(context, *options, earlier, Json{{"relay", bench_relay(*options)}});
    return 0;
  });
}

}  // namespace callboard::cli
