// Asking a Redis on a unix socket whether it serves. Thread safety: pure functions.
#pragma once

#include <string>
#include <string_view>

namespace callboard::embedded {

/// Connects and sends PING, without waiting. The connection, on which the answer will come; -1 when
/// nobody listens yet.
int send_redis_ping(const std::string& socket_path);

/// True when `answer` says that Redis serves; it does not while it loads its data.
bool is_redis_pong(std::string_view answer);

}  // namespace callboard::embedded
