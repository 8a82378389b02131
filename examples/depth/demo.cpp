#include "examples/depth/demo.hpp"

#include "examples/command.hpp"
#include "examples/depth/mill.hpp"
#include "examples/ran.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <nlohmann/json.hpp>

namespace demos {

using namespace std::chrono_literals;

namespace {

constexpr int kBacklog = 401;
constexpr int kHoldMs = 1500;   ///< the first call, behind which the others gather
constexpr int kGrindMs = 5;     ///< each of the others
constexpr int kSlack = 60;      ///< calls that end while two programs start, one after the other
constexpr auto kLate = 500ms;   ///< more than the 50 ms by which Redis shows a queue late

/// The queue's depth, asked in two ways.
class Gauge {
 public:
  Gauge(const Stage& stage, const std::string& queue, const std::string& suffix)
      : ls_{stage.callboard, "queue", "ls", "-o", "json", "--broker", stage.broker},
        hlen_(stage.redis_cli), queue_(queue) {
    hlen_.insert(hlen_.end(), {"HLEN", "callboard:{0}:q:" + queue + ":" + suffix});
  }

  int redis() const { return std::stoi(output_of(hlen_)); }
  int callboard() const {
    const auto answer = nlohmann::json::parse(output_of(ls_));
    for (const auto& item : answer.is_array() ? answer : answer.at("items")) {
      if (item.at("queue") == queue_) return item.at("depth").get<int>();
    }
    return 0;
  }

 private:
  std::vector<std::string> ls_;
  std::vector<std::string> hlen_;
  std::string queue_;
};

std::string pair_of(int redis, int callboard) {
  return std::to_string(redis) + " | " + std::to_string(callboard);
}

}  // namespace

void show_depth(const Stage& stage, Report& report, const DepthPlan& plan) {
  const std::string queue = "demo-depth-" + std::to_string(::getpid());
  const auto mill = stage.client.actor<Mill>(
      {.name = queue, .lifetime = callboard::Lifetime::owned, .max_concurrency = 1});
  const Gauge gauge(stage, queue, plan.key_suffix);
  report.info("redis-cli HLEN | callboard queue ls", "");

  std::vector<callboard::Future<void>> futures;
  futures.push_back(mill.call<&Mill::grind>(kHoldMs));
  for (int i = 1; i < kBacklog; ++i) futures.push_back(mill.call<&Mill::grind>(kGrindMs));
  std::this_thread::sleep_for(500ms);
  int redis = gauge.redis();
  int callboard = gauge.callboard();
  report.row("  while the first call holds the rest", pair_of(kBacklog, kBacklog),
             pair_of(redis, callboard), redis == kBacklog && callboard == kBacklog);

  futures.front().get();
  int samples = 0;
  bool together = true;
  while (callboard > 0) {
    const int before = gauge.callboard();
    redis = gauge.redis();
    callboard = gauge.callboard();
    together = together && redis <= before + kSlack && redis >= callboard - kSlack;
    samples += redis > 0 && redis < kBacklog;
    report.info("  while it drains", pair_of(redis, callboard));
    std::this_thread::sleep_for(300ms);
  }
  report.row("  samples between full and empty", "at least 2", std::to_string(samples),
             samples >= 2);
  report.row("  both fell together", "yes", together ? "yes" : "no", together);

  for (auto& future : futures) future.get();
  std::this_thread::sleep_for(kLate);
  redis = gauge.redis();
  callboard = gauge.callboard();
  report.row("  in the end", pair_of(0, 0), pair_of(redis, callboard),
             redis == 0 && callboard == 0);
}

}  // namespace demos
