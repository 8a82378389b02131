#include "examples/command.hpp"

#include <array>
#include <cstddef>
#include <fcntl.h>
#include <spawn.h>
#include <stdexcept>
#include <sys/wait.h>
#include <unistd.h>

namespace demos {

std::string output_of(const std::vector<std::string>& command) {
  std::vector<char*> arguments;
  for (const auto& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe[1], STDOUT_FILENO);
  pid_t pid = 0;
  const int problem = ::posix_spawnp(&pid, arguments[0], &actions, nullptr, arguments.data(),
                                     environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(pipe[1]);

  std::string output;
  std::array<char, 4096> buffer{};
  for (ssize_t n = 0; problem == 0 && (n = ::read(pipe[0], buffer.data(), buffer.size())) > 0;) {
    output.append(buffer.data(), static_cast<std::size_t>(n));
  }
  ::close(pipe[0]);
  int status = -1;
  if (problem == 0) ::waitpid(pid, &status, 0);
  if (status != 0) throw std::runtime_error(command[0] + " could not be run or failed");
  return output;
}

}  // namespace demos
