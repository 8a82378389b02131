// docs/protocol.md against the code: its tables and its example bytes.

#include "common/limits.hpp"
#include "tests/unit/message_samples.hpp"

#include <gtest/gtest.h>
#include <msgpack.hpp>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace callboard::wire {
namespace {

std::string trimmed(const std::string& text) {
  const auto from = text.find_first_not_of(" `");
  if (from == std::string::npos) return "";
  return text.substr(from, text.find_last_not_of(" `") - from + 1);
}

std::vector<std::string> document() {
  std::ifstream file(CALLBOARD_SOURCE_DIR "/docs/protocol.md");
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

// The lines under a heading, up to the next one of the same or a higher level.
std::vector<std::string> section(const std::string& heading) {
  const auto lines = document();
  const auto level = heading.find(' ');
  auto at = std::find(lines.begin(), lines.end(), heading);
  EXPECT_NE(at, lines.end()) << heading;
  std::vector<std::string> found;
  while (at != lines.end() && ++at != lines.end()) {
    const auto hashes = at->find_first_not_of('#');
    if (hashes != std::string::npos && hashes > 0 && hashes <= level && (*at)[hashes] == ' ') break;
    found.push_back(*at);
  }
  return found;
}

// The cells of all table rows under a heading that begin with a number.
std::vector<std::vector<std::string>> rows(const std::string& heading) {
  std::vector<std::vector<std::string>> found;
  for (const std::string& line : section(heading)) {
    if (!line.starts_with("| ")) continue;
    std::vector<std::string> cells;
    std::istringstream text(line.substr(1));
    for (std::string cell; std::getline(text, cell, '|');) cells.push_back(trimmed(cell));
    if (!cells.empty() && cells[0].find_first_not_of("0123456789") == std::string::npos) {
      found.push_back(cells);
    }
  }
  return found;
}

TEST(Protocol, TheTableOfMessagesHasEveryMessageWithItsFields) {
  std::map<std::string, Frame> by_name;
  std::map<std::string, Type> types;
  for (const Sample& sample : samples()) {
    if (sample.name.find(' ') != std::string::npos) continue;  // a second example of the same
    by_name[sample.name] = frame_of(sample);
    types[sample.name] = sample.type;
  }
  const auto table = rows("## Messages");
  EXPECT_EQ(table.size(), by_name.size());
  for (const auto& row : table) {
    ASSERT_GE(row.size(), 4u);
    ASSERT_TRUE(by_name.contains(row[1])) << row[1];
    EXPECT_EQ(row[0], std::to_string(static_cast<int>(types.at(row[1])))) << row[1];
    const auto fields = row[2].empty() ? 0 : std::count(row[2].begin(), row[2].end(), ',') + 1;
    const Frame& frame = by_name.at(row[1]);
    std::size_t at = 0;
    msgpack::unpack(frame.head.data(), frame.head.size(), at);
    const auto message = msgpack::unpack(frame.head.data(), frame.head.size(), at);
    EXPECT_EQ(message.get().via.array.size, fields + 1) << row[1] << ": " << row[2];
  }
}

std::string bytes_of(const std::string& line) {
  std::string bytes;
  std::istringstream text(line.substr(0, line.find("  ")));
  for (std::string digits; text >> digits;) {
    EXPECT_EQ(digits.size(), 2u) << line;
    bytes += static_cast<char>(std::stoi(digits, nullptr, 16));
  }
  return bytes;
}

TEST(Protocol, TheExampleFramesAreWhatTheCodeWrites) {
  const std::string fence = "```frame ";
  std::set<std::string> shown;
  const auto lines = document();
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (!lines[i].starts_with(fence)) continue;
    const std::string name = lines[i].substr(fence.size());
    std::string bytes;
    for (++i; i < lines.size() && lines[i] != "```"; ++i) bytes += bytes_of(lines[i]);
    EXPECT_EQ(bytes, frame_of(sample(name)).head) << name;
    shown.insert(name);
  }
  for (const char* name : {"hello", "hello of a worker", "welcome", "create", "opened", "submit",
                           "submit of a big value", "accepted", "refused", "result",
                           "result with an error", "taken", "start", "window", "run", "done"}) {
    EXPECT_TRUE(shown.contains(name)) << name << " is not shown";
  }
}

template <class Options>
std::string problem_with(std::uint64_t key) {
  std::string bytes;
  Writer out(bytes);
  out.map(1);
  out.uint(key);
  out.ext(99, "");  // no option is one
  Reader in(bytes);
  Options options;
  std::string problem;
  EXPECT_FALSE(read(in, options, problem));
  return problem;
}

// Every documented key is known under its documented name, and no other key is.
template <class Options>
void expect_options(const std::string& heading) {
  std::set<std::uint64_t> documented;
  for (const auto& row : rows(heading)) {
    const std::uint64_t key = std::stoull(row[0]);
    EXPECT_TRUE(documented.insert(key).second) << row[0];
    const std::string problem = problem_with<Options>(key);
    EXPECT_TRUE(problem.starts_with("option " + row[1] + " must ")) << row[0] << ": " << problem;
  }
  EXPECT_GT(documented.size(), 10u);
  for (std::uint64_t key = 0; key < 64; ++key) {
    const bool known = problem_with<Options>(key).find("there is no option") == std::string::npos;
    EXPECT_EQ(known, documented.contains(key)) << key;
  }
}

TEST(Protocol, TheTablesOfOptionsHaveEveryOption) {
  expect_options<CallOptions>("### Options of a call");
  expect_options<ActorOptions>("### Options of an actor or deployment");
}

TEST(Protocol, TheTableOfCancelAnswersIsComplete) {
  const auto table = rows("### Cancel");
  EXPECT_EQ(table.size(), static_cast<std::size_t>(CancelAnswer::needs_consent) + 1);
  for (const auto& row : table) {
    EXPECT_EQ(row[1], name_of(static_cast<CancelAnswer>(std::stoi(row[0]))));
  }
}

TEST(Protocol, TheTableOfLimitsSaysWhatTheCodeEnforces) {
  using namespace limits;
  const std::map<std::string, std::uint64_t> expected = {
      {"bytes of a value from which on it is a part of its own", kPartBytesMin},
      {"bytes of a frame's head", kFrameBytesMax},
      {"bytes of a head after which a sender begins a new frame", kFrameBytesTarget},
      {"bytes of one value", kPayloadBytesMax},
      {"parts of a frame", kFramePartsMax},
      {"bytes of a name", kNameBytesMax},
      {"methods of one class, or in one list", kMethodsMax},
      {"highest handle", kHandlesMax},
      {"dependencies of one call (`refs` and `after`)", kRefsMax},
      {"concurrency groups of one actor", kGroupsMax},
      {"bytes of one call's headers", kHeaderBytesMax},
      {"exception types in `retry_on`", kRetryTypesMax},
      {"replicas of one deployment", kReplicasMax},
      {"`max_concurrency`", kConcurrencyMax},
      {"milliseconds of any time span", static_cast<std::uint64_t>(kDurationMsMax)},
      {"levels of nested arrays and maps in one value", kDepthMax},
      {"calls that one worker holds begun and unconfirmed", kRecorderSlots},
      {"bytes of `stderr_tail`", kStderrTailBytes},
  };
  std::map<std::string, std::string> documented;
  for (const auto& row : rows("### Limits")) documented[row[1]] = row[0];
  EXPECT_EQ(documented.size(), expected.size());
  for (const auto& [what, value] : expected) {
    ASSERT_TRUE(documented.contains(trimmed(what))) << what;
    EXPECT_EQ(documented.at(trimmed(what)), std::to_string(value)) << what;
  }
}

}  // namespace
}  // namespace callboard::wire
