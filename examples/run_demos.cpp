// run_demos: starts a whole system of its own and shows the demos on it, one after the other; or
// shows them on a deployment that runs already (--help says how).
#include "examples/backpressure/demo.hpp"
#include "examples/balancer/demo.hpp"
#include "examples/depth/demo.hpp"
#include "examples/flags/demo.hpp"
#include "examples/guard.hpp"
#include "examples/offload/demo.hpp"
#include "examples/order/demo.hpp"
#include "examples/replicas/demo.hpp"
#include "examples/sleepers/demo.hpp"
#include "examples/theatre.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace demos {
namespace {

constexpr std::chrono::seconds kDemoLimit{60};

struct Demo {
  const char* name;
  const char* promise;
  void (*show)(const Stage& stage, Report& report);
};

/// Every demo as it is meant, with the plan that it has by default.
const std::vector<Demo> kDemos = {
    {"replicas", "two replicas share the calls, in two processes, in parallel",
     [](auto& stage, auto& report) { show_replicas(stage, report); }},
    {"sleepers", "five calls that sleep one second: in turn or all at once",
     [](auto& stage, auto& report) { show_sleepers(stage, report); }},
    {"flags", "twenty pictures from a slow HTTP server, every byte compared",
     [](auto& stage, auto& report) { show_flags(stage, report); }},
    {"order", "a thousand appends from four clients keep their order",
     [](auto& stage, auto& report) { show_order(stage, report); }},
    {"balancer", "an actor forwards requests to three others, many at once",
     [](auto& stage, auto& report) { show_balancer(stage, report); }},
    {"offload", "an actor answers while heavy work runs on other workers",
     [](auto& stage, auto& report) { show_offload(stage, report); }},
    {"backpressure", "100,000 calls, never more than 1000 run, memory stays flat",
     [](auto& stage, auto& report) { show_backpressure(stage, report); }},
    {"depth", "a backlog builds up and drains, as Redis and the broker see it",
     [](auto& stage, auto& report) { show_depth(stage, report); }},
};

bool show(const Demo& demo, const Stage& stage) {
  std::printf("%s: %s\n", demo.name, demo.promise);
  std::fflush(stdout);
  Report report;
  try {
    demo.show(stage, report);
  } catch (const std::exception& error) {
    report.error(error.what());
  }
  for (const auto& failure : report.failures()) {
    std::printf("   FAILED %s: %s\n", demo.name, failure.c_str());
  }
  std::printf("\n");
  std::fflush(stdout);
  return report.ok();
}

std::vector<const Demo*> chosen(const std::vector<std::string>& names) {
  std::vector<const Demo*> demos;
  for (const Demo& demo : kDemos) {
    const bool named = std::find(names.begin(), names.end(), demo.name) != names.end();
    if (named || names.empty()) demos.push_back(&demo);
  }
  return demos;
}

int run(int argc, char** argv) {
  std::vector<std::string> known;
  for (const Demo& demo : kDemos) known.push_back(demo.name);
  std::vector<std::string> names;
  TheatreOptions options;
  CLI::App app("Shows what Callboard promises, on a system of its own", "run_demos");
  app.add_option("name", names, "Demos to show [all]")->check(CLI::IsMember(known));
  app.add_option("--broker", options.broker, "Use this deployment, whose workers load libdemos.so")
      ->type_name("ENDPOINT");
  app.add_option("--redis", options.redis, "Its Redis, for depth: tcp://host:port, unix:///path")
      ->type_name("ENDPOINT");
  CLI11_PARSE(app, argc, argv);

  Theatre theatre(options);
  Guard guard([&theatre] { theatre.close(); });
  std::printf("%s\n\n   %-40s %-24s %s\n\n", theatre.description().c_str(), "", "expected",
              "measured");
  const auto demos = chosen(names);
  std::string failed;
  std::size_t good = 0;
  for (const Demo* demo : demos) {
    guard.expect(demo->name, kDemoLimit);
    const bool shown = show(*demo, theatre.stage());
    good += shown;
    if (!shown) failed += std::string(failed.empty() ? "" : ", ") + demo->name;
  }
  guard.expect("", std::chrono::seconds(0));
  std::printf("%zu of %zu demos show what they promise%s%s\n", good, demos.size(),
              failed.empty() ? "" : "; not: ", failed.c_str());
  std::fflush(stdout);
  return failed.empty() ? 0 : 1;
}

}  // namespace
}  // namespace demos

int main(int argc, char** argv) {
  try {
    return demos::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "run_demos: %s\n", error.what());
    return 1;
  }
}
