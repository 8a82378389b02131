// The calls that the serial actors of a process share.
#include "worker_executor_fixture.hpp"

#include "worker/executors/active_call.hpp"

#include <callboard/context.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace callboard::worker {
namespace {

using ::testing::ElementsAre;

ActiveCall& queued(CallPool& pool, std::uint64_t lease) {
  ActiveCall& call = pool.acquire();
  call.job.lease = lease;
  call.state.store(ActiveCall::State::queued);
  pool.note(call);
  return call;
}

TEST(CallPoolTest, FindsEveryCallThatIsHereByItsLease) {
  const CallPool::Owner pool = CallPool::create();
  std::vector<ActiveCall*> calls;
  std::vector<std::uint64_t> leases;
  for (std::uint64_t i = 0; i < 500; ++i) leases.push_back(i % 2 == 0 ? i : i << 20);
  for (const std::uint64_t lease : leases) calls.push_back(&queued(*pool, lease));
  for (std::size_t i = 0; i < leases.size(); ++i) EXPECT_EQ(pool->find(leases[i]), calls[i]);
  EXPECT_EQ(pool->find(1), nullptr);
  ASSERT_TRUE(calls[4]->claim());
  EXPECT_EQ(pool->find(leases[4]), calls[4]) << "it runs";
  calls[4]->state.store(ActiveCall::State::ended);
  EXPECT_EQ(pool->find(leases[4]), nullptr);
  CallQueue ended;
  for (ActiveCall* call : calls) ended.push_back(*call);
  pool->release(ended);
}

/// A pool of which one call runs on a loop: this thread counts its references apart.
class CountedApart : public ::testing::Test {
 protected:
  CountedApart() {
    EXPECT_TRUE(call_.claim());
    call_.count_apart();
  }
  /// As the lane does once the call has ended.
  void release() {
    call_.state.store(ActiveCall::State::ended);
    CallQueue ended;
    ended.push_back(call_);
    pool_->release(ended);
  }
  bool is_free() const { return call_.state.load() == ActiveCall::State::free; }
  static void elsewhere(const std::function<void()>& act) { std::thread(act).join(); }

  CallPool::Owner pool_ = CallPool::create();
  ActiveCall& call_ = queued(*pool_, 1);
};

TEST_F(CountedApart, CallIsFreedWithItsReleaseOnceNobodyRefersToIt) {
  {
    const CallReference one(call_);
    const CallReference other = one;
  }
  elsewhere([this] { const CallReference short_lived(call_); });
  release();
  EXPECT_TRUE(is_free());
}

TEST_F(CountedApart, ReferenceThatEndsOnAnotherThreadEndsTheCall) {
  auto kept = std::make_unique<CallReference>(call_);
  release();
  EXPECT_FALSE(is_free()) << "it is referred to";
  elsewhere([&kept] { kept.reset(); });
  EXPECT_TRUE(is_free());
}

TEST_F(CountedApart, ReferencesThatCrossThreadsWhileItRunsAreCountedOnce) {
  auto mine = std::make_unique<CallReference>(call_);
  std::unique_ptr<CallReference> theirs;
  elsewhere([&] {
    mine.reset();
    theirs = std::make_unique<CallReference>(call_);
  });
  const CallReference copy = *theirs;
  theirs.reset();
  release();
  EXPECT_FALSE(is_free()) << "the copy";
  EXPECT_EQ(call_.references.load(), 1u);
}

TEST_F(CountedApart, CallIsUsedAgainWithOneReference) {
  elsewhere([this] { const CallReference short_lived(call_); });
  release();
  ActiveCall* again = &pool_->acquire();
  while (again != &call_) again = &pool_->acquire();
  EXPECT_EQ(again->references.load(), 1u);
  EXPECT_FALSE(again->is_counted_apart_here());
}

class Porter {
 public:
  std::string where() { return std::string(this_call().queue()); }
  void wait() { scene->gate.pass(); }

 private:
  friend consteval auto describe(Class<Porter> c) {
    return c.name("Porter").method<&Porter::where>("where").method<&Porter::wait>("wait");
  }
};

class SharedCalls : public ExecutorTest {
 protected:
  Executor& porter(const std::string& name) {
    name_ = name;
    return actor<Porter>({});
  }
};

TEST_F(SharedCalls, MethodsSeeTheirOwnActorAlthoughTheirCallsWereOfOthers) {
  std::vector<Executor*> porters;
  for (const char* name : {"east", "west"}) porters.push_back(&porter(name));
  for (int round = 0; round < 10; ++round) {
    EXPECT_EQ(result<std::string>(call(*porters[0], "where")), "east");
    EXPECT_EQ(result<std::string>(call(*porters[1], "where")), "west");
  }
}

TEST_F(SharedCalls, ActorThatStopsHandsBackItsOwnCallsInOrderAndNoOthers) {
  Executor& stays = porter("stays");
  Executor& goes = porter("goes");
  call(stays, "wait");
  call(goes, "wait");
  EXPECT_TRUE(scene_.gate.wait_inside(2));
  std::vector<std::uint64_t> of_stays;
  std::vector<std::uint64_t> of_goes;
  for (int i = 0; i < 3; ++i) {
    of_stays.push_back(call(stays, "where"));
    of_goes.push_back(call(goes, "where"));
  }
  goes.stop(true);
  ASSERT_TRUE(host_.wait_for_outcomes(3));
  EXPECT_THAT(host_.order, ::testing::ElementsAreArray(of_goes));
  scene_.gate.open();
  for (const std::uint64_t lease : of_stays) EXPECT_EQ(result<std::string>(lease), "stays");
}

TEST_F(SharedCalls, ActorKnowsNoCallOfAnother) {
  Executor& one = porter("one");
  Executor& other = porter("other");
  call(one, "wait");
  EXPECT_TRUE(scene_.gate.wait_inside(1));
  const std::uint64_t lease = call(one, "where");
  EXPECT_EQ(other.revoke(lease, true), Revoked::unknown);
  EXPECT_EQ(one.revoke(lease, true), Revoked::returned);
  scene_.gate.open();
}

}  // namespace
}  // namespace callboard::worker
