// Demo 1: two process ids alternate; two replicas compute in parallel.
#pragma once

#include "examples/stage.hpp"

namespace demos {

struct ReplicasPlan {
  unsigned replicas = 2;
};
void show_replicas(const Stage& stage, Report& report, const ReplicasPlan& plan = {});

}  // namespace demos
