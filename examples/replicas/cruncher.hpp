// An actor that computes. As a deployment of two replicas it computes on two cores.
#pragma once

#include "examples/ran.hpp"

#include <callboard/callboard.hpp>

namespace demos {

class Cruncher {
 public:
  /// The process that this replica lives in.
  int pid();
  /// Computes until it has used so much CPU time.
  Ran crunch(int cpu_ms);

  friend consteval auto describe(callboard::Class<Cruncher> c) {
    return c.name("demos.Cruncher")
        .method<&Cruncher::pid>("pid")
        .method<&Cruncher::crunch>("crunch");
  }

 private:
  Inside inside_;
};

}  // namespace demos
