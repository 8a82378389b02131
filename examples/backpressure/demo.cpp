#include "examples/backpressure/demo.hpp"

#include "examples/backpressure/gate.hpp"
#include "examples/ran.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace demos {

namespace {

constexpr int kLimit = 1000;
constexpr int kMany = 500;  ///< inside at once, however slow the machine is
constexpr std::int64_t kFlatKib = 32 * 1024;

std::string mib(std::int64_t kib) { return std::to_string(kib / 1024) + " MiB"; }

}  // namespace

void show_backpressure(const Stage& stage, Report& report, const BackpressurePlan& plan) {
  const auto gate = stage.client.actor<Gate>({.max_concurrency = plan.max_concurrency});
  const std::string load(plan.load_bytes, 'x');

  const auto begin = steady_us();
  std::vector<callboard::Future<int>> futures;
  futures.reserve(static_cast<std::size_t>(plan.calls));
  for (int i = 0; i < plan.calls; ++i) {
    futures.push_back(gate.call<&Gate::pass>(load, plan.inside_ms));
  }
  int returned = 0;
  for (auto& future : futures) returned += future.get() == static_cast<int>(load.size());
  const double took = static_cast<double>(steady_us() - begin) / 1e6;

  const int most = gate.call<&Gate::most_inside>().get();
  const auto [first, highest] = gate.call<&Gate::memory_kib>().get();
  report.row("calls that returned", std::to_string(plan.calls), std::to_string(returned),
             returned == plan.calls);
  report.row("most that ran at once", std::to_string(kMany) + " to " + std::to_string(kLimit),
             std::to_string(most), most >= kMany && most <= kLimit);
  report.row("worker's memory grew by", "under " + mib(kFlatKib),
             mib(highest - first) + ", to " + mib(highest),
             first > 0 && highest - first < kFlatKib);
  const auto all_kib = plan.calls * static_cast<std::int64_t>(plan.load_bytes) / 1024;
  report.info(mib(all_kib) + " of calls took", seconds(took));
}

}  // namespace demos
