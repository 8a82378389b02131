#include "broker/zone_files.hpp"

#include <cstdlib>
#include <fstream>
#include <iterator>

namespace callboard::broker {

std::string read_zone_file(std::string_view name) {
  const char* folder = std::getenv("TZDIR");
  std::string path = folder != nullptr && *folder != '\0' ? folder : "/usr/share/zoneinfo";
  path.append("/").append(name);
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

}  // namespace callboard::broker
