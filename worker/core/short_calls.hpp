// Whether calls have been short enough lately for the thread of serial actors that runs them to
// take the connection's turns in between. decisions/0024 and 0027 have the reasons.
//
// Few that end at once are looked at one by one. Many that do are worth it where they are short
// together: otherwise some could run while others are told.
//
// Thread safety: none; the connection's thread, or who stands in for it.
#pragma once

#include <cstdint>
#include <span>

namespace callboard::worker {

struct Outcome;

class ShortCalls {
 public:
  /// These were collected at once.
  void ended(std::span<const Outcome> outcomes);
  /// Something takes its time: nobody is known to be back soon.
  void forget() { row_ = 0; }
  bool in_a_row() const;

 private:
  std::uint32_t row_ = 0;  ///< calls that ended last, and were short
};

}  // namespace callboard::worker
