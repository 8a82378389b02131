// A whole Callboard of one's own: redis-server, broker and workers, started and ended in one call.
//
// What `callboard dev` runs, as a library for tests, examples and programs that want no set-up:
//
//   callboard::EmbeddedSystem system({.load = {"libapp.so"}, .workers = 2});
//   callboard::Client client(system.endpoint());
//
// All processes are private: Redis listens on a unix socket only, everything else on loopback and
// in a runtime directory that only this user can enter. A small keeper process starts them,
// watches this one, and ends all of them in order when stop() is called or this process is gone,
// however it went. Thread safety: none; one thread at a time. Errors are thrown as callboard::Error
// with one sentence.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace callboard {

struct EmbeddedOptions {
  /// Shared libraries with user classes, loaded by every worker.
  std::vector<std::string> load = {};
  /// Worker processes; 0: none.
  int workers = 1;
  /// Where Redis keeps its data from one start to the next; made when missing. Empty: nothing
  /// is kept.
  std::string data_dir = {};
  /// TCP port of the broker on loopback; 0: a free one.
  std::uint16_t port = 0;
  /// Redis's appendfsync: "everysec" or "always". Only with data_dir.
  std::string fsync = "everysec";
  /// Program and arguments of a worker that links its classes and calls worker_main, instead of
  /// `callboard worker`; the flags of a worker are appended. {this_program(), "worker"} runs the
  /// calling program.
  std::vector<std::string> worker_command = {};
  /// Further flags of the broker and of the worker, as on the command line.
  std::vector<std::string> broker_flags = {};
  std::vector<std::string> worker_flags = {};
  /// Settings file of broker and worker; empty: none is read, wherever it may lie.
  std::string config_file = {};
  /// The `callboard` program; empty: $CALLBOARD_BIN, else beside this program, else on the PATH.
  std::string callboard_program = {};
  /// The `redis-server` program; empty: $CALLBOARD_REDIS_SERVER, else on the PATH.
  std::string redis_program = {};
  /// Start again what ends by itself. Without it the whole system ends with its first process.
  bool restart = true;
  /// How long the start may take.
  std::chrono::milliseconds ready_timeout{15'000};
  /// How long each process may take to end before it is killed.
  std::chrono::milliseconds stop_timeout{5'000};
};

/// Process ids; 0 for what does not run.
struct EmbeddedProcesses {
  int keeper = 0;
  int redis = 0;
  int broker = 0;
  int worker = 0;  ///< the supervisor; its children are not listed
};

class EmbeddedSystem {
 public:
  /// Starts everything and returns once the broker serves and every worker process has come.
  explicit EmbeddedSystem(EmbeddedOptions options = {});
  /// stop()
  ~EmbeddedSystem();
  EmbeddedSystem(const EmbeddedSystem&) = delete;
  EmbeddedSystem& operator=(const EmbeddedSystem&) = delete;

  /// "tcp://127.0.0.1:PORT"
  const std::string& endpoint() const;
  /// The same broker without TCP: "ipc:///.../broker.sock"
  const std::string& ipc_endpoint() const;
  /// Path of Redis's unix socket.
  const std::string& redis_socket() const;
  const std::string& runtime_dir() const;

  EmbeddedProcesses processes();
  /// Waits up to `timeout` for news of the processes: sentences such as "broker (pid 12) was killed
  /// by signal 9; started again". Empty when there are none.
  std::vector<std::string> news(std::chrono::milliseconds timeout);
  /// False once the system has ended, by stop() or by itself; then news() said why.
  bool running() const;

  /// Ends workers, broker and Redis, in this order, and removes the runtime directory. Harmless
  /// when it was called before. Never throws.
  void stop() noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Path of the running program, for EmbeddedOptions::worker_command.
std::string this_program();

}  // namespace callboard
