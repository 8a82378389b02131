// Demo 3: twenty pictures of flags, fetched over HTTP from a server that answers slowly: one by
// one, in coroutines, in threads. Every byte is compared with the file.
#pragma once

#include "examples/stage.hpp"

#include <chrono>
#include <filesystem>
#include <optional>

namespace demos {

struct FlagsPlan {
  unsigned max_concurrency = 20;             ///< of those that fetch many at once
  std::chrono::milliseconds delay{150};      ///< of each answer
  /// The folder that is served, where it is not the one that the answers are compared with.
  std::optional<std::filesystem::path> served;
};
void show_flags(const Stage& stage, Report& report, const FlagsPlan& plan = {});

/// The folder of Debian's famfamfam-flag-png, or of iso-flags-png-320x240. Throws
/// std::runtime_error when neither is there.
std::filesystem::path flags_folder();

}  // namespace demos
