// The TOML file of settings, read into a flat list. Thread safety: pure functions.
#pragma once

#include "config/table.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace callboard::config {

/// One key of the file.
struct FileEntry {
  std::string name;  ///< "broker.redis"
  Value value;
  std::uint32_t line = 0;
};

/// All keys of the file, in the order of their lines. Errc::invalid_option with "file:line: why"
/// when it is no TOML, or holds a value of a type that no setting has.
Result<std::vector<FileEntry>> read_toml(const std::string& file_name, std::string_view text);

}  // namespace callboard::config
