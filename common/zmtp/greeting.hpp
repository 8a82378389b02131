// The words of ZMTP 3.1, the protocol that ZeroMQ speaks on a connection, as far as DEALER and
// ROUTER need them: greetings, the commands of the NULL mechanism, heartbeats, headers of frames.
//
// A connection begins with the greetings of both ends, then each says READY, then messages follow.
// A message is one frame or more, all but the last with the flag `more`; commands are frames too.
// rfc.zeromq.org/spec/37 has all of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace callboard::zmtp {

inline constexpr std::size_t kGreetingBytes = 64;
inline constexpr std::size_t kHeaderBytesMax = 9;
inline constexpr std::size_t kCommandBytesMax = 64 * 1024;

inline constexpr std::uint8_t kMore = 1;
inline constexpr std::uint8_t kLong = 2;  ///< the size has eight bytes instead of one
inline constexpr std::uint8_t kCommand = 4;

/// What this end says first: version 3.1, mechanism NULL.
std::string greeting();

enum class Heard : std::uint8_t { more, yes, no };
/// Reads the other end's greeting as far as it is there. `no`: it cannot be understood, or wants
/// another mechanism. With `yes`, `minor` is set: 0 of version 3.0, which knows no heartbeats.
Heard read_greeting(std::string_view bytes, unsigned& minor);

/// Each of these is a whole frame.
std::string ready(std::string_view socket_type);
std::string ping();
std::string pong(std::string_view context);

struct Ready {
  std::string socket_type;
  std::string identity;  ///< the routing id that the other end chose; empty when it chose none
};
/// The body of a command. False when it is not this one, or cut short.
bool read_ready(std::string_view command, Ready& out);
/// `context` is what the answer must repeat.
bool read_ping(std::string_view command, std::string_view& context);
bool is_error(std::string_view command);

/// Writes the header of a frame; how many bytes it has.
std::size_t write_header(char* out, std::size_t body_bytes, std::uint8_t flags);

}  // namespace callboard::zmtp
