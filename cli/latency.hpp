// Latencies of one run, for percentiles. Thread safety: none.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace callboard::cli {

/// Nanoseconds of the steady clock.
inline std::int64_t latency_clock_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

class Latencies {
 public:
  explicit Latencies(std::size_t expected) { values_ns_.reserve(expected); }

  void add(std::int64_t ns) {
    values_ns_.push_back(static_cast<std::uint32_t>(std::clamp<std::int64_t>(ns, 0, UINT32_MAX)));
  }
  std::size_t size() const { return values_ns_.size(); }
  void merge(const Latencies& other) {
    values_ns_.insert(values_ns_.end(), other.values_ns_.begin(), other.values_ns_.end());
  }

  /// The value below which `percent` of all lie; 0 when there are none.
  double percentile_us(double percent) {
    if (values_ns_.empty()) return 0;
    const auto rank = static_cast<std::size_t>(percent / 100 * static_cast<double>(size() - 1));
    const auto at = values_ns_.begin() + static_cast<std::ptrdiff_t>(rank);
    std::nth_element(values_ns_.begin(), at, values_ns_.end());
    return static_cast<double>(*at) / 1000;
  }

 private:
  std::vector<std::uint32_t> values_ns_;
};

}  // namespace callboard::cli
