// Values that share one object where they are equal.
#include "common/options.hpp"
#include "common/shared_values.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace callboard {
namespace {

TEST(SharedValuesTest, EqualValuesShareAnObject) {
  SharedValues<std::string> values;
  const auto one = values.share("one");
  const auto two = values.share("two");
  EXPECT_EQ(values.share("one"), one);
  EXPECT_EQ(values.share("two"), two);
  EXPECT_EQ(*one, "one");
  EXPECT_NE(one, two);
}

TEST(SharedValuesTest, ValueOutlivesWhatIsRemembered) {
  SharedValues<int> values;
  const auto first = values.share(0);
  for (int i = 1; i < 100; ++i) EXPECT_EQ(*values.share(i), i);
  EXPECT_EQ(*first, 0);
  EXPECT_NE(values.share(0), first) << "forgotten since, and right all the same";
}

TEST(SharedValuesTest, OptionsThatDifferInAnythingAreOthers) {
  SharedValues<wire::ActorOptions> values;
  wire::ActorOptions options;
  const auto plain = values.share(options);
  options.groups.emplace_back("slow", 2);
  EXPECT_NE(values.share(options), plain);
  options = {};
  options.retry_on = wire::RetryOn{wire::RetryOn::Which::listed, {"TypeError"}};
  EXPECT_NE(values.share(options), plain);
  EXPECT_EQ(values.share({}), plain);
}

}  // namespace
}  // namespace callboard
