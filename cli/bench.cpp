// callboard bench roundtrip|submit|relay
#include "cli/bench.hpp"

#include "cli/commands.hpp"
#include "cli/context.hpp"

#include <memory>

#include <CLI/CLI.hpp>

namespace callboard::cli {

namespace {

void add_load_options(CLI::App& app, const std::shared_ptr<BenchOptions>& options) {
  app.add_option("--calls", options->calls, "Calls that are measured [100000]")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000'000}));
  app.add_option("--window", options->window, "Calls on their way at once [1000]")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000}));
  app.add_option("--payload", options->payload, "Bytes of each argument and result [64]")
      ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{256} << 20));
}

int run_relay_alone(const Context& context, const BenchOptions& options) {
  const auto figures = bench_relay(options);
  context.show({{"batch", "BATCH"},
                {"calls_per_s", "CALLS/S"},
                {"p50_us", "P50 US"},
                {"p99_us", "P99 US"},
                {"cpu_us_per_call", "CPU US PER CALL"}},
               figures);
  return 0;
}

}  // namespace

void add_bench(CLI::App& app, Context& context) {
  CLI::App* bench = app.add_subcommand("bench", "Measure this machine and this system");
  bench->require_subcommand(1);
  CLI::App* relay =
      bench->add_subcommand("relay", "A raw ROUTER/DEALER relay, without any of our code");
  const auto options = std::make_shared<BenchOptions>();
  add_load_options(*relay, options);
  relay->callback([&context, options] {
    context.action = [&context, options] { return run_relay_alone(context, *options); };
  });
}

}  // namespace callboard::cli
