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
  std::string compare;     ///< file with the JSON of an earlier run; empty: none
};

/// Three digits are all that a figure of a shared machine is good for; never below 0.01.
inline double rounded(double value) {
  if (value <= 0) return 0;
  const double digits = std::clamp(2 - std::floor(std::log10(value)), -9.0, 2.0);
  const double scale = std::pow(10, std::abs(digits));
  return digits < 0 ? std::round(value / scale) * scale : std::round(value * scale) / scale;
}

/// What an earlier run printed as JSON. Throws Failure (usage) when the file holds no such thing.
Json read_earlier(const std::string& file);

/// Puts "compared" into the figures, and into those of each relay: what they are divided by what
/// they were. Throws Failure (usage) when the earlier run measured something else.
void compare_with(const Json& earlier, Json& figures);

/// The relay's figures, one frame a message and batched.
Json bench_relay(const BenchOptions& options);

}  // namespace callboard::cli
