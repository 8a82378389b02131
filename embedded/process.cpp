#include "embedded/process.hpp"

#include "common/check.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>

#include <fcntl.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;  // NOLINT: POSIX names it so

namespace callboard::embedded {

namespace {

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (const auto& text : strings) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

/// The caller's environment with `changes` over it.
std::vector<std::string> merged_environment(const std::vector<std::string>& changes) {
  std::vector<std::string> out = changes;
  for (char** at = environ; *at != nullptr; ++at) {
    const std::string_view line(*at);
    const auto name = line.substr(0, line.find('=') + 1);
    if (std::none_of(changes.begin(), changes.end(),
                     [&](const std::string& change) { return change.starts_with(name); })) {
      out.emplace_back(line);
    }
  }
  return out;
}

constexpr std::size_t kDescriptorsMax = 8;

/// Copies of descriptors above every target, so that none is overwritten before it is placed.
class OutOfTheWay {
 public:
  explicit OutOfTheWay(const Descriptors& descriptors) {
    constexpr int kAboveTargets = 100;
    CALLBOARD_CHECK(descriptors.size() <= kDescriptorsMax);
    for (const auto& [here, there] : descriptors) {
      placed_.emplace_back(::fcntl(here, F_DUPFD_CLOEXEC, kAboveTargets), there);
    }
  }
  ~OutOfTheWay() {
    for (const auto& [here, there] : placed_) ::close(here);
  }
  OutOfTheWay(const OutOfTheWay&) = delete;
  OutOfTheWay& operator=(const OutOfTheWay&) = delete;

  const Descriptors& descriptors() const { return placed_; }

 private:
  Descriptors placed_;
};

/// What the forked child does; only async-signal-safe calls. Tells its error over `tell`.
[[noreturn]] void become(const Descriptors& descriptors, char* const* arguments,
                         char* const* variables, pid_t parent, int tell) {
  const auto give_up = [tell](int error) {
    [[maybe_unused]] const auto told = ::write(tell, &error, sizeof error);
    ::_exit(127);
  };
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) give_up(errno);
  if (::getppid() != parent) ::_exit(127);  // it died before the line above
  ::setpgid(0, 0);
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const auto& [here, there] : descriptors) {
    if (::dup2(here, there) < 0) give_up(errno);
  }
  ::execve(arguments[0], arguments, variables);
  give_up(errno);
  __builtin_unreachable();
}

}  // namespace

Result<pid_t> spawn_child(const SpawnRequest& request) {
  const OutOfTheWay moved(request.descriptors);
  const auto arguments = pointers(request.command);
  const auto environment = merged_environment(request.environment);
  const auto variables = pointers(environment);
  std::array<int, 2> tell{};
  if (::pipe2(tell.data(), O_CLOEXEC) != 0) return {Errc::internal, std::strerror(errno)};
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) {
    become(moved.descriptors(), arguments.data(), variables.data(), parent, tell[1]);
  }
  ::close(tell[1]);
  int error = pid < 0 ? errno : 0;
  if (pid > 0 && ::read(tell[0], &error, sizeof error) > 0) ::waitpid(pid, nullptr, 0);
  ::close(tell[0]);
  if (error != 0) return {Errc::internal, request.command[0] + ": " + std::strerror(error)};
  return pid;
}

Result<pid_t> spawn_program(const SpawnRequest& request) {
  const OutOfTheWay moved(request.descriptors);
  const auto arguments = pointers(request.command);
  const auto environment = merged_environment(request.environment);
  const auto variables = pointers(environment);
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_t actions;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_init(&actions);
  sigset_t set;
  sigemptyset(&set);
  ::posix_spawnattr_setsigmask(&attributes, &set);
  sigfillset(&set);
  ::posix_spawnattr_setsigdefault(&attributes, &set);
  ::posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
  for (const auto& [here, there] : moved.descriptors()) {
    ::posix_spawn_file_actions_adddup2(&actions, here, there);
  }
  pid_t pid = 0;
  const int error =
      ::posix_spawn(&pid, arguments[0], &actions, &attributes, arguments.data(), variables.data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return {Errc::internal, request.command[0] + ": " + std::strerror(error)};
  return pid;
}

std::string describe_status(int wait_status) {
  if (WIFSIGNALED(wait_status)) {
    const int signal = WTERMSIG(wait_status);
    const char* words = ::strsignal(signal);
    return "signal " + std::to_string(signal) + (words ? " (" + std::string(words) + ")" : "");
  }
  return "exit status " + std::to_string(WEXITSTATUS(wait_status));
}

std::vector<pid_t> children_of_this_process() {
  std::vector<pid_t> out;
  std::error_code error;
  std::filesystem::directory_iterator at("/proc", error);
  for (; !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
    const auto name = at->path().filename().string();
    pid_t pid = 0;
    const auto [end, failed] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (failed != std::errc{} || end != name.data() + name.size()) continue;
    std::ifstream file(at->path() / "stat");
    std::string stat;
    std::getline(file, stat);
    // "pid (name) state parent ...": the name may hold anything, so look behind its last bracket.
    const auto bracket = stat.rfind(')');
    if (bracket == std::string::npos || bracket + 4 > stat.size()) continue;
    pid_t parent = 0;
    std::from_chars(stat.data() + bracket + 4, stat.data() + stat.size(), parent);
    if (parent == ::getpid()) out.push_back(pid);
  }
  return out;
}

}  // namespace callboard::embedded
