// The supervisor of a worker: starts its children, watches them, starts them again, and tells the
// broker how they died.
//
//   waiting --due--> running --dies--> (told to the broker) --> waiting, until the broker has heard
//                       │                                        and for a pause that doubles
//                       └ SIGTERM, SIGINT: all are asked to end; after drain_timeout_ms, or at a
//                         second signal, they are killed
//
// An exit status that says that the child will never do better (a library that does not load, a
// broker that refuses it) ends the whole worker with that status.
//
// Thread safety: none; it owns its process, its signals, and the main thread.
#pragma once

#include "worker/flight_file.hpp"
#include "worker/placement.hpp"
#include "worker/spawn.hpp"

#include <callboard/worker.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace callboard::wire {
struct ChildDied;
}

namespace callboard::worker {

/// How long to wait before a child is started again that died for the `failures`-th time in a row.
std::int64_t restart_pause_ms(int failures);

class Supervisor {
 public:
  /// REQUIRES: `options.name` is not empty; `cores` has one set a child.
  Supervisor(WorkerOptions options, std::vector<CoreSet> cores);
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  /// Until a signal or a child's final status ends it. The exit status of the process.
  int run();

 private:
  struct ChildState {
    std::string name;
    CoreSet cores;
    Spawned process;             ///< pid 0: it does not run
    FlightFile flight;
    StderrTail errors;
    std::uint64_t instance = 0;
    std::int64_t began_us = 0;
    std::int64_t due_us = 0;     ///< when it is to be started, while it does not run
    std::int64_t unheard_us = 0; ///< until then its predecessor's report holds it back
    int failures = 0;            ///< short lives in a row
    bool ready = false;          ///< the broker has welcomed it
    bool killed = false;         ///< by us
  };
  class Link;

  void start_due();
  std::int64_t may_start_us(const ChildState& child) const;
  void start(ChildState& child);
  void wait_for_news();
  void read_pipes(ChildState& child);
  void reap();
  void died(ChildState& child, int wait_status);
  void tell(wire::ChildDied report, FlightFile file);
  void become_ready();
  void obey_signals();
  void kill_late();
  void report_orphans();
  void stop_all(int signal);
  bool any_running() const;
  std::int64_t next_due_us() const;

  const WorkerOptions options_;
  const std::vector<std::string> arguments_;
  const std::string directory_;
  const std::string broker_;     ///< as the flight recorders name it
  std::unique_ptr<Link> link_;
  std::vector<ChildState> children_;
  int status_ = kWorkerEnded;
  int signals_ = 0;              ///< how many ends were asked for
  bool stopping_ = false;
  bool said_ready_ = false;
  std::int64_t kill_us_ = 0;     ///< while stopping: when patience ends
  std::int64_t orphans_due_us_ = 0;
  int orphan_looks_ = 0;
};

}  // namespace callboard::worker
