// Which leases a run of the broker has given us: so that a RUN that arrives twice runs once, in
// whatever order they arrive. Kept as ranges, since most arrive in order.
//
// Thread safety: none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>

namespace callboard::worker {

class LeaseSet {
 public:
  /// False when it was there before.
  [[gnu::always_inline]] bool insert(std::uint64_t lease) {
    if (newest_ == nullptr || lease == 0 || lease - 1 != *newest_) return insert_anywhere(lease);
    ++*newest_;
    return true;
  }
  void clear() {
    ranges_.clear();
    newest_ = nullptr;
  }
  std::size_t ranges() const { return ranges_.size(); }

  /// Numbers that never arrive leave gaps; beyond so many the oldest gap counts as arrived.
  static constexpr std::size_t kRangesMax = 4096;

 private:
  [[gnu::noinline]] bool insert_anywhere(std::uint64_t lease) {
    const bool is_new = find_place(lease);
    newest_ = &std::prev(ranges_.end())->second;
    return is_new;
  }
  bool find_place(std::uint64_t lease) {
    auto after = ranges_.upper_bound(lease);  // the first range that begins beyond it
    if (after != ranges_.begin()) {
      auto before = std::prev(after);
      if (lease <= before->second) return false;
      if (before->second + 1 == lease) {
        before->second = lease;
        if (after != ranges_.end() && after->first == lease + 1) {
          before->second = after->second;
          ranges_.erase(after);
        }
        return true;
      }
    }
    std::uint64_t last = lease;
    if (after != ranges_.end() && after->first == lease + 1) {
      last = after->second;
      after = ranges_.erase(after);
    }
    ranges_.emplace_hint(after, lease, last);
    if (ranges_.size() > kRangesMax) close_oldest_gap();
    return true;
  }
  void close_oldest_gap() {
    const auto first = ranges_.begin();
    const auto second = std::next(first);
    first->second = second->second;
    ranges_.erase(second);
  }

  std::map<std::uint64_t, std::uint64_t> ranges_;  ///< first -> last, with gaps between them
  std::uint64_t* newest_ = nullptr;                ///< the end of the last range
};

}  // namespace callboard::worker
