#include "worker_process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>

namespace app {

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

TemporaryDirectory::TemporaryDirectory() {
  path_ = (std::filesystem::temp_directory_path() / "callboard-worker.XXXXXX").string();
  if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("no temporary directory");
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::vector<std::string> TemporaryDirectory::list(const std::string& suffix) const {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(path_, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(suffix)) names.push_back(name);
  }
  return names;
}

WorkerProcess::WorkerProcess(const std::string& program, std::vector<std::string> arguments,
                             const std::string& log) {
  std::array<int, 2> ready{};
  if (::pipe2(ready.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const std::string variable = std::to_string(ready[1]);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("no fork");
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(out, STDERR_FILENO);
    ::fcntl(ready[1], F_SETFD, 0);
    ::setenv("CALLBOARD_READY_FD", variable.c_str(), 1);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  ::close(ready[1]);
  ready_fd_ = ready[0];
}

WorkerProcess::~WorkerProcess() {
  if (ready_fd_ >= 0) ::close(ready_fd_);
  if (pid_ == 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

bool WorkerProcess::wait_ready() {
  pollfd waiting{ready_fd_, POLLIN, 0};
  char byte = 0;
  return ::poll(&waiting, 1, 60'000) == 1 && ::read(ready_fd_, &byte, 1) == 1;
}

std::vector<pid_t> WorkerProcess::children() const {
  std::vector<pid_t> found;
  const std::string path = "/proc/" + std::to_string(pid_) + "/task/" + std::to_string(pid_);
  std::ifstream file(path + "/children");
  for (pid_t pid = 0; file >> pid;) {
    if (lives(pid)) found.push_back(pid);
  }
  std::sort(found.begin(), found.end());
  return found;
}

void WorkerProcess::signal(int number) const { ::kill(pid_, number); }

int WorkerProcess::wait_end() {
  int status = -1;
  const bool ended = eventually([&] { return ::waitpid(pid_, &status, WNOHANG) != 0; });
  if (ended) pid_ = 0;
  return ended ? status : -1;
}

bool lives(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string stat;
  if (!std::getline(file, stat)) return false;
  const std::size_t bracket = stat.rfind(')');
  return bracket != std::string::npos && bracket + 2 < stat.size() && stat[bracket + 2] != 'Z';
}

long process_number(pid_t pid, const std::string& field) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(field + ":")) return std::atol(line.c_str() + field.size() + 1);
  }
  return -1;
}

}  // namespace app
