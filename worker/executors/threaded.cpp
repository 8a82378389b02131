// The threaded lane: each call has a thread of the pool to itself.

#include "worker/executors/pool_lane.hpp"

namespace callboard::worker {

namespace {

class ThreadedLane final : public PoolLane {
 public:
  using PoolLane::PoolLane;

 protected:
  bool joins(const ActiveCall&, std::span<ActiveCall* const>) const override { return false; }
  std::int64_t due_us(const CallQueue& queue) const override { return queue.empty() ? kNever : 0; }
  void run_taken(std::span<ActiveCall*> calls, std::vector<Invocation>& invocations) override {
    for (std::size_t i = 0; i < calls.size(); ++i) invoke(*calls[i], invocations[i]);
  }
};

}  // namespace

std::unique_ptr<Lane> make_threaded_lane(const LaneSettings& settings) {
  return std::make_unique<ThreadedLane>(settings);
}

}  // namespace callboard::worker
