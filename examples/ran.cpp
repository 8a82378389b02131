#include "examples/ran.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <unistd.h>
#include <utility>

namespace demos {

namespace {

/// Beginnings (+1) and ends (-1) in the order of time; at the same moment ends come first.
std::vector<std::pair<std::int64_t, int>> turns_of(const std::vector<Ran>& calls) {
  std::vector<std::pair<std::int64_t, int>> turns;
  for (const Ran& call : calls) {
    turns.emplace_back(call.began_us, +1);
    turns.emplace_back(call.ended_us, -1);
  }
  std::sort(turns.begin(), turns.end());
  return turns;
}

}  // namespace

Ran Inside::enter() {
  Ran ran;
  ran.process = this_process();
  ran.at_once = ++now_;
  ran.began_us = steady_us();
  return ran;
}

Ran Inside::leave(Ran ran) {
  ran.ended_us = steady_us();
  --now_;
  return ran;
}

std::string this_process() {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  return std::to_string(::getpid()) + "@" + host.data();
}

std::int64_t steady_us() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

void burn(int cpu_ms) {
  const auto used_ms = [] {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
  };
  const auto begin = used_ms();
  volatile double sum = 0;
  while (used_ms() - begin < cpu_ms) {
    for (int i = 1; i < 20'000; ++i) sum = sum + 1.0 / i;
  }
}

int most_inside(const std::vector<Ran>& calls) {
  int most = 0;
  for (const Ran& call : calls) most = std::max(most, call.at_once);
  return most;
}

int most_at_once(const std::vector<Ran>& calls) {
  int now = 0;
  int most = 0;
  for (const auto& [when, step] : turns_of(calls)) most = std::max(most, now += step);
  return most;
}

double overlap_s(const std::vector<Ran>& calls) {
  int now = 0;
  std::int64_t before = 0;
  std::int64_t total = 0;
  for (const auto& [when, step] : turns_of(calls)) {
    if (now >= 2) total += when - before;
    before = when;
    now += step;
  }
  return static_cast<double>(total) / 1e6;
}

std::set<std::string> processes_of(const std::vector<Ran>& calls) {
  std::set<std::string> processes;
  for (const Ran& call : calls) processes.insert(call.process);
  return processes;
}

}  // namespace demos
