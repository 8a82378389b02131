// Codecs of values and argument lists: what travels, and what is said of what does not fit.

#include <callboard/arguments.hpp>
#include <callboard/error.hpp>
#include <callboard/msgpack.hpp>
#include <callboard/value.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

namespace callboard {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

template <class T>
T round_trip(const T& value) {
  T back{};
  std::string problem;
  EXPECT_TRUE(decode(encode(value), back, problem)) << problem;
  return back;
}

/// What is wrong with reading `from` as a T.
template <class T, class From>
std::string problem_of(const From& from) {
  T value{};
  std::string problem;
  EXPECT_FALSE(decode(encode(from), value, problem));
  return problem;
}

enum class Colour : std::uint8_t { red = 1, blue = 200 };

TEST(ClientValues, NumbersComeBackAtTheirBounds) {
  EXPECT_EQ(round_trip(true), true);
  EXPECT_EQ(round_trip(std::numeric_limits<std::int8_t>::min()), -128);
  EXPECT_EQ(round_trip(std::numeric_limits<std::int64_t>::min()), INT64_MIN);
  EXPECT_EQ(round_trip(std::numeric_limits<std::uint64_t>::max()), UINT64_MAX);
  EXPECT_EQ(round_trip(1.5f), 1.5f);
  EXPECT_EQ(round_trip(-1e300), -1e300);
  EXPECT_EQ(round_trip(Colour::blue), Colour::blue);
}

TEST(ClientValues, TextAndBytesAreDifferentThings) {
  EXPECT_EQ(round_trip(std::string(70'000, 'x')).size(), 70'000u);
  EXPECT_EQ(round_trip(Bytes{std::string("\0\xff", 2)}), (Bytes{std::string("\0\xff", 2)}));
  EXPECT_EQ(round_trip(std::vector<std::byte>{std::byte{7}}), std::vector<std::byte>{std::byte{7}});
  EXPECT_EQ(round_trip(std::array<std::uint8_t, 2>{1, 2}), (std::array<std::uint8_t, 2>{1, 2}));
  EXPECT_EQ(problem_of<std::string>(Bytes{"x"}), "expected str, got bin");
  EXPECT_EQ(problem_of<Bytes>("x"), "expected bytes, got str");
}

TEST(ClientValues, ContainersComeBackWithWhatTheyHold) {
  using Nested = std::map<std::string, std::vector<std::tuple<int, std::optional<std::string>>>>;
  const Nested nested{{"a", {{1, "one"}, {2, std::nullopt}}}, {"b", {}}};
  EXPECT_EQ(round_trip(nested), nested);
  EXPECT_EQ(round_trip(std::set<int>{3, 1}), (std::set<int>{1, 3}));
  EXPECT_EQ(round_trip(std::unordered_map<int, bool>{{1, true}}),
            (std::unordered_map<int, bool>{{1, true}}));
  EXPECT_EQ(round_trip(std::vector<bool>{true, false}), (std::vector<bool>{true, false}));
  EXPECT_EQ(round_trip(std::array<std::string, 2>{"a", "b"}),
            (std::array<std::string, 2>{"a", "b"}));
  EXPECT_EQ(round_trip(std::pair(1, std::string("x"))), std::pair(1, std::string("x")));
}

TEST(ClientValues, VariantTakesTheFirstAlternativeThatFits) {
  using Variant = std::variant<std::monostate, int, std::string, std::vector<int>>;
  for (const Variant& value : {Variant(), Variant(3), Variant("x"), Variant(std::vector{1})}) {
    EXPECT_EQ(round_trip(value), value);
  }
  EXPECT_EQ(problem_of<Variant>(1.5), "expected nil|int|str|list<int>, got float");
}

TEST(ClientValues, TimesTravelAsNanoseconds) {
  EXPECT_EQ(round_trip(1500ms), 1500ms);
  EXPECT_EQ(encode(2us), encode(2000));
  std::chrono::seconds seconds{};
  std::string problem;
  ASSERT_TRUE(decode(encode(2700ms), seconds, problem));
  EXPECT_EQ(seconds, 2s);
  const auto now = std::chrono::system_clock::now();
  EXPECT_EQ(round_trip(now), now);
  EXPECT_THROW(encode(std::chrono::hours(10'000'000)), Error);
}

TEST(ClientValues, VoidIsNil) {
  EXPECT_EQ(encode(Unit()), "\xc0");
  EXPECT_EQ(problem_of<Unit>(1), "expected nil, got int");
}

// --- what does not fit --------------------------------------------------------------------------

TEST(ClientValues, WrongTypeIsNamedBesideTheExpectedOne) {
  EXPECT_EQ(problem_of<int>("x"), "expected int, got str");
  EXPECT_EQ(problem_of<bool>(1), "expected bool, got int");
  EXPECT_EQ(problem_of<int>(1.0), "expected int, got float");
  EXPECT_EQ(problem_of<double>("x"), "expected float, got str");
  EXPECT_EQ(problem_of<std::vector<int>>(1), "expected list<int>, got int");
  EXPECT_EQ((problem_of<std::map<std::string, int>>(std::vector{1})),
            "expected map<str, int>, got array");
  EXPECT_EQ(problem_of<std::chrono::seconds>("1s"), "expected duration, got str");
}

TEST(ClientValues, PlaceOfTheWrongElementIsSaid) {
  using Lists = std::map<std::string, std::vector<int>>;
  using Given = std::map<std::string, std::vector<std::string>>;
  EXPECT_EQ(problem_of<Lists>(Given{{"a", {"x"}}}), "value 0: element 0: expected int, got str");
  using Pair = std::tuple<int, int>;
  EXPECT_EQ(problem_of<Pair>(std::vector{1, 2, 3}), "expected tuple<int, int>, got a list of 3");
}

TEST(ClientValues, NumberOutOfRangeIsSaidWithTheBounds) {
  EXPECT_EQ(problem_of<std::int8_t>(300), "expected int between -128 and 127, got 300");
  EXPECT_EQ(problem_of<std::uint8_t>(-1), "expected int between 0 and 255, got -1");
  EXPECT_EQ(problem_of<std::int64_t>(UINT64_MAX),
            "expected int between -9223372036854775808 and 9223372036854775807, "
            "got 18446744073709551615");
  EXPECT_EQ(problem_of<Colour>(256), "expected int between 0 and 255, got 256");
}

TEST(ClientValues, DamagedBytesAreAnErrorAndNeverACrash) {
  const std::string good = encode(std::map<std::string, std::vector<int>>{{"a", {1, 2, 300}}});
  for (std::size_t n = 0; n < good.size(); ++n) {
    std::map<std::string, std::vector<int>> value;
    std::string problem;
    EXPECT_FALSE(decode(good.substr(0, n), value, problem));
    EXPECT_NE(problem, "");
  }
  std::vector<int> value;
  std::string problem;
  EXPECT_FALSE(decode("\xdd\xff\xff\xff\xff", value, problem)) << "a list of 4 billion";
  EXPECT_FALSE(decode(encode(std::vector{1}) + "\x01", value, problem));
  EXPECT_EQ(problem, "more follows after the value");
}

TEST(ClientValues, DeeplyNestedValueIsRefused) {
  std::string bytes(1000, '\x91');
  bytes += '\xc0';
  Encoded value;
  std::string problem;
  EXPECT_FALSE(decode(bytes, value, problem));
}

// --- types of the application -------------------------------------------------------------------

struct Point {
  double x = 0;
  int y = 0;
  std::vector<std::string> names;
  bool operator==(const Point&) const = default;
  MSGPACK_DEFINE(x, y, names)
};

TEST(ClientValues, MsgpackTypesTravelAlsoInsideOthers) {
  const std::map<std::string, Point> points{{"a", {1.5, 2, {"n"}}}};
  EXPECT_EQ(round_trip(points), points);
  EXPECT_THAT(problem_of<Point>(3), HasSubstr("got int"));
  EXPECT_THAT((problem_of<Point>(std::tuple<std::string, int>{"x", 1})), HasSubstr("got array"));
}

struct Celsius {
  double degrees = 0;
};

}  // namespace

template <>
struct Codec<Celsius> {
  static std::string name() { return "celsius"; }
  static void encode(wire::Writer& out, const Celsius& value) { out.f64(value.degrees); }
  static bool decode(Decoder& in, Celsius& value) { return in.reader().f64(value.degrees); }
};

namespace {

TEST(ClientValues, CodecOfOnesOwnWinsOverMsgpackAndNamesItsType) {
  EXPECT_EQ(round_trip(Celsius{21.5}).degrees, 21.5);
  Celsius value;
  std::string problem;
  EXPECT_FALSE(decode(encode(std::string("hot")), value, problem));
  EXPECT_THAT(problem, HasSubstr("expected celsius"));
}

// --- argument lists -----------------------------------------------------------------------------

using Params = std::tuple<int, std::string, std::optional<double>>;

std::string arguments_problem(std::string_view list, bool separate = false) {
  Params params;
  std::string problem;
  EXPECT_FALSE(decode_arguments(list, separate, nullptr, params, problem));
  return problem;
}

TEST(ClientArguments, OptionalOnesAtTheEndMayBeLeftOut) {
  Params params;
  std::string problem;
  ASSERT_TRUE(decode_arguments(encode(std::tuple(1, std::string("a"))), false, nullptr, params,
                               problem));
  EXPECT_EQ(params, (Params{1, "a", std::nullopt}));
  ASSERT_TRUE(decode_arguments(encode(std::tuple(1, std::string("a"), 2.5)), false, nullptr,
                               params, problem));
  EXPECT_EQ(params, (Params{1, "a", 2.5}));
}

TEST(ClientArguments, WrongOneIsSaidByItsPlace) {
  EXPECT_EQ(arguments_problem(encode(std::tuple(1, 2))), "argument 2: expected str, got int");
  EXPECT_EQ(arguments_problem(encode(std::tuple(1))), "takes 2 to 3 arguments, got 1");
  EXPECT_EQ(arguments_problem(encode(std::tuple(1, 2, 3, 4))), "takes 2 to 3 arguments, got 4");
  EXPECT_EQ(arguments_problem(encode(1)), "the arguments are not a list");
}

TEST(ClientArguments, SeparateOnesAreReadEachFromItsBytes) {
  const auto list = [](const std::string& first, const std::string& second) {
    std::string bytes;
    wire::Writer out(bytes);
    out.array(2);
    out.bin(first);
    out.bin(second);
    return bytes;
  };
  Params params;
  std::string problem;
  ASSERT_TRUE(decode_arguments(list(encode(1), encode("a")), true, nullptr, params, problem));
  EXPECT_EQ(params, (Params{1, "a", std::nullopt}));
  EXPECT_EQ(arguments_problem(list(encode("x"), encode("a")), true),
            "argument 1: expected int, got str");
  EXPECT_EQ(arguments_problem(list(encode(1) + "\x01", encode("a")), true),
            "argument 1: more follows after the value");
}

TEST(ClientArguments, SignatureUsesNamesOfAllLanguages) {
  EXPECT_EQ((signature_of<void, std::tuple<>>()), "nil()");
  EXPECT_EQ((signature_of<std::vector<Bytes>, Params>()),
            "list<bytes>(int, str, optional<float>)");
}

}  // namespace
}  // namespace callboard
