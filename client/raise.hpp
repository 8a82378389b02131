// Throwing at the edge of the C++ API, in one line.
#pragma once

#include <callboard/error.hpp>

#include <string>
#include <utility>

namespace callboard::client {

[[noreturn]] inline void raise(Errc code, std::string message) {
  throw_error(ErrorInfo{code, {}, std::move(message), {}, {}});
}

}  // namespace callboard::client
