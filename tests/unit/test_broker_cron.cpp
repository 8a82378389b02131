// Cron expressions and time zones: what they mean, also where clocks are changed.
#include "broker/core/cron.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace callboard::broker {
namespace {

using std::chrono::sys_days;
using std::chrono::year;

/// "2026-03-29 01:30:00" as if it were UTC.
std::int64_t at(const char* text) {
  int y = 0, h = 0, m = 0, s = 0;
  unsigned mo = 0, d = 0;
  EXPECT_EQ(std::sscanf(text, "%d-%u-%u %d:%d:%d", &y, &mo, &d, &h, &m, &s), 6) << text;
  const sys_days day = year(y) / std::chrono::month(mo) / std::chrono::day(d);
  return std::int64_t{day.time_since_epoch().count()} * 86'400 + h * 3600 + m * 60 + s;
}

std::string text_of(std::int64_t seconds) {
  const std::chrono::sys_seconds when{std::chrono::seconds(seconds)};
  const auto day = std::chrono::floor<std::chrono::days>(when);
  const std::chrono::year_month_day date(day);
  const auto left = static_cast<int>(
      seconds - std::int64_t{day.time_since_epoch().count()} * 86'400);
  char out[64];
  std::snprintf(out, sizeof out, "%d-%02u-%02u %02d:%02d:%02d", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                left / 3600, left / 60 % 60, left % 60);
  return out;
}

std::string number(std::int64_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> std::min(8 * i, 63));
  return out;
}

/// A file with these changes (when, offset) after `first`, and a rule for what follows.
std::string zone_file(std::int64_t first,
                      const std::vector<std::pair<std::int64_t, std::int64_t>>& changes,
                      const std::string& rule) {
  const auto header = [](std::size_t times, std::size_t types) {
    return "TZif2" + std::string(15, '\0') + number(0, 12) + number(std::int64_t(times), 4) +
           number(std::int64_t(types), 4) + number(4, 4);
  };
  std::string out = header(0, 1) + std::string(6, '\0') + std::string("UTC\0", 4);
  out += header(changes.size(), changes.size() + 1);
  for (const auto& [when, offset] : changes) out += number(when, 8);
  for (std::size_t i = 0; i < changes.size(); ++i) out += static_cast<char>(i + 1);
  out += number(first, 4) + std::string(2, '\0');
  for (const auto& [when, offset] : changes) out += number(offset, 4) + std::string(2, '\0');
  return out + std::string("XXX\0", 4) + "\n" + rule + "\n";
}

TimeZone zone_of(const std::string& rule) {
  const auto zone = TimeZone::parse(zone_file(0, {}, rule));
  EXPECT_TRUE(zone) << zone.text();
  return *zone;
}

const std::string kBerlin = "CET-1CEST,M3.5.0,M10.5.0/3";
const std::string kNewYork = "EST5EDT,M3.2.0,M11.1.0";

Cron cron(const char* text) {
  const auto parsed = Cron::parse(text);
  EXPECT_TRUE(parsed) << text << ": " << parsed.text();
  return *parsed;
}

/// The next `n` times after `after`, as texts in UTC.
std::vector<std::string> next(const char* text, const char* after, int n,
                              const TimeZone& zone = {}) {
  std::vector<std::string> found;
  auto when = std::optional(at(after));
  for (; n > 0; --n) {
    when = cron(text).next(zone, *when);
    if (!when) break;
    found.push_back(text_of(*when));
  }
  return found;
}
using Texts = std::vector<std::string>;

TEST(BrokerCron, FiveFieldsNameMinutes) {
  EXPECT_EQ(next("30 4 * * *", "2026-01-01 04:29:59", 2),
            (Texts{"2026-01-01 04:30:00", "2026-01-02 04:30:00"}));
  EXPECT_EQ(next("* * * * *", "2026-01-01 00:00:00", 2),
            (Texts{"2026-01-01 00:01:00", "2026-01-01 00:02:00"}));
}

TEST(BrokerCron, SixthFieldInFrontNamesSeconds) {
  EXPECT_EQ(next("*/20 59 23 31 12 *", "2026-12-31 23:59:20", 2),
            (Texts{"2026-12-31 23:59:40", "2027-12-31 23:59:00"}));
}

TEST(BrokerCron, ListsRangesAndSteps) {
  EXPECT_EQ(next("0 8-10,20 * * *", "2026-01-01 08:00:00", 4),
            (Texts{"2026-01-01 09:00:00", "2026-01-01 10:00:00", "2026-01-01 20:00:00",
                   "2026-01-02 08:00:00"}));
  EXPECT_EQ(next("10-30/10 0 * * *", "2026-01-01 00:00:00", 4),
            (Texts{"2026-01-01 00:10:00", "2026-01-01 00:20:00", "2026-01-01 00:30:00",
                   "2026-01-02 00:10:00"}));
  EXPECT_EQ(next("50/5 0 * * *", "2026-01-01 00:00:00", 3),
            (Texts{"2026-01-01 00:50:00", "2026-01-01 00:55:00", "2026-01-02 00:50:00"}));
}

TEST(BrokerCron, MonthsAndWeekdaysHaveNames) {
  EXPECT_EQ(next("0 0 1 FEB,apr *", "2026-01-15 00:00:00", 2),
            (Texts{"2026-02-01 00:00:00", "2026-04-01 00:00:00"}));
  EXPECT_EQ(next("0 0 * * fri-sun", "2026-11-25 00:00:00", 4),  // a Wednesday
            (Texts{"2026-11-27 00:00:00", "2026-11-28 00:00:00", "2026-11-29 00:00:00",
                   "2026-12-04 00:00:00"}));
  EXPECT_EQ(next("0 0 * * 7", "2026-11-25 00:00:00", 1), (Texts{"2026-11-29 00:00:00"}));
}

TEST(BrokerCron, DayAndWeekdayTogetherMeanEither) {
  EXPECT_EQ(next("0 0 27 * mon", "2026-11-25 00:00:00", 2),
            (Texts{"2026-11-27 00:00:00", "2026-11-30 00:00:00"}));
  EXPECT_EQ(next("0 0 1-7 * *", "2026-11-25 00:00:00", 1), (Texts{"2026-12-01 00:00:00"}));
}

TEST(BrokerCron, WordsStandForExpressions) {
  EXPECT_EQ(next("@hourly", "2026-01-01 00:00:00", 1), (Texts{"2026-01-01 01:00:00"}));
  EXPECT_EQ(next("@Yearly", "2026-01-01 00:00:00", 1), (Texts{"2027-01-01 00:00:00"}));
  EXPECT_EQ(next("@weekly", "2026-11-25 00:00:00", 1), (Texts{"2026-11-29 00:00:00"}));
}

TEST(BrokerCron, LeapDaysComeAndOthersNever) {
  EXPECT_EQ(next("0 0 29 2 *", "2096-03-01 00:00:00", 1), (Texts{"2104-02-29 00:00:00"}));
  EXPECT_EQ(next("0 0 30 2 *", "2026-01-01 00:00:00", 1), Texts{});
}

TEST(BrokerCron, WrongExpressionsAreRefusedWithTheirReason) {
  for (const char* text :
       {"", "* * * *", "* * * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *",
        "* * * 13 *", "* * * * 8", "*/0 * * * *", "*/60 * * * *", "5-1 * * * *", "a * * * *",
        "1,,2 * * * *", "-1 * * * *", "1- * * * *", "* * * foo *", "* * * * sat-fri", "@never",
        "1/ * * * *", "+1 * * * *", "99999999999 * * * *"}) {
    const auto parsed = Cron::parse(text);
    EXPECT_FALSE(parsed) << text;
    EXPECT_FALSE(parsed.text().empty());
  }
  EXPECT_EQ(Cron::parse("60 * * * *").text(), "\"60\" is no minute: 0 to 59");
}

TEST(BrokerCron, ZoneShiftsTheTimeOfDayWithTheSeason) {
  const TimeZone berlin = zone_of(kBerlin);
  EXPECT_EQ(next("0 9 * * *", "2026-01-10 00:00:00", 1, berlin), (Texts{"2026-01-10 08:00:00"}));
  EXPECT_EQ(next("0 9 * * *", "2026-07-10 00:00:00", 1, berlin), (Texts{"2026-07-10 07:00:00"}));
  const TimeZone kathmandu = zone_of("<+0545>-5:45");
  EXPECT_EQ(next("0 9 * * *", "2026-07-10 00:00:00", 1, kathmandu),
            (Texts{"2026-07-10 03:15:00"}));
}

TEST(BrokerCron, TimeThatAGapSwallowsComesWhenTheGapEnds) {
  const TimeZone berlin = zone_of(kBerlin);  // 2026-03-29 02:00 becomes 03:00, at 01:00 UTC
  EXPECT_EQ(next("30 2 * * *", "2026-03-28 12:00:00", 2, berlin),
            (Texts{"2026-03-29 01:00:00", "2026-03-30 00:30:00"}));
  EXPECT_EQ(next("*/10 2 * * *", "2026-03-28 12:00:00", 2, berlin),
            (Texts{"2026-03-29 01:00:00", "2026-03-30 00:00:00"}))
      << "six times in the gap are one";
  EXPECT_EQ(next("0,30 2,3 * * *", "2026-03-28 12:00:00", 3, berlin),
            (Texts{"2026-03-29 01:00:00", "2026-03-29 01:30:00", "2026-03-30 00:00:00"}))
      << "the end of the gap is named itself: once";
}

TEST(BrokerCron, TimeThatComesTwiceCountsTheFirstTime) {
  const TimeZone berlin = zone_of(kBerlin);  // 2026-10-25 03:00 becomes 02:00, at 01:00 UTC
  EXPECT_EQ(next("30 2 * * *", "2026-10-24 12:00:00", 2, berlin),
            (Texts{"2026-10-25 00:30:00", "2026-10-26 01:30:00"}));
  EXPECT_EQ(next("30 2 * * *", "2026-10-25 00:30:00", 1, berlin), (Texts{"2026-10-26 01:30:00"}));
  EXPECT_EQ(next("30 2 * * *", "2026-10-25 01:10:00", 1, berlin), (Texts{"2026-10-26 01:30:00"}))
      << "asked within the hour that comes again";
  EXPECT_EQ(next("0 3 * * *", "2026-10-24 12:00:00", 1, berlin), (Texts{"2026-10-25 02:00:00"}));
}

TEST(BrokerCron, RhythmGoesByTheTimeThatPasses) {
  const TimeZone berlin = zone_of(kBerlin);
  EXPECT_EQ(next("30 * * * *", "2026-03-29 00:00:00", 3, berlin),
            (Texts{"2026-03-29 00:30:00", "2026-03-29 01:30:00", "2026-03-29 02:30:00"}));
  EXPECT_EQ(next("30 * * * *", "2026-10-25 00:00:00", 3, berlin),
            (Texts{"2026-10-25 00:30:00", "2026-10-25 01:30:00", "2026-10-25 02:30:00"}));
  EXPECT_EQ(next("*/30 * * * *", "2026-10-25 00:20:00", 4, berlin),
            (Texts{"2026-10-25 00:30:00", "2026-10-25 01:00:00", "2026-10-25 01:30:00",
                   "2026-10-25 02:00:00"}));
}

TEST(BrokerCron, EveryTimeOfAYearIsLaterThanTheOneBefore) {
  const std::string lord_howe = "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0";
  for (const std::string& rule : {kBerlin, kNewYork, lord_howe}) {
    const TimeZone zone = zone_of(rule);
    for (const char* text : {"30 1,2 * * *", "*/7 * * * *", "0 0 * * *"}) {
      const Cron parsed = cron(text);
      std::int64_t now = at("2026-01-01 00:00:00");
      const std::int64_t end = at("2027-01-01 00:00:00");
      while (now < end) {
        const auto following = parsed.next(zone, now);
        ASSERT_TRUE(following);
        ASSERT_GT(*following, now);
        ASSERT_EQ(parsed.next(zone, *following - 1), following) << "asked from closer by";
        now = *following;
      }
    }
  }
}

TEST(BrokerTimeZone, RulesOfTheFooterHoldForTheYearsThatTheTableLeavesOut) {
  const TimeZone zone = zone_of(kNewYork);
  EXPECT_EQ(zone.segment_at(at("2026-03-08 06:59:59")).offset, -5 * 3600);
  EXPECT_EQ(zone.segment_at(at("2026-03-08 07:00:00")).offset, -4 * 3600);
  EXPECT_EQ(zone.segment_at(at("2026-11-01 05:59:59")).offset, -4 * 3600);
  EXPECT_EQ(zone.segment_at(at("2026-11-01 06:00:00")).offset, -5 * 3600);
  const auto segment = zone.segment_at(at("2199-07-01 00:00:00"));
  EXPECT_EQ(segment.offset, -4 * 3600);
  EXPECT_EQ(segment.offset_before, -5 * 3600);
}

TEST(BrokerTimeZone, TableComesBeforeTheFooter) {
  const std::int64_t changed = at("2026-06-01 00:00:00");
  const auto zone = TimeZone::parse(
      zone_file(7200, {{at("2020-01-01 00:00:00"), 7200}, {changed, 3600}}, kBerlin));
  ASSERT_TRUE(zone) << zone.text();
  EXPECT_EQ(zone->segment_at(changed - 1).offset, 7200);
  EXPECT_EQ(zone->segment_at(changed - 1).from, TimeZone::Segment().from)
      << "a change to the same offset is none";
  EXPECT_EQ(zone->segment_at(changed).offset, 3600);
  EXPECT_EQ(zone->segment_at(changed).offset_before, 7200);
  EXPECT_EQ(zone->segment_at(at("2027-03-28 01:00:00")).offset, 7200);
}

TEST(BrokerTimeZone, JulianAndNumberedDaysOfTheFooter) {
  const TimeZone julian = zone_of("AAA0BBB,J60/0,J300/0");  // 1 March, leap year or not
  EXPECT_EQ(julian.segment_at(at("2028-02-29 23:59:59")).offset, 0);
  EXPECT_EQ(julian.segment_at(at("2028-03-01 00:00:00")).offset, 3600);
  EXPECT_EQ(julian.segment_at(at("2027-03-01 00:00:00")).offset, 3600);
  const TimeZone numbered = zone_of("AAA0BBB,59/0,299/0");  // day 59 from 0: 29 February 2028
  EXPECT_EQ(numbered.segment_at(at("2028-02-29 00:00:00")).offset, 3600);
}

TEST(BrokerTimeZone, DamagedFilesAreRefused) {
  const std::string good = zone_file(0, {{100, 60}, {200, 0}}, kBerlin);
  ASSERT_TRUE(TimeZone::parse(good));
  for (std::size_t n = 0; n < good.size(); ++n) {
    EXPECT_FALSE(TimeZone::parse(good.substr(0, n))) << n << " bytes of it";
  }
  EXPECT_FALSE(TimeZone::parse(zone_file(0, {{200, 60}, {100, 0}}, "")));
  for (const char* rule : {"C", "CET", "CET-1CEST,M13.1.0,M10.5.0", "CET-1CEST,M3.6.0,M10.5.0",
                           "CET-1CEST", "CET-1CEST,M3.5.0", "CET-1CEST,M3.5.0,M10.5.0x"}) {
    EXPECT_FALSE(TimeZone::parse(zone_file(0, {}, rule))) << rule;
  }
}

TEST(BrokerTimeZone, NamesLeadToNoOtherPlace) {
  EXPECT_TRUE(good_zone_name("America/Argentina/Buenos_Aires"));
  EXPECT_TRUE(good_zone_name("Etc/GMT+3"));
  for (const char* name : {"", "/etc/passwd", "../etc/passwd", "Europe/../x", "Europe/", "a b"}) {
    EXPECT_FALSE(good_zone_name(name)) << name;
  }
}

}  // namespace
}  // namespace callboard::broker
