#include "examples/sleepers/demo.hpp"

#include "examples/ran.hpp"
#include "examples/sleepers/sleepers.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace demos {

namespace {

constexpr int kCalls = 5;
constexpr double kLate = 1.8;  ///< seconds that a busy machine may add

template <class S>
std::vector<Ran> row(Report& report, const std::string& what, double sleep_s, int at_once,
                     const callboard::Actor<S>& actor) {
  const auto begin = steady_us();
  std::vector<callboard::Future<Ran>> futures;
  for (int i = 0; i < kCalls; ++i) {
    futures.push_back(actor.template call<&S::sleep>(static_cast<int>(sleep_s * 1000)));
  }
  std::vector<Ran> calls;
  for (auto& future : futures) calls.push_back(future.get());
  const double took = static_cast<double>(steady_us() - begin) / 1e6;

  const double least = sleep_s * kCalls / at_once;
  const int most = most_at_once(calls);
  const bool on_time = took > 0.99 * least && took < least + kLate;
  report.row(what, "about " + seconds(least) + ", " + std::to_string(at_once) + " at once",
             seconds(took) + ", " + std::to_string(most) + " at once", on_time && most == at_once);
  return calls;
}

}  // namespace

void show_sleepers(const Stage& stage, Report& report, const SleepersPlan& plan) {
  callboard::Client& client = stage.client;
  const auto limit = plan.max_concurrency;
  row(report, "serial", plan.sleep_s, 1, client.actor<Sleeper>({.max_concurrency = 1}));
  row(report, "async", plan.sleep_s, kCalls,
      client.actor<AsyncSleeper>({.max_concurrency = limit}));
  row(report, "threaded", plan.sleep_s, kCalls,
      client.actor<Sleeper>({.max_concurrency = limit, .mode = callboard::Mode::threaded}));
  const auto replicas =
      client.deployment<AsyncSleeper>({.replicas = plan.replicas, .max_concurrency = limit});
  until_answered_by(plan.replicas,
                    [&replicas] { return replicas.call<&AsyncSleeper::sleep>(0).get().process; });
  const auto calls = row(report, "two async replicas", plan.sleep_s, kCalls, replicas);
  const auto processes = processes_of(calls).size();
  report.row("  processes that they ran in", "2", std::to_string(processes),
             processes == 2);
  report.row("  most that one replica counted inside", "2 to 4", std::to_string(most_inside(calls)),
             most_inside(calls) >= 2 && most_inside(calls) <= 4);
}

}  // namespace demos
