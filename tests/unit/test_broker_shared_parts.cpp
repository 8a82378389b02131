// What queues and handles share, or have only where it is needed.
#include "broker/core/queue.hpp"
#include "broker/core/session.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace callboard::broker {
namespace {

TEST(MethodTableTest, QueuesThatLearnTheSameMethodsShareATable) {
  const auto none = std::make_shared<const MethodTable>();
  const auto add = none->with("add", 0);
  const auto both = add->with("get", 1);
  EXPECT_EQ(none->with("add", 0), add);
  EXPECT_EQ(none->with("add", 0)->with("get", 1), both);
  EXPECT_NE(add->with("get", 0), both) << "it is in another group";
  EXPECT_NE(none->with("get", 1), both);
  EXPECT_EQ(both->find("add"), 0);
  EXPECT_EQ(both->find("get"), 1);
  EXPECT_EQ(both->find("put"), -1);
  EXPECT_EQ(add->find("get"), -1) << "a table does not change";
}

TEST(MethodTableTest, FindsEachOfManyMethods) {
  std::shared_ptr<const MethodTable> table = std::make_shared<const MethodTable>();
  for (int i = 0; i < 100; ++i) table = table->with("m" + std::to_string(i), 0);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(table->find("m" + std::to_string(i)), i);
}

TEST(MethodTableTest, TableGoesWithItsLastQueue) {
  const auto none = std::make_shared<const MethodTable>();
  std::weak_ptr<const MethodTable> add = none->with("add", 0);
  EXPECT_TRUE(add.expired());
  EXPECT_EQ(none->with("add", 0)->names.size(), 1u);
}

TEST(MethodNumbersTest, AreTheQueuesUntilOneDiffers) {
  MethodNumbers numbers;
  numbers.push_back(0);
  numbers.push_back(1);
  numbers.push_back(7);
  numbers.push_back(3);
  ASSERT_EQ(numbers.size(), 4u);
  EXPECT_EQ(numbers[0], 0);
  EXPECT_EQ(numbers[1], 1);
  EXPECT_EQ(numbers[2], 7);
  EXPECT_EQ(numbers[3], 3);
}

TEST(QueuePtrTest, QueueGoesWithItsLastPointer) {
  QueuePtr one = QueuePtr::make();
  Queue* const queue = one.get();
  QueuePtr other = one;
  EXPECT_EQ(queue->references, 2u);
  one = QueuePtr();
  EXPECT_EQ(queue->references, 1u);
  const QueuePtr moved = std::move(other);
  EXPECT_EQ(queue->references, 1u);
  EXPECT_EQ(moved.get(), queue);
}

}  // namespace
}  // namespace callboard::broker
