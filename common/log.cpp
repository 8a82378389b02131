#include "common/log.hpp"

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <array>
#include <memory>
#include <utility>

namespace callboard::log {

namespace {

constexpr std::array<std::pair<std::string_view, spdlog::level::level_enum>, 5> kLevels = {{
    {"debug", spdlog::level::debug},
    {"info", spdlog::level::info},
    {"warning", spdlog::level::warn},
    {"error", spdlog::level::err},
    {"off", spdlog::level::off},
}};

void set_pattern(spdlog::logger& logger, std::string_view program) {
  std::string pattern = "time=%Y-%m-%dT%H:%M:%S.%eZ level=%l ";
  for (const char c : program) {
    if (c == '%') pattern += '%';
    pattern += c;
  }
  logger.set_formatter(std::make_unique<spdlog::pattern_formatter>(
      pattern + "%v", spdlog::pattern_time_type::utc));
}

// Not in spdlog's registry: a user's library may use spdlog in the same process.
spdlog::logger& logger() {
  static spdlog::logger* const instance = [] {
    auto* made = new spdlog::logger("callboard", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_level(spdlog::level::info);
    set_pattern(*made, "");
    return made;  // never destroyed: threads may log until the process ends
  }();
  return *instance;
}

bool is_plain(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("_-+./:,@#%&*()[]{}<>|~^!?;$").find(c) != std::string_view::npos;
}

void append_value(std::string& line, std::string_view value) {
  bool plain = !value.empty();
  for (const char c : value) plain = plain && is_plain(c);
  if (plain) {
    line += value;
    return;
  }
  line += '"';
  for (const char c : value) {
    if (c == '"' || c == '\\') {
      line += '\\';
      line += c;
    } else if (c == '\n') {
      line += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      constexpr std::string_view kHex = "0123456789abcdef";
      line += "\\x";
      line += kHex[static_cast<unsigned char>(c) >> 4];
      line += kHex[static_cast<unsigned char>(c) & 0xf];
    } else {
      line += c;
    }
  }
  line += '"';
}

}  // namespace

std::string format(std::string_view text, std::initializer_list<Field> fields) {
  std::string line = "text=";
  append_value(line, text);
  for (const Field& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    append_value(line, field.value);
  }
  return line;
}

bool set_level(std::string_view name) {
  for (const auto& [known, level] : kLevels) {
    if (known != name) continue;
    logger().set_level(level);
    return true;
  }
  return false;
}

void set_program(std::string_view name) {
  std::string field = "program=";
  append_value(field, name);
  set_pattern(logger(), name.empty() ? "" : field + " ");
}

bool enabled(Level level) {
  return logger().should_log(kLevels.at(static_cast<std::size_t>(level)).second);
}

void write(Level level, std::string_view text, std::initializer_list<Field> fields) {
  if (!enabled(level)) return;
  const std::string line = format(text, fields);
  logger().log(kLevels.at(static_cast<std::size_t>(level)).second,
               spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace callboard::log
