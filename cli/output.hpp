// What the commands print: tables for people, JSON for programs. Thread safety: none.
#pragma once

#include "cli/json.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace callboard::cli {

enum class Format { table, json };

/// The columns of a table: key of the item and heading.
struct Column {
  std::string_view key;
  std::string_view heading;
};

/// Rows under their headings, numbers to the right. With no rows: the headings only.
std::string table(const std::vector<Column>& columns, const Json& items);

/// One item, a key a line; what is nested stands below, indented.
std::string record(const Json& item);

/// A value as a cell shows it: texts bare, nil as "-", what is nested as JSON.
std::string cell(const Json& value);

/// "1.2 KiB"
std::string print_bytes(double bytes);
/// "950 ms", "12.3 s", "4 min"
std::string print_duration_ms(double ms);
/// 1234567 as "1,234,567"
std::string print_count(std::uint64_t number);

/// Writes to stdout and flushes. Throws Failure when that is not possible, as on a full disk.
void print(std::string_view text);
void print_line(std::string_view text);

}  // namespace callboard::cli
