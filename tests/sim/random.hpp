// The simulator's only source of chance: small, seeded, the same on every machine.
//
// Thread safety: none. Distributions are our own, because those of the standard library differ
// between implementations and a seed must mean the same history everywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace callboard::sim {

/// splitmix64.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    state_ += 0x9E3779B97F4A7C15ull;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }
  /// Uniform in [0, n). REQUIRES: n > 0
  std::uint64_t below(std::uint64_t n) { return next() % n; }
  /// Uniform in [low, high].
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low) + 1));
  }
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
  bool chance(double probability) { return unit() < probability; }
  /// Most often near `low`, at times far above it: each doubling is half as likely. At most `high`.
  std::int64_t long_tailed(std::int64_t low, std::int64_t high) {
    std::int64_t top = low < 1 ? 1 : low;
    while (top < high && chance(0.5)) top *= 2;
    return between(low, top < high ? top : high);
  }
  template <class T>
  const T& pick(const std::vector<T>& from) {
    return from[below(from.size())];
  }
  /// Deterministic Fisher-Yates.
  template <class T>
  void shuffle(std::vector<T>& items) {
    for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }
  /// An independent stream, so that one part's appetite for chance does not shift another's.
  Random fork() { return Random(next() ^ 0xA5A5'5A5A'C3C3'3C3Cull); }

 private:
  std::uint64_t state_;
};

}  // namespace callboard::sim
