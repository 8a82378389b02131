// The process that starts the parts of an embedded system, watches its owner, and ends them.
//
// It is the only parent of redis-server, broker and worker, has one thread, and takes nothing but a
// plan, so it works whatever the owner is and however the owner goes:
//
//   owner ──plan───> keeper ──fork, exec──> redis-server, broker, worker
//         <─reports─         (each a process group of its own)
//
//   the owner stops, closes, or dies     the keeper ends all in order, removes the directory
//   the keeper is killed                 the kernel kills its children (PR_SET_PDEATHSIG); the
//                                        owner, or the next start, removes the directory
//
// Thread safety: none; it owns its process and its signals.
#pragma once

#include "embedded/plan.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace callboard::embedded {

class Keeper {
 public:
  /// `owner_fd`: this end of the connection to the owner, from which the plan was read.
  Keeper(int owner_fd, Plan plan);
  ~Keeper();
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;

  /// Runs until everything has ended. The exit status of the process: 0, or 1 when it failed.
  int run();

 private:
  enum class State : std::uint8_t { waiting, starting, ready };
  struct Child {
    ChildPlan plan;
    State state = State::waiting;
    pid_t pid = 0;
    int ready_fd = -1;            ///< the pipe it writes to, or the connection to Redis
    std::int64_t started_ms = 0;
    std::int64_t next_ms = 0;     ///< when to start it, or to ask Redis again
    int deaths = 0;               ///< in a row, each soon after its start
    bool was_ready = false;
  };

  void tell(Report::Kind kind, const Child* child = nullptr, std::string text = {});
  void fail(std::string why);

  void advance(std::int64_t now_ms);
  void start(Child& child, std::int64_t now_ms);
  void ask_redis(Child& child, std::int64_t now_ms);
  void read_ready(Child& child, std::int64_t now_ms);
  void become_ready(Child& child);

  void wait_for_events(std::int64_t until_ms);
  std::int64_t next_due_ms(std::int64_t now_ms) const;
  void reap(std::int64_t now_ms);
  void child_ended(Child& child, int status, std::int64_t now_ms);

  void end_all();
  void end(Child& child, std::int64_t patience_ms);
  void end_strays();

  int owner_fd_;
  int owner_process_fd_ = -1;  ///< readable when the owner is gone; -1 where the kernel has none
  int signal_fd_ = -1;
  Plan plan_;
  std::vector<Child> children_;
  bool all_ready_ = false;
  bool stopping_ = false;
  bool owner_gone_ = false;
  bool failed_ = false;
};

/// The keeper's whole life: reads the plan from `owner_fd` and runs it. The exit status.
int run_keeper(int owner_fd);

}  // namespace callboard::embedded
