// Processes that share the seeds of a run: each reports through a pipe, and the totals are added
// up.
//
// Thread safety: none.
#pragma once

#include "tests/sim/coverage.hpp"

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace callboard::sim {

struct Totals {
  std::uint64_t seeds = 0, calls = 0;
  std::int64_t virtual_us = 0;
  std::vector<std::uint64_t> failed;
  Coverage coverage;
};

/// What one process of the pool tells the pool.
class JobReport {
 public:
  explicit JobReport(int pipe) : pipe_(pipe) {}
  void begun(std::uint64_t seed) const;
  void ended(std::uint64_t calls, std::int64_t virtual_us, bool failed) const;
  /// The last word: all is done.
  void finish(const Coverage& coverage) const;

 private:
  void write(std::string_view line) const;
  int pipe_;
};

class JobPool {
 public:
  using Work = std::function<void(std::uint64_t job, const JobReport& report)>;

  /// Runs `work` in `jobs` processes. `progress` is called now and then; when it says false, they
  /// are ended. A process that dies counts its seed as failed.
  static void run(std::uint64_t jobs, const Work& work,
                  const std::function<bool(const Totals&)>& progress, Totals& totals);

 private:
  struct Job {
    pid_t pid = 0;
    int pipe = -1;
    std::string unread;
    std::uint64_t seed = 0;
    bool finished = false;
  };
  static Job start(std::uint64_t number, const Work& work);
  static bool read(Job& job, Totals& totals);
  static void take(Job& job, std::string_view line, Totals& totals);
  static void end(Job& job, bool expected, Totals& totals);
};

}  // namespace callboard::sim
