// Which processor cores a worker child may use, and binding it to them.
//
// Cores are numbered as the operating system numbers them (as in taskset and /proc/cpuinfo).
// Thread safety: none needed; bind_process() concerns the whole process and is called early.
#pragma once

#include <callboard/error.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace callboard::worker {

/// Sorted, each once.
using CoreSet = std::vector<std::uint32_t>;

/// A core number beyond this is a typing error.
inline constexpr std::uint32_t kCoreMax = 4095;

/// Reads a list such as "0-3,8" (or "all": every core that this process may use). The error is
/// invalid_option and says what is wrong.
Result<CoreSet> parse_cores(std::string_view text);

/// "0-3,8".
std::string to_string(const CoreSet& cores);

/// The cores that this process may use now.
CoreSet usable_cores();

/// One set of neighbouring cores for each of `processes` children, as even as can be; when there
/// are more children than cores, they share. Empty sets when `cores` is empty: bound to nothing.
std::vector<CoreSet> split_cores(const CoreSet& cores, std::uint32_t processes);

/// Binds this process (all threads that it will make) to these cores and asks for memory near them.
/// Gives a sentence about what did not work, or nothing.
std::string bind_process(const CoreSet& cores);

}  // namespace callboard::worker
