// The class that every `callboard worker` offers beside what it loads: it gives back what it gets.
// Thread safety: that of an actor.
#pragma once

#include <callboard/description.hpp>
#include <callboard/value.hpp>

namespace callboard::cli {

class Echo {
 public:
  Bytes echo(Bytes value) { return value; }

  friend consteval auto describe(Class<Echo> c) {
    return c.name("callboard.Echo").method<&Echo::echo>("echo");
  }
};

}  // namespace callboard::cli
