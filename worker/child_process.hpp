// The process of a worker child: what surrounds a Child from exec to exit.
#pragma once

#include "worker/child_params.hpp"

#include <callboard/worker.hpp>

namespace callboard::worker {

/// Exit status of a child that killed itself to end a method that would not stop: no failure.
inline constexpr int kChildReplaced = 5;

/// Binds the process, loads user code, serves until SIGTERM, and gives the exit status (see
/// WorkerExit). Does not return when a method still runs at the end: then it leaves with _Exit.
int run_child(const ChildParams& params, const RegisterFunction& register_all);

}  // namespace callboard::worker
