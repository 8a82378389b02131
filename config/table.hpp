// The table of settings: one row for each field of config::Settings.
//
// A row's full name is "section.key". From it follow the place in the TOML file ([section] key),
// the environment variable (CALLBOARD_SECTION_KEY) and the flag (--key, or --section-key for
// sections that go with every program). Immutable after start-up, so any thread may read it.
#pragma once

#include "config/settings.hpp"

#include <callboard/error.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace callboard::config {

/// The field of one Settings object that a row stands for.
using Field = std::variant<bool*, std::int64_t*, std::string*, std::vector<std::string>*>;

/// One value of any of the types that a field may have.
using Value = std::variant<bool, std::int64_t, std::string, std::vector<std::string>>;

struct Setting {
  std::string_view name;                ///< "broker.redis"
  std::string_view help;                ///< one sentence, with the unit
  Field (*field)(Settings&);
  std::int64_t min = 0;                 ///< of a number
  std::int64_t max = INT64_MAX;
  std::vector<std::string_view> choices = {};  ///< of a text; empty: any
  std::string_view alias = {};          ///< a second, shorter environment variable

  std::string_view section() const;     ///< "broker"
  std::string_view key() const;         ///< "redis"
  std::string_view type() const;        ///< "flag", "number", "text" or "list"
  std::string environment() const;      ///< "CALLBOARD_BROKER_REDIS"
  std::string flag() const;             ///< "--redis"
};

/// All rows, grouped by section, in the order in which they are printed.
std::span<const Setting> table();

/// Index of the row of that name; -1 when there is none.
int find(std::string_view name);

/// What the settings hold for a row.
Value get(const Setting& setting, const Settings& settings);

/// Writes a value into its field. Errc::invalid_option with one sentence when it does not fit.
Result<bool> set(const Setting& setting, const Value& value, Settings& settings);

/// Reads a value from one line of text, as an environment variable or a flag gives it. Lists are
/// separated by commas. Errc::invalid_option with one sentence when the text does not fit.
Result<Value> parse(const Setting& setting, std::string_view text);

/// A value as TOML writes it: "text", 12, true, ["a", "b"].
std::string print(const Value& value);

}  // namespace callboard::config
