#include "common/fields.hpp"

#include "common/messages.hpp"

namespace callboard::wire {

void write_names(Writer& out, const std::vector<std::string>& names) {
  out.array(names.size());
  for (const std::string& name : names) out.str(name);
}

bool read_names(Reader& in, std::vector<std::string>& names, std::size_t count_max,
                std::size_t bytes_max) {
  return read_list(in, names, count_max, [bytes_max](Reader& r, std::string& name) {
    return read_text(r, name, bytes_max);
  });
}

void write_ranges(Writer& out, const std::vector<std::pair<std::uint64_t, std::uint64_t>>& ranges) {
  out.array(ranges.size() * 2);
  for (const auto& [first, count] : ranges) {
    out.uint(first);
    out.uint(count);
  }
}

bool read_ranges(Reader& in, std::vector<std::pair<std::uint64_t, std::uint64_t>>& ranges) {
  ranges.clear();
  std::uint32_t n = 0;
  if (!in.array(n) || n % 2 != 0) return in.fail();
  ranges.reserve(n / 2);  // array() has checked that the bytes are there
  for (n /= 2; n > 0; --n) {
    std::uint64_t first = 0;
    std::uint64_t count = 0;
    if (!in.uint(first) || !in.uint(count)) return false;
    if (count == 0 || first > UINT64_MAX - count) return in.fail();
    ranges.emplace_back(first, count);
  }
  return true;
}

void write_held_call(Writer& out, const HeldCall& held) {
  out.array(8);
  out.uint(held.lease);
  write_id(out, held.call);
  out.uint(held.attempt);
  write_id(out, held.actor);
  out.uint(held.incarnation);
  out.boolean(held.ended);
}

bool read_held_calls(Reader& in, std::vector<HeldCall>& calls) {
  return read_list(in, calls, limits::kRecorderSlots, [](Reader& r, HeldCall& held) {
    std::uint32_t n = 0;
    return r.array(n) && n == 8 && r.uint(held.lease) && read_id(r, held.call) &&
           read_u32(r, held.attempt) && read_id(r, held.actor) && r.uint(held.incarnation) &&
           r.boolean(held.ended);
  });
}

}  // namespace callboard::wire
