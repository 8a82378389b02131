#include "bench/load/load.hpp"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

namespace bench {
namespace {

std::string argument(std::uint32_t client, std::uint32_t actor, std::uint64_t number) {
  std::string message(64, 'x');
  seal(message, Head{client, actor, number});
  return message;
}

/// Whether the inspector was content with it.
bool good(Inspector& inspector, std::string message) {
  inspector.answer(message.data(), message.size());
  return sum_in(message) == sum_of_result(message.data(), message.size());
}

TEST(Histogram, PercentilesAreOffByLessThanOnePercent) {
  Histogram histogram;
  for (std::int64_t us = 1; us <= 100'000; ++us) histogram.add(us * 1000);
  EXPECT_EQ(histogram.total(), 100'000u);
  EXPECT_NEAR(histogram.percentile_us(50), 50'000, 500);
  EXPECT_NEAR(histogram.percentile_us(99), 99'000, 990);
  EXPECT_NEAR(histogram.percentile_us(99.9), 99'900, 999);
  EXPECT_EQ(histogram.max_us(), 100'000);
}

TEST(Histogram, KeepsSmallValuesExactlyAndBoundsHugeOnes) {
  Histogram small;
  for (std::int64_t ns = 0; ns < 256; ++ns) small.add(ns);
  EXPECT_EQ(small.percentile_us(50), 0.127);
  Histogram huge;
  huge.add(INT64_MAX);
  huge.add(-5);
  EXPECT_GT(huge.percentile_us(100), 60e6);
  EXPECT_EQ(huge.percentile_us(1), 0);
}

TEST(Inspector, SeesWhatIsOutOfOrderForEachClientAndActor) {
  Inspector inspector;
  EXPECT_TRUE(good(inspector, argument(0, 0, 5)));
  EXPECT_TRUE(good(inspector, argument(0, 1, 3)));  // another actor
  EXPECT_TRUE(good(inspector, argument(1, 0, 3)));  // another client
  EXPECT_TRUE(good(inspector, argument(0, 0, 7)));
  EXPECT_FALSE(good(inspector, argument(0, 0, 6)));
  EXPECT_FALSE(good(inspector, argument(0, 1, 3)));  // a second time
}

TEST(Inspector, RefusesDamagedMessages) {
  Inspector inspector;
  for (std::size_t at = 0; at < 64; ++at) {
    auto message = argument(0, 0, 1);
    message[at] ^= 4;
    EXPECT_FALSE(good(inspector, message)) << at;
  }
  EXPECT_FALSE(good(inspector, std::string(8, 'x')));
}

class AFlight : public testing::Test {
 protected:
  AFlight() {
    options_.window = 4;
    options_.actors = 2;
  }
  /// Sends all that it may; results as a right actor gives them.
  std::vector<std::string> send(Flight& flight) {
    std::vector<std::string> results;
    for (auto count = flight.may_send(); count > 0; --count) {
      results.push_back(flight.next());
      inspector_.answer(results.back().data(), results.back().size());
    }
    return results;
  }

  Options options_;
  Outcome outcome_;
  Inspector inspector_;
};

TEST_F(AFlight, NeverHasMoreThanItsWindowOnTheWay) {
  Flight flight(options_, 0, outcome_);
  flight.begin(6, true);
  const auto first = send(flight);
  EXPECT_EQ(first.size(), 4u);
  EXPECT_EQ(flight.may_send(), 0u);
  flight.landed(first[0]);
  EXPECT_EQ(flight.may_send(), 1u);
  for (int i = 1; i < 4; ++i) flight.landed(first[static_cast<std::size_t>(i)]);
  for (const auto& result : send(flight)) flight.landed(result);
  EXPECT_TRUE(flight.all_landed());
  EXPECT_EQ(outcome_.landed, 6u);
  EXPECT_EQ(outcome_.latencies.total(), 6u);
  EXPECT_EQ(outcome_.damaged + outcome_.repeated, 0u);
}

TEST_F(AFlight, CountsDamagedAndRepeatedResultsApart) {
  Flight flight(options_, 0, outcome_);
  flight.begin(4, true);
  auto results = send(flight);
  flight.landed(results[0]);
  flight.landed(results[0]);
  results[1][20] ^= 1;
  flight.landed(results[1]);
  flight.landed(argument(0, 1, 3));  // sent back unread
  EXPECT_EQ(outcome_.landed, 1u);
  EXPECT_EQ(outcome_.repeated, 1u);
  EXPECT_EQ(outcome_.damaged, 2u);
}

TEST_F(AFlight, WarmUpIsNotMeasured) {
  Flight flight(options_, 0, outcome_);
  flight.begin(4, false);
  for (const auto& result : send(flight)) flight.landed(result);
  EXPECT_TRUE(flight.all_landed());
  flight.begin(2, true);
  for (const auto& result : send(flight)) flight.landed(result);
  EXPECT_EQ(outcome_.landed, 2u);
}

TEST_F(AFlight, OpenLoopCountsFromWhenAMessageWasDue) {
  options_.rate = 1000;
  Flight flight(options_, 0, outcome_);
  flight.begin(50, true);
  const auto due_ns = flight.due_ns() + 49 * 1'000'000;  // of the last one
  while (now_ns() < due_ns) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_EQ(flight.may_send(), 50u);  // all are due, whatever is on its way
  for (const auto& result : send(flight)) flight.landed(result);
  // The first was due 49 ms before it was sent, and half of them more than 24.
  EXPECT_GT(outcome_.latencies.max_us(), 48'000);
  EXPECT_GT(outcome_.latencies.percentile_us(50), 23'000);
}

}  // namespace
}  // namespace bench
