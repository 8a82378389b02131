// Slots that are to be looked at later, unless nothing is left to see there by then.
//
// Of a hundred thousand actors that are called now and then nearly all are idle again long before
// the look, and in no cache any more: whether one may still be watched is known without touching
// it. Thread safety: none.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace callboard::worker {

class WatchList {
 public:
  /// REQUIRES: it is not watched.
  void add(std::uint32_t number) {
    numbers_.push_back(number);
    ++watched_[place(number)];
  }
  /// REQUIRES: it is watched.
  void remove(std::uint32_t number) { --watched_[place(number)]; }
  /// Calls visit(number) for each that is watched, and maybe for others or twice. The list begins
  /// anew meanwhile: what is watched still has to be removed, and may be added again.
  template <class Visit>
  void visit_all(Visit visit) {
    visited_.swap(numbers_);
    for (const std::uint32_t number : visited_) {
      if (watched_[place(number)] != 0) visit(number);
    }
    visited_.clear();
  }

 private:
  static constexpr std::size_t kPlaces = 16'384;
  static std::size_t place(std::uint32_t number) { return number % kPlaces; }

  std::vector<std::uint32_t> numbers_;  ///< some were removed
  std::vector<std::uint32_t> visited_;
  std::array<std::uint32_t, kPlaces> watched_{};  ///< how many of the numbers that meet there
};

}  // namespace callboard::worker
