#include "worker/child_params.hpp"

#include <callboard/codec.hpp>

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <vector>

namespace callboard::worker {

namespace {

constexpr std::uint64_t kLayout = 1;
constexpr std::size_t kParamsBytesMax = 1 << 20;

void write_list(wire::Writer& out, const std::vector<std::string>& list) {
  out.array(list.size());
  for (const std::string& item : list) out.str(item);
}

bool read_list(wire::Reader& in, std::vector<std::string>& list) {
  std::uint32_t n = 0;
  if (!in.array(n)) return false;
  list.clear();
  for (; n > 0; --n) {
    if (!in.str(list.emplace_back())) return false;
  }
  return true;
}

std::string encode(const ChildParams& params) {
  std::string text;
  wire::Writer out(text);
  const WorkerOptions& options = params.options;
  out.uint(kLayout);
  write_list(out, options.brokers);
  out.str(options.name);
  write_list(out, options.load);
  out.integer(options.loop_warn_ms);
  out.integer(options.drain_timeout_ms);
  out.str(options.log_level);
  out.str(params.name);
  out.uint(params.instance);
  out.array(params.cores.size());
  for (const std::uint32_t core : params.cores) out.uint(core);
  out.uint(params.task_slots);
  out.integer(params.flight_fd);
  out.integer(params.ready_fd);
  out.uint(params.parent);
  return text;
}

bool read_fd(wire::Reader& in, int& fd) {
  std::int64_t number = 0;
  if (!in.integer(number)) return false;
  fd = static_cast<int>(number);
  return true;
}

bool decode(std::string_view text, ChildParams& params) {
  wire::Reader in(text);
  WorkerOptions& options = params.options;
  std::uint64_t layout = 0;
  if (!in.uint(layout) || layout != kLayout) return false;
  if (!read_list(in, options.brokers) || !in.str(options.name) || !read_list(in, options.load) ||
      !in.integer(options.loop_warn_ms) || !in.integer(options.drain_timeout_ms) ||
      !in.str(options.log_level) || !in.str(params.name) || !in.uint(params.instance)) {
    return false;
  }
  std::uint32_t cores = 0;
  if (!in.array(cores)) return false;
  for (; cores > 0; --cores) {
    if (!in.uint_max(params.cores.emplace_back(), kCoreMax)) return false;
  }
  return in.uint_max(params.task_slots, UINT32_MAX) && read_fd(in, params.flight_fd) &&
         read_fd(in, params.ready_fd) && in.uint(params.parent) && in.at_end();
}

}  // namespace

int write_params(const ChildParams& params) {
  const int fd = ::memfd_create("callboard-worker", 0);
  if (fd < 0) throw std::runtime_error(std::string("memfd_create: ") + std::strerror(errno));
  const std::string text = encode(params);
  if (::pwrite(fd, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    ::close(fd);
    throw std::runtime_error(std::string("cannot write a memory file: ") + std::strerror(errno));
  }
  return fd;
}

std::optional<ChildParams> take_params() {
  const char* variable = std::getenv(kChildVariable);
  if (variable == nullptr) return std::nullopt;
  const int fd = std::atoi(variable);
  ::unsetenv(kChildVariable);  // what this process starts is no child of the supervisor
  std::string text(kParamsBytesMax, '\0');
  const ssize_t n = ::pread(fd, text.data(), text.size(), 0);
  ::close(fd);
  ChildParams params;
  if (n <= 0 || !decode(std::string_view(text).substr(0, static_cast<std::size_t>(n)), params)) {
    throw std::runtime_error(std::string(kChildVariable) + " is set, but not by a supervisor");
  }
  return params;
}

}  // namespace callboard::worker
