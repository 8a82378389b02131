// A worker child without its process: the connection to the broker, the session, the executors and
// the client for calls made inside calls.
//
//   connecting --welcome--> serving --drain()--> draining --> drained --close()--> ended
//        any --the broker refuses us for good--> ended
//
// All of it is driven by the connection's thread; the executors have threads of their own.
// Thread safety: drain() may be called from any thread; the rest belongs to the owner.
#pragma once

#include "worker/recorder.hpp"

#include <callboard/error.hpp>
#include <callboard/registry.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace callboard::worker {

struct ChildOptions {
  std::vector<std::string> brokers;
  std::string name;
  std::string supervisor;              ///< empty: none
  std::uint64_t instance = 0;          ///< random, not 0
  std::uint32_t task_slots = 1;
  std::int64_t loop_warn_ms = limits::kLoopWarnMs;
  std::int64_t status_ms = 1000;       ///< between two status reports
};

/// What happens to it, told in the connection's thread.
struct ChildEvents {
  std::function<void()> on_welcome = {};  ///< the first one
  std::function<void()> on_drained = {};
  std::function<void()> on_refused = {};  ///< Child::refusal() says why
  /// An actor with a process of its own was to stop at once, and its method goes on: the process
  /// should end now, and be replaced.
  std::function<void()> on_overstay = {};
};

class Child {
 public:
  /// `registry` and `recorder` outlive it. Throws Error when an address makes no sense.
  Child(ChildOptions options, const Registry& registry, Recorder& recorder, ChildEvents events);
  /// close()
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  void start();
  /// Takes no more calls and hands back what has not begun; on_drained follows when nothing runs
  /// and the broker keeps every result.
  void drain();
  /// Stops the actors, waits up to `timeout_ms` for their ends, says goodbye and joins the
  /// connection's thread. False when a method still runs: then its threads are left alone, and the
  /// process must end with _Exit.
  bool close(std::int64_t timeout_ms);
  /// Why the broker refused us for good; code ok when it has not. REQUIRES: on_refused was called.
  const ErrorInfo& refusal() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace callboard::worker
