#include "examples/balancer/demo.hpp"

#include "examples/balancer/balancer.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace demos {

namespace {

constexpr int kBackends = 3;
constexpr int kRequests = 60;
constexpr int kManyAtOnce = 20;  ///< of 60, however busy the machine is

}  // namespace

void show_balancer(const Stage& stage, Report& report, const BalancerPlan& plan) {
  std::vector<callboard::Actor<Backend>> backends;
  for (int i = 0; i < kBackends; ++i) backends.push_back(stage.client.actor<Backend>(i));
  const auto balancer =
      stage.client.actor<Balancer>({.max_concurrency = plan.max_concurrency}, backends);

  const auto begin = steady_us();
  std::vector<callboard::Future<Answer>> futures;
  for (int i = 0; i < kRequests; ++i) {
    futures.push_back(balancer.call<&Balancer::proxy_request>("request " + std::to_string(i)));
  }
  int right = 0;
  std::vector<Ran> calls;
  std::map<int, int> shares;  // backend -> requests
  for (int i = 0; i < kRequests; ++i) {
    const auto [text, backend, ran] = futures[static_cast<std::size_t>(i)].get();
    right += text == "answer to request " + std::to_string(i);
    calls.push_back(ran);
    ++shares[backend];
  }
  const double took = static_cast<double>(steady_us() - begin) / 1e6;

  std::string split;
  for (const auto& [backend, share] : shares) {
    split += (split.empty() ? "" : " + ") + std::to_string(share);
  }
  const int at_once = most_at_once(calls);
  report.row("right answers", of(kRequests, kRequests), of(right, kRequests), right == kRequests);
  report.row("shares of the backends", "20 + 20 + 20", split, split == "20 + 20 + 20");
  report.row("requests at once", ">= " + std::to_string(kManyAtOnce), std::to_string(at_once),
             at_once >= kManyAtOnce);
  report.info("60 requests of 100 ms took", seconds(took));
}

}  // namespace demos
