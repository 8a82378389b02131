#include "broker/core/cron.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace callboard::broker {

namespace {

constexpr std::int64_t kDaySeconds = 86'400;
/// 29 February is at most so far away (2096 to 2104).
constexpr std::int64_t kSearchDays = 9 * 366;

constexpr std::array<std::string_view, 12> kMonthNames = {
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::array<std::string_view, 7> kWeekdayNames = {"sun", "mon", "tue", "wed",
                                                           "thu", "fri", "sat"};

constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kMacros = {{
    {"@yearly", "0 0 1 1 *"},
    {"@annually", "0 0 1 1 *"},
    {"@monthly", "0 0 1 * *"},
    {"@weekly", "0 0 * * 0"},
    {"@daily", "0 0 * * *"},
    {"@midnight", "0 0 * * *"},
    {"@hourly", "0 * * * *"},
    {"@minutely", "* * * * *"},
}};

struct CronField {
  std::string_view name;
  int min = 0;
  int max = 0;
  std::uint64_t* bits = nullptr;
};

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::vector<std::string_view> split(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && separators.find(text[i]) == std::string_view::npos) continue;
    parts.push_back(text.substr(begin, i - begin));
    begin = i + 1;
  }
  return parts;
}

template <std::size_t N>
int index_of_name(const std::array<std::string_view, N>& names, std::string_view text) {
  const auto at = std::find(names.begin(), names.end(), text);
  return at == names.end() ? -1 : static_cast<int>(at - names.begin());
}

bool read_number(std::string_view text, int& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && !text.empty() &&
         text[0] != '-';
}

bool read_value(const CronField& field, std::string_view text, int& value) {
  if (field.name == "month") {
    if (const int named = index_of_name(kMonthNames, text); named >= 0) {
      value = named + 1;
      return true;
    }
  } else if (field.name == "weekday") {
    if (const int named = index_of_name(kWeekdayNames, text); named >= 0) {
      value = named;
      return true;
    }
  }
  return read_number(text, value) && value >= field.min && value <= field.max;
}

/// One of the things between commas. A non-empty answer says what is wrong.
std::string add_item(const CronField& field, std::string_view item) {
  const auto wrong = [&](const std::string& why) {
    return "\"" + std::string(item) + "\" is no " + std::string(field.name) + why;
  };
  const std::string limits =
      ": " + std::to_string(field.min) + " to " + std::to_string(field.max);
  int step = 1;
  std::string_view range = item;
  if (const auto slash = item.find('/'); slash != std::string_view::npos) {
    range = item.substr(0, slash);
    if (!read_number(item.substr(slash + 1), step) || step < 1 || step > field.max) {
      return wrong(": a step is a number from 1 to " + std::to_string(field.max));
    }
  }
  int first = field.min;
  int last = field.name == "weekday" ? 6 : field.max;
  if (range != "*") {
    const auto dash = range.find('-');
    if (!read_value(field, range.substr(0, dash), first)) return wrong(limits);
    if (dash != std::string_view::npos) {
      if (!read_value(field, range.substr(dash + 1), last)) return wrong(limits);
      if (field.name == "weekday" && last == 0 && first > 0) last = 7;  // fri-sun
    } else if (step == 1) {
      last = first;
    }
    if (last < first) return wrong(": the range ends before it begins");
  }
  for (int value = first; value <= last; value += step) {
    *field.bits |= std::uint64_t{1} << (field.name == "weekday" ? value % 7 : value);
  }
  return {};
}

}  // namespace

Result<Cron> Cron::parse(std::string_view text) {
  std::string spelled = lower(text);
  for (const auto& [macro, meaning] : kMacros) {
    if (spelled == macro) spelled = meaning;
  }
  std::vector<std::string_view> fields = split(spelled, " \t");
  std::erase(fields, std::string_view());
  if (fields.size() != 5 && fields.size() != 6) {
    return {Errc::invalid_option,
            "a cron expression has 5 fields (minute hour day month weekday), or 6 with seconds in "
            "front, not " + std::to_string(fields.size())};
  }
  Cron cron;
  const std::array<CronField, 6> known = {{{"second", 0, 59, &cron.seconds_},
                                           {"minute", 0, 59, &cron.minutes_},
                                           {"hour", 0, 23, &cron.hours_},
                                           {"day", 1, 31, &cron.days_},
                                           {"month", 1, 12, &cron.months_},
                                           {"weekday", 0, 7, &cron.weekdays_}}};
  const std::size_t skip = 6 - fields.size();
  if (skip == 0) cron.seconds_ = 0;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    for (const std::string_view item : split(fields[i], ",")) {
      std::string problem = add_item(known[i + skip], item);
      if (!problem.empty()) return {Errc::invalid_option, std::move(problem)};
    }
  }
  cron.rhythm_ = fields[2 - skip].starts_with('*');
  cron.any_day_ = fields[3 - skip].starts_with('*');
  cron.any_weekday_ = fields[5 - skip].starts_with('*');
  return cron;
}

bool Cron::names_day(std::int64_t days_since_1970) const {
  using std::chrono::days;
  const std::chrono::sys_days day{days(days_since_1970)};
  const std::chrono::year_month_day date(day);
  const auto has = [](std::uint64_t bits, unsigned n) { return (bits >> n & 1) != 0; };
  if (!has(months_, static_cast<unsigned>(date.month()))) return false;
  const bool by_day = has(days_, static_cast<unsigned>(date.day()));
  const bool by_weekday = has(weekdays_, std::chrono::weekday(day).c_encoding());
  return any_day_ || any_weekday_ ? by_day && by_weekday : by_day || by_weekday;
}

std::optional<std::int64_t> Cron::next_in_day(std::int64_t from_second) const {
  const auto at_or_after = [](std::uint64_t bits, std::int64_t n) {
    return bits >> n << n;  // the bits from n on
  };
  for (std::int64_t hour = from_second / 3600; hour < 24; ++hour) {
    if ((hours_ >> hour & 1) == 0) continue;
    const bool first_hour = hour == from_second / 3600;
    const std::int64_t first_minute = first_hour ? from_second / 60 % 60 : 0;
    for (std::int64_t minute = first_minute; minute < 60; ++minute) {
      if ((minutes_ >> minute & 1) == 0) continue;
      const bool exact = first_hour && minute == first_minute;
      const std::uint64_t left = at_or_after(seconds_, exact ? from_second % 60 : 0);
      if (left != 0) return hour * 3600 + minute * 60 + std::countr_zero(left);
    }
  }
  return std::nullopt;
}

std::optional<std::int64_t> Cron::next_local(std::int64_t from, std::int64_t until) const {
  std::int64_t day = from / kDaySeconds - (from % kDaySeconds < 0 ? 1 : 0);
  for (std::int64_t begin = from - day * kDaySeconds; day * kDaySeconds < until; ++day, begin = 0) {
    if (!names_day(day)) continue;
    const auto second = next_in_day(begin);
    if (!second) continue;
    const std::int64_t found = day * kDaySeconds + *second;
    return found < until ? std::optional(found) : std::nullopt;
  }
  return std::nullopt;
}

std::optional<std::int64_t> Cron::next(const TimeZone& zone, std::int64_t after) const {
  std::int64_t at = after + 1;
  const std::int64_t end = at + kSearchDays * kDaySeconds;
  while (at < end) {
    // Within a segment the offset is the same, so the search is one in local time.
    const TimeZone::Segment segment = zone.segment_at(at);
    const std::int64_t old_local = segment.from + segment.offset_before;  // when the clocks changed
    const std::int64_t new_local = segment.from + segment.offset;
    std::int64_t local = at + segment.offset;
    if (!rhythm_) {
      if (at == segment.from && next_local(old_local, new_local)) return at;  // it was in the gap
      local = std::max(local, old_local);  // what comes again was there before
    }
    const std::int64_t until = std::min(segment.until, end);
    if (const auto found = next_local(local, until + segment.offset)) {
      return *found - segment.offset;
    }
    at = until;
  }
  return std::nullopt;
}

}  // namespace callboard::broker
