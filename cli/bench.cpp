// callboard bench roundtrip|submit|relay
#include "cli/bench.hpp"

#include "cli/command.hpp"
#include "cli/commands.hpp"
#include "cli/context.hpp"

#include <memory>

namespace callboard::cli {

namespace {

void add_load_options(Command& command, BenchOptions& options) {
  command.number("--calls", options.calls, "Calls that are measured [100000]", 1, 1'000'000'000)
      .number("--window", options.window, "Calls on their way at once [1000]", 1, 1'000'000)
      .number("--payload", options.payload, "Bytes of each argument and result [64]", 0, 256 << 20);
}

int run_relay_alone(const Context& context, const BenchOptions& options) {
  context.show({{"batch", "BATCH"},
                {"calls_per_s", "CALLS/S"},
                {"p50_us", "P50 US"},
                {"p99_us", "P99 US"},
                {"cpu_us_per_call", "CPU US PER CALL"}},
               bench_relay(options));
  return 0;
}

}  // namespace

void add_bench(const Command& program) {
  Command bench = program.sub("bench", "Measure this machine and this system");
  bench.needs_one();
  const auto options = std::make_shared<BenchOptions>();
  Command relay = bench.sub("relay", "A raw ROUTER/DEALER relay, without any of our code");
  add_load_options(relay, *options);
  const Context& context = relay.context();
  relay.run([&context, options] { return run_relay_alone(context, *options); });
}

}  // namespace callboard::cli
