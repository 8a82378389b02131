// What a running program says of itself: one line a fact, for people and for machines.
//
//   time=2026-11-23T14:29:01.123Z level=info program=broker text="redis is back" after_ms=812
//
// Lines go to stderr. Thread safety: all of it; a line is written whole.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

namespace callboard::log {

enum class Level : std::uint8_t { debug = 0, info = 1, warning = 2, error = 3, off = 4 };

/// A key (letters, digits, '_') and its value; a value that needs it is quoted.
struct Field {
  std::string_view key;
  std::string value;

  Field(std::string_view name, std::string_view text) : key(name), value(text) {}
  Field(std::string_view name, const std::string& text) : key(name), value(text) {}
  Field(std::string_view name, const char* text) : key(name), value(text) {}
  Field(std::string_view name, bool yes) : key(name), value(yes ? "true" : "false") {}
  template <class Number>
    requires(std::is_arithmetic_v<Number> && !std::same_as<Number, bool>)
  Field(std::string_view name, Number number) : key(name), value(std::to_string(number)) {}
};

/// Sets the lowest level that is written: "debug", "info" (the default), "warning", "error", "off".
/// False when there is no such level.
bool set_level(std::string_view name);
/// What every line says as program=NAME; none at first.
void set_program(std::string_view name);

bool enabled(Level level);

/// Writes one line, if its level is enabled.
void write(Level level, std::string_view text, std::initializer_list<Field> fields = {});

inline void debug(std::string_view text, std::initializer_list<Field> fields = {}) {
  write(Level::debug, text, fields);
}
inline void info(std::string_view text, std::initializer_list<Field> fields = {}) {
  write(Level::info, text, fields);
}
inline void warning(std::string_view text, std::initializer_list<Field> fields = {}) {
  write(Level::warning, text, fields);
}
inline void error(std::string_view text, std::initializer_list<Field> fields = {}) {
  write(Level::error, text, fields);
}

/// The line without its time and level: text and fields, quoted where needed.
std::string format(std::string_view text, std::initializer_list<Field> fields);

}  // namespace callboard::log
