#include "examples/guard.hpp"

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace demos {

namespace {

constexpr std::chrono::milliseconds kLookEvery{50};
constexpr auto kNoDeadline = std::chrono::steady_clock::time_point::max();

volatile std::sig_atomic_t g_signal = 0;

/// The second signal ends the process at once.
void note_signal(int number) {
  g_signal = number;
  std::signal(number, SIG_DFL);
}

}  // namespace

Guard::Guard(std::function<void()> clean_up)
    : clean_up_(std::move(clean_up)), deadline_(kNoDeadline) {
  std::signal(SIGINT, note_signal);
  std::signal(SIGTERM, note_signal);
  thread_ = std::jthread([this](const std::stop_token& stop) { watch(stop); });
}

Guard::~Guard() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

void Guard::expect(const std::string& what, std::chrono::seconds limit) {
  const std::scoped_lock lock(mutex_);
  what_ = what;
  deadline_ = limit.count() == 0 ? kNoDeadline : std::chrono::steady_clock::now() + limit;
}

void Guard::watch(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::this_thread::sleep_for(kLookEvery);
    const std::scoped_lock lock(mutex_);
    if (g_signal != 0) {
      std::fprintf(stderr, "\nrun_demos: interrupted\n");
    } else if (std::chrono::steady_clock::now() > deadline_) {
      std::fprintf(stderr, "run_demos: FAILED: %s did not end in time\n", what_.c_str());
    } else {
      continue;
    }
    clean_up_();
    std::fflush(nullptr);
    std::_Exit(g_signal != 0 ? 128 + g_signal : 1);
  }
}

}  // namespace demos
