// Virtual time: what is due when, and in which order when due together.
//
// Thread safety: none. Two things due at the same moment happen in the order in which they were
// scheduled, so a run has exactly one history.
#pragma once

#include "common/check.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace callboard::sim {

class Schedule {
 public:
  using Action = std::function<void()>;

  /// Microseconds since the run began.
  std::int64_t now() const { return now_; }

  void at(std::int64_t when_us, Action action) {
    CALLBOARD_CHECK(when_us >= now_);
    heap_.push_back({when_us, next_++, std::move(action)});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  void after(std::int64_t delay_us, Action action) { at(now_ + delay_us, std::move(action)); }

  bool empty() const { return heap_.empty(); }
  /// When the next thing is due. REQUIRES: !empty()
  std::int64_t next_due() const { return heap_.front().when_us; }

  /// Moves time on to the next thing that is due and does it. REQUIRES: !empty()
  void run_one() {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    Item item = std::move(heap_.back());
    heap_.pop_back();
    now_ = item.when_us;
    item.action();
  }

 private:
  struct Item {
    std::int64_t when_us;
    std::uint64_t number;
    Action action;
  };
  static bool later(const Item& a, const Item& b) {
    return a.when_us != b.when_us ? a.when_us > b.when_us : a.number > b.number;
  }

  std::int64_t now_ = 0;
  std::uint64_t next_ = 0;
  std::vector<Item> heap_;
};

}  // namespace callboard::sim
