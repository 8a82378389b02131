// Names and exceptions of errors, and that docs/errors.md lists exactly these.

#include "common/messages.hpp"

#include <callboard/error.hpp>

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>

namespace callboard {
namespace {

constexpr int kLast = static_cast<int>(Errc::idempotency_conflict);

std::vector<Errc> all_codes() {
  std::vector<Errc> codes;
  for (int i = 0; i <= kLast; ++i) codes.push_back(static_cast<Errc>(i));
  return codes;
}

// The name of the exception class that throw_error() throws for a code.
std::string thrown_for(Errc code) {
  try {
    throw_error({code, "T", "message", "", ""});
  } catch (const QueueFull&) {
    return "QueueFull";
  } catch (const Refused&) {
    return "Refused";
  } catch (const TaskError&) {
    return "TaskError";
  } catch (const ActorDied&) {
    return "ActorDied";
  } catch (const MaybeExecuted&) {
    return "MaybeExecuted";
  } catch (const DeadlineExceeded&) {
    return "DeadlineExceeded";
  } catch (const Cancelled&) {
    return "Cancelled";
  } catch (const DependencyFailed&) {
    return "DependencyFailed";
  } catch (const Deadlock&) {
    return "Deadlock";
  } catch (const ResultExpired&) {
    return "ResultExpired";
  } catch (const Timeout&) {
    return "Timeout";
  } catch (const Disconnected&) {
    return "Disconnected";
  } catch (const Error&) {
    return "Error";
  }
  return "nothing of ours";
}

TEST(Errors, EveryCodeHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (const Errc code : all_codes()) {
    EXPECT_NE(name_of(code), "unknown");
    EXPECT_TRUE(names.insert(name_of(code)).second) << name_of(code);
    EXPECT_EQ(errc_from(name_of(code)), code);
  }
  EXPECT_EQ(name_of(static_cast<Errc>(kLast + 1)), "unknown");
  EXPECT_EQ(errc_from("no_such_name"), Errc::internal);
}

TEST(Errors, CodesKeepTheirNumbers) {
  EXPECT_EQ(name_of(static_cast<Errc>(8)), "queue_full");
  EXPECT_EQ(name_of(static_cast<Errc>(21)), "protocol_error");
  EXPECT_EQ(name_of(static_cast<Errc>(30)), "timeout");
  EXPECT_EQ(name_of(static_cast<Errc>(34)), "internal");
}

TEST(Errors, TheExceptionCarriesEverythingThatIsKnown) {
  try {
    throw_error({Errc::task_error, "std::out_of_range", "no such row", "Table.get on w0", "cause"});
    FAIL() << "it did not throw";
  } catch (const TaskError& error) {
    EXPECT_EQ(error.remote_type(), "std::out_of_range");
    EXPECT_EQ(error.code(), Errc::task_error);
    EXPECT_STREQ(error.what(),
                 "task_error: std::out_of_range: no such row (Table.get on w0)\ncause");
  }
}

TEST(Errors, ErrorsSurviveBeingEncoded) {
  const ErrorInfo info{
      Errc::task_error, "std::out_of_range", "no such row", "Table.get", "a\nb", 70};
  const ErrorInfo back = wire::decode_error(wire::encode(info), Errc::internal);
  EXPECT_EQ(back.code, info.code);
  EXPECT_EQ(back.type, info.type);
  EXPECT_EQ(back.message, info.message);
  EXPECT_EQ(back.place, info.place);
  EXPECT_EQ(back.causes, info.causes);
  EXPECT_EQ(back.retry_after_ms, info.retry_after_ms);
}

TEST(Errors, AnErrorThatCannotBeReadStillIsAnError) {
  const std::string good = wire::encode({Errc::cancelled, "", "by hand", "", ""});
  for (std::size_t length = 0; length < good.size(); ++length) {
    const ErrorInfo info = wire::decode_error(good.substr(0, length), Errc::task_error);
    EXPECT_EQ(info.code, Errc::task_error);
    EXPECT_FALSE(info.message.empty());
  }
  EXPECT_EQ(wire::decode_error(good + "x", Errc::task_error).code, Errc::task_error);
  EXPECT_EQ(wire::decode_error("\x80", Errc::task_error).code, Errc::task_error);
  EXPECT_EQ(wire::decode_error("\x93\x01\x02\x03", Errc::lost).code, Errc::lost);
}

// One row of the table in docs/errors.md: | 8 | `queue_full` | `QueueFull` | meaning | what to do |
struct Row {
  std::string name;
  std::string exception;
};

std::map<int, Row> documented() {
  std::ifstream file(CALLBOARD_SOURCE_DIR "/docs/errors.md");
  const std::regex pattern(
      R"(\| *(\d+) *\| *`(\w+)` *\| *(`(\w+)`)? *\| *([^|]+\S) *\| *([^|]+\S) *\|)");
  std::map<int, Row> rows;
  std::string line;
  while (std::getline(file, line)) {
    std::smatch match;
    if (!std::regex_match(line, match, pattern)) continue;
    EXPECT_TRUE(rows.emplace(std::stoi(match[1]), Row{match[2], match[4]}).second) << line;
  }
  return rows;
}

TEST(Errors, TheTableInTheDocumentListsExactlyTheCodes) {
  const std::map<int, Row> rows = documented();
  EXPECT_EQ(rows.size(), static_cast<std::size_t>(kLast) + 1);
  for (const Errc code : all_codes()) {
    const int number = static_cast<int>(code);
    ASSERT_TRUE(rows.contains(number)) << name_of(code);
    EXPECT_EQ(rows.at(number).name, name_of(code));
    if (code == Errc::ok) continue;
    EXPECT_EQ(rows.at(number).exception, thrown_for(code)) << name_of(code);
  }
}

}  // namespace
}  // namespace callboard
