#include "cli/cpu.hpp"

#include <fstream>
#include <sstream>
#include <string>

#include <unistd.h>

namespace callboard::cli {

std::optional<double> cpu_us_of(std::int64_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  // "pid (name) state ...": the name may hold anything, so look behind its last bracket. From
  // there the 12th and 13th words are user and system time.
  std::istringstream words(line.substr(line.rfind(')') + 1));
  std::string word;
  double ticks = 0;
  for (int i = 1; i <= 13 && words >> word; ++i) {
    if (i >= 12) ticks += std::stod(word);
  }
  return ticks * 1e6 / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

std::optional<double> memory_of(std::int64_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/smaps_rollup");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("Pss:")) return std::stod(line.substr(4)) * 1024;
  }
  return std::nullopt;
}

}  // namespace callboard::cli
