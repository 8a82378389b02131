#include "tests/sim/job_pool.hpp"

#include "common/check.hpp"

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>

namespace callboard::sim {

namespace {

constexpr int kPollMs = 1'000;

/// The next number of `line`, which is cut off.
std::uint64_t next_number(std::string_view& line) {
  const std::size_t space = std::min(line.find(' '), line.size());
  const std::uint64_t number =
      std::strtoull(std::string(line.substr(0, space)).c_str(), nullptr, 10);
  line.remove_prefix(std::min(space + 1, line.size()));
  return number;
}

}  // namespace

// --- in a process of the pool --------------------------------------------------------------------

void JobReport::write(std::string_view line) const {
  while (!line.empty()) {
    const ssize_t n = ::write(pipe_, line.data(), line.size());
    if (n <= 0) std::_Exit(1);  // nobody listens any more
    line.remove_prefix(static_cast<std::size_t>(n));
  }
}

void JobReport::begun(std::uint64_t seed) const { write("begun " + std::to_string(seed) + "\n"); }

void JobReport::ended(std::uint64_t calls, std::int64_t virtual_us, bool failed) const {
  write("ended " + std::to_string(calls) + " " + std::to_string(virtual_us) +
        (failed ? " 1\n" : " 0\n"));
}

void JobReport::finish(const Coverage& coverage) const {
  coverage.each([&](const std::string& name, std::uint64_t times) {
    write("hit " + std::to_string(times) + " " + name + "\n");
  });
  write("finished\n");
}

// --- in the pool ---------------------------------------------------------------------------------

JobPool::Job JobPool::start(std::uint64_t number, const Work& work) {
  int ends[2];
  CALLBOARD_CHECK(::pipe(ends) == 0);
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  CALLBOARD_CHECK(pid >= 0);
  if (pid == 0) {
    ::close(ends[0]);
    work(number, JobReport(ends[1]));
    std::fflush(nullptr);
    std::_Exit(0);
  }
  ::close(ends[1]);
  Job job;
  job.pid = pid;
  job.pipe = ends[0];
  return job;
}

void JobPool::take(Job& job, std::string_view line, Totals& totals) {
  const std::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(std::min(word.size() + 1, line.size()));
  if (word == "begun") {
    job.seed = next_number(line);
  } else if (word == "ended") {
    ++totals.seeds;
    totals.calls += next_number(line);
    totals.virtual_us += static_cast<std::int64_t>(next_number(line));
    if (next_number(line) != 0) totals.failed.push_back(job.seed);
  } else if (word == "hit") {
    const std::uint64_t times = next_number(line);
    totals.coverage.hit(std::string(line), times);
  } else if (word == "finished") {
    job.finished = true;
  }
}

/// Takes what the pipe holds; false at its end.
bool JobPool::read(Job& job, Totals& totals) {
  char bytes[65'536];
  const ssize_t n = ::read(job.pipe, bytes, sizeof bytes);
  if (n <= 0) return false;
  job.unread.append(bytes, static_cast<std::size_t>(n));
  std::size_t from = 0;
  for (std::size_t to; (to = job.unread.find('\n', from)) != std::string::npos; from = to + 1) {
    take(job, std::string_view(job.unread).substr(from, to - from), totals);
  }
  job.unread.erase(0, from);
  return true;
}

void JobPool::end(Job& job, bool expected, Totals& totals) {
  ::close(job.pipe);
  job.pipe = -1;
  int status = 0;
  ::waitpid(job.pid, &status, 0);
  if (expected) return;
  ++totals.seeds;
  totals.failed.push_back(job.seed);
  std::printf("FAILED seed %llu: its process ended with status %d\n",
              static_cast<unsigned long long>(job.seed), status);
}

void JobPool::run(std::uint64_t jobs, const Work& work,
                  const std::function<bool(const Totals&)>& progress, Totals& totals) {
  std::vector<Job> running;
  for (std::uint64_t i = 0; i < jobs; ++i) running.push_back(start(i, work));
  while (!running.empty()) {
    std::vector<pollfd> polled;
    for (const Job& job : running) polled.push_back({job.pipe, POLLIN, 0});
    ::poll(polled.data(), polled.size(), kPollMs);
    for (std::size_t i = 0; i < running.size(); ++i) {
      if (polled[i].revents == 0 || read(running[i], totals)) continue;
      end(running[i], running[i].finished, totals);
    }
    std::erase_if(running, [](const Job& job) { return job.pipe < 0; });
    if (progress(totals)) continue;
    for (Job& job : running) {
      ::kill(job.pid, SIGTERM);
      end(job, true, totals);
    }
    running.clear();
  }
  std::sort(totals.failed.begin(), totals.failed.end());
}

}  // namespace callboard::sim
