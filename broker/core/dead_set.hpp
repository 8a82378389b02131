// A dead call: what is kept of a call that was given up.
#pragma once

#include <callboard/error.hpp>
#include <callboard/ids.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>

namespace callboard::broker {

struct DeadCall {
  CallId id;
  std::uint64_t number = 0;
  std::string method;
  std::string options;  ///< encoded, without what cannot be meant again
  std::string args;     ///< encoded; results of other calls spliced in
  Errc code = Errc::internal;
  std::string message;
  std::uint32_t attempts = 0;
  std::uint32_t crashes = 0;
  std::uint32_t errors = 0;
  std::uint32_t redeliveries = 0;
  std::int64_t died_wall_ms = 0;
  std::string worker;  ///< the last one that it took down, if it did
  std::int32_t signal = 0;
  std::int32_t exit_status = 0;
  std::string stderr_tail;
  bool durable = true;

  std::size_t bytes() const {
    return 200 + method.size() + options.size() + args.size() + message.size() + worker.size() +
           stderr_tail.size();
  }
};

/// Of one queue, the oldest first.
struct DeadSet {
  std::deque<DeadCall> calls;
  std::size_t bytes = 0;
};

}  // namespace callboard::broker
