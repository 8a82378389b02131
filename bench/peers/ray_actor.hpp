// The actor that Ray's C++ API calls in `bench/run`: what bench::Echo is for Callboard. It is in
// the program and in the library that Ray's worker loads. Thread safety: that of an actor.
#pragma once

#include "bench/load/message.hpp"

#include <string>

#include <ray/api.h>

namespace bench {

class RayEcho {
 public:
  static RayEcho* create() { return new RayEcho; }

  std::string answer(std::string message) {
    inspector_.answer(message.data(), message.size());
    return message;
  }

 private:
  Inspector inspector_{Inspector::Order::one_actor};
};

RAY_REMOTE(RayEcho::create, &RayEcho::answer);

}  // namespace bench
