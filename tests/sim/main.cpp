// callboard_sim: runs the real cores in simulated worlds, seed by seed, and says what broke.
#include "tests/sim/job_pool.hpp"
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
  std::uint64_t jobs = 1;
  std::uint32_t scale = 1;
  FaultClasses faults;
  bool verbose = false;
  bool require_coverage = false;
  bool coverage = false;
  bool keep_going = false;
  bool check_replay = false;
  std::size_t tail = kTailLines;
  std::string grep;
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
  World world(seed, settings.faults, settings.scale);
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

RunResult run_seed(std::uint64_t seed, const Settings& settings, Totals& totals) {
  World world(seed, settings.faults, settings.scale);
  if (settings.verbose) print_live(world, settings);
  RunResult result = world.run();
  ++totals.seeds;
  totals.calls += result.calls;
  totals.virtual_us += result.virtual_us;
  totals.coverage.add(world.coverage());
  if (settings.check_replay && !result.failed) {
    World second(seed, settings.faults, settings.scale);
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
  if (!result.failed) return result;
  totals.failed.push_back(seed);
  std::printf("FAILED seed %llu: %s\n", static_cast<unsigned long long>(seed),
              result.failure.c_str());
  std::fflush(stdout);
  return result;
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

using Clock = std::chrono::steady_clock;

double minutes_since(Clock::time_point began) {
  return std::chrono::duration<double>(Clock::now() - began).count() / 60;
}

/// Each `stride`th seed from `seed` on, until the last one or the end of the time; `seen` says
/// false to stop.
template <class Begin, class Seen>
void run_seeds(std::uint64_t seed, std::uint64_t stride, const Settings& settings, Totals& totals,
               Begin begin, Seen seen) {
  const auto began = Clock::now();
  for (;; seed += stride) {
    const bool over = settings.minutes > 0 ? minutes_since(began) >= settings.minutes
                                           : seed > settings.last;
    if (over) return;
    begin(seed);
    if (!seen(run_seed(seed, settings, totals))) return;
  }
}

/// Says how far it is every ten seconds; false: it is time to stop.
class Progress {
 public:
  explicit Progress(const Settings& settings) : settings_(settings) {}

  bool operator()(const Totals& totals) {
    if (const auto now = Clock::now(); now - told_ > std::chrono::seconds(10)) {
      told_ = now;
      std::printf("... %llu seeds, %llu calls, %zu failed\n",
                  static_cast<unsigned long long>(totals.seeds),
                  static_cast<unsigned long long>(totals.calls), totals.failed.size());
      std::fflush(stdout);
    }
    return settings_.keep_going || totals.failed.empty();
  }

 private:
  const Settings& settings_;
  Clock::time_point told_ = Clock::now();
};

void run_alone(const Settings& settings, Totals& totals) {
  Progress progress(settings);
  run_seeds(
      settings.first, 1, settings, totals, [](std::uint64_t) {},
      [&](const RunResult&) { return progress(totals); });
}

void run_in_jobs(const Settings& settings, Totals& totals) {
  const auto work = [&](std::uint64_t job, const JobReport& report) {
    Totals mine;
    run_seeds(
        settings.first + job, settings.jobs, settings, mine,
        [&](std::uint64_t seed) { report.begun(seed); },
        [&](const RunResult& result) {
          report.ended(result.calls, result.virtual_us, result.failed);
          return settings.keep_going || !result.failed;
        });
    report.finish(mine.coverage);
  };
  Progress progress(settings);
  JobPool::run(settings.jobs, work, [&](const Totals& now) { return progress(now); }, totals);
}

int run(const Settings& settings) {
  const auto began = Clock::now();
  Totals totals;
  if (settings.require_coverage) World::require_coverage(settings.faults, totals.coverage);
  if (settings.jobs == 1)
    run_alone(settings, totals);
  else
    run_in_jobs(settings, totals);
  if (settings.coverage || settings.require_coverage) {
    std::printf("%s", totals.coverage.report().c_str());
  }
  int status = totals.failed.empty() ? 0 : 1;
  if (settings.require_coverage && totals.failed.empty()) {
    for (const std::string& name : totals.coverage.missing()) {
      std::printf("FAILED coverage: it never occurred: %s\n", name.c_str());
      status = 1;
    }
  }
  std::printf("%.0f s of virtual time in %.1f s\n", static_cast<double>(totals.virtual_us) / 1e6,
              minutes_since(began) * 60);
  std::string failed;
  for (const std::uint64_t seed : totals.failed) failed += " " + std::to_string(seed);
  std::printf("%llu seeds, %llu calls, %zu failed%s%s\n",
              static_cast<unsigned long long>(totals.seeds),
              static_cast<unsigned long long>(totals.calls), totals.failed.size(),
              failed.empty() ? "" : ":", failed.c_str());
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
                 "classes of faults: network, store, worker, broker, client; all, none; backup");
  app.add_option("--scale", settings.scale, "so many times as many calls in each world")
      ->check(CLI::Range(1, 1000));
  app.add_option("--jobs", settings.jobs, "processes that share the seeds")
      ->check(CLI::Range(1, 1024));
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
