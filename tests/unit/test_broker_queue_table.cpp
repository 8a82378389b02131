// Queues by name and by id.
#include "broker/core/queue_table.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace callboard::broker {
namespace {

using ::testing::ElementsAre;

ActorId id(std::uint64_t session, std::uint64_t seq) { return ActorId{SessionId{session}, seq}; }

QueuePtr queue(ActorId id, const std::string& name = {}) {
  QueuePtr made = QueuePtr::make();
  made->id = id;
  if (!name.empty()) made->given_name = std::make_unique<const std::string>(name);
  return made;
}

std::vector<std::string> behind(const QueueTable& table, const std::string& after,
                                std::size_t most = SIZE_MAX) {
  std::vector<std::string> names;
  table.each_after(after, [&](const QueuePtr& each) {
    if (names.size() >= most) return false;
    names.push_back(each->name());
    return true;
  });
  return names;
}

TEST(QueueTableTest, FindsQueuesByNameAndActorsByIdAsWell) {
  QueueTable table;
  const QueuePtr named = queue(id(1, 1), "hits");
  const QueuePtr unnamed = queue(id(1, 2));
  const QueuePtr task = queue({}, "task/add");
  for (const QueuePtr& each : {named, unnamed, task}) table.add(each);
  EXPECT_EQ(table.size(), 3u);
  EXPECT_EQ(table.find("hits"), named.get());
  EXPECT_EQ(table.find("~" + to_string(id(1, 2))), unnamed.get());
  EXPECT_EQ(table.find("task/add"), task.get());
  EXPECT_EQ(table.find("~" + to_string(id(1, 1))), nullptr) << "that is not its name";
  EXPECT_EQ(table.find("~nonsense"), nullptr);
  EXPECT_EQ(table.actor(id(1, 1)), named.get());
  EXPECT_EQ(table.actor(id(1, 2)), unnamed.get());
  EXPECT_EQ(table.actor({}), nullptr);
}

TEST(QueueTableTest, DeadActorKeepsItsNameUntilItIsErasedButNotItsId) {
  QueueTable table;
  for (const QueuePtr& each : {queue(id(1, 1), "hits"), queue(id(1, 2))}) {
    table.add(each);
    each->state = QueueState::dead;
    table.died(*each);
    EXPECT_EQ(table.actor(each->id), nullptr);
    EXPECT_EQ(table.find(each->name()), each.get());
    table.erase(*each);
    EXPECT_EQ(table.find(each->name()), nullptr);
  }
  EXPECT_EQ(table.size(), 0u);
}

TEST(QueueTableTest, PagesThroughNamesAndThenIds) {
  QueueTable table;
  for (const char* name : {"b", "a", "task/x"}) table.add(queue({}, name));
  for (const std::uint64_t seq : {3u, 20u, 1u}) table.add(queue(id(7, seq)));
  const auto name = [](std::uint64_t seq) { return "~" + to_string(id(7, seq)); };
  EXPECT_THAT(behind(table, ""),
              ElementsAre("a", "b", "task/x", name(1), name(3), name(20)));
  EXPECT_THAT(behind(table, "a", 2), ElementsAre("b", "task/x"));
  EXPECT_THAT(behind(table, "task/x", 1), ElementsAre(name(1)));
  EXPECT_THAT(behind(table, name(2)), ElementsAre(name(3), name(20)));
  EXPECT_THAT(behind(table, name(20)), ElementsAre());
}

TEST(QueueTableTest, HoldsThousandsInWhateverOrderTheyComeAndGo) {
  QueueTable table;
  std::mt19937_64 random(5);  // NOLINT: the same each time
  std::set<std::pair<std::uint64_t, std::uint64_t>> known;
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t session = random() % 3;
    const std::uint64_t rising = static_cast<std::uint64_t>(i) + 1;
    const std::uint64_t seq = session == 0 ? rising : random() % 5000 + 1;
    Queue* const there = table.find("~" + to_string(id(session, seq)));
    ASSERT_EQ(there != nullptr, known.contains({session, seq}));
    if (there != nullptr || random() % 4 == 0) {
      if (there == nullptr) continue;
      table.erase(*there);
      known.erase({session, seq});
    } else {
      table.add(queue(id(session, seq)));
      known.emplace(session, seq);
    }
  }
  ASSERT_EQ(table.size(), known.size());
  auto at = known.begin();
  table.each([&](const QueuePtr& each) {
    EXPECT_EQ(each->id, id(at->first, at->second));
    ++at;
  });
  EXPECT_EQ(at, known.end());
  while (table.size() > 0) {
    const auto [session, seq] = *known.begin();
    known.erase(known.begin());
    table.erase(*table.find("~" + to_string(id(session, seq))));
  }
}

}  // namespace
}  // namespace callboard::broker
