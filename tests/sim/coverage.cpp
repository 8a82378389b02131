#include "tests/sim/coverage.hpp"

#include <cstdio>

namespace callboard::sim {

std::uint64_t Coverage::times(const std::string& name) const {
  const auto found = counts_.find(name);
  return found == counts_.end() ? 0 : found->second.times;
}

void Coverage::add(const Coverage& other) {
  for (const auto& [name, count] : other.counts_) {
    Count& mine = counts_[name];
    mine.times += count.times;
    mine.required = mine.required || count.required;
  }
}

std::vector<std::string> Coverage::missing() const {
  std::vector<std::string> names;
  for (const auto& [name, count] : counts_) {
    if (count.required && count.times == 0) names.push_back(name);
  }
  return names;
}

std::string Coverage::report() const {
  std::string text;
  for (const auto& [name, count] : counts_) {
    char number[32];
    std::snprintf(number, sizeof number, "%12llu  ", static_cast<unsigned long long>(count.times));
    text += number + name + (count.required && count.times == 0 ? "   <-- never\n" : "\n");
  }
  return text;
}

}  // namespace callboard::sim
