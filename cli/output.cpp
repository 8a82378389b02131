#include "cli/output.hpp"

#include "cli/exit_code.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace callboard::cli {

namespace {

/// Columns that a text takes: bytes that begin a character.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string padded(const std::string& text, std::size_t width, bool to_the_right) {
  const std::string space(width - std::min(width, width_of(text)), ' ');
  return to_the_right ? space + text : text + space;
}

void append_record(const Json& value, std::size_t indent, std::string& out) {
  std::size_t widest = 0;
  for (const auto& [key, inner] : value.items()) widest = std::max(widest, width_of(key));
  const std::string space(indent, ' ');
  for (const auto& [key, inner] : value.items()) {
    const bool rows = inner.is_array() && !inner.empty() && inner[0].is_object();
    if (inner.is_object() && !inner.empty()) {
      out += space + key + "\n";
      append_record(inner, indent + 2, out);
    } else if (rows) {
      out += space + key + "\n";
      for (const auto& row : inner) {
        std::string line;
        for (const auto& [name, part] : row.items()) {
          line += (line.empty() ? "" : "  ") + name + " " + cell(part);
        }
        out += space + "  " + line + "\n";
      }
    } else {
      out += space + padded(key, widest, false) + "  " + cell(inner) + "\n";
    }
  }
}

std::string formatted(const char* format, double value) {
  std::array<char, 64> buffer{};
  std::snprintf(buffer.data(), buffer.size(), format, value);
  return buffer.data();
}

}  // namespace

std::string table(const std::vector<Column>& columns, const Json& items) {
  std::vector<std::vector<std::string>> rows(1);
  for (const auto& column : columns) rows[0].emplace_back(column.heading);
  std::vector<bool> numbers(columns.size(), !items.empty());
  for (const auto& item : items) {
    auto& row = rows.emplace_back();
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const auto found = item.find(columns[i].key);
      row.push_back(found == item.end() ? "-" : cell(*found));
      if (found == item.end() || !found->is_number()) numbers[i] = false;
    }
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      std::size_t width = 0;
      for (const auto& other : rows) width = std::max(width, width_of(other[i]));
      line += (i == 0 ? "" : "  ") + padded(row[i], width, numbers[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

std::string record(const Json& item) {
  if (!item.is_object()) return cell(item) + "\n";
  std::string out;
  append_record(item, 0, out);
  return out;
}

std::string cell(const Json& value) {
  if (value.is_null()) return "-";
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_string()) return value.get<std::string>();
  const bool names = value.is_array() && std::all_of(value.begin(), value.end(),
                                                     [](const Json& v) { return v.is_string(); });
  if (!names) return print_json(value);
  std::string out;
  for (const auto& name : value) out += (out.empty() ? "" : ", ") + name.get<std::string>();
  return out.empty() ? "-" : out;
}

std::string print_bytes(double bytes) {
  constexpr std::array kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (bytes >= 1024 && unit + 1 < kUnits.size()) {
    bytes /= 1024;
    ++unit;
  }
  return formatted(unit == 0 ? "%.0f " : "%.1f ", bytes) + kUnits[unit];
}

std::string print_duration_ms(double ms) {
  if (ms < 1000) return formatted("%.0f ms", ms);
  if (ms < 120'000) return formatted("%.1f s", ms / 1000);
  if (ms < 7'200'000) return formatted("%.0f min", ms / 60'000);
  return formatted("%.1f h", ms / 3'600'000);
}

std::string print_count(std::uint64_t number) {
  const std::string digits = std::to_string(number);
  std::string grouped;
  for (std::size_t at = 0; at < digits.size(); ++at) {
    if (at > 0 && (digits.size() - at) % 3 == 0) grouped += ',';
    grouped += digits[at];
  }
  return grouped;
}

void print(std::string_view text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  if (!written || std::fflush(stdout) != 0) {
    throw Failure(ExitCode::failed, "the output cannot be written");
  }
}

void print_line(std::string_view text) { print(std::string(text) + "\n"); }

}  // namespace callboard::cli
