// What both kinds of options are read with: one typed reader a value, and a sentence when it fails.
#pragma once

#include "common/fields.hpp"
#include "common/options.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace callboard::wire {

/// Reads the values of one options map. Every function says whether the value was good; the first
/// that was not has put its sentence into `problem`.
class OptionReader {
 public:
  OptionReader(Reader& in, std::string& problem) : in_(in), problem_(problem) {}

  /// Walks the map, or nil, and calls `read_value(key)` for each key; keys are below 64.
  template <class ReadValue>
  bool read(ReadValue read_value) {
    problem_.clear();
    if (in_.try_nil()) return true;
    std::uint32_t n = 0;
    if (in_.peek() != Kind::map || !in_.map(n)) return failed_with("options are not a map");
    std::uint64_t seen = 0;
    for (; n > 0; --n) {
      std::uint64_t key = 0;
      if (!in_.uint(key)) return failed_with("the key of an option is not a number");
      if (key >= 64) return unknown(key);
      if ((seen >> key & 1) != 0) {
        return failed_with("option " + std::to_string(key) + " is given twice");
      }
      seen |= std::uint64_t{1} << key;
      if (!read_value(key)) return false;
    }
    return true;
  }
  bool unknown(std::uint64_t key) {
    return failed_with("there is no option with the number " + std::to_string(key));
  }

  bool boolean(const char* name, bool& value);
  bool integer(const char* name, std::int64_t min, std::int64_t max, std::int64_t& value);
  template <class T>
  bool number(const char* name, std::int64_t min, std::int64_t max, T& value) {
    std::int64_t wide = 0;
    if (!integer(name, min, max, wide)) return false;
    value = static_cast<T>(wide);
    return true;
  }
  template <class Enum>
  bool choice(const char* name, Enum last, Enum& value) {
    return number(name, 0, static_cast<std::int64_t>(last), value);
  }
  bool text(const char* name, std::string& value);
  bool id(const char* name, CallId& value);
  bool ids(const char* name, std::vector<CallId>& values);
  bool refs(const char* name, std::vector<Ref>& values);
  bool headers(const char* name, std::string& encoded);
  bool retry_on(const char* name, RetryOn& value);
  bool backoff(const char* name, std::pair<std::int64_t, std::int64_t>& value);

  /// Reads a map from names to what `read_value(name, value)` reads.
  template <class Value, class ReadValue>
  bool named(const char* name, std::size_t count_max,
             std::vector<std::pair<std::string, Value>>& values, ReadValue read_value) {
    std::uint32_t n = 0;
    if (!expect(name, Kind::map)) return false;
    if (!in_.map(n)) return failed(name, "is cut off");
    if (n > count_max) return too_many(name, count_max);
    for (; n > 0; --n) {
      auto& [key, value] = values.emplace_back();
      if (!text(name, key) || !read_value(name, value)) return false;
    }
    return true;
  }
  bool real(const char* name, double& value);

 private:
  bool failed_with(std::string sentence) {
    if (problem_.empty()) problem_ = std::move(sentence);
    return in_.fail();
  }
  bool failed(const char* name, std::string_view what);
  bool too_many(const char* name, std::size_t count_max);
  bool expect(const char* name, Kind wanted);
  bool list(const char* name, std::size_t width, std::size_t count_max, std::uint32_t& count);
  bool call_id(const char* name, CallId& id);

  Reader& in_;
  std::string& problem_;
};

void write_retry_on(Writer& out, const RetryOn& value);
void write_backoff(Writer& out, const std::pair<std::int64_t, std::int64_t>& value);

/// Writes a map of what `visit(entry)` names, nil when that is nothing. `entry(key, write_value)`
/// is called once to count and once to write.
template <class Visit>
void write_options(Writer& out, Visit visit) {
  std::size_t count = 0;
  visit([&count](std::uint8_t, auto&&) { ++count; });
  if (count == 0) return out.nil();
  out.map(count);
  visit([&out](std::uint8_t key, auto&& write_value) {
    out.uint(key);
    write_value();
  });
}

}  // namespace callboard::wire
