// The actors that `bench/run` calls: they look at each argument and send it back with another
// checksum. Thread safety: that of an actor.
#pragma once

#include "bench/load/message.hpp"

#include <callboard/callboard.hpp>

namespace bench {

/// At once, one call at a time.
class Echo {
 public:
  callboard::Bytes answer(callboard::Bytes message);

  friend consteval auto describe(callboard::Class<Echo> c) {
    return c.name("bench.Echo").method<&Echo::answer>("answer");
  }

 private:
  Inspector inspector_{Inspector::Order::one_actor};
};

/// After a timer of one millisecond, with other calls meanwhile.
class Timer {
 public:
  callboard::Async<callboard::Bytes> answer(callboard::Bytes message);

  friend consteval auto describe(callboard::Class<Timer> c) {
    return c.name("bench.Timer").method<&Timer::answer>("answer");
  }

 private:
  Inspector inspector_{Inspector::Order::one_actor};
};

}  // namespace bench
