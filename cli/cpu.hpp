// Processor time and memory of processes, from /proc. Thread safety: pure functions.
#pragma once

#include <cstdint>
#include <optional>

namespace callboard::cli {

/// Microseconds of processor time that the process has used so far, in steps of the kernel's tick
/// (10 ms); none when it cannot be read, as for a process of another machine.
std::optional<double> cpu_us_of(std::int64_t pid);

/// Proportional set size in bytes: shared pages count in parts. None when it cannot be read.
std::optional<double> memory_of(std::int64_t pid);

}  // namespace callboard::cli
