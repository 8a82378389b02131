// The batch lane: calls of one method that stand one behind the other in the queue run together.
//
// A batch begins when it is full, when another method follows, or batch_wait after its first call
// came, whatever is first; with batch_wait 0 it takes what is there. Until then its calls have not
// begun and can be taken back. When the method throws, or gives another number of results than it
// got calls, every call of the batch gets that error.

#include "common/clock.hpp"
#include "worker/executors/lane_thread.hpp"
#include "worker/executors/pool_lane.hpp"

namespace callboard::worker {

namespace {

class BatchLane final : public PoolLane {
 public:
  using PoolLane::PoolLane;

 protected:
  void push(CallQueue& calls) override {
    const std::int64_t now = settings().batch_wait_us > 0 ? steady_us() : 0;
    for (ActiveCall* call = calls.front(); call != nullptr; call = call->next) {
      call->queued_us = now;
    }
    PoolLane::push(calls);
  }

  bool joins(const ActiveCall& call, std::span<ActiveCall* const> before) const override {
    return before.size() < settings().batch_size && is_batched(call) &&
           call.method == before.front()->method;
  }

  std::int64_t due_us(const CallQueue& queue) const override {
    const ActiveCall* first = queue.front();
    if (first == nullptr) return kNever;
    if (settings().batch_wait_us == 0 || !is_batched(*first)) return 0;
    std::uint32_t size = 0;
    for (const ActiveCall* call = first; call != nullptr; call = call->next) {
      if (call->method != first->method || ++size == settings().batch_size) return 0;
    }
    return first->queued_us + settings().batch_wait_us;
  }

  void run_taken(std::span<ActiveCall*> calls, std::vector<Invocation>& invocations) override {
    if (is_batched(*calls.front())) return invoke_batch(calls, invocations);
    invoke(*calls.front(), invocations.front());
  }

 private:
  static bool is_batched(const ActiveCall& call) {
    return call.method->kind == MethodKind::batched;
  }
};

}  // namespace

std::unique_ptr<Lane> make_batch_lane(const LaneSettings& settings) {
  return std::make_unique<BatchLane>(settings);
}

}  // namespace callboard::worker
