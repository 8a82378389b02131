// Demo 3: twenty pictures of flags, fetched over HTTP from a server that answers slowly: one by
// one, in coroutines, in threads. Every byte is compared with the file.
#pragma once

#include "examples/stage.hpp"

#include <filesystem>
#include <optional>

namespace demos {

struct FlagsPlan {
  unsigned max_concurrency = 20;
  /// The folder that is served, where it is not the one that the answers are compared with.
  std::optional<std::filesystem::path> served;
};
void show_flags(const Stage& stage, Report& report, const FlagsPlan& plan = {});

}  // namespace demos
