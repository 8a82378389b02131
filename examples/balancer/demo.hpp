// Demo 5: an actor that forwards requests to several others, many at once.
#pragma once

#include "examples/stage.hpp"

namespace demos {

struct BalancerPlan {
  unsigned max_concurrency = 1000;  ///< of the balancer
};
void show_balancer(const Stage& stage, Report& report, const BalancerPlan& plan = {});

}  // namespace demos
