// The identities that travel through the system, as types of their own.
//
// A call's id is made by its session: (session, seq). The client therefore knows the id before the
// broker has heard of the call, and results need only carry the seq. An actor's id is the id of the
// call that created it. The top byte of a session id is the shard that it belongs to.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>

namespace callboard {

/// One client's logical connection to one shard; chosen at random by the client, never zero.
enum class SessionId : std::uint64_t {};

constexpr std::uint64_t value_of(SessionId id) { return static_cast<std::uint64_t>(id); }

/// 128-bit id of a call: the session that submitted it and its number in that session (from 1).
struct CallId {
  SessionId session{};
  std::uint64_t seq = 0;

  auto operator<=>(const CallId&) const = default;
  explicit operator bool() const { return seq != 0; }
};

/// Id of an actor or deployment: the id of the call that created it.
struct ActorId {
  SessionId session{};
  std::uint64_t seq = 0;

  auto operator<=>(const ActorId&) const = default;
  explicit operator bool() const { return seq != 0; }
};

/// 32 lower-case hexadecimal digits: 16 of the session, 16 of the seq.
std::string to_string(CallId id);
std::string to_string(ActorId id);

/// Parses what to_string() printed; a CallId with seq 0 when the text is not an id.
CallId call_id_from(const std::string& text);

}  // namespace callboard

template <>
struct std::hash<callboard::CallId> {
  std::size_t operator()(const callboard::CallId& id) const noexcept {
    return static_cast<std::size_t>(callboard::value_of(id.session) * 0x9E3779B97F4A7C15ull ^
                                    id.seq * 0xC2B2AE3D27D4EB4Full);
  }
};

template <>
struct std::hash<callboard::ActorId> {
  std::size_t operator()(const callboard::ActorId& id) const noexcept {
    return std::hash<callboard::CallId>{}(callboard::CallId{id.session, id.seq});
  }
};
