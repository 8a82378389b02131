// Where the programs are that an embedded system is made of, and ports that are free.
// Thread safety: all of it.
#pragma once

#include <callboard/error.hpp>

#include <cstdint>
#include <string>

namespace callboard::embedded {

/// The `callboard` program: `given`, else $CALLBOARD_BIN, else beside the running program or in the
/// places of an installation and of a build tree next to it, else on the PATH.
Result<std::string> find_callboard(const std::string& given);

/// The `redis-server` program: `given`, else $CALLBOARD_REDIS_SERVER, else on the PATH.
Result<std::string> find_redis_server(const std::string& given);

/// True when nothing listens on this port of loopback.
bool is_free_port(std::uint16_t port);

/// A port of loopback on which nothing listens now, outside the range from which outgoing
/// connections take theirs (32768-60999), so that none of them can come in between.
Result<std::uint16_t> find_free_port();

}  // namespace callboard::embedded
