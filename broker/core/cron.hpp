// A cron expression: which local times it names, and when the next of them comes in a time zone.
//
//   MINUTE HOUR DAY MONTH WEEKDAY, or SECOND in front of these; @hourly and the like
//
// A field is a list of *, N, N-M, each with /STEP; months and weekdays have names. If both DAY and
// WEEKDAY say something, either will do, as ever in cron. Where clocks are put forward, a time of
// day that does not exist comes when the gap ends; where they are put back, one that exists twice
// comes the first time only. An HOUR that begins with * means a rhythm and not a time of day: it
// goes by the time that passes, and nothing of the above happens to it.
#pragma once

#include "broker/core/time_zone.hpp"

#include <callboard/error.hpp>

#include <cstdint>
#include <optional>
#include <string_view>

namespace callboard::broker {

class Cron {
 public:
  static Result<Cron> parse(std::string_view text);

  /// The first named time in [from, until), all in seconds of local time since 1970.
  std::optional<std::int64_t> next_local(std::int64_t from, std::int64_t until) const;
  /// The first named time later than `after`, in seconds since 1970, UTC; none: it never comes.
  std::optional<std::int64_t> next(const TimeZone& zone, std::int64_t after) const;

 private:
  bool names_day(std::int64_t days_since_1970) const;
  std::optional<std::int64_t> next_in_day(std::int64_t from_second) const;

  // bit n: n is named
  std::uint64_t seconds_ = 1;
  std::uint64_t minutes_ = 0;
  std::uint64_t hours_ = 0;
  std::uint64_t days_ = 0;
  std::uint64_t months_ = 0;
  std::uint64_t weekdays_ = 0;  ///< 0: Sunday
  bool any_day_ = false;        ///< the field begins with *
  bool any_weekday_ = false;
  bool rhythm_ = false;
};

}  // namespace callboard::broker
