// A time zone as data: what local time is ahead of UTC, and when that changes.
//
// Read from the bytes of a TZif file (RFC 8536), version 2 or newer, with the rule in its footer
// for the years that the table leaves out, up to 2199. Who reads the file is not known here.
#pragma once

#include <callboard/error.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace callboard::broker {

/// The bytes of a zone's file, by its IANA name; empty when there is none.
using ZoneReader = std::function<std::string(std::string_view name)>;

class TimeZone {
 public:
  /// A time in which local time does not jump. Seconds since 1970, UTC; offsets are seconds east.
  struct Segment {
    std::int64_t from = INT64_MIN / 4;
    std::int64_t until = INT64_MAX / 4;
    std::int64_t offset = 0;
    std::int64_t offset_before = 0;  ///< of the segment before; the same for the first
  };

  /// UTC.
  TimeZone() = default;
  static Result<TimeZone> parse(std::string_view tzif);

  Segment segment_at(std::int64_t utc) const;

 private:
  struct Change {
    std::int64_t at = 0;
    std::int64_t offset = 0;
  };
  void add(std::int64_t at, std::int64_t offset);
  bool add_rule(std::string_view rule);

  std::int64_t first_offset_ = 0;
  std::vector<Change> changes_;  ///< by time; each to another offset than before
};

/// A name that leads to no other place than a zone's file.
bool good_zone_name(std::string_view name);

}  // namespace callboard::broker
