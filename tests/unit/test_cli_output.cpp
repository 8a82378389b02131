// What the command line prints and reads: tables, records, JSON, figures, exit codes.
#include "cli/bench.hpp"
#include "cli/exit_code.hpp"
#include "cli/json.hpp"
#include "cli/latency.hpp"
#include "cli/output.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace callboard::cli {
namespace {

using testing::HasSubstr;

std::string mistake_in(const std::string& text) {
  try {
    parse_json(text);
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), ExitCode::usage);
    return failure.what();
  }
  return "was accepted";
}

TEST(CliJson, ValuesSurviveTheWayToMessagePackAndBack) {
  for (const auto* text :
       {"null", "true", "-5", "18446744073709551615", "1.5", "\"\xC3\xA4\"", "[1,[2,{}]]",
        R"({"b":1,"a":[{"$bytes":"AP8="}]})", R"({"$bytes":""})", R"({"$bytes":"AA=="})"}) {
    EXPECT_EQ(print_json(json_from_msgpack(msgpack_from_json(parse_json(text)))), text);
  }
}

TEST(CliJson, BytesTravelAsBytes) {
  EXPECT_EQ(msgpack_from_json(parse_json(R"({"$bytes":"aGk="})")), "\xC4\x02hi");
  EXPECT_EQ(print_json(json_from_msgpack("\xC7\x02\x01hi")), R"({"$ext":1,"$bytes":"aGk="})");
}

TEST(CliJson, TextWithoutQuotesIsExplained) {
  EXPECT_EQ(mistake_in("hello"), "not JSON: hello (a text is written '\"hello\"')");
  EXPECT_THAT(mistake_in("{1}"), HasSubstr("not JSON"));
  EXPECT_THROW(msgpack_from_json(parse_json(R"({"$bytes":"*"})")), Failure);
}

TEST(CliJson, BytesThatAreNoMessagePackAreAnError) {
  EXPECT_THROW(json_from_msgpack("\xC1"), Failure);
  EXPECT_THROW(json_from_msgpack(""), Failure);
  EXPECT_THROW(json_from_msgpack("\x01\x02"), Failure);
}

TEST(CliOutput, TableAlignsNumbersToTheRightAndTextsToTheLeft) {
  const Json items = {{{"name", "a"}, {"depth", 12345}, {"paused", false}},
                      {{"name", "l\xC3\xA4ngere"}, {"depth", 7}, {"paused", true}}};
  EXPECT_EQ(table({{"name", "NAME"}, {"depth", "DEPTH"}, {"paused", "PAUSED"}, {"x", "X"}}, items),
            "NAME     DEPTH  PAUSED  X\n"
            "a        12345  no      -\n"
            "l\xC3\xA4ngere      7  yes     -\n");
}

TEST(CliOutput, TableWithoutRowsStillHasItsHeadings) {
  EXPECT_EQ(table({{"name", "NAME"}, {"depth", "DEPTH"}}, Json::array()), "NAME  DEPTH\n");
}

TEST(CliOutput, RecordShowsNestedThingsIndented) {
  const Json item = {{"queue", "hits"},           {"next", nullptr},
                     {"methods", {"add", "get"}}, {"none", Json::array()},
                     {"inner", {{"a", 1}}},       {"lanes", {{{"group", ""}, {"length", 2}}}}};
  EXPECT_EQ(record(item),
            "queue    hits\n"
            "next     -\n"
            "methods  add, get\n"
            "none     -\n"
            "inner\n"
            "  a  1\n"
            "lanes\n"
            "  group   length 2\n");
}

TEST(CliOutput, FiguresAreReadable) {
  EXPECT_EQ(print_count(0), "0");
  EXPECT_EQ(print_count(999), "999");
  EXPECT_EQ(print_count(1'000), "1,000");
  EXPECT_EQ(print_count(1'234'567), "1,234,567");
  EXPECT_EQ(print_bytes(512), "512 B");
  EXPECT_EQ(print_bytes(1536), "1.5 KiB");
  EXPECT_EQ(print_duration_ms(950), "950 ms");
  EXPECT_EQ(print_duration_ms(12'340), "12.3 s");
  EXPECT_EQ(print_duration_ms(600'000), "10 min");
}

TEST(CliOutput, MeasuredFiguresKeepThreeDigits) {
  EXPECT_EQ(print_json(rounded(123'456)), "123000.0");
  EXPECT_EQ(print_json(rounded(98.76)), "98.8");
  EXPECT_EQ(print_json(rounded(1.9)), "1.9");
  EXPECT_EQ(print_json(rounded(0.1234)), "0.12");
  EXPECT_EQ(print_json(rounded(0)), "0.0");
}

TEST(CliLatency, PercentilesAreThoseOfTheSortedValues) {
  Latencies latencies(100);
  EXPECT_EQ(latencies.percentile_us(50), 0);
  for (int us = 100; us > 0; --us) latencies.add(us * 1000);
  EXPECT_EQ(latencies.percentile_us(0), 1);
  EXPECT_EQ(latencies.percentile_us(50), 50);
  EXPECT_EQ(latencies.percentile_us(99), 99);
  EXPECT_EQ(latencies.percentile_us(100), 100);
}

TEST(CliExitCode, EveryErrorHasOne) {
  for (int code = 0; code <= static_cast<int>(Errc::internal); ++code) {
    const auto exit = exit_code_of(static_cast<Errc>(code));
    EXPECT_EQ(exit == ExitCode::ok, code == 0) << name_of(static_cast<Errc>(code));
  }
  EXPECT_EQ(exit_code_of(Errc::task_error), ExitCode::failed);
  EXPECT_EQ(exit_code_of(Errc::unknown_actor), ExitCode::not_found);
  EXPECT_EQ(exit_code_of(Errc::queue_full), ExitCode::refused);
  EXPECT_EQ(exit_code_of(static_cast<Errc>(200)), ExitCode::failed);
}

}  // namespace
}  // namespace callboard::cli
