// Where Redis is: redis://[[user]:password@]host[:port][/db]
//              or unix://[[user]:password@]/path[?db=N].
//
// Thread safety: none needed; a value.
#pragma once

#include <callboard/error.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace callboard::broker {

struct RedisUrl {
  std::string host = "127.0.0.1";   ///< name or address; unused when `path` is set
  std::uint16_t port = 6379;
  std::string path;                 ///< of a unix socket
  std::string user;
  std::string password;
  std::uint32_t db = 0;

  bool is_unix() const { return !path.empty(); }
  /// For people: everything but the password.
  std::string text() const;
};

/// Errc::invalid_option with one sentence when the text is no such address. "%41" stands for "A" in
/// user and password. A bare "/path" is a unix socket, a bare "host:port" is TCP.
Result<RedisUrl> parse_redis_url(std::string_view text);

}  // namespace callboard::broker
