// A system of one's own for all tests of a program: started with the first, ended with the last.
#pragma once

#include <callboard/callboard.hpp>
#include <callboard/embedded.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <thread>

namespace client_app {

inline bool eventually(const std::function<bool()>& condition,
                       std::chrono::milliseconds patience = std::chrono::seconds(20)) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

/// Waits long enough for a busy machine, and not for ever.
inline constexpr std::chrono::seconds kPatience{30};

class WithSystem : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    callboard::EmbeddedOptions options;
    options.load = {CLIENT_APP};
    options.workers = 2;
    system_ = std::make_unique<callboard::EmbeddedSystem>(std::move(options));
  }
  static void TearDownTestSuite() { system_.reset(); }

  static std::string endpoint() { return system_->endpoint(); }

  static inline std::unique_ptr<callboard::EmbeddedSystem> system_;
  callboard::Client client_{endpoint()};
};

}  // namespace client_app
