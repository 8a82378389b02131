#include "worker/spawn.hpp"

#include "common/limits.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <utility>

extern char** environ;

namespace callboard::worker {

namespace {

/// A line longer than this is passed on in pieces.
constexpr std::size_t kLineBytesMax = 16 * 1024;

[[noreturn]] void fail(const char* what) {
  throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

struct Pipe {
  int read_end = -1;
  int write_end = -1;

  Pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail("pipe");
    read_end = ends[0];
    write_end = ends[1];
    ::fcntl(read_end, F_SETFL, O_NONBLOCK);
  }
  ~Pipe() {
    if (read_end >= 0) ::close(read_end);
    if (write_end >= 0) ::close(write_end);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  int take_read_end() { return std::exchange(read_end, -1); }
};

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (std::string& text : strings) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

std::vector<std::string> environment_of_child(int params_fd) {
  std::vector<std::string> out;
  const std::string prefix = std::string(kChildVariable) + "=";
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    // The one who waits for CALLBOARD_READY_FD waits for us, not for a child.
    if (text.starts_with(prefix) || text.starts_with("CALLBOARD_READY_FD=")) continue;
    out.emplace_back(text);
  }
  out.push_back(prefix + std::to_string(params_fd));
  return out;
}

struct Inherited {
  int stderr_fd = -1;
  std::array<int, 3> kept{};  ///< stay open under their numbers
};

/// In the forked child: async-signal-safe calls only.
[[noreturn]] void become(const Inherited& fds, char* const* arguments, char* const* environment,
                         pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);  // it died before the line above
  ::dup2(fds.stderr_fd, STDERR_FILENO);
  for (const int fd : fds.kept) ::fcntl(fd, F_SETFD, 0);
  ::execve("/proc/self/exe", arguments, environment);
  ::_exit(127);
}

}  // namespace

std::vector<std::string> own_arguments() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::vector<std::string> arguments;
  for (std::string argument; std::getline(file, argument, '\0');) arguments.push_back(argument);
  if (arguments.empty()) arguments.emplace_back("callboard-worker");
  return arguments;
}

Spawned spawn_child(ChildParams params, const std::vector<std::string>& arguments) {
  Pipe errors;
  Pipe ready;
  const pid_t parent = ::getpid();
  params.ready_fd = ready.write_end;
  params.parent = static_cast<std::uint64_t>(parent);
  const int params_fd = write_params(params);
  std::vector<std::string> argument_texts = arguments;
  std::vector<std::string> environment_texts = environment_of_child(params_fd);
  const std::vector<char*> argument_list = pointers(argument_texts);
  const std::vector<char*> environment = pointers(environment_texts);
  const Inherited fds{errors.write_end, {params_fd, params.flight_fd, ready.write_end}};
  const pid_t pid = ::fork();
  if (pid == 0) become(fds, argument_list.data(), environment.data(), parent);
  ::close(params_fd);
  if (pid < 0) fail("fork");
  return {pid, errors.take_read_end(), ready.take_read_end()};
}

bool StderrTail::read_from(int fd) {
  std::array<char, 16 * 1024> buffer;
  while (true) {
    const ssize_t n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN;
    if (n == 0) return false;
    const std::string_view text(buffer.data(), static_cast<std::size_t>(n));
    tail_.append(text);
    if (tail_.size() > limits::kStderrTailBytes) {
      tail_.erase(0, tail_.size() - limits::kStderrTailBytes);
    }
    line_.append(text);
    const std::size_t end = line_.rfind('\n');
    const std::size_t whole = line_.size() > kLineBytesMax ? line_.size()
                              : end == std::string::npos   ? 0
                                                           : end + 1;
    pass_on(std::string_view(line_).substr(0, whole));
    line_.erase(0, whole);
  }
}

std::string StderrTail::finish() {
  if (!line_.empty()) line_ += '\n';
  pass_on(line_);
  line_.clear();
  return std::move(tail_);
}

void StderrTail::pass_on(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDERR_FILENO, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;  // nobody reads it; the tail has it
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

}  // namespace callboard::worker
