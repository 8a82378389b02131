#include "worker/executors/loop_watch.hpp"

#include "common/clock.hpp"
#include "worker/executors/lane_thread.hpp"

#include <callboard/registry.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

namespace callboard::worker {

namespace {

/// From so long on a clock that is a tick late will do: it costs a quarter of the other.
constexpr std::int64_t kCoarseMs = 50;

}  // namespace

std::int64_t LoopMeter::now_us() const {
  return warn_ms_ >= kCoarseMs ? steady_us_coarse() : steady_us();
}

LoopMeter::Scope::Scope(LoopMeter& meter, const Method* method)
    : meter_(meter.idle() ? &meter : nullptr) {
  if (meter_ != nullptr) meter.enter(method, meter.now_us());
}

LoopMeter::Scope::~Scope() {
  if (meter_ != nullptr) meter_->leave();
}

void LoopMeter::leave() {
  const std::int64_t since = since_us_.exchange(kIdle, std::memory_order_relaxed);
  const std::int64_t ms = (now_us() - since) / kMicrosPerMilli;
  if (ms < warn_ms_) return;
  const Method* method = method_.load(std::memory_order_relaxed);
  host_.stalled(slot_, method->place, ms, true);
}

void LoopMeter::look(std::int64_t now_us) {
  const std::int64_t since = since_us_.load(std::memory_order_acquire);
  if (since == kIdle || since == reported_since_us_) return;
  const std::int64_t ms = (now_us - since) / kMicrosPerMilli;
  if (ms < warn_ms_) return;
  const Method* method = method_.load(std::memory_order_relaxed);
  // The loop may have gone on to another method meanwhile; then there is nothing to name.
  if (since_us_.load(std::memory_order_acquire) != since) return;
  reported_since_us_ = since;
  host_.stalled(slot_, method->place, ms, false);
}

std::shared_ptr<LoopWatch> LoopWatch::shared() {
  static std::mutex mutex;
  static std::weak_ptr<LoopWatch> instance;
  const std::lock_guard lock(mutex);
  std::shared_ptr<LoopWatch> watch = instance.lock();
  if (!watch) instance = watch = std::make_shared<LoopWatch>();
  return watch;
}

LoopWatch::LoopWatch() : thread_([this] { run(); }) {}

LoopWatch::~LoopWatch() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void LoopWatch::add(LoopMeter& meter) {
  const std::lock_guard lock(mutex_);
  meters_.push_back(&meter);
  wake_.notify_one();
}

void LoopWatch::remove(LoopMeter& meter) {
  const std::lock_guard lock(mutex_);
  meters_.erase(std::find(meters_.begin(), meters_.end(), &meter));
}

void LoopWatch::run() {
  prepare_lane_thread("loop-watch");
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (meters_.empty()) {
      wake_.wait(lock);
    } else {
      wake_.wait_for(lock, std::chrono::milliseconds(look_at_all()));
    }
  }
}

/// Returns after how many milliseconds to look again.
std::int64_t LoopWatch::look_at_all() {
  const std::int64_t now = steady_us();
  std::int64_t interval_ms = limits::kLoopWarnMs;
  for (LoopMeter* meter : meters_) {
    meter->look(now);
    interval_ms = std::min(interval_ms, meter->warn_ms_);
  }
  return std::max<std::int64_t>(interval_ms / 2, 1);
}

}  // namespace callboard::worker
