// What a measurement leaves in a file, and what has changed since an earlier one.
// Thread safety: none.
#pragma once

#include "cli/bench.hpp"
#include "cli/json.hpp"

#include <string>

namespace callboard::cli {

/// What an earlier run left with --json, or printed with `-o json`; null when `file` is empty.
/// `asked` is what this run is asked for, by the names that figures have. Throws Failure (usage)
/// when the file holds no such thing, or the run before was asked for something else.
Json read_earlier(const std::string& file, const Json& asked);

/// Every figure that both have: `figure`, `then`, `now`, `change_percent` (null: it was 0).
Json compared(const Json& then, const Json& now);

/// Nothing is written when `file` is empty. Throws Failure (failed) with the reason.
void write_figures(const std::string& file, const Json& figures);

}  // namespace callboard::cli
