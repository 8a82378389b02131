#include "worker/executors/lane_thread.hpp"

#include "worker/crash_handler.hpp"

#include <pthread.h>

#include <chrono>

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
  using namespace std::chrono;
  return duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count();
}

}  // namespace callboard::worker
