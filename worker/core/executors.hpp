// The executors of a worker process, as its session commands them.
//
// Thread safety: called by the session's thread only. None of these may call the session back: what
// follows (started, outcomes, stopped) is handed to it later.
#pragma once

#include "common/messages.hpp"
#include "worker/executor.hpp"

#include <cstdint>
#include <span>
#include <string>

namespace callboard::worker {

class Executors {
 public:
  virtual ~Executors() = default;

  /// Makes the executor of `start.slot` and runs the constructor; WorkerSession::started() follows,
  /// also when the class is unknown. Borrowed for the time of the call.
  virtual void start(const wire::Start& start) = 0;
  /// Appends to the method table of a slot (0: to the table of task functions).
  virtual void add_methods(std::uint32_t slot, std::span<const std::string> names) = 0;
  /// Jobs of any slots; those of one slot stand in sequence order. They are swapped out for spare
  /// ones, as Executor::submit() says.
  virtual void submit(std::span<Job> jobs) = 0;
  virtual Revoked revoke(std::uint32_t slot, std::uint64_t lease, bool running_too) = 0;
  virtual void go_on(std::uint32_t slot, bool hand_back) = 0;
  /// WorkerSession::stopped() follows.
  virtual void stop(std::uint32_t slot, bool now) = 0;
  /// Frees slots of the flight recorder.
  virtual void release(std::span<const std::uint32_t> tickets) = 0;
  /// Until when calls may begin, steady clock. kNever means always, 0 never.
  virtual void set_lease(std::int64_t until_us) = 0;
};

}  // namespace callboard::worker
