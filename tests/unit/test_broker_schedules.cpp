// Schedules: when their calls are made, what a restart makes of them, what an operator may do.
#include "broker_asker.hpp"

#include <gmock/gmock.h>

#include <map>
#include <random>

namespace callboard::broker {
namespace {

using Seqs = std::vector<std::uint64_t>;
using testing::HasSubstr;

// The world begins at 1'700'000'000, which is 22:13:20 UTC.
constexpr std::int64_t kBegin = 1'700'000'000'000;

wire::ActorOptions hits(std::uint64_t max_pending = 0) {
  wire::ActorOptions options;
  options.name = "hits";
  options.max_pending = max_pending;
  return options;
}

/// What a RUN says of its due time; 0: nothing.
std::int64_t due_ms(const Told& run) {
  wire::CallOptions options;
  std::string problem;
  wire::Reader in(run.options);
  if (!wire::read(in, options, problem) || options.headers.empty()) return 0;
  const json headers = json::from_msgpack(options.headers);
  return headers.contains("callboard-due-ms")
             ? std::stoll(headers["callboard-due-ms"].get<std::string>())
             : 0;
}

/// A worker (20) that runs tasks at once, and an operator.
class Scheduled : public BrokerWorld {
 public:
  explicit Scheduled(BrokerOptions options = {}) : BrokerWorld(std::move(options)), asker(*this) {
    worker(20, "w0");
  }
  json create(json more = json::object()) {
    json request = {{"schedule", "s"}, {"cron", "* * * * * *"}, {"task", "resize"}};
    request.update(more);
    return asker.get("schedule.create", request);
  }
  json inspect() { return asker.get("schedule.inspect", {{"schedule", "s"}}); }
  /// Time passes and the worker ends what it is sent, which it lets itself be heard by.
  void live(std::int64_t ms) {
    for (; ms > 0; ms -= 20) {
      pass(20);
      // The operator too, or its connection is taken for dead after some seconds.
      for (const std::uint64_t peer : {std::uint64_t{20}, kOperator}) {
        send(peer, [](auto& out) { wire::write_pong(out, 1); });
      }
      for (; ended < all(20, Type::run).size(); ++ended) done(20, all(20, Type::run)[ended].lease);
    }
  }
  /// The broker is away for so long, then another run begins.
  void away(std::int64_t ms) {
    note_runs();
    now.mono_us += ms * 1000;
    now.wall_ms += ms;
    restart();
    ended = 0;
    worker(20, "w0");
    client(kOperator);
  }
  /// A due time may have several attempts, but of one call only.
  void note_runs() {
    for (const Told& run : all(20, Type::run)) {
      const auto [known, first] = calls.emplace(due_ms(run), run.call);
      EXPECT_EQ(known->second, run.call) << "two calls for " << known->first;
    }
  }
  /// The store applies the commit, and the broker does not hear of it.
  void commit_unheard() {
    if (!broker->has_batch()) return;
    store.apply(broker->take_batch(commit_no));
  }
  Asker asker;
  std::size_t ended = 0;
  std::map<std::int64_t, CallId> calls;  ///< of all broker runs, by due time
};

TEST(BrokerSchedules, CallsAreMadeWhenTheyAreDue) {
  Scheduled world;
  world.create({{"cron", "*/10 * * * * *"}, {"args", {1, 2}}});
  world.live(9'900);
  EXPECT_EQ(world.runs(20).size(), 0u);
  world.live(200);
  ASSERT_EQ(world.runs(20).size(), 1u);
  EXPECT_EQ(world.last(20, Type::run).args, std::string("\x92\x01\x02"));
  world.live(20'000);
  EXPECT_EQ(world.runs(20), (Seqs{1, 2, 3}));
  const json told = world.inspect();
  EXPECT_EQ(told["made"], 3);
  EXPECT_EQ(told["last_ms"], kBegin + 30'000);
  EXPECT_EQ(told["next_ms"], kBegin + 40'000);
  EXPECT_EQ(world.store.depth("task/resize"), 0u);
}

TEST(BrokerSchedules, MethodsOfActorsAreCalledByNameAndById) {
  Scheduled world;
  world.client(10);
  world.BrokerWorld::create(10, 1, 1, hits());
  world.started(20, 10);
  world.create({{"task", ""}, {"target", "hits"}, {"method", "get"}});
  const std::string id = to_string(ActorId{SessionId{10}, 1});
  world.create({{"schedule", "t"}, {"task", ""}, {"target", id}, {"method", "add"}});
  world.live(1'100);
  ASSERT_EQ(world.runs(20).size(), 2u);
  EXPECT_EQ(world.all(20, Type::run)[0].method + world.all(20, Type::run)[1].method, 1u);
}

TEST(BrokerSchedules, SurviveARestartAndRepeatNothing) {
  Scheduled world;
  world.create();
  world.live(2'100);
  EXPECT_EQ(world.runs(20), (Seqs{1, 2}));
  world.away(100);
  world.live(1'900);
  EXPECT_EQ(world.runs(20), (Seqs{3, 4})) << "each due time has one call";
  EXPECT_EQ(world.inspect()["made"], 4);
}

TEST(BrokerSchedules, CallAndNextDueTimeAreOneCommit) {
  Scheduled world;
  world.create();
  world.auto_commit = false;
  world.pass(1'100);
  EXPECT_EQ(world.runs(20), Seqs{}) << "it leaves only when it is committed";
  world.auto_commit = true;
  world.away(0);  // nothing of it was committed: the successor makes the call, once
  world.live(500);
  EXPECT_EQ(world.runs(20), (Seqs{1}));
  EXPECT_EQ(world.inspect()["made"], 1);
}

TEST(BrokerSchedules, OneCallMakesUpForAllThatWasMissed) {
  Scheduled world;
  world.create();
  world.away(3'600'000);
  world.live(20);
  EXPECT_EQ(world.runs(20).size(), 1u);
  world.live(1'000);
  EXPECT_EQ(world.runs(20).size(), 2u);
}

TEST(BrokerSchedules, AllThatWasMissedIsMadeUpForWithinTheBound) {
  Scheduled world;
  world.create({{"cron", "0 * * * * *"}, {"catch_up", "all"}, {"catch_up_max", 5}});
  world.away(3 * 60'000);
  world.live(100);
  EXPECT_EQ(world.runs(20).size(), 3u);
  world.away(3'600'000);
  world.live(100);
  EXPECT_EQ(world.runs(20).size(), 5u);
  EXPECT_EQ(world.inspect()["made"], 8);
}

TEST(BrokerSchedules, SkippedTimesAreLeftOutUnlessTheyHaveJustBeen) {
  Scheduled world;
  world.create({{"cron", "0 * * * * *"}, {"catch_up", "skip"}});  // due 40 s from now
  world.away(40'000 + 9'000);
  world.live(100);
  EXPECT_EQ(world.runs(20).size(), 1u) << "a standby needs some seconds";
  world.away(60'000 + 10'000);
  world.live(100);
  EXPECT_EQ(world.runs(20).size(), 0u);
  EXPECT_EQ(world.inspect()["made"], 1);
}

TEST(BrokerSchedules, AYearOfSecondsIsNotCounted) {
  Scheduled world;
  world.create({{"catch_up", "all"}, {"catch_up_max", 3}});
  world.away(365LL * 86'400'000);
  world.live(20);
  EXPECT_EQ(world.runs(20).size(), 3u);
}

TEST(BrokerSchedules, WallClockThatIsPutBackRepeatsNothing) {
  Scheduled world;
  world.create();
  world.live(5'100);
  EXPECT_EQ(world.runs(20).size(), 5u);
  world.now.wall_ms -= 3'000;
  world.live(2'900);
  EXPECT_EQ(world.runs(20).size(), 5u);
  world.live(1'100);
  EXPECT_EQ(world.runs(20).size(), 6u);
}

TEST(BrokerSchedules, PauseOrReplacementOnASlowerClockRepeatsNothing) {
  Scheduled world;
  world.create();
  world.live(5'100);
  EXPECT_EQ(world.runs(20).size(), 5u);
  world.now.wall_ms -= 3'000;  // as of a broker on another host
  world.asker.get("schedule.pause", {{"schedule", "s"}});
  world.asker.get("schedule.resume", {{"schedule", "s"}});
  world.live(1'500);
  world.create({{"replace", true}, {"args", {1}}});
  world.live(1'400);
  EXPECT_EQ(world.runs(20).size(), 5u);
  world.live(1'100);
  EXPECT_EQ(world.runs(20).size(), 6u);
}

TEST(BrokerSchedules, EachDueTimeHasOneCallWhereverBrokersDie) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Scheduled world;
    std::mt19937_64 random(seed);
    world.create({{"catch_up", "all"}, {"catch_up_max", 1000}});
    for (int i = 0; i < 20; ++i) {
      world.auto_commit = random() % 3 != 0;
      world.live(static_cast<std::int64_t>(random() % 1500));
      if (random() % 2 != 0) world.commit_unheard();
      world.auto_commit = true;
      world.away(random() % 4 == 0 ? static_cast<std::int64_t>(random() % 5000) : 0);
    }
    world.live(3'000);
    world.note_runs();
    const std::int64_t last = world.inspect()["last_ms"];
    std::int64_t due = kBegin;
    for (const auto& [each, call] : world.calls) EXPECT_EQ(each, due += 1000) << "seed " << seed;
    EXPECT_EQ(due, last) << "seed " << seed;
    EXPECT_EQ(world.inspect()["made"], world.calls.size()) << "seed " << seed;
  }
}

TEST(BrokerSchedules, NoDueTimeHasTwoCallsWhateverClocksAndOperatorsDo) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Scheduled world;
    std::mt19937_64 random(seed);
    world.create({{"catch_up", "all"}});
    for (int i = 0; i < 40; ++i) {
      world.auto_commit = random() % 4 != 0;
      world.live(static_cast<std::int64_t>(random() % 1500));
      world.commit();
      world.auto_commit = true;
      switch (random() % 6) {
        case 0: world.away(0); break;
        case 1: world.now.wall_ms -= static_cast<std::int64_t>(random() % 3000); break;
        case 2: world.now.wall_ms += static_cast<std::int64_t>(random() % 2000); break;
        case 3: world.asker.get("schedule.pause", {{"schedule", "s"}}); break;
        case 4: world.asker.get("schedule.resume", {{"schedule", "s"}}); break;
        case 5: world.create({{"replace", true}, {"catch_up", "all"}, {"args", {i}}}); break;
      }
    }
    world.asker.get("schedule.resume", {{"schedule", "s"}});
    world.live(9'000);  // later than any clock has been
    world.note_runs();
    EXPECT_GT(world.calls.size(), 5u) << "seed " << seed;
  }
}

TEST(BrokerSchedules, PausedOnesMakeNoCallsAndMakeUpForNone) {
  Scheduled world;
  world.create({{"catch_up", "all"}});
  EXPECT_EQ(world.asker.get("schedule.pause", {{"schedule", "s"}})["state"], "paused");
  world.live(5'000);
  world.away(100);
  world.live(1'000);
  EXPECT_EQ(world.runs(20).size(), 0u) << "the pause outlives the broker";
  EXPECT_EQ(world.asker.get("schedule.resume", {{"schedule", "s"}})["state"], "active");
  world.live(1'100);
  EXPECT_EQ(world.runs(20).size(), 1u);
}

TEST(BrokerSchedules, RemovedOnesAreGoneForGood) {
  Scheduled world;
  world.create();
  world.asker.get("schedule.rm", {{"schedule", "s"}});
  EXPECT_FALSE(world.store.keys.contains("schedules"));
  world.live(2'000);
  world.away(100);
  world.live(2'000);
  EXPECT_EQ(world.runs(20).size(), 0u);
  world.asker.error("schedule.inspect", Errc::unknown_actor, {{"schedule", "s"}});
  world.asker.error("schedule.rm", Errc::unknown_actor, {{"schedule", "s"}});
}

TEST(BrokerSchedules, TheSameAgainIsNoneMoreAndAnotherNeedsReplace) {
  Scheduled world;
  world.create();
  world.live(1'100);
  EXPECT_EQ(world.create()["made"], 1);
  json other = {{"schedule", "s"}, {"cron", "0 0 * * *"}, {"task", "resize"}};
  world.asker.error("schedule.create", Errc::name_taken, other);
  other["replace"] = true;
  EXPECT_EQ(world.asker.get("schedule.create", other)["made"], 0);
  world.live(2'000);
  EXPECT_EQ(world.runs(20).size(), 1u);
}

TEST(BrokerSchedules, TimesAtWhichNoCallCanBeMadeAreCountedWithTheReason) {
  Scheduled world;
  world.client(10);
  world.BrokerWorld::create(10, 1, 1, hits(1));
  world.started(20, 0);
  world.create({{"task", ""}, {"target", "hits"}, {"method", "get"}});
  world.live(2'100);
  EXPECT_EQ(world.inspect()["failed"], 1);
  EXPECT_THAT(world.inspect()["problem"].get<std::string>(), HasSubstr("is full"));
  world.asker.get("actor.kill", {{"actor", "hits"}});
  world.live(1'000);
  EXPECT_EQ(world.inspect()["failed"], 2);
  EXPECT_EQ(world.inspect()["made"], 1);
  EXPECT_EQ(world.inspect()["state"], "active");
}

TEST(BrokerSchedules, WhatMakesNoSenseIsRefused) {
  Scheduled world;
  const auto refused = [&](Errc code, json more) {
    json request = {{"schedule", "s"}, {"cron", "* * * * *"}, {"task", "resize"}};
    request.update(more);
    return world.asker.error("schedule.create", code, request);
  };
  EXPECT_THAT(refused(Errc::invalid_option, {{"cron", "61 * * * *"}}), HasSubstr("no minute"));
  EXPECT_THAT(refused(Errc::invalid_option, {{"cron", "0 0 31 2 *"}}), HasSubstr("never"));
  EXPECT_THAT(refused(Errc::invalid_option, {{"zone", "Mars/Olympus"}}), HasSubstr("Olympus"));
  refused(Errc::invalid_option, {{"schedule", "a b"}});
  refused(Errc::invalid_option, {{"schedule", ""}});
  refused(Errc::invalid_option, {{"catch_up", "some"}});
  refused(Errc::invalid_option, {{"catch_up_max", 100'000}});
  refused(Errc::invalid_option, {{"task", ""}});
  refused(Errc::invalid_option, {{"task", ""}, {"target", "hits"}});
  refused(Errc::invalid_option, {{"method", "get"}});
  refused(Errc::unknown_task, {{"task", "nothing"}});
  refused(Errc::unknown_actor, {{"task", ""}, {"target", "nobody"}, {"method", "get"}});
  refused(Errc::invalid_option, {{"args", "text"}});
  EXPECT_EQ(world.asker.all("schedule.ls", json::object(), 10).size(), 0u);
  EXPECT_FALSE(world.store.keys.contains("schedules"));
}

TEST(BrokerSchedules, ListIsPagedInTheOrderOfNames) {
  Scheduled world;
  for (const char* name : {"c", "a", "b"}) world.create({{"schedule", name}});
  const auto items = world.asker.all("schedule.ls", json::object(), 2);
  ASSERT_EQ(items.size(), 3u);
  EXPECT_EQ(items[0]["schedule"], "a");
  EXPECT_EQ(items[2]["schedule"], "c");
}

TEST(BrokerSchedules, OneThatThisHostDoesNotUnderstandIsKept) {
  Scheduled world;
  world.create();
  std::string& record = world.store.keys.at("schedules").at("s");
  const auto zone = record.find("UTC");
  ASSERT_NE(zone, std::string::npos);
  record.replace(zone, 3, "XYZ");
  world.away(100);
  world.live(2'000);
  EXPECT_EQ(world.runs(20).size(), 0u);
  EXPECT_EQ(world.inspect()["state"], "broken");
  EXPECT_THAT(world.inspect()["problem"].get<std::string>(), HasSubstr("XYZ"));
  EXPECT_TRUE(world.store.keys.contains("schedules"));
}

}  // namespace
}  // namespace callboard::broker
