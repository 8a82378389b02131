// Watches over run_demos: ends it when Ctrl-C comes, and when a demo does not end.
//
// One thread of its own. Both ways out call the clean-up that was given and leave the process.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace demos {

class Guard {
 public:
  /// From now on Ctrl-C and SIGTERM are taken. `clean_up` runs in the guard's thread, once.
  explicit Guard(std::function<void()> clean_up);
  ~Guard();
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

  /// `what` must be followed by another expect() within `limit`; zero: no limit.
  void expect(const std::string& what, std::chrono::seconds limit);

 private:
  void watch(const std::stop_token& stop);

  std::function<void()> clean_up_;
  std::mutex mutex_;
  std::string what_;
  std::chrono::steady_clock::time_point deadline_;
  std::jthread thread_;
};

}  // namespace demos
