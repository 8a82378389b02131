// A histogram of latencies with a fixed size, after HdrHistogram: 128 steps per power of two, so
// that a value is off by less than one percent; up to 68 s. It holds nothing but numbers, so it
// can lie in memory that processes share. Thread safety: one writer.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace bench {

class Histogram {
 public:
  void add(std::int64_t ns) {
    const auto value = static_cast<std::uint64_t>(std::clamp<std::int64_t>(ns, 0, kMax));
    ++counts_[index_of(value)];
    ++total_;
    max_ = std::max(max_, value);
  }
  void merge(const Histogram& other) {
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    total_ += other.total_;
    max_ = std::max(max_, other.max_);
  }
  std::uint64_t total() const { return total_; }
  double max_us() const { return static_cast<double>(max_) / 1000; }

  /// The value that `percent` of all do not exceed; 0 when there are none.
  double percentile_us(double percent) const {
    const auto rank = static_cast<std::uint64_t>(percent / 100 * static_cast<double>(total_));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen > 0 && seen >= rank) return static_cast<double>(value_at(i)) / 1000;
    }
    return 0;
  }

 private:
  static constexpr int kStepBits = 7;
  static constexpr std::uint64_t kSteps = 1u << kStepBits;
  static constexpr int kValueBits = 36;
  static constexpr std::int64_t kMax = (std::int64_t{1} << kValueBits) - 1;

  // Values below kSteps stand for themselves; above, the leading kStepBits + 1 bits count.
  static std::size_t index_of(std::uint64_t value) {
    if (value < kSteps) return value;
    const int shift = std::bit_width(value) - kStepBits - 1;
    return static_cast<std::size_t>(shift) * kSteps + (value >> shift);
  }
  static std::uint64_t value_at(std::size_t index) {
    if (index < 2 * kSteps) return index;
    const std::size_t shift = index / kSteps - 1;
    return (kSteps + index % kSteps) << shift;
  }

  std::array<std::uint64_t, (kValueBits - kStepBits + 1) * kSteps> counts_{};
  std::uint64_t total_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace bench
