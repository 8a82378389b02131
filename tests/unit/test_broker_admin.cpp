// What an operator may ask: lists in pages, single things, changes that are told after their
// commit.
#include "broker_asker.hpp"

#include <gmock/gmock.h>

namespace callboard::broker {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

wire::ActorOptions named(std::string name) {
  wire::ActorOptions options;
  options.name = std::move(name);
  options.max_concurrency = 1;
  return options;
}

std::string call_of(std::uint64_t seq) { return to_string(CallId{SessionId{10}, seq}); }

std::vector<std::string> names(const std::vector<json>& items, const char* key) {
  std::vector<std::string> out;
  for (const auto& item : items) out.push_back(item[key]);
  return out;
}

TEST(BrokerAdmin, UnknownVerbIsAnErrorThatNamesIt) {
  BrokerWorld world;
  EXPECT_EQ(Asker(world).error("queue.fly", Errc::unknown_verb), "no such verb: queue.fly");
}

TEST(BrokerAdmin, RequestThatMakesNoSenseIsRefusedInWords) {
  BrokerWorld world;
  Asker asker(world);
  EXPECT_EQ(asker.error("queue.ls", Errc::invalid_option, {{"limits", 5}}),
            "queue.ls: unknown key limits");
  EXPECT_EQ(asker.error("queue.ls", Errc::invalid_option, {{"limit", 0}}),
            "queue.ls: limit is a number above 0");
  EXPECT_EQ(asker.error("queue.ls", Errc::invalid_option, json::array({1})),
            "queue.ls: a request is a map");
  EXPECT_EQ(asker.error("queue.inspect", Errc::invalid_option, {{"queue", 5}}),
            "queue.inspect: queue is a short text");
}

TEST(BrokerAdmin, HealthNamesWhatIsWrong) {
  BrokerWorld world;
  Asker asker(world);
  EXPECT_THAT(asker.get("health")["problems"].dump(), HasSubstr("no worker is connected"));
  world.worker(20, "w0");
  EXPECT_EQ(asker.get("health")["problems"], json::array());
  EXPECT_EQ(asker.get("health")["store"], "up");
  world.step(StoreDown{"connection refused"});
  EXPECT_EQ(asker.get("health")["store"], "down");
  EXPECT_EQ(asker.get("health")["store_problem"], "connection refused");
}

TEST(BrokerAdmin, StatsCountCallsFromSubmitToEnd) {
  OneActor world;
  Asker asker(world);
  world.submit(10, 2, 1);
  world.submit(10, 3, 1);
  world.done(20, world.last(20, Type::run).lease);
  world.fail(20, world.last(20, Type::run).lease, "std::logic_error");
  const json stats = asker.get("stats");
  EXPECT_EQ(stats["accepted"], 2);
  EXPECT_EQ(stats["sent"], 2);
  EXPECT_EQ(stats["ended_ok"], 1);
  EXPECT_EQ(stats["ended_error"], 1);
  EXPECT_EQ(stats["workers"], 1);
}

TEST(BrokerAdmin, QueuesAreListedOnceInPagesOfAnySize) {
  BrokerWorld world;
  world.worker(20, "w0");
  world.client(10);
  for (std::uint32_t i = 0; i < 23; ++i) {
    world.create(10, i + 1, i, named("actor" + std::to_string(100 + i)));
  }
  Asker asker(world);
  for (const std::size_t limit : {1, 2, 7, 24, 1000}) {
    const auto found = names(asker.all("queue.ls", json::object(), limit), "queue");
    ASSERT_EQ(found.size(), 24u) << "pages of " << limit;  // and task/resize
    EXPECT_TRUE(std::is_sorted(found.begin(), found.end()));
    EXPECT_EQ(names(asker.all("actor.ls", json::object(), limit), "actor").size(), 23u);
  }
}

TEST(BrokerAdmin, QueueShowsItsDepthAndWhatRuns) {
  OneActor world(named("hits"));
  Asker asker(world);
  for (std::uint64_t seq = 2; seq < 7; ++seq) world.submit(10, seq, 1);
  const json queue = asker.get("queue.inspect", {{"queue", "hits"}});
  EXPECT_EQ(queue["kind"], "actor");
  EXPECT_EQ(queue["class"], "Counter");
  EXPECT_EQ(queue["depth"], 5);
  EXPECT_EQ(queue["running"], 1);
  EXPECT_EQ(queue["accepted"], 5);
  ASSERT_EQ(queue["lanes"].size(), 1u);
  EXPECT_EQ(queue["lanes"][0]["length"], 4);
  EXPECT_EQ(queue["lanes"][0]["head"], call_of(3));
  EXPECT_THAT(queue["methods"].get<std::vector<std::string>>(), ElementsAre("add", "get"));
}

TEST(BrokerAdmin, NamesMayBeWrittenWithTheirNamespaceOrAsAnId) {
  OneActor world(named("hits"));
  Asker asker(world);
  const auto id = to_string(ActorId{SessionId{10}, 1});
  for (const auto& name : {std::string("hits"), std::string("default/hits"), id}) {
    EXPECT_EQ(asker.get("actor.inspect", {{"actor", name}})["actor"], "hits") << name;
  }
  EXPECT_EQ(asker.error("actor.inspect", Errc::unknown_actor, {{"actor", "misses"}}),
            "no actor is named misses");
  EXPECT_EQ(asker.error("actor.inspect", Errc::unknown_actor, {{"actor", "task/resize"}}),
            "no actor is named task/resize");
}

TEST(BrokerAdmin, PausedQueueSendsNothingUntilItIsResumed) {
  OneActor world(named("hits"));
  Asker asker(world);
  EXPECT_EQ(asker.get("queue.pause", {{"queue", "hits"}})["paused"], true);
  world.submit(10, 2, 1);
  EXPECT_EQ(world.runs(20), std::vector<std::uint64_t>{});
  EXPECT_EQ(asker.get("queue.resume", {{"queue", "hits"}})["paused"], false);
  EXPECT_THAT(world.runs(20), ElementsAre(2));
}

TEST(BrokerAdmin, PauseOutlivesTheBrokerAndIsToldAfterItsCommit) {
  OneActor world(named("hits"));
  Asker asker(world);
  world.auto_commit = false;
  EXPECT_EQ(asker.ask("queue.pause", {{"queue", "hits"}}).type, Type{});
  world.commit();
  EXPECT_EQ(world.count(kOperator, Type::admin_answer), 1u);
  EXPECT_EQ(world.store.keys["q:hits"]["paused"], "1");
  world.auto_commit = true;
  world.restart();
  EXPECT_EQ(Asker(world).get("queue.inspect", {{"queue", "hits"}})["paused"], true);
}

TEST(BrokerAdmin, PurgeEndsWhatNoWorkerHolds) {
  OneActor world(named("hits"));
  Asker asker(world);
  for (std::uint64_t seq = 2; seq < 12; ++seq) world.submit(10, seq, 1);
  const json purged = asker.get("queue.purge", {{"queue", "hits"}});
  EXPECT_EQ(purged["purged"], 9);
  EXPECT_EQ(purged["left"], 0);
  EXPECT_EQ(purged["running"], 1);
  EXPECT_EQ(world.result(10, 3).code, Errc::cancelled);
  EXPECT_FALSE(world.has_result(10, 2));
  world.done(20, world.last(20, Type::run).lease);
  EXPECT_EQ(world.result(10, 2).code, Errc::ok);
  world.taken(10, 2);
  EXPECT_EQ(world.store.depth("hits"), 0u);
}

TEST(BrokerAdmin, PurgeFindsTasksThatWaitOutsideOfTheLanes) {
  OneActor world(named("hits"));
  Asker asker(world);
  asker.get("queue.pause", {{"queue", "hits"}});
  world.submit(10, 2, 1);
  world.open_task(10, 2);
  wire::CallOptions options;
  options.after = {CallId{SessionId{10}, 2}};
  world.submit(10, 3, 2, options);
  EXPECT_EQ(asker.get("queue.purge", {{"queue", "task/resize"}})["purged"], 1);
  EXPECT_EQ(world.result(10, 3).code, Errc::cancelled);
}

TEST(BrokerAdmin, KilledActorFailsItsCallsAndItsNameIsFree) {
  OneActor world(named("hits"));
  Asker asker(world);
  world.submit(10, 2, 1);
  world.submit(10, 3, 1);
  EXPECT_EQ(asker.get("actor.kill", {{"actor", "hits"}})["failed"], 2);
  EXPECT_EQ(world.result(10, 3).code, Errc::actor_died);
  EXPECT_EQ(world.last(20, Type::stop).slot, world.slot);
  world.say(20, wire::Stopped{world.slot});
  asker.error("actor.inspect", Errc::unknown_actor, {{"actor", "hits"}});
}

TEST(BrokerAdmin, DeploymentShowsItsReplicasAndWhereTheyAre) {
  BrokerWorld world;
  world.worker(20, "w0");
  world.worker(21, "w1");
  world.client(10);
  auto options = named("pool");
  options.replicas = 3;
  world.create(10, 1, 1, options);
  world.started(20);
  world.started(21);
  Asker asker(world);
  const json listed = asker.get("deployment.ls")["items"][0];
  EXPECT_EQ(listed["deployment"], "pool");
  EXPECT_EQ(listed["replicas"], 3);
  EXPECT_EQ(listed["alive"], 2);
  const json pool = asker.get("deployment.inspect", {{"deployment", "pool"}});
  ASSERT_EQ(pool["instances"].size(), 3u);
  EXPECT_EQ(pool["instances"][2]["state"], "unplaced");
  EXPECT_EQ(asker.get("actor.ls")["items"], json::array());
}

TEST(BrokerAdmin, WorkerShowsWhatItOffersAndHolds) {
  OneActor world(named("hits"));
  Asker asker(world);
  world.submit(10, 2, 1);
  const json listed = asker.get("worker.ls")["items"][0];
  EXPECT_EQ(listed["worker"], "w0");
  EXPECT_EQ(listed["state"], "connected");
  EXPECT_EQ(listed["actors"], 1);
  EXPECT_EQ(listed["running"], 1);
  EXPECT_EQ(listed["task_slots"], 2);
  const json worker = asker.get("worker.inspect", {{"worker", "w0"}});
  EXPECT_EQ(worker["classes"][0]["class"], "Counter");
  EXPECT_EQ(worker["tasks"][0], "resize");
  EXPECT_EQ(worker["slots"][0]["queue"], "hits");
  world.step(PeerLost{PeerId{20}});
  EXPECT_EQ(asker.get("worker.ls")["items"][0]["state"], "away");
  asker.error("worker.inspect", Errc::unknown_actor, {{"worker", "w9"}});
}

TEST(BrokerAdmin, CallsAreListedRunningFirstThenInOrder) {
  OneActor world(named("hits"), 2);
  Asker asker(world);
  for (std::uint64_t seq = 2; seq < 10; ++seq) world.submit(10, seq, 1);
  std::vector<std::string> expected;
  for (std::uint64_t seq = 2; seq < 10; ++seq) expected.push_back(call_of(seq));
  for (const std::size_t limit : {1, 2, 3, 8, 100}) {
    const auto found = asker.all("call.ls", {{"queue", "hits"}}, limit);
    EXPECT_EQ(names(found, "call"), expected) << "pages of " << limit;
    EXPECT_EQ(found[0]["state"], "leased");
    EXPECT_EQ(found[0]["worker"], "w0");
    EXPECT_EQ(found[2]["state"], "ready");
  }
}

TEST(BrokerAdmin, ListingOfCallsGoesOnWhileTheQueueMoves) {
  OneActor world(named("hits"));
  Asker asker(world);
  for (std::uint64_t seq = 2; seq < 12; ++seq) world.submit(10, seq, 1);
  const json page = asker.get("call.ls", {{"queue", "hits"}, {"limit", 3}});
  for (int i = 0; i < 5; ++i) world.done(20, world.last(20, Type::run).lease);
  const json rest =
      asker.get("call.ls", {{"queue", "hits"}, {"limit", 100}, {"after", page["next"]}});
  EXPECT_EQ(rest["items"].size(), 4u);  // 2 to 6 have ended, 7 was sent: 8 to 11
  EXPECT_EQ(rest["items"][0]["call"], call_of(8));
  EXPECT_EQ(asker.error("call.ls", Errc::invalid_option, {{"queue", "hits"}, {"after", "x"}}),
            "after is not from an answer of call.ls");
}

TEST(BrokerAdmin, CallShowsItsStateUntilItsResultIsTaken) {
  OneActor world(named("hits"));
  Asker asker(world);
  wire::CallOptions options;
  options.deadline_ms = 60'000;
  options.priority = std::int8_t{5};
  world.submit(10, 2, 1, options);
  const json running = asker.get("call.inspect", {{"call", call_of(2)}});
  EXPECT_EQ(running["state"], "leased");
  EXPECT_EQ(running["method"], "add");
  EXPECT_EQ(running["attempts"], 1);
  EXPECT_EQ(running["priority"], 5);
  EXPECT_EQ(running["deadline_ms"], 60'000);
  EXPECT_TRUE(running["status"].is_null());
  world.fail(20, world.last(20, Type::run).lease, "std::logic_error");
  const json ended = asker.get("call.inspect", {{"call", call_of(2)}});
  EXPECT_EQ(ended["state"], "ended");
  EXPECT_EQ(ended["status"], "task_error");
  EXPECT_EQ(ended["error"], "it failed");
  world.taken(10, 2);
  asker.error("call.inspect", Errc::unknown_call, {{"call", call_of(2)}});
  asker.error("call.inspect", Errc::unknown_call, {{"call", "not an id"}});
}

}  // namespace
}  // namespace callboard::broker
