// Demo 8: a backlog builds up and drains. What redis-cli says of its length, beside what
// `callboard queue ls` says.
#pragma once

#include "examples/stage.hpp"

#include <string>

namespace demos {

struct DepthPlan {
  std::string key_suffix = "calls";  ///< of the key whose length is the depth
};
void show_depth(const Stage& stage, Report& report, const DepthPlan& plan = {});

}  // namespace demos
