// The list of a lane's calls in the broker. Items are calls.
#include "broker/core/queue.hpp"

#include <benchmark/benchmark.h>

#include <cstdint>

namespace {

using namespace callboard::broker;

/// A lane with `waiting` calls: one comes at its tail, one leaves at its head.
void BM_LaneInOrder(benchmark::State& state) {
  CallSlab slab;
  Lane lane;
  std::uint64_t number = 0;
  const auto add = [&] {
    Call& call = slab.make();
    call.number = ++number;
    lane.insert(call);
  };
  for (std::int64_t i = 0; i < state.range(0); ++i) add();
  for (auto _ : state) {
    add();
    Call& first = *lane.head;
    lane.remove(first);
    slab.free(first);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}
BENCHMARK(BM_LaneInOrder)->Arg(0)->Arg(1000)->Arg(1'000'000);

/// The call at the head comes back again and again, as after a retry.
void BM_LaneBackToHead(benchmark::State& state) {
  CallSlab slab;
  Lane lane;
  for (std::int64_t i = 1; i <= state.range(0); ++i) {
    Call& call = slab.make();
    call.number = static_cast<std::uint64_t>(i);
    lane.insert(call);
  }
  for (auto _ : state) {
    Call& first = *lane.head;
    lane.remove(first);
    lane.insert(first);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}
BENCHMARK(BM_LaneBackToHead)->Arg(10)->Arg(1000);

}  // namespace
