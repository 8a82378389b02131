// Demo 7: 100,000 calls at an async actor with max_concurrency 1000. Never more than 1000 run, and
// the worker's memory stays flat: what waits, waits in the broker.
#pragma once

#include "examples/stage.hpp"

#include <cstddef>

namespace demos {

struct BackpressurePlan {
  unsigned max_concurrency = 1000;  ///< of the actor; 1000 is promised
  int calls = 100'000;
  std::size_t load_bytes = 1024;    ///< of each call
  int inside_ms = 40;               ///< that each call stays
};
void show_backpressure(const Stage& stage, Report& report, const BackpressurePlan& plan = {});

}  // namespace demos
