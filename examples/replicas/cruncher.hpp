// An actor that computes. As a deployment of two replicas it computes on two cores.
#pragma once

#include "examples/ran.hpp"

#include <callboard/callboard.hpp>

#include <string>

namespace demos {

class Cruncher {
 public:
  /// The process that this replica lives in.
  std::string process();
  /// Computes until it has used so much CPU time.
  Ran crunch(int cpu_ms);

  friend consteval auto describe(callboard::Class<Cruncher> c) {
    return c.name("demos.Cruncher")
        .method<&Cruncher::process>("process")
        .method<&Cruncher::crunch>("crunch");
  }

 private:
  Inside inside_;
};

}  // namespace demos
