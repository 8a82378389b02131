#include "examples/backpressure/gate.hpp"

#include "examples/nap.hpp"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <unistd.h>

namespace demos {

namespace {

constexpr int kWarmUp = 2'000;    ///< calls after which buffers have their size
constexpr int kLookEvery = 500;   ///< calls

std::int64_t resident_kib() {
  std::int64_t total = 0;
  std::int64_t resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * ::sysconf(_SC_PAGESIZE) / 1024;
}

}  // namespace

callboard::Async<int> Gate::pass(std::string load, int ms) {
  most_ = std::max(most_, ++inside_);
  if (++entered_ % kLookEvery == 0 && entered_ >= kWarmUp) {
    most_kib_ = std::max(most_kib_, resident_kib());
    if (first_kib_ == 0) first_kib_ = most_kib_;
  }
  co_await nap(std::chrono::milliseconds(ms));
  --inside_;
  co_return static_cast<int>(load.size());
}

}  // namespace demos
