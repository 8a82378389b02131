// The client's side of every measurement: how much is sent when, what became of it, at whose cost.
//
// run_load() forks the clients, lets each warm up, releases all at the same moment and prints one
// line of JSON. A client is a function that talks to the system under test and asks its Flight what
// to send. Closed loop: `window` messages per client are on their way. Open loop (a rate is given):
// messages are due at fixed times, and latency counts from when they were due, not from when they
// left. Thread safety: Flight is for one thread that sends and one in which results land.
#pragma once

#include "bench/load/histogram.hpp"
#include "bench/load/message.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace bench {

struct Options {
  std::uint64_t calls = 100'000;  ///< measured, all clients together
  std::uint64_t window = 1000;    ///< of each client
  std::uint64_t payload = 64;     ///< bytes of an argument and of a result
  std::uint32_t clients = 1;
  std::uint32_t actors = 1;
  std::uint64_t first = 0;  ///< number of the first message; higher than those of an earlier run
  double rate = 0;                      ///< per second, all clients together; 0: closed loop
  std::chrono::seconds timeout{120};    ///< for all of it
  std::map<std::string, std::vector<pid_t>> processes;  ///< whose processor time counts, by role
  std::map<std::string, std::string> others;            ///< --name value, for the system itself

  const std::string& need(const std::string& name) const;
  std::string get(const std::string& name, const std::string& otherwise) const;
};

/// Options as `--name value`; `--cpu role=pid,pid` for the processes; `--leave yes`: clients close
/// at the end (else they are killed). Throws std::runtime_error.
Options parse(int argc, char** argv, int from);

std::int64_t now_ns();

/// What a client leaves for its parent, in memory that both see.
struct Outcome {
  std::int64_t began_ns = 0;
  std::int64_t ended_ns = 0;
  std::uint64_t landed = 0;
  std::uint64_t damaged = 0;  ///< results with a wrong checksum, or out of order at the actor
  std::uint64_t repeated = 0;
  Histogram latencies;
};

class Flight {
 public:
  Flight(const Options& options, std::uint32_t client, Outcome& outcome);

  const Options& options() const { return options_; }
  std::uint32_t client() const { return client_; }

  /// Begins with `calls` more; of these the latencies are noted when `measured`.
  void begin(std::uint64_t calls, bool measured);
  /// How many may be sent now.
  std::uint64_t may_send() const;
  /// The next argument; its actor is head_of(message).actor.
  const std::string& next();
  /// A result has come.
  void landed(std::string_view result);
  /// The same for a system that answers with less than the message; counted from 0.
  void landed(std::uint64_t number, bool good);

  bool all_sent() const { return sent_ == until_; }
  bool all_landed() const { return landed_so_far() == until_; }
  std::uint64_t landed_so_far() const { return landed_.load(std::memory_order_acquire); }
  std::uint64_t on_their_way() const { return sent_ - landed_so_far(); }
  /// When there is something to send again if nothing lands; a second hence when nobody knows.
  std::int64_t due_ns() const;
  /// For clients that sleep until results land in another thread: returns once something may be
  /// sent, or, when all is sent, all has landed. A quarter of the window is waited for, so that a
  /// thread is not woken for each result.
  void wait();

 private:
  Options options_;
  std::uint32_t client_;
  Outcome& outcome_;
  std::string message_;
  std::vector<std::int64_t> sent_ns_;  ///< by number; 0 once landed
  std::uint64_t sent_ = 0;
  std::uint64_t until_ = 0;
  std::uint64_t measured_from_ = 0;
  std::int64_t began_ns_ = 0;  ///< of the measured part
  std::int64_t every_ns_ = 0;  ///< open loop: time between two messages of this client
  // Of the thread in which results land: not on a line with what the one that sends counts.
  alignas(64) std::atomic<std::uint64_t> landed_{0};
  std::atomic<std::uint64_t> wake_at_{UINT64_MAX};
  std::atomic<std::uint32_t> woken_{0};

  std::int64_t intended_ns(std::uint64_t number) const;
};

/// One client: connects, then calls `fly` (which sends and receives until all has landed) through
/// `measure`.
using Measure = std::function<void(Flight&, const std::function<void()>& fly)>;
using Client = std::function<void(Flight&, const Measure&)>;

/// Runs the clients and prints the figures. Returns the exit status: 1 when a result was damaged,
/// missing or repeated.
int run_load(const Options& options, const Client& client);

/// What a program does, by the first word of its command line; "" where it takes no such word.
using Parts = std::map<std::string, std::function<int(const Options&)>>;

/// What main() does in a program of bench/: runs the part that is asked for with the options behind
/// it, and says on stderr what goes wrong. Returns the exit status.
int run_part(int argc, char** argv, const Parts& parts);

}  // namespace bench
