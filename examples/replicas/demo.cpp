#include "examples/replicas/demo.hpp"

#include "examples/ran.hpp"
#include "examples/replicas/cruncher.hpp"

#include <string>
#include <vector>

namespace demos {

namespace {

constexpr int kAsked = 10;        ///< calls, one after the other
constexpr int kComputed = 2;      ///< calls, both at once
constexpr int kCrunchMs = 800;       ///< of each
constexpr double kEnough = 0.25;  ///< of that must overlap, however busy the machine is

/// Who answered, as letters: the first process is A.
std::string letters(const std::vector<std::string>& processes) {
  std::vector<std::string> known;
  std::string text;
  for (const auto& process : processes) {
    std::size_t i = 0;
    while (i < known.size() && known[i] != process) ++i;
    if (i == known.size()) known.push_back(process);
    text += static_cast<char>('A' + i);
  }
  return text;
}

struct Parallel {
  double overlap = 0;  ///< seconds in which both computed
  std::string text;
};

Parallel compute(const callboard::Actor<Cruncher>& crunchers) {
  const auto begin = steady_us();
  std::vector<callboard::Future<Ran>> futures;
  for (int i = 0; i < kComputed; ++i) {
    futures.push_back(crunchers.call<&Cruncher::crunch>(kCrunchMs));
  }
  std::vector<Ran> calls;
  for (auto& future : futures) calls.push_back(future.get());

  const double wall = static_cast<double>(steady_us() - begin) / 1e6;
  const double cpu = kComputed * kCrunchMs / 1e3;
  return {overlap_s(calls), seconds(wall) + " for " + seconds(cpu) + " of CPU"};
}

}  // namespace

void show_replicas(const Stage& stage, Report& report, const ReplicasPlan& plan) {
  const auto two = stage.client.deployment<Cruncher>({.replicas = plan.replicas});
  const auto ask = [&two] { return two.call<&Cruncher::process>().get(); };
  until_answered_by(plan.replicas, ask);
  std::vector<std::string> answered;
  for (int i = 0; i < kAsked; ++i) answered.push_back(ask());
  const std::string who = letters(answered);
  report.row("process ids, call after call", "ABABABABAB", who, who == "ABABABABAB");

  const double enough = kEnough * kCrunchMs / 1e3;
  const Parallel alone = compute(stage.client.deployment<Cruncher>({.replicas = 1}));
  report.info("two computations, one replica", alone.text);
  report.row("  of that, both at once", "0.00 s", seconds(alone.overlap), alone.overlap == 0);
  const Parallel both = compute(two);
  report.info("two computations, two replicas", both.text);
  report.row("  of that, both at once", "more than " + seconds(enough), seconds(both.overlap),
             both.overlap > enough);
}

}  // namespace demos
