// Values of which many are equal and kept for long, such as the options of actors: equal ones share
// one object. It remembers a few that came last, which is enough where neighbours are alike.
//
// Thread safety: none; what it gives may go to other threads.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <utility>

namespace callboard {

template <class T>
class SharedValues {
 public:
  /// An object that equals `value`.
  std::shared_ptr<const T> share(T value) {
    for (const std::shared_ptr<const T>& known : recent_) {
      if (known && *known == value) return known;
    }
    next_ = (next_ + 1) % kRecent;
    recent_[next_] = std::make_shared<const T>(std::move(value));
    return recent_[next_];
  }

 private:
  static constexpr std::size_t kRecent = 8;

  std::array<std::shared_ptr<const T>, kRecent> recent_;
  std::size_t next_ = 0;
};

}  // namespace callboard
