// Demo 6: an async actor stays responsive while heavy work runs as tasks on other workers.
#pragma once

#include "examples/stage.hpp"

namespace demos {

struct OffloadPlan {
  bool send_out = true;  ///< false: the actor does the work itself where it promises not to
};
void show_offload(const Stage& stage, Report& report, const OffloadPlan& plan = {});

}  // namespace demos
