// Descriptions of classes: names, numbers and types, all known at compile time.

#include <callboard/callboard.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

namespace app {

struct Base {
  int hello() const;
};

class Counter : public Base {
 public:
  explicit Counter(int start, const std::string& name = "");
  int add(int n);
  const std::string& name() const noexcept;
  int at(int);
  double at(double) const;
  callboard::Async<std::string> fetch(std::string url);
  void reset(int to, std::optional<int> step = {});
  std::vector<int> classify(std::vector<std::tuple<int, std::string>> calls);
  std::vector<double> rank(const std::vector<double>& calls);

 private:
  int secret(int);

  friend consteval auto describe(callboard::Class<Counter> c) {
    return c.name("Counter")
        .constructor<int, const std::string&>()
        .method<&Counter::add>("add")
        .method<&Counter::name>("name")
        .method<callboard::overload<int(int)>(&Counter::at)>("at_int")
        .method<callboard::overload<double(double) const>(&Counter::at)>("at_double")
        .method<&Counter::fetch>("fetch", {.group = "io"})
        .method<&Counter::reset>("reset")
        .method<&Counter::hello>("hello")
        .method<&Counter::secret>("secret")
        .batched<&Counter::classify>("classify")
        .batched<&Counter::rank>("rank");
  }
};

template <class T>
struct Box {
  T get(T);
  friend consteval auto describe(callboard::Class<Box> c) {
    return c.name("Box").template method<&Box::get>("get");
  }
};

struct Outside {
  int run();
};
consteval auto describe(callboard::Class<Outside> c) {
  return c.name("Outside").method<&Outside::run>("run");
}

int half(int);
double half(double);
inline constexpr callboard::Task<callboard::overload<int(int)>(&half)> half_task{"half"};

}  // namespace app

namespace callboard {
namespace {

using app::Counter;
using CounterDescription = std::remove_const_t<decltype(description<Counter>)>;

template <auto F>
using CounterCall = MethodCall<Counter, F>;

static_assert(description<Counter>.name() == "Counter");
static_assert(std::is_same_v<CounterDescription::Constructor, std::tuple<int, std::string>>);
static_assert(CounterCall<&Counter::add>::kIndex == 0);
static_assert(CounterCall<&Counter::hello>::kIndex == 6, "a method of a base class");
static_assert(std::is_same_v<CounterCall<&Counter::name>::Result, std::string>);
static_assert(std::is_same_v<CounterCall<&Counter::fetch>::Result, std::string>);
static_assert(CounterCall<&Counter::fetch>::kAsync && !CounterCall<&Counter::add>::kAsync);
static_assert(
    std::is_same_v<CounterCall<&Counter::classify>::Params, std::tuple<int, std::string>>);
static_assert(std::is_same_v<CounterCall<&Counter::classify>::Result, int>);
static_assert(std::is_same_v<CounterCall<&Counter::rank>::Params, std::tuple<double>>);
static_assert(std::is_same_v<MethodCall<app::Box<int>, &app::Box<int>::get>::Result, int>);
static_assert(callboard::Described<app::Outside>);
static_assert(!callboard::Described<app::Base>);
static_assert(std::is_same_v<decltype(app::half_task)::Result, int>);

// What fits where.
static_assert(detail::kFits<int, short> && detail::kFits<std::string, const char*>);
static_assert(detail::kFits<int, Future<int>> && detail::kFits<double, Future<int>>);
static_assert(!detail::kFits<int, std::string> && !detail::kFits<int, Future<std::string>>);
static_assert(detail::kFits<std::optional<int>, Future<int>>);
static_assert(detail::required_count<std::tuple<int, std::optional<int>>>() == 1);
static_assert(detail::required_count<std::tuple<std::optional<int>, int>>() == 2);

TEST(ClientDescription, MethodsStandInTheOrderOfTheDescription) {
  std::vector<std::string> names;
  for (const MethodEntry& method : description<Counter>.methods()) names.emplace_back(method.name);
  EXPECT_THAT(names, ::testing::ElementsAre("add", "name", "at_int", "at_double", "fetch", "reset",
                                            "hello", "secret", "classify", "rank"));
  EXPECT_EQ(description<Counter>.methods()[4].group, "io");
  EXPECT_TRUE(description<Counter>.methods()[8].batched);
}

TEST(ClientDescription, EveryMethodIsVisitedWithItsNumber) {
  std::size_t sum = 0;
  CounterDescription::for_each([&]<auto F, std::size_t Index>() {
    sum += Index == CounterDescription::index_of<F>() ? 1 : 0;
  });
  EXPECT_EQ(sum, CounterDescription::kMethods);
}

}  // namespace
}  // namespace callboard
