// Accepting, refusing, parking; what is told before and after a commit.
#include "broker_world.hpp"

namespace callboard::broker {
namespace {

TEST(BrokerSubmit, AcknowledgesADurableCallOnlyAfterItsCommit) {
  OneActor world;
  world.auto_commit = false;
  world.told.clear();
  world.submit(10, 2, 1);
  EXPECT_EQ(world.count(10, Type::accepted), 0u);
  EXPECT_EQ(world.count(20, Type::run), 0u) << "a start leaves before it is on record";
  world.commit();
  EXPECT_EQ(world.last(10, Type::accepted).accepted.through, 2u);
  EXPECT_EQ(world.runs(20), (std::vector<std::uint64_t>{2}));
  EXPECT_EQ(world.store.depth("~" + to_string(ActorId{SessionId{10}, 1})), 1u);
}

TEST(BrokerSubmit, AcknowledgesAMemoryCallAtOnceAndStoresNothing) {
  wire::ActorOptions options;
  options.durability = wire::Durability::memory;
  OneActor world(options);
  world.auto_commit = false;
  world.told.clear();
  world.submit(10, 2, 1);
  EXPECT_EQ(world.last(10, Type::accepted).accepted.through, 2u);
  EXPECT_EQ(world.runs(20), (std::vector<std::uint64_t>{2}));
  EXPECT_FALSE(world.broker->has_batch());
}

TEST(BrokerSubmit, IgnoresARepeatedNumber) {
  OneActor world({}, 10);
  world.submit(10, 2, 1);
  world.submit(10, 2, 1);
  EXPECT_EQ(world.runs(20), (std::vector<std::uint64_t>{2}));
}

TEST(BrokerSubmit, ResumedSessionIsToldWhatWasAcceptedAndResultsAgain) {
  OneActor world;
  world.submit(10, 2, 1);
  world.done(20, world.last(20, Type::run).lease, "\x07");
  EXPECT_EQ(world.result(10, 2).text, "\x07");
  world.client(11, 10, true);
  EXPECT_EQ(world.last(11, Type::welcome).welcome.accepted_through, 2u);
  EXPECT_EQ(world.result(11, 2).text, "\x07");
}

TEST(BrokerSubmit, UnknownSessionCannotBeResumed) {
  BrokerWorld world;
  world.client(10, 77, true);
  EXPECT_EQ(world.last(10, Type::goodbye).code, Errc::unknown_session);
}

TEST(BrokerSubmit, StrangerIsAskedWhoItIs) {
  BrokerWorld world;
  world.submit(10, 1, 1);
  EXPECT_EQ(world.count(10, Type::who), 1u);
}

TEST(BrokerSubmit, GarbageIsAnsweredWithAGoodbyeAndNothingElseHappens) {
  OneActor world;
  wire::Frame frame{"\xc1garbage", {}};
  world.step(FrameArrived{PeerId{66}, wire::FrameView{frame.head, frame.parts}});
  EXPECT_EQ(world.last(66, Type::goodbye).code, Errc::protocol_error);
  world.submit(10, 2, 1);
  EXPECT_EQ(world.runs(20), (std::vector<std::uint64_t>{2}));
}

TEST(BrokerSubmit, WrongVersionFailsClosed) {
  BrokerWorld world;
  wire::Hello hello;
  hello.session = 5;
  hello.version_min = hello.version_max = 99;
  world.greet(10, hello);
  EXPECT_EQ(world.last(10, Type::goodbye).code, Errc::version_unsupported);
  hello = wire::Hello();
  hello.session = 5;
  hello.features = 1;
  world.greet(11, hello);
  EXPECT_EQ(world.last(11, Type::goodbye).code, Errc::version_unsupported);
}

TEST(BrokerSubmit, FullQueueRefusesAndEverythingBehindUntilTheClientHasSeenIt) {
  wire::ActorOptions options;
  options.max_pending = 2;
  OneActor world(options);
  for (std::uint64_t seq = 2; seq <= 5; ++seq) world.submit(10, seq, 1);
  const auto refused = world.all(10, Type::refused);
  ASSERT_EQ(refused.size(), 2u);
  EXPECT_EQ(refused[0].code, Errc::queue_full);
  EXPECT_EQ(refused[1].code, Errc::refused_before);
  world.done(20, world.last(20, Type::run).lease);
  world.taken(10, 2);
  world.submit(10, 6, 1);
  EXPECT_EQ(world.last(10, Type::refused).seq, 6u) << "order would have a hole";
  world.say(10, wire::Resume{1});
  world.submit(10, 7, 1);
  EXPECT_EQ(world.count(10, Type::refused), 3u);
}

TEST(BrokerSubmit, ResumeThatCrossesARefusalDoesNotEndIt) {
  wire::ActorOptions options;
  options.max_pending = 2;
  OneActor world(options);
  for (std::uint64_t seq = 2; seq <= 4; ++seq) world.submit(10, seq, 1);
  ASSERT_EQ(world.last(10, Type::refused).seq, 4u);
  for (const std::uint64_t seen : {0u, 3u}) {  // gives back room; is for a refusal of before
    world.say(10, wire::Resume{1, seen});
    world.submit(10, 5 + seen, 1);
    EXPECT_EQ(world.last(10, Type::refused).code, Errc::refused_before);
  }
  world.say(10, wire::Resume{1, 4});
  world.submit(10, 9, 1);
  EXPECT_EQ(world.last(10, Type::refused).code, Errc::queue_full);
}

TEST(BrokerSubmit, OnlyAQueueWithoutAPlaceIsSaidToBeFullForAll) {
  wire::ActorOptions options;
  options.max_pending = 2;
  options.max_pending_bytes = 100;
  OneActor world(options);
  const auto refused = [&](std::uint64_t seq, const std::string& args) {
    world.submit(10, seq, 1, {}, args);
    const Told told = world.last(10, Type::refused);
    EXPECT_EQ(told.seq, seq);
    EXPECT_EQ(told.code, Errc::queue_full);
    world.say(10, wire::Resume{1, seq});
    return told.room;
  };
  world.submit(10, 2, 1);
  EXPECT_EQ(refused(3, std::string(200, 'x')), 0u) << "a smaller one finds room";
  world.submit(10, 4, 1);
  EXPECT_EQ(refused(5, "x"), 1u);
}

TEST(BrokerSubmit, FullQueueTellsByItsPaceWhenToTryAgain) {
  wire::ActorOptions options;
  options.max_pending = 20;
  OneActor world(options);
  std::uint64_t seq = 1;
  const auto told_at_pace = [&](std::int64_t ms_per_call) {
    for (int round = 0; round < 40; ++round) {
      world.say(10, wire::Resume{1});
      for (int i = 0; i < 21; ++i) world.submit(10, ++seq, 1);
      world.pass_with(ms_per_call, {10, 20});
      const Told run = world.last(20, Type::run);
      world.done(20, run.lease);
      world.taken(10, run.call.seq);
    }
    for (const Told& refused : world.all(10, Type::refused)) {
      EXPECT_GT(refused.retry_after_ms, 0u);
    }
    world.say(10, wire::Resume{1});
    for (int i = 0; i < 21; ++i) world.submit(10, ++seq, 1);
    std::uint64_t told_ms = 0;
    for (const Told& refused : world.all(10, Type::refused)) {
      if (refused.code == Errc::queue_full) told_ms = refused.retry_after_ms;
    }
    return told_ms;
  };
  EXPECT_NEAR(told_at_pace(20), 40, 1) << "two of twenty places";
  EXPECT_NEAR(told_at_pace(60), 120, 1);
}

TEST(BrokerSubmit, BlockedSubmitsAreParkedAndComeInOrderWhenThereIsRoom) {
  wire::ActorOptions options;
  options.max_pending = 2;
  options.when_full = wire::WhenFull::block;
  OneActor world(options, 10);
  for (std::uint64_t seq = 2; seq <= 6; ++seq) world.submit(10, seq, 1);
  EXPECT_EQ(world.last(10, Type::parked).seq, 4u);
  EXPECT_EQ(world.count(10, Type::parked), 1u);
  EXPECT_EQ(world.count(10, Type::room), 0u);
  world.done(20, world.all(20, Type::run)[0].lease);
  world.taken(10, 2);
  EXPECT_EQ(world.last(10, Type::room).number, 1u);
  for (std::uint64_t seq = 4; seq <= 6; ++seq) world.submit(10, seq, 1);
  EXPECT_EQ(world.runs(20), (std::vector<std::uint64_t>{2, 3, 4}));
  EXPECT_EQ(world.all(10, Type::parked).back().seq, 5u);
  EXPECT_EQ(world.last(10, Type::accepted).accepted.again, (wire::Ranges{{4, 1}}));
}

TEST(BrokerSubmit, UnknownClassActorTaskAndMethodAreRefusedByName) {
  OneActor world;
  world.create(10, 2, 2, {}, "Nobody");
  EXPECT_EQ(world.last(10, Type::opened).opened.code, Errc::unknown_class);
  wire::Open open;
  open.handle = 3;
  open.name = "nobody";
  world.say(10, open);
  EXPECT_EQ(world.last(10, Type::opened).opened.code, Errc::unknown_actor);
  world.submit(10, 3, 3);
  EXPECT_EQ(world.last(10, Type::refused).code, Errc::unknown_actor);
  open.handle = 4;
  open.kind = wire::TargetKind::task;
  world.say(10, open);
  EXPECT_EQ(world.last(10, Type::opened).opened.code, Errc::unknown_task);
  wire::Submit call;
  call.seq = 4;
  call.handle = 1;
  call.method = 9;
  call.args.bytes = "\x90";
  world.say(10, call);
  EXPECT_EQ(world.last(10, Type::refused).code, Errc::unknown_method);
}

TEST(BrokerSubmit, CallsWaitForAWorkerWhenNoneIsThere) {
  BrokerWorld world;
  world.client(10);
  world.create(10, 1, 1, {});
  EXPECT_EQ(world.last(10, Type::opened).opened.code, Errc::ok);
  for (std::uint64_t seq = 2; seq < 6; ++seq) world.submit(10, seq, 1);
  world.worker(20, "w0");
  world.started(20, 10);
  EXPECT_EQ(world.runs(20), (std::vector<std::uint64_t>{2, 3, 4, 5}));
}

TEST(BrokerSubmit, NamedActorIsFoundAgainAndAnotherClassIsAnError) {
  wire::ActorOptions options;
  options.name = "hits";
  OneActor world(options);
  world.create(10, 2, 2, options);
  EXPECT_EQ(world.last(10, Type::opened).opened.code, Errc::name_taken);
  options.get_if_exists = true;
  world.create(10, 3, 3, options);
  EXPECT_EQ(world.last(10, Type::opened).opened.actor, (ActorId{SessionId{10}, 1}));
  world.create(10, 4, 4, options, "Other");
  EXPECT_EQ(world.last(10, Type::opened).opened.code, Errc::name_taken);
  world.submit(10, 5, 3);
  EXPECT_EQ(world.store.depth("hits"), 1u);
}

TEST(BrokerSubmit, RefusesWhatRedisHasNoRoomFor) {
  OneActor world;
  world.step(StoreFull{true});
  world.submit(10, 2, 1);
  EXPECT_EQ(world.last(10, Type::refused).code, Errc::store_full);
  world.step(StoreFull{false});
  world.say(10, wire::Resume{1});
  world.submit(10, 3, 1);
  EXPECT_EQ(world.runs(20), (std::vector<std::uint64_t>{3}));
}

TEST(BrokerSubmit, NothingIsAcknowledgedWhileRedisIsAwayAndItGoesOnAfterwards) {
  OneActor world;
  world.auto_commit = false;
  world.told.clear();
  world.step(StoreDown{"gone"});
  world.submit(10, 2, 1);
  world.pass(1000);
  EXPECT_EQ(world.count(10, Type::accepted), 0u);
  world.step(StoreUp{});
  world.commit();
  EXPECT_EQ(world.last(10, Type::accepted).accepted.through, 2u);
}

TEST(BrokerSubmit, AClientThatComesWhileRedisIsAwayIsToldThatItsSessionHasNoRecord) {
  OneActor world;
  world.step(StoreDown{"gone"});
  world.client(11);
  EXPECT_TRUE(world.last(11, Type::welcome).welcome.provisional);
  world.step(StoreUp{});
  world.client(12);
  EXPECT_FALSE(world.last(12, Type::welcome).welcome.provisional);
}

}  // namespace
}  // namespace callboard::broker
