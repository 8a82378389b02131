// callboard bench roundtrip|submit|relay
#include "cli/bench.hpp"

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
#include <system_error>

namespace callboard::cli {

namespace {

using Measure = std::function<Json(const Context&, Connection&, const BenchOptions&)>;

void add_load_options(Command& command, BenchOptions& options) {
  command.number("--calls", options.calls, "Calls that are measured [100000]", 1, 1'000'000'000)
      .number("--window", options.window, "Calls on their way at once [1000]", 1, 1'000'000)
      .number("--payload", options.payload, "Bytes of each argument and result [64]", 0, 256 << 20)
      .text("--compare", options.compare, "JSON that an earlier run printed; say what has changed",
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

/// "calls_per_s 1.05, p50_us 0.97, ...": now divided by then.
std::string compared_text(const Json& figures) {
  std::string out;
  if (!figures.contains("compared")) return out;
  for (const auto& [name, quotient] : figures.at("compared").items()) {
    out += (out.empty() ? "" : ", ") + name + " " + (quotient.is_null() ? "?" : cell(quotient));
  }
  return out;
}

Json row(const std::string& name, const Json& figures) {
  return {{"name", name},
          {"compared", compared_text(figures)},
          {"calls_per_s", figure(figures.at("calls_per_s"))},
          {"p50_us", figure(figures.at("p50_us"))},
          {"p99_us", figure(figures.at("p99_us"))},
          {"cpu", cpu_text(figures.at("cpu_us_per_call"))}};
}

void show_figures(const Context& context, const Json& figures) {
  if (context.format() == Format::json) return print_line(print_json(figures));
  Json rows = Json::array();
  if (figures.contains("bench")) {
    rows.push_back(row(
        figures.at("bench").get<std::string>() + ", " + figures.at("durability").get<std::string>(),
        figures));
  }
  for (const auto& relay : figures.value("relay", Json::array())) {
    rows.push_back(row("relay, " + cell(relay.at("batch")) + " in a frame", relay));
  }
  std::vector<Column> columns = {{"name", ""},
                                 {"calls_per_s", "CALLS/S"},
                                 {"p50_us", "P50 US"},
                                 {"p99_us", "P99 US"},
                                 {"cpu", "CPU US PER CALL"}};
  if (!compared_text(figures).empty() || !rows.front().at("compared").get<std::string>().empty()) {
    columns.push_back({"compared", "NOW / THEN"});
  }
  print(table(columns, rows));
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

int run_measure(const Context& context, const BenchOptions& options, const Measure& measure) {
  const Json earlier = read_earlier(options.compare);
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
  compare_with(earlier, figures);
  show_figures(context, figures);
  return 0;
}

void add_measure(const Command& bench, const std::string& name, const std::string& help,
                 bool with_relay, const Measure& measure) {
  const auto options = std::make_shared<BenchOptions>();
  options->with_relay = with_relay;
  Command command = bench.sub(name, help);
  add_load_options(command, *options);
  command.number("--actors", options->actors, "Actors that the calls go to [1]", 1, 100'000)
      .choice("--durability", options->durability, {"durable", "memory"}, "Of the calls [durable]")
      .flag("--embedded", options->embedded, "Against a private system, started for this")
      .number("--workers", options->workers, "Worker processes of the private system [1]", 1, 256);
  const Context& context = command.context();
  command.run([&context, options, measure] { return run_measure(context, *options, measure); });
}

}  // namespace

void add_bench(const Command& program) {
  Command bench = program.sub("bench", "Measure this machine and this system");
  bench.needs_one();
  add_measure(bench, "roundtrip", "From submit to result, beside a raw relay", true,
              measure_roundtrip);
  add_measure(bench, "submit", "How fast calls without a result are accepted", false,
              measure_submit);
  const auto options = std::make_shared<BenchOptions>();
  Command relay = bench.sub("relay", "A raw ROUTER/DEALER relay, without any of our code");
  add_load_options(relay, *options);
  const Context& context = relay.context();
  relay.run([&context, options] {
    const Json earlier = read_earlier(options->compare);
    Json figures = {{"relay", bench_relay(*options)}};
    compare_with(earlier, figures);
    show_figures(context, figures);
    return 0;
  });
}

}  // namespace callboard::cli
