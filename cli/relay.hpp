// A raw ROUTER/DEALER relay: what ZeroMQ alone does on this machine, for comparison.
//
//   client (this process) <─tcp─> relay <─ipc─> echo
//
// Three processes and the same transports as in an embedded system, but no protocol, no queues, no
// store: messages of fixed size go through, at most `batch` of them in one frame. Every process
// takes all frames that are there, then sends. Thread safety: none.
#pragma once

#include <cstdint>
#include <string>

namespace callboard::cli {

struct RelayOptions {
  std::uint64_t calls = 100'000;
  std::uint64_t window = 1000;  ///< messages on their way at once
  std::uint64_t payload = 64;   ///< bytes of one message
  std::uint64_t batch = 1;      ///< messages in one frame at most
};

struct RelayFigures {
  double calls_per_s = 0;
  double p50_us = 0;
  double p99_us = 0;
  double client_cpu_us_per_call = 0;
  double relay_cpu_us_per_call = 0;
  double echo_cpu_us_per_call = 0;
};

/// Starts the two other processes, measures, and ends them. Throws Failure when that does not work.
RelayFigures run_relay(const RelayOptions& options);

/// What the other processes run: "relay" with both endpoints, or "echo" with the back one. Returns
/// only when something is wrong; the exit status.
int run_relay_part(const std::string& part, const std::string& front, const std::string& back,
                   std::uint64_t message_bytes, std::uint64_t batch);

}  // namespace callboard::cli
