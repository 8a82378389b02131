// An async actor that counts how many calls are inside it, and looks at its process's memory.
#pragma once

#include <callboard/callboard.hpp>

#include <cstdint>
#include <string>
#include <utility>

namespace demos {

class Gate {
 public:
  /// Stays inside for so long. The load is only there to weigh something.
  callboard::Async<int> pass(std::string load, int ms);

  /// The most calls that were ever inside at once.
  int most_inside() const { return most_; }
  /// Resident memory of this process in KiB: after the first calls, and the highest later.
  std::pair<std::int64_t, std::int64_t> memory_kib() const { return {first_kib_, most_kib_}; }

  friend consteval auto describe(callboard::Class<Gate> c) {
    return c.name("demos.Gate")
        .method<&Gate::pass>("pass")
        .method<&Gate::most_inside>("most_inside")
        .method<&Gate::memory_kib>("memory_kib");
  }

 private:
  // One event loop runs all calls, so nothing here needs a lock.
  int inside_ = 0;
  int most_ = 0;
  int entered_ = 0;
  std::int64_t first_kib_ = 0;
  std::int64_t most_kib_ = 0;
};

}  // namespace demos
