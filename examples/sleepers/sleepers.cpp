#include "examples/sleepers/sleepers.hpp"

#include "examples/nap.hpp"

#include <chrono>
#include <thread>

namespace demos {

Ran Sleeper::sleep(int ms) {
  const Ran ran = inside_.enter();
  std::this_thread::sleep_for(std::chrono::milliseconds(ms));
  return inside_.leave(ran);
}

callboard::Async<Ran> AsyncSleeper::sleep(int ms) {
  const Ran ran = inside_.enter();
  co_await nap(std::chrono::milliseconds(ms));
  co_return inside_.leave(ran);
}

}  // namespace demos
