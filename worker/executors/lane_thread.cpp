#include "worker/executors/lane_thread.hpp"

#include "worker/crash_handler.hpp"

#include <pthread.h>

namespace callboard::worker {

namespace {

/// What Linux keeps of a thread's name.
constexpr std::size_t kThreadNameMax = 15;

}  // namespace

void prepare_lane_thread(const std::string& class_name) {
  ::pthread_setname_np(::pthread_self(), class_name.substr(0, kThreadNameMax).c_str());
  prepare_thread_for_crashes();
}

}  // namespace callboard::worker
