#include "examples/replicas/cruncher.hpp"

#include <unistd.h>

namespace demos {

int Cruncher::pid() { return static_cast<int>(::getpid()); }

Ran Cruncher::crunch(int cpu_ms) {
  const Ran ran = inside_.enter();
  burn(cpu_ms);
  return inside_.leave(ran);
}

}  // namespace demos
