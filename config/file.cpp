#include "config/file.hpp"

#include <algorithm>
#include <optional>

#include <toml++/toml.h>

namespace callboard::config {

namespace {

std::optional<Value> value_of(const toml::node& node) {
  if (const auto* flag = node.as_boolean()) return Value(flag->get());
  if (const auto* number = node.as_integer()) return Value(number->get());
  if (const auto* text = node.as_string()) return Value(text->get());
  const auto* items = node.as_array();
  if (items == nullptr) return std::nullopt;
  std::vector<std::string> list;
  for (const auto& item : *items) {
    if (!item.is_string()) return std::nullopt;
    list.push_back(item.as_string()->get());
  }
  return Value(std::move(list));
}

/// Appends what a table holds. Non-empty: what is wrong, with its place.
std::string flatten(const toml::table& table, const std::string& prefix,
                    const std::string& file_name, std::vector<FileEntry>& out) {
  for (const auto& [key, node] : table) {
    const auto line = key.source().begin.line;
    const auto name = prefix + std::string(key.str());
    if (const auto* inner = node.as_table()) {
      // Without a known section every key below would be reported; one line says it better.
      const bool known = std::any_of(config::table().begin(), config::table().end(),
                                     [&](const Setting& row) { return row.section() == name; });
      if (!prefix.empty() || !known) {
        return file_name + ":" + std::to_string(line) + ": there is no section [" + name + "]";
      }
      if (auto wrong = flatten(*inner, name + ".", file_name, out); !wrong.empty()) return wrong;
      continue;
    }
    auto value = value_of(node);
    if (!value) {
      return file_name + ":" + std::to_string(line) + ": " + name +
             " is neither text, whole number, true or false, nor a list of texts";
    }
    out.push_back({name, std::move(*value), line});
  }
  return {};
}

}  // namespace

Result<std::vector<FileEntry>> read_toml(const std::string& file_name, std::string_view text) {
  std::vector<FileEntry> entries;
  try {
    const toml::table root = toml::parse(text, file_name);
    auto wrong = flatten(root, "", file_name, entries);
    if (!wrong.empty()) return {Errc::invalid_option, wrong};
  } catch (const toml::parse_error& error) {
    const auto place = file_name + ":" + std::to_string(error.source().begin.line);
    return {Errc::invalid_option, place + ": " + std::string(error.description())};
  }
  std::stable_sort(entries.begin(), entries.end(),
                   [](const auto& a, const auto& b) { return a.line < b.line; });
  return entries;
}

}  // namespace callboard::config
