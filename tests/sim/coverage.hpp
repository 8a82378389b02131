// How often each fault and each interesting situation occurred, over all seeds of a run.
//
// A fault that never fired proves nothing, so the names that must occur are registered up front and
// those that stayed at zero are reported. Thread safety: none.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace callboard::sim {

class Coverage {
 public:
  /// `name` must occur at least once for the run to prove something.
  void require(const std::string& name) { counts_.try_emplace(name, Count{0, true}); }
  void hit(const std::string& name, std::uint64_t times = 1) { counts_[name].times += times; }
  std::uint64_t times(const std::string& name) const;
  void add(const Coverage& other);
  /// Visits the name and the count of everything that occurred.
  template <class Visit>
  void each(Visit visit) const {
    for (const auto& [name, count] : counts_) {
      if (count.times > 0) visit(name, count.times);
    }
  }

  /// Required names that never occurred, in order.
  std::vector<std::string> missing() const;
  /// One line a name: count, name.
  std::string report() const;

 private:
  struct Count {
    std::uint64_t times = 0;
    bool required = false;
  };
  std::map<std::string, Count> counts_;
};

}  // namespace callboard::sim
