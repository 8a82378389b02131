// Options of a call on the command line, which `submit` and `schedule create` share.
// Thread safety: none.
#pragma once

#include <callboard/options.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace callboard::cli {

class Command;

struct CallFlags {
  std::vector<std::string> headers;
  std::string key, group;
  std::int64_t deadline_ms = 0;
  std::optional<int> priority;
  std::optional<int> max_retries;
  bool retry_errors = false;
};

/// The flags must live as long as the command line.
void add_call_flags(Command& sub, CallFlags& flags);
/// Throws Failure (usage) for a header that is none.
CallOptions call_options(const CallFlags& flags);

/// "2030-12-31T23:59:59Z", with "+01:00" in place of Z, or milliseconds since 1970. Throws Failure
/// (usage) for anything else.
std::chrono::system_clock::time_point parse_time(const std::string& text);

}  // namespace callboard::cli
