#include <callboard/ids.hpp>

#include <charconv>

namespace callboard {

namespace {

constexpr std::size_t kDigits = 16;  // of one 64-bit half

void append_hex(std::string& out, std::uint64_t value) {
  for (int shift = 60; shift >= 0; shift -= 4) out += "0123456789abcdef"[value >> shift & 0xf];
}

std::string hex(std::uint64_t session, std::uint64_t seq) {
  std::string out;
  out.reserve(2 * kDigits);
  append_hex(out, session);
  append_hex(out, seq);
  return out;
}

bool parse_hex(const char* digits, std::uint64_t& value) {
  const auto [end, error] = std::from_chars(digits, digits + kDigits, value, 16);
  return error == std::errc() && end == digits + kDigits;
}

}  // namespace

std::string to_string(CallId id) { return hex(value_of(id.session), id.seq); }
std::string to_string(ActorId id) { return hex(value_of(id.session), id.seq); }

CallId call_id_from(const std::string& text) {
  std::uint64_t session = 0;
  std::uint64_t seq = 0;
  if (text.size() != 2 * kDigits || !parse_hex(text.data(), session) ||
      !parse_hex(text.data() + kDigits, seq)) {
    return CallId{};
  }
  return CallId{SessionId{session}, seq};
}

}  // namespace callboard
