// Runs another program and takes what it writes.
#pragma once

#include <string>
#include <vector>

namespace demos {

/// The standard output of `command`, whose first word is looked for on the PATH. Its standard error
/// goes where ours goes. Throws std::runtime_error when it cannot be run or fails.
std::string output_of(const std::vector<std::string>& command);

}  // namespace demos
