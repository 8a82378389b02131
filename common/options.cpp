#include "common/options_codec.hpp"

#include <algorithm>
#include <cmath>

namespace callboard::wire {

bool RetryOn::matches(std::string_view type) const {
  switch (which) {
    case Which::none: return false;
    case Which::all: return true;
    case Which::listed: return std::find(types.begin(), types.end(), type) != types.end();
  }
  return false;
}

// --- values ----------------------------------------------------------------------------------

bool OptionReader::failed(const char* name, std::string_view what) {
  return failed_with("option " + std::string(name) + " " + std::string(what));
}

bool OptionReader::too_many(const char* name, std::size_t count_max) {
  return failed(name, "has more than " + std::to_string(count_max) + " entries");
}

bool OptionReader::expect(const char* name, Kind wanted) {
  const Kind got = in_.peek();
  if (got == wanted) return true;
  return failed(name, "must be " + std::string(name_of(wanted)) + ", not " +
                          std::string(name_of(got)));
}

bool OptionReader::boolean(const char* name, bool& value) {
  return expect(name, Kind::boolean) && in_.boolean(value);
}

bool OptionReader::integer(const char* name, std::int64_t min, std::int64_t max,
                           std::int64_t& value) {
  if (!expect(name, Kind::integer)) return false;
  if (in_.integer(value) && value >= min && value <= max) return true;
  return failed(name, "must be from " + std::to_string(min) + " to " + std::to_string(max));
}

bool OptionReader::real(const char* name, double& value) {
  if (in_.peek() != Kind::integer && !expect(name, Kind::floating)) return false;
  if (in_.f64(value) && std::isfinite(value) && value >= 0) return true;
  return failed(name, "must be a finite number of at least 0");
}

bool OptionReader::text(const char* name, std::string& value) {
  if (!expect(name, Kind::str)) return false;
  if (!in_.str(value)) return failed(name, "is cut off");
  if (value.size() <= limits::kNameBytesMax) return true;
  return failed(name, "is longer than " + std::to_string(limits::kNameBytesMax) + " bytes");
}

// A flat list of `count` groups of `width` values.
bool OptionReader::list(const char* name, std::size_t width, std::size_t count_max,
                        std::uint32_t& count) {
  if (!expect(name, Kind::array)) return false;
  if (!in_.array(count)) return failed(name, "is cut off");
  if (count % width != 0) {
    return failed(name, "must have a multiple of " + std::to_string(width) + " values");
  }
  count /= static_cast<std::uint32_t>(width);
  return count <= count_max || too_many(name, count_max);
}

bool OptionReader::call_id(const char* name, CallId& id) {
  if (read_id(in_, id) && id.seq != 0) return true;
  return failed(name, "must name calls as two numbers: session, seq (from 1)");
}

bool OptionReader::id(const char* name, CallId& value) {
  std::uint32_t n = 0;
  if (!list(name, 2, 1, n)) return false;
  if (n != 1) return failed(name, "must name one call");
  return call_id(name, value);
}

bool OptionReader::ids(const char* name, std::vector<CallId>& values) {
  std::uint32_t n = 0;
  if (!list(name, 2, limits::kRefsMax, n)) return false;
  for (; n > 0; --n) {
    if (!call_id(name, values.emplace_back())) return false;
  }
  return true;
}

bool OptionReader::refs(const char* name, std::vector<Ref>& values) {
  std::uint32_t n = 0;
  if (!list(name, 3, limits::kRefsMax, n)) return false;
  for (; n > 0; --n) {
    Ref ref;
    if (!read_u32(in_, ref.index)) return failed(name, "must begin with the argument's number");
    if (!values.empty() && ref.index <= values.back().index) {
      return failed(name, "must be in the order of the arguments");
    }
    if (!call_id(name, ref.call)) return false;
    values.push_back(ref);
  }
  return true;
}

bool OptionReader::headers(const char* name, std::string& encoded) {
  if (!expect(name, Kind::map)) return false;
  std::string_view bytes;
  if (!in_.raw(bytes)) return failed(name, "is cut off");
  if (bytes.size() > limits::kHeaderBytesMax) {
    return failed(name, "is longer than " + std::to_string(limits::kHeaderBytesMax) + " bytes");
  }
  Reader map(bytes);
  std::uint32_t n = 0;
  map.map(n);
  for (; n > 0; --n) {
    std::string_view ignored;
    if (!map.str(ignored) || !map.str(ignored)) return failed(name, "must be a map of str to str");
  }
  encoded.assign(bytes);
  return true;
}

bool OptionReader::retry_on(const char* name, RetryOn& value) {
  if (in_.peek() == Kind::boolean) {
    bool all = false;
    in_.boolean(all);
    value.which = all ? RetryOn::Which::all : RetryOn::Which::none;
    return true;
  }
  std::uint32_t n = 0;
  if (!list(name, 1, limits::kRetryTypesMax, n)) return false;
  value.which = RetryOn::Which::listed;
  for (; n > 0; --n) {
    if (!text(name, value.types.emplace_back())) return false;
  }
  return true;
}

bool OptionReader::backoff(const char* name, std::pair<std::int64_t, std::int64_t>& value) {
  std::uint32_t n = 0;
  if (!list(name, 2, 1, n)) return false;
  if (n != 1) return failed(name, "must be two numbers: min, max");
  return integer(name, 0, limits::kDurationMsMax, value.first) &&
         integer(name, value.first, limits::kDurationMsMax, value.second);
}

void write_retry_on(Writer& out, const RetryOn& value) {
  if (value.which != RetryOn::Which::listed) {
    return out.boolean(value.which == RetryOn::Which::all);
  }
  write_names(out, value.types);
}

void write_backoff(Writer& out, const std::pair<std::int64_t, std::int64_t>& value) {
  out.array(2);
  out.integer(value.first);
  out.integer(value.second);
}

}  // namespace callboard::wire
