#include "worker/executors/lane_thread.hpp"

#include "worker/crash_handler.hpp"

#include <pthread.h>
#include <time.h>

namespace callboard::worker {

namespace {

/// What Linux keeps of a thread's name.
constexpr std::size_t kThreadNameMax = 15;

}  // namespace

void prepare_lane_thread(const std::string& class_name) {
  ::pthread_setname_np(::pthread_self(), class_name.substr(0, kThreadNameMax).c_str());
  prepare_thread_for_crashes();
}

std::int64_t steady_now_us() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);  // the same as std::chrono::steady_clock
  return std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
}

}  // namespace callboard::worker
