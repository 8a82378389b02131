// callboard bench relay, and the processes that it consists of.
#include "cli/bench.hpp"
#include "cli/command.hpp"
#include "cli/commands.hpp"
#include "cli/context.hpp"
#include "cli/relay.hpp"

#include <algorithm>
#include <memory>

namespace callboard::cli {

namespace {

constexpr std::uint64_t kBatch = 100;

struct PartOptions {
  std::string part, front, back;
  std::uint64_t message_bytes = 0;
  std::uint64_t batch = 1;
};

Json shown(const RelayOptions& options, const RelayFigures& figures) {
  return {{"batch", options.batch},
          {"calls", options.calls},
          {"window", options.window},
          {"payload", options.payload},
          {"calls_per_s", rounded(figures.calls_per_s)},
          {"p50_us", rounded(figures.p50_us)},
          {"p99_us", rounded(figures.p99_us)},
          {"cpu_us_per_call",
           {{"client", rounded(figures.client_cpu_us_per_call)},
            {"relay", rounded(figures.relay_cpu_us_per_call)},
            {"echo", rounded(figures.echo_cpu_us_per_call)}}}};
}

}  // namespace

Json bench_relay(const BenchOptions& bench) {
  catch_interrupts();  // here no connection does it
  Json out = Json::array();
  for (const std::uint64_t batch : {std::uint64_t{1}, kBatch}) {
    RelayOptions options;
    options.calls = bench.calls;
    options.window = bench.window;
    options.payload = bench.payload;
    options.batch = batch;
    out.push_back(shown(options, run_relay(options)));
  }
  return out;
}

void add_relay_part(const Command& program) {
  const auto options = std::make_shared<PartOptions>();
  Command part = program.sub("relay-part", "One process of bench relay");
  part.hidden();
  part.need_text("--part", options->part, "relay or echo")
      .need_text("--front", options->front, "Endpoint for the client")
      .need_text("--back", options->back, "Endpoint for the echo")
      .number("--message-bytes", options->message_bytes, "Size of a message", 1)
      .number("--batch", options->batch, "Messages in one frame", 1);
  part.run([options] {
    return run_relay_part(options->part, options->front, options->back, options->message_bytes,
                          options->batch);
  });
}

}  // namespace callboard::cli
