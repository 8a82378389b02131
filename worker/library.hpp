// Loading user classes from shared libraries.
//
// Thread safety: none; done before a worker starts. A library that was loaded stays.
#pragma once

#include <callboard/registry.hpp>
#include <callboard/worker.hpp>

#include <string>
#include <vector>

namespace callboard::worker {

/// Loads the libraries in order and lets each (and `register_all`, if it is not empty) add what it
/// has. Gives one line that says what went wrong, or nothing.
std::string fill_registry(Registry& registry, const std::vector<std::string>& libraries,
                          const RegisterFunction& register_all);

}  // namespace callboard::worker
