// What a call or queue waits for is said in words, whatever it waits for.
#include "broker_world.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace callboard::broker {
namespace {

using nlohmann::json;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

struct Explained {
  std::string text;
  std::vector<std::string> codes;
};

Explained explain(BrokerWorld& world, const std::string& verb, const json& info) {
  constexpr std::uint64_t kOperator = 30;
  world.client(kOperator);
  world.told.erase(kOperator);
  const auto bytes = json::to_msgpack(info);
  const std::string encoded(bytes.begin(), bytes.end());
  world.say(kOperator, wire::Admin{7, verb, encoded});
  const Told answer = world.last(kOperator, Type::admin_answer);
  EXPECT_EQ(answer.code, Errc::ok) << answer.text;
  const json value = json::from_msgpack(answer.text);
  Explained out;
  if (answer.code != Errc::ok) return out;
  out.text = value["text"];
  for (const auto& reason : value["reasons"]) out.codes.push_back(reason["code"]);
  return out;
}

Explained explain_call(BrokerWorld& world, std::uint64_t seq) {
  return explain(world, "call.explain", {{"call", to_string(CallId{SessionId{10}, seq})}});
}

Explained explain_queue(BrokerWorld& world, const std::string& queue) {
  return explain(world, "queue.explain", {{"queue", queue}});
}

wire::ActorOptions hits() {
  wire::ActorOptions options;
  options.name = "hits";
  options.max_concurrency = 1;
  return options;
}

TEST(BrokerExplain, EmptyQueueWaitsForNothing) {
  OneActor world(hits());
  EXPECT_EQ(explain_queue(world, "hits").text, "hits is empty: nothing waits");
}

TEST(BrokerExplain, RunningCallNamesItsWorkerAndHowLong) {
  OneActor world(hits());
  world.submit(10, 2, 1);
  world.pass(2000);
  const auto found = explain_call(world, 2);
  EXPECT_THAT(found.codes, ElementsAre("running"));
  EXPECT_THAT(found.text, HasSubstr("attempt 1 was sent to w0 (pid 0 on ) 2000 ms ago"));
}

TEST(BrokerExplain, WaitingCallNamesTheFirstOfItsLaneAndWhyThatWaits) {
  OneActor world(hits());
  for (std::uint64_t seq = 2; seq < 6; ++seq) world.submit(10, seq, 1);
  const auto found = explain_call(world, 5);
  EXPECT_THAT(found.codes, ElementsAre("behind", "busy"));
  EXPECT_THAT(found.text, HasSubstr("number 2 (call " + to_string(CallId{SessionId{10}, 3})));
  EXPECT_THAT(found.text, HasSubstr("has 1 call and takes no more than 1"));
  EXPECT_THAT(explain_queue(world, "hits").text, HasSubstr("hits holds 4 calls, 1 of them"));
}

TEST(BrokerExplain, PauseIsNamedWithTheWayOut) {
  OneActor world(hits());
  world.client(31);
  std::string info;
  wire::Writer out(info);
  out.map(1);
  out.str("queue");
  out.str("hits");
  world.say(31, wire::Admin{1, "queue.pause", info});
  world.submit(10, 2, 1);
  EXPECT_THAT(explain_call(world, 2).text, HasSubstr("`callboard queue resume hits`"));
}

TEST(BrokerExplain, ActorWithoutAWorkerNamesTheClassThatNobodyOffers) {
  BrokerWorld world;
  world.client(10);
  world.create(10, 1, 1, hits());
  world.submit(10, 2, 1);
  const auto found = explain_call(world, 2);
  EXPECT_THAT(found.codes, ElementsAre("not_alive"));
  EXPECT_THAT(found.text, HasSubstr("no connected worker offers the class Counter"));
}

TEST(BrokerExplain, ActorThatIsStartingSaysWhere) {
  BrokerWorld world;
  world.worker(20, "w0");
  world.client(10);
  world.create(10, 1, 1, hits());
  world.submit(10, 2, 1);
  EXPECT_THAT(explain_call(world, 2).text, HasSubstr("is being started on w0"));
}

TEST(BrokerExplain, TaskThatNobodyOffersSaysSo) {
  BrokerWorld world;
  world.client(10);
  world.open_task(10, 1);
  world.submit(10, 1, 1);
  const auto found = explain_call(world, 1);
  EXPECT_THAT(found.codes, ElementsAre("no_worker"));
  EXPECT_THAT(found.text, HasSubstr("no connected worker offers the task resize"));
}

TEST(BrokerExplain, ReplicaThatFindsNoProcessOfItsOwnSaysSo) {
  BrokerWorld world;
  world.worker(20, "w0");
  world.client(10);
  auto options = hits();
  options.name = "pool";
  options.replicas = 2;
  world.create(10, 1, 1, options);
  const auto slot = world.started(20);
  world.submit(10, 2, 1);
  world.submit(10, 3, 1);
  const auto found = explain_call(world, 3);
  EXPECT_THAT(found.text, HasSubstr("replica 0 of pool"));
  EXPECT_THAT(found.text, HasSubstr("the other 1 do not either"));
  EXPECT_GT(slot, 0u);
}

TEST(BrokerExplain, DependencyIsNamedWithItsQueueAndState) {
  OneActor world(hits());
  world.submit(10, 2, 1);
  wire::CallOptions options;
  options.after = {CallId{SessionId{10}, 2}};
  world.open_task(10, 2);
  world.submit(10, 3, 2, options);
  const auto found = explain_call(world, 3);
  EXPECT_THAT(found.codes, ElementsAre("dependency"));
  EXPECT_THAT(found.text, HasSubstr("it waits for the result of 1 call: " +
                                    to_string(CallId{SessionId{10}, 2}) + " of hits (leased)"));
}

TEST(BrokerExplain, BackoffSaysWhenAndAfterWhichError) {
  OneActor world(hits());
  wire::CallOptions options;
  options.max_retries = 3;
  options.retry_on = wire::RetryOn{wire::RetryOn::Which::all, {}};
  options.backoff_ms = {{5000, 5000}};
  world.submit(10, 2, 1, options);
  world.fail(20, world.last(20, Type::run).lease, "std::logic_error", true);
  const auto found = explain_call(world, 2);
  EXPECT_THAT(found.codes, ElementsAre("backoff"));
  EXPECT_THAT(found.text, HasSubstr("it is tried again in 5000 ms; attempt 1 failed with "
                                    "std::logic_error: it failed"));
  EXPECT_THAT(explain_queue(world, "hits").codes, Contains("backoff"));
}

TEST(BrokerExplain, CallOfABusyKeyNamesTheKey) {
  auto actor = hits();
  actor.ordering = wire::Ordering::key;
  actor.max_concurrency = 4;
  OneActor world(actor, 4);
  wire::CallOptions options;
  options.key = "alice";
  world.submit(10, 2, 1, options);
  world.submit(10, 3, 1, options);
  const auto found = explain_call(world, 3);
  EXPECT_THAT(found.codes, ElementsAre("key"));
  EXPECT_THAT(found.text, HasSubstr("another call with the key \"alice\""));
}

TEST(BrokerExplain, StoreThatIsAwayIsNamed) {
  OneActor world(hits());
  world.step(StoreDown{"connection refused"});
  world.auto_commit = false;
  world.submit(10, 2, 1);
  world.submit(10, 3, 1);
  EXPECT_THAT(explain_call(world, 3).text, HasSubstr("the store is away"));
  EXPECT_THAT(explain_call(world, 3).text, HasSubstr("connection refused"));
}

TEST(BrokerExplain, CallWithAWorkerThatIsAwaySaysSo) {
  OneActor world(hits());
  world.submit(10, 2, 1);
  world.step(PeerLost{PeerId{20}});
  EXPECT_THAT(explain_call(world, 2).codes, ElementsAre("running", "worker_away"));
}

TEST(BrokerExplain, EndedCallSaysHowAndThatNobodyTookIt) {
  OneActor world(hits());
  world.submit(10, 2, 1);
  world.done(20, world.last(20, Type::run).lease);
  EXPECT_THAT(explain_call(world, 2).text,
              HasSubstr("with ok; its owner has not taken the result"));
}

TEST(BrokerExplain, FullQueueNamesWhoWaitsForRoom) {
  auto actor = hits();
  actor.max_pending = 2;
  actor.when_full = wire::WhenFull::block;
  OneActor world(actor);
  for (std::uint64_t seq = 2; seq < 7; ++seq) world.submit(10, seq, 1);
  const auto found = explain_queue(world, "hits");
  EXPECT_THAT(found.codes, Contains("full"));
  EXPECT_THAT(found.text, HasSubstr("room is awaited by 1 client: 2 of 2 calls"));
}

}  // namespace
}  // namespace callboard::broker
