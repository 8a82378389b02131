#include "client/raise.hpp"

#include <callboard/arguments.hpp>
#include <callboard/value.hpp>

namespace callboard {

bool Decoder::fail(std::string sentence) {
  if (problem_.empty()) problem_ = std::move(sentence);
  reader_.fail();
  return false;
}

bool Decoder::wrong(std::string_view expected) {
  if (!problem_.empty()) return false;
  const std::string_view got = reader_.ok() ? wire::name_of(reader_.peek()) : "damaged bytes";
  return fail("expected " + std::string(expected) + ", got " + std::string(got));
}

bool Decoder::within(std::string_view place) {
  if (problem_.empty()) problem_ = "cannot be read";
  problem_ = std::string(place) + ": " + problem_;
  return false;
}

bool Decoder::within(std::string_view place, std::size_t index) {
  return within(std::string(place) + std::to_string(index));
}

bool Decoder::integer(std::int64_t& value, std::int64_t min, std::int64_t max) {
  if (peek() != wire::Kind::integer) return wrong("int");
  wire::Reader unsigned_reader = reader_;
  if (reader_.integer(value)) {
    if (value >= min && value <= max) return true;
    return fail("expected int between " + std::to_string(min) + " and " + std::to_string(max) +
                ", got " + std::to_string(value));
  }
  std::uint64_t wide = 0;
  if (!unsigned_reader.uint(wide)) return wrong("int");
  return fail("expected int between " + std::to_string(min) + " and " + std::to_string(max) +
              ", got " + std::to_string(wide));
}

bool Decoder::unsigned_integer(std::uint64_t& value, std::uint64_t max) {
  if (peek() != wire::Kind::integer) return wrong("int");
  wire::Reader signed_reader = reader_;
  if (reader_.uint(value)) {
    if (value <= max) return true;
    return fail("expected int between 0 and " + std::to_string(max) + ", got " +
                std::to_string(value));
  }
  std::int64_t wide = 0;
  if (!signed_reader.integer(wide)) return wrong("int");
  return fail("expected int between 0 and " + std::to_string(max) + ", got " +
              std::to_string(wide));
}

bool Decoder::array(std::uint32_t& n, std::string_view expected) {
  return (peek() == wire::Kind::array && reader_.array(n)) || wrong(expected);
}

bool Decoder::map(std::uint32_t& n, std::string_view expected) {
  return (peek() == wire::Kind::map && reader_.map(n)) || wrong(expected);
}

namespace detail {

void duration_out_of_range() {
  client::raise(Errc::bad_arguments, "a duration that nanoseconds cannot count");
}

std::string count_problem(std::size_t required, std::size_t most, std::size_t given) {
  std::string takes = std::to_string(most);
  if (required != most) takes = std::to_string(required) + " to " + takes;
  return "takes " + takes + (takes == "1" ? " argument" : " arguments") + ", got " +
         std::to_string(given);
}

}  // namespace detail

}  // namespace callboard
