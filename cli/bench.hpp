// Measurements: what they are asked, and how figures are printed. Thread safety: none.
#pragma once

#include "cli/json.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>

namespace callboard::cli {

class Context;

struct BenchOptions {
  std::uint64_t calls = 100'000;
  std::uint64_t window = 1000;  ///< calls on their way at once, all actors together
  std::uint64_t payload = 64;   ///< bytes of the argument, and of the result
  std::uint64_t actors = 1;
  std::string durability = "durable";
  bool embedded = false;   ///< against a private system, started for this
  bool with_relay = true;  ///< measure the raw relay beside it
  int workers = 1;         ///< of the private system
  std::uint64_t bytes = 1u << 30;  ///< payload only: of arguments in each measurement
  // overload only
  std::uint64_t clients = 2;
  std::int64_t work_us = 0;  ///< time that each call takes in its actor
  std::int64_t rounds = 5;   ///< of a phase at the peak and one above it
  std::int64_t seconds = 5;  ///< of each phase
  std::int64_t times = 3;    ///< how much of the peak is asked for above it
  std::string json_file;     ///< where the figures go beside the terminal; empty: nowhere
  std::string compare_file;  ///< with figures of an earlier run; empty: none
};

/// Three digits are all that a figure of a shared machine is good for; never below 0.01.
inline double rounded(double value) {
  if (value <= 0) return 0;
  const double digits = std::clamp(2 - std::floor(std::log10(value)), -9.0, 2.0);
  const double scale = std::pow(10, std::abs(digits));
  return digits < 0 ? std::round(value / scale) * scale : std::round(value * scale) / scale;
}

/// The relay's figures, one frame a message and batched.
Json bench_relay(const BenchOptions& options);

}  // namespace callboard::cli
