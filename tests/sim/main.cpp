// callboard_sim: runs the real cores in simulated worlds, seed by seed, and says what broke.
#include "tests/sim/world.hpp"

#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <string>

namespace {

using namespace callboard::sim;

constexpr std::size_t kTailLines = 120;

struct Settings {
  std::uint64_t first = 1;
  std::uint64_t last = 1;
  double minutes = 0;
  FaultClasses faults;
  bool verbose = false;
  bool require_coverage = false;
  bool coverage = false;
  bool keep_going = false;
  bool check_replay = false;
  std::size_t tail = kTailLines;
  std::string grep;
};

struct Totals {
  std::uint64_t seeds = 0, calls = 0, failed = 0;
  std::int64_t virtual_us = 0;
  Coverage coverage;
};

std::string format(std::int64_t at_us, const std::string& who, const std::string& line) {
  char stamp[48];
  std::snprintf(stamp, sizeof stamp, "%11.6f  %-12s ", static_cast<double>(at_us) / 1e6,
                who.c_str());
  return stamp + line;
}

/// Prints what happens in `world` as it happens.
void print_live(World& world, const Settings& settings) {
  world.trace([&settings](std::int64_t at_us, const std::string& who, const std::string& line) {
    const std::string text = format(at_us, who, line);
    if (text.find(settings.grep) != std::string::npos) std::printf("%s\n", text.c_str());
  });
}

/// The run again, for the end of its history; that must be the same history.
void replay(std::uint64_t seed, const Settings& settings, const RunResult& before) {
  std::deque<std::string> tail;
  World world(seed, settings.faults);
  world.trace([&](std::int64_t at_us, const std::string& who, const std::string& line) {
    std::string text = format(at_us, who, line);
    if (text.find(settings.grep) == std::string::npos) return;
    tail.push_back(std::move(text));
    if (tail.size() > settings.tail) tail.pop_front();
  });
  const RunResult again = world.run();
  for (const std::string& line : tail) std::printf("%s\n", line.c_str());
  if (again.digest != before.digest) {
    std::printf("seed %llu: the history is not the same when it is run again\n",
                static_cast<unsigned long long>(seed));
  }
}

bool run_seed(std::uint64_t seed, const Settings& settings, Totals& totals) {
  World world(seed, settings.faults);
  if (settings.verbose) print_live(world, settings);
  RunResult result = world.run();
  ++totals.seeds;
  totals.calls += result.calls;
  totals.virtual_us += result.virtual_us;
  totals.coverage.add(world.coverage());
  if (settings.check_replay && !result.failed) {
    World second(seed, settings.faults);
    if (second.run().digest != result.digest) {
      result.failed = true;
      result.failure = "replay: the same seed gave another history";
    }
  }
  if (result.failed && !settings.verbose) replay(seed, settings, result);
  if (settings.verbose) {
    std::printf("seed %llu: %llu calls, %llu records, digest %016llx\n",
                static_cast<unsigned long long>(seed),
                static_cast<unsigned long long>(result.calls),
                static_cast<unsigned long long>(result.records),
                static_cast<unsigned long long>(result.digest));
  }
  if (!result.failed) return true;
  ++totals.failed;
  std::printf("FAILED seed %llu: %s\n", static_cast<unsigned long long>(seed),
              result.failure.c_str());
  std::fflush(stdout);
  return false;
}

bool parse_seeds(const std::string& text, Settings& settings) {
  const std::size_t dots = text.find("..");
  try {
    settings.first = std::stoull(text.substr(0, dots));
    settings.last = dots == std::string::npos ? settings.first : std::stoull(text.substr(dots + 2));
  } catch (const std::exception&) {
    return false;
  }
  return settings.first <= settings.last;
}

int run(const Settings& settings) {
  using Clock = std::chrono::steady_clock;
  const auto began = Clock::now();
  auto told = began;
  Totals totals;
  if (settings.require_coverage) World::require_coverage(settings.faults, totals.coverage);
  for (std::uint64_t seed = settings.first;; ++seed) {
    if (!run_seed(seed, settings, totals) && !settings.keep_going) break;
    const auto now = Clock::now();
    if (now - told > std::chrono::seconds(10)) {
      told = now;
      std::printf("... %llu seeds, %llu calls\n", static_cast<unsigned long long>(totals.seeds),
                  static_cast<unsigned long long>(totals.calls));
      std::fflush(stdout);
    }
    const double minutes = std::chrono::duration<double>(now - began).count() / 60;
    if (settings.minutes > 0 ? minutes >= settings.minutes : seed >= settings.last) break;
  }
  if (settings.coverage || settings.require_coverage) {
    std::printf("%s", totals.coverage.report().c_str());
  }
  int status = totals.failed == 0 ? 0 : 1;
  if (settings.require_coverage && totals.failed == 0) {
    for (const std::string& name : totals.coverage.missing()) {
      std::printf("FAILED coverage: it never occurred: %s\n", name.c_str());
      status = 1;
    }
  }
  std::printf("%.0f s of virtual time in %.1f s\n", static_cast<double>(totals.virtual_us) / 1e6,
              std::chrono::duration<double>(Clock::now() - began).count());
  std::printf("%llu seeds, %llu calls, %llu failed\n",
              static_cast<unsigned long long>(totals.seeds),
              static_cast<unsigned long long>(totals.calls),
              static_cast<unsigned long long>(totals.failed));
  return status;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Runs Callboard's cores in simulated worlds; the same seed gives the same history"};
  Settings settings;
  std::string seeds = "1";
  std::string faults = "network,store";
  auto* one = app.add_option("--seed", seeds, "one seed");
  app.add_option("--seeds", seeds, "a range of seeds, FIRST..LAST")->excludes(one);
  app.add_option("--minutes", settings.minutes, "seeds from the first on, for this long");
  app.add_option("--faults", faults,
                 "classes of faults: network, store, worker, broker, client; all, none");
  app.add_flag("-v,--verbose", settings.verbose, "print everything that happens");
  app.add_option("--grep", settings.grep, "only lines that hold this");
  app.add_option("--tail", settings.tail, "lines of history printed after a failure");
  app.add_flag("--coverage", settings.coverage, "print how often everything occurred");
  app.add_flag("--require-coverage", settings.require_coverage,
               "fail when a fault or situation never occurred");
  app.add_flag("--check-replay", settings.check_replay, "run each seed twice and compare");
  app.add_flag("-k,--keep-going", settings.keep_going, "go on after a failed seed");
  CLI11_PARSE(app, argc, argv);
  if (!parse_seeds(seeds, settings)) {
    std::fprintf(stderr, "not a range of seeds: %s\n", seeds.c_str());
    return 2;
  }
  if (!FaultClasses::parse(faults, settings.faults)) {
    std::fprintf(stderr, "not a list of fault classes: %s\n", faults.c_str());
    return 2;
  }
  return run(settings);
}
