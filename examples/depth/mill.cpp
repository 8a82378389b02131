#include "examples/depth/mill.hpp"

#include <chrono>
#include <thread>

namespace demos {

void Mill::grind(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

}  // namespace demos
