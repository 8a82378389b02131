// What every thread of a lane does first, and the clock that lanes go by.
#pragma once

#include <cstdint>
#include <string>

namespace callboard::worker {

/// Names the calling thread after the class it works for, and readies it for the crash handler.
void prepare_lane_thread(const std::string& class_name);

}  // namespace callboard::worker
