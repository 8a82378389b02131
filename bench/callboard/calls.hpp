// What the programs that load Callboard share: the level of their actors, and who takes results.
// Thread safety: none; land_when_ready()'s function runs in the client's own thread.
#pragma once

#include "bench/load/load.hpp"

#include <callboard/client.hpp>

#include <cstdio>
#include <mutex>

namespace bench {

inline callboard::ActorOptions actor_options(const Options& options) {
  callboard::ActorOptions out;
  out.durability = options.get("durability", "durable") == "memory"
                       ? callboard::Durability::memory
                       : callboard::Durability::durable;
  out.max_pending = 100'000'000;
  return out;
}

/// The first call that fails says why; that many did is told by the figures.
inline void tell_failure(callboard::Errc status) {
  static std::once_flag told;
  std::call_once(told, [status] {
    const auto name = callboard::name_of(status);
    std::fprintf(stderr, "a call failed: %.*s\n", static_cast<int>(name.size()), name.data());
  });
}

/// Tells the flight of a result that is there.
inline void land(Flight& flight, const callboard::client::FutureState* state) {
  const auto status = callboard::detail::status_of(state);
  if (status != callboard::Errc::ok) {
    tell_failure(status);
    return flight.landed(0, false);
  }
  const auto encoded = callboard::detail::value_of(state);
  flight.landed(callboard::detail::decode_result<callboard::Bytes>(encoded, nullptr).data);
}

/// The same in the client's own thread, once it is there.
inline void land_when_ready(Flight& flight, const callboard::Future<callboard::Bytes>& future) {
  callboard::detail::notify_when_ready(
      future.state(), [&flight, state = future.state().get()] { land(flight, state); });
}

}  // namespace bench
