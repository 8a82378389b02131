// The version of the programs. Thread safety: a constant.
#pragma once

#include <string_view>

namespace callboard::cli {

inline constexpr std::string_view kVersion = CALLBOARD_VERSION;

}  // namespace callboard::cli
