// What the keeper is to run, and what it tells its owner: data and its encoding.
//
// Both travel over one SOCK_SEQPACKET pair, one MessagePack value a packet. The first packet is the
// plan; from then on only the keeper speaks, and the end of the connection means "stop".
// Thread safety: plain data and pure functions.
#pragma once

#include <callboard/error.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace callboard::embedded {

/// How the keeper knows that a child is ready for the next one to start.
enum class ReadyWhen : std::uint8_t {
  started = 0,      ///< at once
  redis_pong = 1,   ///< Redis answers PING on the unix socket `ready_path`
  said = 2,         ///< it wrote a line to the file descriptor named by CALLBOARD_READY_FD
};

/// One process. Children start in the order of the plan and end in the opposite one.
struct ChildPlan {
  std::string name;
  std::vector<std::string> command;      ///< program with path, and arguments
  std::vector<std::string> environment;  ///< NAME=value, beside what the keeper has
  ReadyWhen ready_when = ReadyWhen::started;
  std::string ready_path;
  std::string log_path;                  ///< of stdout and stderr; empty: where the keeper's go
};

struct Plan {
  std::string runtime_dir;
  bool restart = true;
  std::int64_t ready_timeout_ms = 15'000;
  std::int64_t stop_timeout_ms = 5'000;
  std::vector<ChildPlan> children;
};

/// What the keeper tells.
struct Report {
  enum class Kind : std::uint8_t {
    started = 0,  ///< `child` runs as `pid`
    ready = 1,    ///< `child` is ready; with an empty name: all are
    ended = 2,    ///< `child` ended by itself; `text` says how and what follows
    failed = 3,   ///< the system cannot run, `text` says why; everything is being ended
    stopped = 4,  ///< nothing runs any more
  };
  Kind kind = Kind::started;
  std::string child;
  std::int64_t pid = 0;
  std::string text;
};

std::string encode(const Plan& plan);
Result<Plan> decode_plan(std::string_view bytes);
std::string encode(const Report& report);
Result<Report> decode_report(std::string_view bytes);

}  // namespace callboard::embedded
