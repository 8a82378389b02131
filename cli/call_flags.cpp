#include "cli/call_flags.hpp"

#include "cli/command.hpp"
#include "cli/exit_code.hpp"

#include <cstdio>

namespace callboard::cli {

void add_call_flags(Command& sub, CallFlags& flags) {
  sub.duration("--deadline", flags.deadline_ms, "Time from submit to result")
      .number("--priority", flags.priority, "Higher goes first", -128, 127)
      .number("--max-retries", flags.max_retries, "Attempts beyond the first; -1: no end", -1,
              30'000)
      .flag("--retry-errors", flags.retry_errors, "Try again after errors of the method too")
      .text("--key", flags.key, "Key of an actor whose ordering is key")
      .text("--group", flags.group, "Concurrency group")
      .texts("--header", flags.headers, "Text for the method", "NAME=VALUE");
}

CallOptions call_options(const CallFlags& flags) {
  CallOptions call;
  if (flags.deadline_ms > 0) call.deadline = std::chrono::milliseconds(flags.deadline_ms);
  if (flags.priority) call.priority = static_cast<std::int8_t>(*flags.priority);
  call.max_retries = flags.max_retries;
  if (flags.retry_errors) call.retry_on = RetryOn{.all = true};
  for (const auto& header : flags.headers) {
    const auto equals = header.find('=');
    if (equals == std::string::npos) fail_usage("a header is written NAME=VALUE, not " + header);
    call.headers[header.substr(0, equals)] = header.substr(equals + 1);
  }
  call.key = flags.key;
  call.group = flags.group;
  return call;
}

std::chrono::system_clock::time_point parse_time(const std::string& text) {
  using namespace std::chrono;
  if (!text.empty() && text.size() < 16 &&
      text.find_first_not_of("0123456789") == std::string::npos) {
    return system_clock::time_point(milliseconds(std::stoll(text)));
  }
  const auto wrong = [&text] {
    fail_usage("a time is written 2030-12-31T23:59:59Z, or with +01:00 in place of Z, not " + text);
  };
  int y = 0, mo = 0, d = 0, h = 0, mi = 0, s = 0, end = 0;
  std::sscanf(text.c_str(), "%4d-%2d-%2d%*1[T ]%2d:%2d:%2d%n", &y, &mo, &d, &h, &mi, &s, &end);
  const year_month_day date{year(y), month(static_cast<unsigned>(mo)),
                            day(static_cast<unsigned>(d))};
  if (end == 0 || !date.ok() || h < 0 || h > 23 || mi < 0 || mi > 59 || s < 0 || s > 60) wrong();
  const std::string zone = text.substr(static_cast<std::size_t>(end));
  minutes east{0};
  if (zone != "Z") {
    int hours_east = 0, minutes_east = 0, rest = 0;
    char sign = 0;
    std::sscanf(zone.c_str(), "%1c%2d:%2d%n", &sign, &hours_east, &minutes_east, &rest);
    if (rest != 6 || zone.size() != 6 || (sign != '+' && sign != '-')) wrong();
    east = hours(hours_east) + minutes(minutes_east);
    if (sign == '-') east = -east;
  }
  return sys_days(date) + hours(h) + minutes(mi) + seconds(s) - east;
}

}  // namespace callboard::cli
