#include "worker/status.hpp"

#include "common/clock.hpp"

#include <callboard/codec.hpp>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

namespace callboard::worker {

namespace {

/// Resident memory of this process; 0 where /proc is not there.
std::uint64_t resident_bytes() {
  const int fd = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  std::array<char, 128> text{};
  const ssize_t n = ::read(fd, text.data(), text.size() - 1);
  ::close(fd);
  if (n <= 0) return 0;
  char* at = text.data();
  std::strtoull(at, &at, 10);  // the whole address space
  const std::uint64_t pages = std::strtoull(at, nullptr, 10);
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::uint64_t cpu_us() {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto us = [](const timeval& time) {
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000 +
           static_cast<std::uint64_t>(time.tv_usec);
  };
  return us(usage.ru_utime) + us(usage.ru_stime);
}

}  // namespace

void StatusWriter::stalled(const std::string& actor, const std::string& method, std::int64_t ms) {
  Entry entry{actor, method, ms};
  const auto same = std::find_if(stalls_.begin(), stalls_.end(), [&](const Entry& other) {
    return other.actor == actor && other.method == method;
  });
  if (same != stalls_.end()) {
    entry.ms = std::max(ms, same->ms);
    stalls_.erase(same);
  }
  stalls_.push_front(std::move(entry));
  if (stalls_.size() > kStallsMax) stalls_.pop_back();
}

std::string StatusWriter::encode(const StatusReport& report) const {
  std::string text;
  wire::Writer out(text);
  const auto field = [&out](std::string_view name, std::uint64_t value) {
    out.str(name);
    out.uint(value);
  };
  out.map(9);
  field("rss_bytes", resident_bytes());
  field("cpu_us", cpu_us());
  field("time_ms", static_cast<std::uint64_t>(clock_now().wall_ms));
  field("actors", report.actors);
  field("running", report.running);
  field("queued", report.queued);
  field("unconfirmed", report.unconfirmed);
  field("longest_ms", static_cast<std::uint64_t>(std::max<std::int64_t>(report.longest_ms, 0)));
  out.str("stalls");
  out.array(stalls_.size());
  for (const Entry& stall : stalls_) {
    out.map(3);
    out.str("actor");
    out.str(stall.actor);
    out.str("method");
    out.str(stall.method);
    field("ms", static_cast<std::uint64_t>(stall.ms));
  }
  return text;
}

}  // namespace callboard::worker
