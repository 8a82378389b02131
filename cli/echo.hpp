// The class that every `callboard worker` offers beside what it loads: it gives back what it gets,
// after a while if that is asked for.
// Thread safety: that of an actor.
#pragma once

#include <callboard/description.hpp>
#include <callboard/value.hpp>

#include <chrono>
#include <cstdint>
#include <thread>

namespace callboard::cli {

class Echo {
 public:
  Bytes echo(Bytes value) { return value; }
  Bytes work(Bytes value, std::int64_t us) {
    std::this_thread::sleep_for(std::chrono::microseconds(us));
    return value;
  }

  /// The same without a copy.
  Buffer pass(Buffer value) { return value; }
  void take(const Buffer& /*value*/) {}

  friend consteval auto describe(Class<Echo> c) {
    return c.name("callboard.Echo")
        .method<&Echo::echo>("echo")
        .method<&Echo::work>("work")
        .method<&Echo::pass>("pass")
        .method<&Echo::take>("take");
  }
};

}  // namespace callboard::cli
