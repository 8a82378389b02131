// Two actors that sleep: one as ordinary code does, one as a coroutine.
#pragma once

#include "examples/ran.hpp"

#include <callboard/callboard.hpp>

namespace demos {

/// Its thread sleeps with it: one call at a time in a serial actor, one for each thread in a
/// threaded one.
class Sleeper {
 public:
  Ran sleep(int ms);

  friend consteval auto describe(callboard::Class<Sleeper> c) {
    return c.name("demos.Sleeper").method<&Sleeper::sleep>("sleep");
  }

 private:
  Inside inside_;
};

/// While one call sleeps, its thread runs the others.
class AsyncSleeper {
 public:
  callboard::Async<Ran> sleep(int ms);

  friend consteval auto describe(callboard::Class<AsyncSleeper> c) {
    return c.name("demos.AsyncSleeper").method<&AsyncSleeper::sleep>("sleep");
  }

 private:
  Inside inside_;
};

}  // namespace demos
