// A serial actor that takes its time, so that calls pile up before it.
#pragma once

#include <callboard/callboard.hpp>

namespace demos {

class Mill {
 public:
  void grind(int ms);

  friend consteval auto describe(callboard::Class<Mill> c) {
    return c.name("demos.Mill").method<&Mill::grind>("grind");
  }
};

}  // namespace demos
