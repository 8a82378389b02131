// A supervisor that a test starts, and what it and its children leave behind.
//
// Thread safety: none. Whatever happens to the test, the supervisor dies with it.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace app {

/// Waits until `condition` holds; false when that takes longer than any sane machine needs.
bool eventually(const std::function<bool()>& condition,
                std::chrono::milliseconds patience = std::chrono::seconds(30));

/// A directory that goes with the test.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  /// Names of what lies in it and ends so.
  std::vector<std::string> list(const std::string& suffix) const;

 private:
  std::string path_;
};

class WorkerProcess {
 public:
  /// Runs `program` with `arguments`; what it says goes to `log`.
  WorkerProcess(const std::string& program, std::vector<std::string> arguments,
                const std::string& log);
  /// Kills it, if it still runs.
  ~WorkerProcess();
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;

  /// Waits until it says that all its children have been welcomed. False when it ended before.
  bool wait_ready();
  pid_t pid() const { return pid_; }
  /// Its children that live, in the order of their ids.
  std::vector<pid_t> children() const;
  void signal(int number) const;
  /// Waits for its end and gives the wait status; -1 when it does not end.
  int wait_end();

 private:
  pid_t pid_ = 0;
  int ready_fd_ = -1;
};

/// True while there is a process of that id that is no zombie.
bool lives(pid_t pid);

/// "Threads", "VmRSS" and so on of /proc/PID/status; -1 when it is not there.
long process_number(pid_t pid, const std::string& field);

}  // namespace app
