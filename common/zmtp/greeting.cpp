#include "common/zmtp/greeting.hpp"

#include <array>
#include <cstring>

namespace callboard::zmtp {

namespace {

constexpr std::size_t kSignatureBytes = 10;
constexpr std::size_t kMajorAt = 10;
constexpr std::size_t kMinorAt = 11;
constexpr std::size_t kMechanismAt = 12;
constexpr std::size_t kMechanismBytes = 20;
constexpr char kMajor = 3;
constexpr char kMinor = 1;
constexpr std::string_view kNull = "NULL";
/// How long ZeroMQ lets a peer's silence last is of no use here: the broker has its own bound.
constexpr std::size_t kTtlBytes = 2;
constexpr std::size_t kContextBytesMax = 16;

std::string command(std::string_view name, std::string_view data) {
  std::array<char, kHeaderBytesMax> header{};
  const std::size_t body = 1 + name.size() + data.size();
  std::string out(header.data(), write_header(header.data(), body, kCommand));
  out += static_cast<char>(name.size());
  out += name;
  out += data;
  return out;
}

bool read_name(std::string_view& command, std::string_view name) {
  if (command.size() < 1 + name.size() || static_cast<std::uint8_t>(command[0]) != name.size() ||
      command.substr(1, name.size()) != name) {
    return false;
  }
  command.remove_prefix(1 + name.size());
  return true;
}

std::size_t big_endian(std::string_view bytes) {
  std::size_t value = 0;
  for (const char byte : bytes) value = value << 8 | static_cast<std::uint8_t>(byte);
  return value;
}

bool take(std::string_view& from, std::size_t bytes, std::string_view& out) {
  if (from.size() < bytes) return false;
  out = from.substr(0, bytes);
  from.remove_prefix(bytes);
  return true;
}

void add_property(std::string& to, std::string_view name, std::string_view value) {
  to += static_cast<char>(name.size());
  to += name;
  to.append(3, '\0');
  to += static_cast<char>(value.size());
  to += value;
}

}  // namespace

std::string greeting() {
  std::string out(kGreetingBytes, '\0');
  out[0] = '\xff';
  out[kSignatureBytes - 1] = '\x7f';
  out[kMajorAt] = kMajor;
  out[kMinorAt] = kMinor;
  out.replace(kMechanismAt, kNull.size(), kNull);
  return out;
}

Heard read_greeting(std::string_view bytes, unsigned& minor) {
  if (!bytes.empty() && bytes[0] != '\xff') return Heard::no;
  if (bytes.size() >= kSignatureBytes && (bytes[kSignatureBytes - 1] & 1) == 0) return Heard::no;
  if (bytes.size() > kMajorAt && bytes[kMajorAt] < kMajor) return Heard::no;
  if (bytes.size() < kGreetingBytes) return Heard::more;
  std::string mechanism(kMechanismBytes, '\0');
  mechanism.replace(0, kNull.size(), kNull);
  if (bytes.substr(kMechanismAt, kMechanismBytes) != mechanism) return Heard::no;
  minor = static_cast<std::uint8_t>(bytes[kMinorAt]);
  if (bytes[kMajorAt] > kMajor) minor = kMinor;
  return Heard::yes;
}

std::string ready(std::string_view socket_type) {
  std::string properties;
  add_property(properties, "Socket-Type", socket_type);
  add_property(properties, "Identity", {});
  return command("READY", properties);
}

std::string ping() { return command("PING", std::string(kTtlBytes, '\0')); }

std::string pong(std::string_view context) { return command("PONG", context); }

bool read_ready(std::string_view command, Ready& out) {
  if (!read_name(command, "READY")) return false;
  while (!command.empty()) {
    std::string_view size;
    std::string_view name;
    std::string_view value;
    if (!take(command, 1, size) || !take(command, big_endian(size), name) ||
        !take(command, 4, size) || !take(command, big_endian(size), value)) {
      return false;
    }
    if (name == "Socket-Type") out.socket_type = value;
    if (name == "Identity") out.identity = value;
  }
  return true;
}

bool read_ping(std::string_view command, std::string_view& context) {
  if (!read_name(command, "PING") || command.size() < kTtlBytes) return false;
  context = command.substr(kTtlBytes, kContextBytesMax);
  return true;
}

bool is_error(std::string_view command) { return read_name(command, "ERROR"); }

std::size_t write_header(char* out, std::size_t body_bytes, std::uint8_t flags) {
  if (body_bytes <= 0xff) {
    out[0] = static_cast<char>(flags);
    out[1] = static_cast<char>(body_bytes);
    return 2;
  }
  out[0] = static_cast<char>(flags | kLong);
  for (int i = 0; i < 8; ++i) out[1 + i] = static_cast<char>(body_bytes >> (56 - 8 * i));
  return kHeaderBytesMax;
}

}  // namespace callboard::zmtp
