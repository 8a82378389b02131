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
  bool insert(std::uint64_t lease) {
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
  void clear() { ranges_.clear(); }
  std::size_t ranges() const { return ranges_.size(); }

  /// Numbers that never arrive leave gaps; beyond so many the oldest gap counts as arrived.
  static constexpr std::size_t kRangesMax = 4096;

 private:
  void close_oldest_gap() {
    const auto first = ranges_.begin();
    const auto second = std::next(first);
    first->second = second->second;
    ranges_.erase(second);
  }

  std::map<std::uint64_t, std::uint64_t> ranges_;  ///< first -> last, with gaps between them
};

}  // namespace callboard::worker
