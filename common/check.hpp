// CHECK: a condition that only a bug of ours can break. It stays on in release builds.
#pragma once

namespace callboard {

/// Prints the condition and where it stands, then aborts.
[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace callboard

#define CALLBOARD_CHECK(condition)        \
  (static_cast<bool>(condition) ? void(0) \
                                : ::callboard::check_failed(#condition, __FILE__, __LINE__))
