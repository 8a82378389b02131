// What a supervisor tells a child that it spawns: a memory file whose number is in the environment.
//
// Not the command line, which may name a settings file that has changed since, and which the
// child's own main() has not yet read.
#pragma once

#include "worker/placement.hpp"

#include <callboard/worker.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace callboard::worker {

inline constexpr const char* kChildVariable = "CALLBOARD_WORKER_CHILD";

struct ChildParams {
  WorkerOptions options;     ///< the supervisor's
  std::string name;          ///< of the child
  std::uint64_t instance = 0;
  CoreSet cores;             ///< empty: not bound
  std::uint32_t task_slots = 1;
  int flight_fd = -1;        ///< the open flight recorder
  int ready_fd = -1;         ///< gets one byte when the broker has welcomed the child
  std::uint64_t parent = 0;  ///< process id of the supervisor
};

/// Puts them into a memory file that survives exec. Throws std::runtime_error.
int write_params(const ChildParams& params);

/// What this process was told, if it is a child; then the variable and the file are gone.
/// Throws std::runtime_error when the variable is there and what it names makes no sense.
std::optional<ChildParams> take_params();

}  // namespace callboard::worker
