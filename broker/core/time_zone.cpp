#include "broker/core/time_zone.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <optional>

namespace callboard::broker {

namespace {

constexpr int kRuleYearMax = 2199;
constexpr std::size_t kHeaderBytes = 44;

/// Big-endian numbers, one after the other. After a failure everything is 0.
class ZoneBytes {
 public:
  explicit ZoneBytes(std::string_view bytes) : bytes_(bytes) {}
  std::string_view take(std::size_t n) {
    if (n > bytes_.size()) {
      ok_ = false;
      bytes_ = {};
      return {};
    }
    const std::string_view taken = bytes_.substr(0, n);
    bytes_.remove_prefix(n);
    return taken;
  }
  std::int64_t number(std::size_t n) {
    const std::string_view taken = take(n);
    std::uint64_t value = !taken.empty() && (taken[0] & 0x80) != 0 ? ~std::uint64_t{0} : 0;
    for (const char c : taken) value = value << 8 | static_cast<unsigned char>(c);
    return static_cast<std::int64_t>(value);
  }
  std::string_view rest() const { return bytes_; }
  bool ok() const { return ok_; }

 private:
  std::string_view bytes_;
  bool ok_ = true;
};

struct ZoneCounts {
  std::size_t isut = 0, isstd = 0, leap = 0, time = 0, type = 0, chars = 0;
  std::size_t bytes(std::size_t time_bytes) const {
    return time * (time_bytes + 1) + type * 6 + chars + leap * (time_bytes + 4) + isstd + isut;
  }
};

bool read_header(ZoneBytes& in, ZoneCounts& counts, char& version) {
  const std::string_view head = in.take(kHeaderBytes);
  if (!in.ok() || !head.starts_with("TZif")) return false;
  version = head[4];
  ZoneBytes numbers(head.substr(20));
  for (std::size_t* count : {&counts.isut, &counts.isstd, &counts.leap, &counts.time, &counts.type,
                             &counts.chars}) {
    const std::int64_t value = numbers.number(4);
    if (value < 0 || value > 1'000'000) return false;
    *count = static_cast<std::size_t>(value);
  }
  return true;
}

/// Reads what stands in a POSIX TZ text, piece by piece.
class RuleText {
 public:
  explicit RuleText(std::string_view text) : text_(text) {}
  bool at_end() const { return text_.empty(); }
  char peek() const { return text_.empty() ? '\0' : text_[0]; }
  bool skip(char c) {
    if (peek() != c) return false;
    text_.remove_prefix(1);
    return true;
  }
  bool name() {
    if (skip('<')) {
      const auto end = text_.find('>');
      if (end == std::string_view::npos) return false;
      text_.remove_prefix(end + 1);
      return true;
    }
    std::size_t n = 0;
    while (n < text_.size() && ((text_[n] | 0x20) >= 'a' && (text_[n] | 0x20) <= 'z')) ++n;
    text_.remove_prefix(n);
    return n >= 3;
  }
  std::optional<int> number() {
    int value = 0;
    std::size_t n = 0;
    while (n < text_.size() && n < 4 && text_[n] >= '0' && text_[n] <= '9')
      value = value * 10 + (text_[n++] - '0');
    text_.remove_prefix(n);
    return n == 0 ? std::nullopt : std::optional(value);
  }
  /// [+-]hh[:mm[:ss]] in seconds.
  std::optional<std::int64_t> time() {
    const bool minus = skip('-');
    if (!minus) skip('+');
    std::int64_t seconds = 0;
    for (std::int64_t unit = 3600; unit > 0; unit /= 60) {
      const auto value = number();
      if (!value) return std::nullopt;
      seconds += *value * unit;
      if (!skip(':')) break;
    }
    return minus ? -seconds : seconds;
  }

 private:
  std::string_view text_;
};

/// When in a year the clocks are changed, in local time before the change.
struct YearDay {
  enum class Form { julian, zero_based, weekday } form = Form::weekday;
  int month = 0, week = 0, day = 0;
  std::int64_t time = 7200;

  std::int64_t in(int year) const {
    using namespace std::chrono;
    const sys_days january = sys_days(std::chrono::year(year) / 1 / 1);
    sys_days date = january;
    if (form == Form::weekday) {
      const auto of = std::chrono::year(year) / month;
      const std::chrono::weekday wanted(static_cast<unsigned>(day));
      date = week == 5 ? sys_days(of / wanted[last]) : sys_days(of / wanted[week]);
    } else if (form == Form::julian) {
      const bool leap = std::chrono::year(year).is_leap();
      date = january + days(day - 1 + (leap && day >= 60 ? 1 : 0));
    } else {
      date = january + days(day);
    }
    return std::int64_t{date.time_since_epoch().count()} * 86'400 + time;
  }
};

bool read_year_day(RuleText& in, YearDay& day) {
  const auto part = [&in](int min, int max, int& value) {
    const auto number = in.number();
    value = number.value_or(-1);
    return value >= min && value <= max;
  };
  if (!in.skip(',')) return false;
  bool good = false;
  if (in.skip('M')) {
    day.form = YearDay::Form::weekday;
    good = part(1, 12, day.month) && in.skip('.') && part(1, 5, day.week) && in.skip('.') &&
           part(0, 6, day.day);
  } else if (in.skip('J')) {
    day.form = YearDay::Form::julian;
    good = part(1, 365, day.day);
  } else {
    day.form = YearDay::Form::zero_based;
    good = part(0, 365, day.day);
  }
  if (!good || !in.skip('/')) return good;
  const auto time = in.time();
  day.time = time.value_or(0);
  return time.has_value();
}

int year_of(std::int64_t utc) {
  const std::chrono::sys_days day{
      std::chrono::floor<std::chrono::days>(std::chrono::seconds(utc))};
  return static_cast<int>(std::chrono::year_month_day(day).year());
}

}  // namespace

void TimeZone::add(std::int64_t at, std::int64_t offset) {
  if (offset != (changes_.empty() ? first_offset_ : changes_.back().offset)) {
    changes_.push_back({at, offset});
  }
}

bool TimeZone::add_rule(std::string_view rule) {
  if (rule.empty()) return true;
  RuleText in(rule);
  if (!in.name()) return false;
  const auto west = in.time();
  if (!west) return false;
  const std::int64_t standard = -*west;
  const std::int64_t last = changes_.empty() ? INT64_MIN / 4 : changes_.back().at;
  if (in.at_end()) {
    if (changes_.empty()) first_offset_ = standard;
    return true;
  }
  if (!in.name()) return false;
  std::int64_t summer = standard + 3600;
  if (in.peek() != ',') {
    const auto summer_west = in.time();
    if (!summer_west) return false;
    summer = -*summer_west;
  }
  YearDay begins, ends;
  if (!read_year_day(in, begins) || !read_year_day(in, ends) || !in.at_end()) return false;
  const int first_year = changes_.empty() ? 1970 : std::max(year_of(last), 1900);
  std::vector<Change> more;
  for (int year = first_year; year <= kRuleYearMax; ++year) {
    more.push_back({begins.in(year) - standard, summer});
    more.push_back({ends.in(year) - summer, standard});
  }
  std::sort(more.begin(), more.end(),
            [](const Change& a, const Change& b) { return a.at < b.at; });
  for (const Change& change : more) {
    if (change.at > last) add(change.at, change.offset);
  }
  return true;
}

Result<TimeZone> TimeZone::parse(std::string_view tzif) {
  const auto damaged = [] {
    return Result<TimeZone>(Errc::invalid_option, "the file of the time zone cannot be read");
  };
  ZoneBytes in(tzif);
  ZoneCounts counts;
  char version = 0;
  if (!read_header(in, counts, version) || version < '2') return damaged();
  in.take(counts.bytes(4));
  if (!read_header(in, counts, version) || counts.type == 0) return damaged();
  ZoneBytes times(in.take(counts.time * 8));
  const std::string_view kinds = in.take(counts.time);
  ZoneBytes types(in.take(counts.type * 6));
  in.take(counts.chars + counts.leap * 12 + counts.isstd + counts.isut);
  if (!in.ok()) return damaged();
  std::vector<std::int64_t> offsets;
  for (std::size_t i = 0; i < counts.type; ++i) {
    offsets.push_back(types.number(4));
    types.take(2);
  }
  TimeZone zone;
  zone.first_offset_ = offsets[0];
  std::int64_t before = INT64_MIN;
  for (const char kind : kinds) {
    const std::int64_t at = times.number(8);
    const auto type = static_cast<unsigned char>(kind);
    if (type >= offsets.size() || at <= before) return damaged();
    before = at;
    zone.add(at, offsets[type]);
  }
  std::string_view footer = in.rest();
  if (footer.size() < 2 || footer.front() != '\n' || footer.back() != '\n') return damaged();
  footer = footer.substr(1, footer.size() - 2);
  if (!zone.add_rule(footer)) return damaged();
  return zone;
}

TimeZone::Segment TimeZone::segment_at(std::int64_t utc) const {
  const auto next = std::upper_bound(
      changes_.begin(), changes_.end(), utc,
      [](std::int64_t at, const Change& change) { return at < change.at; });
  Segment segment;
  segment.offset = segment.offset_before = first_offset_;
  if (next != changes_.end()) segment.until = next->at;
  if (next == changes_.begin()) return segment;
  const auto now = std::prev(next);
  segment.from = now->at;
  segment.offset = now->offset;
  if (now != changes_.begin()) segment.offset_before = std::prev(now)->offset;
  return segment;
}

bool good_zone_name(std::string_view name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_' || c == '+' || c == '-' || c == '/';
  };
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), fits) &&
         name.front() != '/' && name.back() != '/';
}

}  // namespace callboard::broker
