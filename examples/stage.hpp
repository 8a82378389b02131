// What every demo is given, and how a demo is called.
#pragma once

#include "examples/report.hpp"

#include <callboard/callboard.hpp>

#include <string>
#include <vector>

namespace demos {

struct Stage {
  callboard::Client& client;
  std::string broker;                   ///< endpoint, for clients of a demo's own
  std::string address = "127.0.0.1";    ///< of this machine, as workers reach it
  std::vector<std::string> redis_cli;   ///< redis-cli and the flags that lead to the broker's Redis
  std::string callboard = "callboard";  ///< the program
};

}  // namespace demos
