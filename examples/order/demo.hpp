// Demo 4: a thousand appends from several clients to a serial actor. Each client's order and the
// total order are intact.
#pragma once

#include "examples/order/ledger.hpp"
#include "examples/stage.hpp"

#include <vector>

namespace demos {

struct OrderPlan {
  bool mixed_priorities = false;  ///< then every other append overtakes those before it
};
void show_order(const Stage& stage, Report& report, const OrderPlan& plan = {});

/// How many entries do not follow the entry before them of the same client.
int out_of_order(const std::vector<Entry>& entries);
/// How many entries do not stand where their append() said. `places[client][number]`.
int misplaced(const std::vector<Entry>& entries, const std::vector<std::vector<int>>& places);

}  // namespace demos
