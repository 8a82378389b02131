#include "examples/replicas/cruncher.hpp"

namespace demos {

std::string Cruncher::process() { return this_process(); }

Ran Cruncher::crunch(int cpu_ms) {
  const Ran ran = inside_.enter();
  burn(cpu_ms);
  return inside_.leave(ran);
}

}  // namespace demos
