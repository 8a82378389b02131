// A real Redis that is emptied, replaced or put back to an earlier time: the store's side of it.

#include "tests/integration/store/store_driver.hpp"

#include <gmock/gmock.h>

#include <filesystem>
#include <optional>
#include <string>

namespace callboard::broker {
namespace {

using ::callboard::testing::RedisProcess;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;


class WentBack : public ::testing::Test {
 protected:
  const StoreBatch& numbered(std::uint64_t number) {
    batch_.clear();
    batch_.set(batch_.key(KeyKind::hash, "names"), "n" + std::to_string(number), "x");
    return batch_;
  }
  std::string meta(const char* field) const {
    return redis_.answer({"HGET", "callboard:{0}:meta", field});
  }
  /// The broker has begun anew and serves again.
  static bool serves_again(StoreDriver& driver) {
    return driver.run_until([&] {
      return driver.begun_again == 1 && driver.loaded && driver.store().idle();
    }) && driver.fatal.empty();
  }
  /// A power cut, or a backup that was put back: the data of now are lost.
  template <class Later>
  void with_the_data_of_now_after(const Later& later) {
    const auto data = redis_.directory() / "appendonlydir";
    const auto copy = redis_.directory() / "copy";
    std::filesystem::copy(data, copy, std::filesystem::copy_options::recursive);
    later();
    redis_.kill_hard();
    std::filesystem::remove_all(data);
    std::filesystem::rename(copy, data);
    redis_.start();
  }

  RedisProcess redis_;
  StoreBatch batch_;
};

TEST_F(WentBack, EmptiedRedisBeginsANewTimelineAboveAllThatWasSeen) {
  redis_.start();
  StoreDriver driver(redis_.url());
  ASSERT_TRUE(driver.commit(numbered(1)));
  redis_.command({"FLUSHALL"});
  driver.write(numbered(2));
  ASSERT_TRUE(serves_again(driver)) << driver.fatal;
  EXPECT_THAT(driver.went_back, HasSubstr("emptied"));
  EXPECT_EQ(meta("timeline"), "2");
  EXPECT_EQ(meta("epoch"), "2");
  EXPECT_EQ(meta("commit_no"), "1");
  // What was not acknowledged is not guessed.
  EXPECT_EQ(redis_.answer({"EXISTS", "callboard:{0}:names"}), "0");
  EXPECT_TRUE(driver.commit(numbered(3)));
  EXPECT_EQ(driver.committed, 2u);
}

TEST_F(WentBack, IdleBrokerNoticesThatRedisWasEmptied) {
  redis_.start();
  StoreDriver driver(redis_.url());
  ASSERT_TRUE(driver.commit(numbered(1)));
  redis_.command({"FLUSHALL"});
  EXPECT_TRUE(serves_again(driver)) << driver.fatal;
}

TEST_F(WentBack, RestartWithoutItsDataIsASmallerStoreAndSaysSo) {
  redis_.start();  // nothing is kept on disk
  StoreDriver driver(redis_.url());
  ASSERT_TRUE(driver.commit(numbered(1)));
  EXPECT_TRUE(driver.said("everything is lost"));
  redis_.kill_hard();
  redis_.start();
  ASSERT_TRUE(serves_again(driver)) << driver.fatal;
  EXPECT_TRUE(driver.said("gone back in time"));
  EXPECT_EQ(driver.store().state().times_back, 1u);
}

TEST_F(WentBack, DataOfAnEarlierTimeOfTheSameRunAreReadAnew) {
  redis_.set({"appendonly yes", "appendfsync always"});
  redis_.start();
  StoreDriver driver(redis_.url());
  ASSERT_TRUE(driver.commit(numbered(1)));
  with_the_data_of_now_after([&] { ASSERT_TRUE(driver.commit(numbered(2))); });
  ASSERT_TRUE(serves_again(driver)) << driver.fatal;
  EXPECT_THAT(driver.went_back, HasSubstr("went back to commit 1"));
  EXPECT_THAT(driver.entries, Contains("names/n1=x"));
  EXPECT_THAT(driver.entries, Not(Contains("names/n2=x")));
  EXPECT_EQ(meta("timeline"), "2");
  EXPECT_EQ(meta("commit_no"), "2");
}

TEST_F(WentBack, DataOfAnEarlierRunRepeatNoEpoch) {
  redis_.set({"appendonly yes", "appendfsync always"});
  redis_.start();
  {
    StoreDriver first(redis_.url());
    ASSERT_TRUE(first.commit(numbered(1)));
  }
  std::optional<StoreDriver> driver;
  with_the_data_of_now_after([&] {
    for (int runs = 0; runs < 3; ++runs) {  // epochs 2, 3, 4
      driver.emplace(redis_.url());
      ASSERT_TRUE(driver->run_until_idle());
    }
    ASSERT_TRUE(driver->commit(numbered(2)));
  });
  ASSERT_EQ(meta("epoch"), "1");
  ASSERT_TRUE(serves_again(*driver)) << driver->fatal;
  EXPECT_THAT(driver->went_back, HasSubstr("went back to epoch 1"));
  EXPECT_EQ(meta("epoch"), "5");
  EXPECT_EQ(meta("timeline"), "2");
}

TEST_F(WentBack, WitnessOfAReplacedBrokerChangesNothing) {
  redis_.start();
  StoreDriver old_run(redis_.url());
  ASSERT_TRUE(old_run.run_until_idle());
  StoreDriver new_run(redis_.url());
  ASSERT_TRUE(new_run.commit(numbered(1)));
  old_run.store().begin_timeline(clock_now(), {2, 1, 1, "a peer has seen the new one"});
  ASSERT_TRUE(old_run.run_until([&] { return !old_run.fatal.empty(); }));
  EXPECT_THAT(old_run.fatal, HasSubstr("another broker took over"));
  EXPECT_EQ(meta("timeline"), "1");
  EXPECT_TRUE(new_run.commit(numbered(2)));
}

TEST_F(WentBack, WitnessRaisesEpochTimelineAndCommitInOneStep) {
  redis_.start();
  StoreDriver driver(redis_.url());
  ASSERT_TRUE(driver.commit(numbered(1)));
  driver.store().begin_timeline(clock_now(), {41, 3, 1'000'000'007, "a client has seen more"});
  ASSERT_TRUE(serves_again(driver)) << driver.fatal;
  EXPECT_EQ(meta("epoch"), "42");
  EXPECT_EQ(meta("timeline"), "4");
  EXPECT_EQ(meta("commit_no"), "1000000007");
  EXPECT_THAT(driver.entries, Contains("names/n1=x"));
  EXPECT_TRUE(driver.commit(numbered(2)));
}

TEST_F(WentBack, BrokerThatInsistsOnFsyncEndsInsteadAndTouchesNothing) {
  redis_.set({"appendonly yes", "appendfsync always"});
  redis_.start();
  StoreOptions options = StoreDriver::options_for(redis_.url());
  options.require_fsync = RequireFsync::always;
  StoreDriver driver(options);
  ASSERT_TRUE(driver.commit(numbered(1)));
  redis_.command({"FLUSHALL"});
  ASSERT_TRUE(driver.run_until([&] { return !driver.fatal.empty(); }));
  EXPECT_THAT(driver.fatal, HasSubstr("require_fsync = always"));
  EXPECT_EQ(redis_.answer({"DBSIZE"}), "0");
}

}  // namespace
}  // namespace callboard::broker
