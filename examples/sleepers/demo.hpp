// Demo 2: five calls that sleep one second: one after the other in a serial actor, all at once in
// an async one, a threaded one, and an async one of two replicas.
#pragma once

#include "examples/stage.hpp"

namespace demos {

struct SleepersPlan {
  unsigned max_concurrency = 5;  ///< of those that run them at once
  unsigned replicas = 2;
  double sleep_s = 1;
};
void show_sleepers(const Stage& stage, Report& report, const SleepersPlan& plan = {});

}  // namespace demos
