#include "worker/executors/incarnation.hpp"

#include "worker/context.hpp"
#include "worker/executors/invoke.hpp"

namespace callboard::worker {

ErrorInfo Incarnation::construct(std::string_view args, std::uint32_t ticket) {
  callboard::detail::RunningCall running;  // without an id: it is no call
  running.actor = spec.actor;
  running.incarnation = spec.incarnation;
  running.queue = spec.name;
  running.client = environment.client;
  running.on_block = &tell_threads;
  const RunningScope scope(running, ticket);
  Invocation invocation;
  invocation.args = args;
  invocation.core = environment.core;
  ErrorInfo error;
  error.code = Errc::ok;
  try {
    object = entry.construct(invocation);
    if (object == nullptr) {
      error = std::move(*invocation.error);
      error.message = "the constructor of " + entry.name + ", " + entry.constructor_signature +
                      ": " + error.message;
    }
  } catch (...) {
    error = describe_exception();
    error.code = Errc::constructor_failed;
  }
  if (error.code != Errc::ok) error.place = place("constructor of " + entry.name);
  return error;
}

void Incarnation::destroy() noexcept {
  if (object == nullptr) return;
  try {
    entry.destroy(std::exchange(object, nullptr));
  } catch (...) {
    host.stray_error(spec.slot, describe_exception());
  }
}

std::string Incarnation::place(std::string_view what) const {
  return std::string(what) + " on " + environment.worker + " (pid " +
         std::to_string(environment.pid) + ")";
}

}  // namespace callboard::worker
