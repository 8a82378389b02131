// Redis that is absent, dies, stalls, is emptied, must not be used, or belongs to somebody else.

#include "tests/integration/store/store_driver.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <chrono>
#include <random>
#include <string>
#include <thread>

namespace callboard::broker {
namespace {

using ::callboard::testing::RedisProcess;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kMeta[] = "callboard:{0}:meta";
constexpr char kFence[] = "callboard:{0}:fence";
constexpr char kLog[] = "callboard:{0}:names";

/// A port that nobody listens on, outside the range of outgoing connections.
int free_port() {
  std::mt19937 random(std::random_device{}());
  for (;;) {
    const int port = 10'000 + static_cast<int>(random() % 22'000);
    const int probe = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int bound = bind(probe, reinterpret_cast<sockaddr*>(&address), sizeof address);
    close(probe);
    if (bound == 0) return port;
  }
}

class Trouble : public ::testing::Test {
 protected:
  /// A batch that tells which commit it was.
  const StoreBatch& numbered(std::uint64_t number) {
    batch_.clear();
    const auto key = batch_.key(KeyKind::hash, "names");
    batch_.set(key, "n" + std::to_string(number), std::to_string(number));
    batch_.set(key, "last", std::to_string(number));
    return batch_;
  }

  RedisProcess redis_;
  StoreBatch batch_;
};

TEST_F(Trouble, AbsentRedisIsWaitedForAndSaidOnce) {
  StoreDriver driver(redis_.url());
  driver.run_for_ms(300);
  EXPECT_TRUE(driver.said("waiting for Redis"));
  EXPECT_EQ(driver.log.size(), 1u);
  EXPECT_EQ(driver.fatal, "");
  redis_.start();
  ASSERT_TRUE(driver.run_until_idle());
  EXPECT_TRUE(driver.commit(numbered(1)));
}

TEST_F(Trouble, RedisOverTcpByNameAndNumberIsTheSame) {
  const std::string port = std::to_string(free_port());
  redis_.set({"bind 127.0.0.1", "port " + port, "requirepass secret"});
  redis_.start();
  for (const char* host : {"127.0.0.1", "localhost"}) {
    StoreDriver driver("redis://:secret@" + std::string(host) + ":" + port + "/0");
    EXPECT_TRUE(driver.commit(numbered(1))) << host;
  }
  StoreDriver wrong("redis://:wrong@127.0.0.1:" + port);
  wrong.run_for_ms(200);
  EXPECT_TRUE(wrong.said("WRONGPASS"));
  EXPECT_FALSE(wrong.said("wrong@"));
  EXPECT_FALSE(wrong.loaded);
}

TEST_F(Trouble, HostThatDoesNotExistIsWaitedFor) {
  StoreDriver driver("redis://no-such-host.invalid:6379");
  EXPECT_TRUE(driver.run_until([&] { return driver.said("waiting for Redis"); }));
  EXPECT_EQ(driver.fatal, "");
}

TEST_F(Trouble, AnswerOfANameServerThatIsSlowerThanAConnectionMayBeIsUsed) {
  const std::string port = std::to_string(free_port());
  redis_.set({"bind 127.0.0.1", "port " + port});
  redis_.start();
  StoreOptions options = StoreDriver::options_for("redis://127.0.0.1:" + port);
  options.url.host = "redis";
  options.connect_ms_max = 20;
  StoreDriver driver(options, Resolver([](auto&, std::uint16_t number, auto& addresses) {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(number);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    addresses.push_back({AF_INET, {reinterpret_cast<const char*>(&address), sizeof address}});
    return std::string();
  }));
  EXPECT_TRUE(driver.commit(numbered(1)));
  EXPECT_TRUE(driver.said("no answer yet to the lookup"));
}

TEST_F(Trouble, ServerThatEvictsIsRefusedAndNotTouched) {
  redis_.set({"maxmemory-policy allkeys-lru"});
  redis_.start();
  StoreDriver driver(redis_.url());
  ASSERT_TRUE(driver.run_until([&] { return !driver.fatal.empty(); }));
  EXPECT_THAT(driver.fatal, AllOf(HasSubstr("allkeys-lru"), HasSubstr("noeviction")));
  EXPECT_EQ(redis_.answer({"DBSIZE"}), "0");
}

TEST_F(Trouble, UnknownSchemaIsRefusedAndNotTouched) {
  redis_.start();
  redis_.command({"HSET", kMeta, "schema", "99", "epoch", "7"});
  StoreDriver driver(redis_.url());
  ASSERT_TRUE(driver.run_until([&] { return !driver.fatal.empty(); }));
  EXPECT_THAT(driver.fatal, HasSubstr("schema version 99"));
  EXPECT_EQ(redis_.answer({"EXISTS", kFence}), "0");
  EXPECT_EQ(redis_.answer({"HGET", kMeta, "epoch"}), "7");
}

TEST_F(Trouble, StoreFromBeforeTheJournalIsTakenOverWithItsCalls) {
  redis_.start();
  redis_.command({"HSET", kMeta, "schema", "1", "epoch", "7", "timeline", "1", "commit_no", "40"});
  redis_.command({"SADD", "callboard:{0}:queues", "a"});
  redis_.command({"HSET", "callboard:{0}:q:a:calls", "1", "call"});
  StoreDriver driver(redis_.url());
  batch_.set(batch_.key(KeyKind::hash, "q:a"), "next", "2");
  EXPECT_TRUE(driver.commit(batch_));
  EXPECT_EQ(redis_.answer({"HGET", kMeta, "schema"}), "4");
  EXPECT_EQ(redis_.answer({"HGET", kMeta, "epoch"}), "8");
  EXPECT_EQ(redis_.answer({"HLEN", "callboard:{0}:q:a:calls"}), "1");
}

TEST_F(Trouble, UserWithoutConfigAndAdminRightsIsEnough) {
  redis_.set({"appendonly yes"});
  redis_.start();
  ASSERT_EQ(redis_.answer({"ACL", "SETUSER", "callboard", "on", ">pw", "~callboard:*", "+@all",
                           "-@admin", "-@dangerous", "+info"}),
            "OK");
  StoreDriver driver("unix://callboard:pw@" + redis_.socket());
  EXPECT_TRUE(driver.commit(numbered(1)));
  EXPECT_TRUE(driver.said("CONFIG is not permitted"));
}

TEST_F(Trouble, NewRunTakesOverAndTheOldOneChangesNothingMore) {
  redis_.start();
  StoreDriver old_run(redis_.url());
  ASSERT_TRUE(old_run.commit(numbered(1)));
  StoreDriver new_run(redis_.url());
  ASSERT_TRUE(new_run.run_until_idle());

  old_run.write(numbered(2));
  ASSERT_TRUE(old_run.run_until([&] { return !old_run.fatal.empty(); }));
  EXPECT_THAT(old_run.fatal, HasSubstr("another broker took over"));
  EXPECT_EQ(redis_.answer({"HGET", kMeta, "commit_no"}), "1");
  EXPECT_EQ(redis_.answer({"HEXISTS", kLog, "n2"}), "0");
  EXPECT_TRUE(new_run.commit(numbered(2)));
}

TEST_F(Trouble, OldRunThatUsesTransactionsChangesNothingMoreEither) {
  redis_.start();
  StoreDriver old_run(redis_.url());
  for (int i = 1; i <= 3; ++i) {
    ASSERT_TRUE(old_run.commit(numbered(i)));
    old_run.run_for_ms(20);
  }
  EXPECT_THAT(redis_.answer({"INFO", "commandstats"}), HasSubstr("cmdstat_watch"));
  StoreDriver new_run(redis_.url());
  ASSERT_TRUE(new_run.run_until_idle());

  old_run.write(numbered(4));
  ASSERT_TRUE(old_run.run_until([&] { return !old_run.fatal.empty(); }));
  EXPECT_THAT(old_run.fatal, HasSubstr("another broker took over"));
  EXPECT_EQ(redis_.answer({"HGET", kMeta, "commit_no"}), "3");
  EXPECT_EQ(redis_.answer({"HEXISTS", kLog, "n4"}), "0");
  EXPECT_TRUE(new_run.commit(numbered(4)));
}

TEST_F(Trouble, ErrorInsideATransactionIsRepairedByWritingItAgain) {
  redis_.start();
  StoreDriver driver(redis_.url());
  ASSERT_TRUE(driver.commit(numbered(1)));
  driver.run_for_ms(20);
  StoreBatch batch;
  batch.set(batch.key(KeyKind::hash, "q:x:calls"), "1", "call");
  batch.set(batch.key(KeyKind::hash, "q:y:calls"), "1", "call");
  ASSERT_EQ(redis_.answer({"SET", "callboard:{0}:q:x:calls", "of a wrong kind"}), "OK");
  driver.write(batch);
  ASSERT_TRUE(driver.run_until([&] { return driver.downs == 1; }));
  ASSERT_EQ(driver.committed, 1u);
  ASSERT_EQ(redis_.answer({"HGET", "callboard:{0}:q:y:calls", "1"}), "call");  // the rest is there
  ASSERT_EQ(redis_.answer({"DEL", "callboard:{0}:q:x:calls"}), "1");
  ASSERT_TRUE(driver.run_until([&] { return driver.committed == 2; }));
  EXPECT_EQ(redis_.answer({"HGET", "callboard:{0}:q:x:calls", "1"}), "call");
}

TEST_F(Trouble, UserWithoutTransactionsIsServedByTheScript) {
  redis_.start();
  ASSERT_EQ(redis_.answer({"ACL", "SETUSER", "bob", "on", ">pw", "~*", "+@all", "-multi"}), "OK");
  std::string url = redis_.url();
  url.insert(url.find("//") + 2, "bob:pw@");
  StoreDriver driver(url);
  for (int i = 1; i <= 3; ++i) {
    ASSERT_TRUE(driver.commit(numbered(i)));
    driver.run_for_ms(20);
  }
  EXPECT_EQ(driver.downs, 0);
  EXPECT_EQ(redis_.answer({"HGET", kMeta, "commit_no"}), "3");
}

TEST_F(Trouble, IdleRunNoticesThatItWasReplaced) {
  redis_.start();
  StoreDriver old_run(redis_.url());
  ASSERT_TRUE(old_run.run_until_idle());
  StoreDriver new_run(redis_.url());
  ASSERT_TRUE(new_run.run_until_idle());
  ASSERT_TRUE(old_run.run_until([&] { return !old_run.fatal.empty(); }));
  EXPECT_THAT(old_run.fatal, HasSubstr("another broker took over"));
}

TEST_F(Trouble, OldConnectionsCommitIsRefusedAfterTheReconnect) {
  redis_.start();
  StoreDriver driver(redis_.url());
  ASSERT_TRUE(driver.commit(numbered(1)));
  const std::string old_token = redis_.answer({"GET", kFence});
  ASSERT_EQ(redis_.answer({"CLIENT", "KILL", "TYPE", "normal"}), "1");
  ASSERT_TRUE(driver.run_until([&] { return driver.ups == 1; }));

  // What the old connection had sent comes late, out of some buffer.
  ScriptCommitWriter writer("callboard:{0}:");
  const std::string sha = redis_.answer({"SCRIPT", "LOAD", std::string(writer.script())});
  OutBuffer out;
  writer.write(numbered(2), {sha, old_token, 1, 2}, out);
  ReplyReader words;
  words.feed(out.view());
  const Reply* late = words.next();
  std::vector<std::string> command;
  for (std::size_t i = 0; i < late->size(); ++i) command.emplace_back((*late)[i].text());
  EXPECT_THAT(redis_.command(command), ElementsAre("FENCED", redis_.answer({"GET", kFence})));
  EXPECT_NE(redis_.answer({"GET", kFence}), old_token);
  EXPECT_EQ(redis_.answer({"HEXISTS", kLog, "n2"}), "0");
  EXPECT_TRUE(driver.commit(numbered(3)));
}

// How a commit meets the end of Redis.
enum class Fate { never_read, cut_midway, by_chance, applied_but_untold };

class KilledRedis : public Trouble, public ::testing::WithParamInterface<Fate> {
 protected:
  /// Kills Redis while the commit that was just written is in flight.
  void kill_at(Fate fate, StoreDriver& driver, std::uint64_t commit_no) {
    if (fate == Fate::by_chance) {
      std::this_thread::sleep_for(std::chrono::microseconds(random_() % 1000));
    }
    if (fate == Fate::applied_but_untold) {
      while (!stored(commit_no)) std::this_thread::yield();
      char answer[100];  // taken away from the store, as if the network had lost it
      EXPECT_GT(recv(driver.store().fd(), answer, sizeof answer, 0), 0);
    }
    redis_.kill_hard();
  }
  bool stored(std::uint64_t commit_no) const {
    return redis_.answer({"HGET", kMeta, "commit_no"}) == std::to_string(commit_no);
  }

  std::mt19937 random_{11};
};

TEST_P(KilledRedis, LeavesEveryCommitResolvedExactlyOnce) {
  const Fate fate = GetParam();
  redis_.set({"appendonly yes", "appendfsync always"});
  redis_.start();
  StoreDriver driver(redis_.url());
  ASSERT_TRUE(driver.run_until_idle());
  EXPECT_TRUE(driver.said("nothing acknowledged is lost"));

  std::uint64_t written = 0;
  for (int kills = 1; kills <= 6; ++kills) {
    for (std::uint64_t more = 1 + random_() % 20; more > 0; --more) {
      driver.write(numbered(++written));
      ASSERT_TRUE(driver.run_until_idle()) << driver.fatal;
    }
    if (fate == Fate::never_read) redis_.pause();
    numbered(++written);
    if (fate == Fate::cut_midway) {
      batch_.set(batch_.key(KeyKind::hash, "names"), "big", std::string(16u << 20, 'x'));
    }
    driver.write(batch_);
    kill_at(fate, driver, written);
    EXPECT_EQ(driver.committed, written - 1);  // nobody has read the answer, if there is one
    driver.run_for_ms(static_cast<std::int64_t>(random_() % 30));
    redis_.start();
    if (fate != Fate::by_chance) {
      EXPECT_TRUE(stored(fate == Fate::applied_but_untold ? written : written - 1));
    }
    ASSERT_TRUE(driver.run_until([&] {
      return driver.ups == kills && driver.store().idle();
    })) << driver.fatal;
    EXPECT_EQ(driver.downs, kills);
    ASSERT_EQ(driver.committed, written);
  }
  // Told once each, in order, and all of them are there.
  ASSERT_EQ(driver.commits.size(), written);
  for (std::uint64_t i = 0; i < written; ++i) EXPECT_EQ(driver.commits[i], i + 1);
  EXPECT_TRUE(stored(written));
  for (std::uint64_t i = 1; i <= written; ++i) {
    EXPECT_EQ(redis_.answer({"HGET", kLog, "n" + std::to_string(i)}), std::to_string(i));
  }
  EXPECT_EQ(redis_.answer({"HGET", kLog, "last"}), std::to_string(written));
}

INSTANTIATE_TEST_SUITE_P(Fates, KilledRedis,
                         ::testing::Values(Fate::never_read, Fate::cut_midway, Fate::by_chance,
                                           Fate::applied_but_untold));

TEST_F(Trouble, StalledRedisIsAwayAndTheCommitIsNotLost) {
  redis_.start();
  StoreOptions options = StoreDriver::options_for(redis_.url());
  options.reply_ms_max = 150;
  StoreDriver driver(options);
  ASSERT_TRUE(driver.commit(numbered(1)));
  redis_.pause();
  driver.write(numbered(2));
  ASSERT_TRUE(driver.run_until([&] { return driver.downs == 1; }));
  driver.run_for_ms(300);
  EXPECT_EQ(driver.committed, 1u);
  redis_.resume();
  ASSERT_TRUE(driver.run_until([&] { return driver.committed == 2; })) << driver.fatal;
  EXPECT_EQ(driver.fatal, "");
  EXPECT_EQ(redis_.answer({"HGET", kLog, "last"}), "2");
}

TEST_F(Trouble, RedisThatLoadsItsDataIsWaitedFor) {
  redis_.set({"appendonly yes"});
  redis_.start();
  StoreDriver driver(redis_.url());
  ASSERT_TRUE(driver.commit(numbered(1)));
  for (int i = 0; i < 200; ++i) redis_.command({"SET", "other" + std::to_string(i), "x"});
  redis_.command({"BGREWRITEAOF"});
  ASSERT_TRUE(driver.run_until([&] {
    return redis_.answer({"INFO", "persistence"}).find("aof_rewrite_in_progress:0") !=
           std::string::npos;
  }));
  redis_.stop();
  redis_.set({"appendonly yes", "key-load-delay 5000",
              "loading-process-events-interval-bytes 1024"});
  redis_.start(false);
  ASSERT_TRUE(driver.run_until([&] { return driver.ups > 0; })) << driver.fatal;
  EXPECT_TRUE(driver.said("loading"));
  EXPECT_TRUE(driver.commit(numbered(2)));
}

TEST_F(Trouble, RedisThatBecameAReplicaIsWaitedFor) {
  redis_.start();
  StoreDriver driver(redis_.url());
  ASSERT_TRUE(driver.commit(numbered(1)));
  ASSERT_EQ(redis_.answer({"REPLICAOF", "127.0.0.1", "1"}), "OK");
  driver.write(numbered(2));
  driver.run_for_ms(300);
  EXPECT_GE(driver.downs, 1);
  EXPECT_EQ(driver.fatal, "");
  ASSERT_EQ(redis_.answer({"REPLICAOF", "NO", "ONE"}), "OK");
  EXPECT_TRUE(driver.run_until([&] { return driver.committed == 2; })) << driver.fatal;
}


TEST_F(Trouble, FullMemoryRefusesNewCallsWhileCommitsStillFindRoom) {
  redis_.start();
  StoreDriver driver(redis_.url());
  ASSERT_TRUE(driver.commit(numbered(1)));
  driver.run_for_ms(20);  // the next one begins as a transaction, which is refused
  ASSERT_EQ(redis_.answer({"CONFIG", "SET", "maxmemory", "1mb"}), "OK");  // less than it has
  ASSERT_NE(redis_.answer({"SET", "other", "x"}), "OK");  // a usual write is refused
  EXPECT_TRUE(driver.commit(numbered(2))) << driver.fatal;
  EXPECT_EQ(driver.downs, 0);
  // The broker learns of the limit when it next connects, or looks by itself.
  redis_.command({"CLIENT", "KILL", "TYPE", "normal"});
  ASSERT_TRUE(driver.run_until([&] { return driver.full && driver.store().idle(); }));
  EXPECT_TRUE(driver.commit(numbered(3))) << driver.fatal;
  EXPECT_TRUE(driver.said("nearly full"));
  ASSERT_EQ(redis_.answer({"CONFIG", "SET", "maxmemory", "1gb"}), "OK");
  ASSERT_TRUE(driver.run_until([&] { return !driver.full; }));
  EXPECT_TRUE(driver.said("has room again"));
}

TEST_F(Trouble, FullDiskIsWaitedOutAndNothingIsAcknowledgedMeanwhile) {
  redis_.set({"appendonly yes", "appendfsync everysec"});
  redis_.start();
  StoreDriver driver(redis_.url());
  ASSERT_TRUE(driver.commit(numbered(1)));
  // No file may grow any more: Redis's write to its append-only file fails as on a full disk.
  rlimit before{};
  ASSERT_EQ(prlimit(redis_.pid(), RLIMIT_FSIZE, nullptr, &before), 0);
  const rlimit none{1, before.rlim_max};
  ASSERT_EQ(prlimit(redis_.pid(), RLIMIT_FSIZE, &none, nullptr), 0);
  // With everysec Redis finds out at its first write, and refuses from then on.
  redis_.command({"SET", "other", "x"});
  ASSERT_TRUE(driver.run_until([&] {
    return redis_.answer({"SET", "other", "x"}).starts_with("MISCONF");
  }));
  driver.run_until_idle();
  const std::uint64_t committed = driver.committed;
  if (driver.store().idle()) driver.write(numbered(committed + 1));
  ASSERT_TRUE(driver.run_until([&] { return driver.said("MISCONF"); }));
  driver.run_for_ms(500);
  EXPECT_EQ(driver.committed, committed);
  EXPECT_EQ(driver.fatal, "");
  ASSERT_EQ(prlimit(redis_.pid(), RLIMIT_FSIZE, &before, nullptr), 0);
  ASSERT_TRUE(driver.run_until([&] { return driver.committed > committed; })) << driver.fatal;
  EXPECT_EQ(redis_.answer({"HGET", kLog, "last"}), std::to_string(driver.committed));
}

TEST_F(Trouble, KeyOfAWrongKindEndsTheBrokerAfterAFewTries) {
  redis_.start();
  StoreDriver driver(redis_.url());
  ASSERT_TRUE(driver.run_until_idle());
  redis_.command({"SET", kLog, "somebody else's"});
  driver.write(numbered(1));
  ASSERT_TRUE(driver.run_until([&] { return !driver.fatal.empty(); }));
  EXPECT_THAT(driver.fatal, AllOf(HasSubstr("commit 1"), HasSubstr("WRONGTYPE")));
}

TEST_F(Trouble, ValueThatRedisDoesNotTakeEndsTheBrokerWithRedissOwnReason) {
  redis_.set({"proto-max-bulk-len 1mb"});
  redis_.start();
  StoreDriver driver(redis_.url());
  ASSERT_TRUE(driver.commit(numbered(1)));
  numbered(2);
  batch_.set(batch_.key(KeyKind::hash, "names"), "big", std::string(20u << 20, 'x'));
  driver.write(batch_);
  ASSERT_TRUE(driver.run_until([&] { return !driver.fatal.empty(); }));
  EXPECT_THAT(driver.fatal, AllOf(HasSubstr("commit 2"), HasSubstr("invalid bulk length")));
  EXPECT_EQ(redis_.answer({"HGET", kMeta, "commit_no"}), "1");
}

TEST_F(Trouble, ConnectionCutAgainAndAgainWhileLoadingStillLoads) {
  redis_.start();
  {
    StoreDriver writer(redis_.url());
    batch_.clear();
    for (int i = 0; i < 100'000; ++i) {
      batch_.set(batch_.key(KeyKind::hash, "names"), std::to_string(i), std::string(50, 'x'));
    }
    ASSERT_TRUE(writer.commit(batch_));
  }
  StoreDriver driver(redis_.url());
  int cuts = 0;
  while (cuts < 3) {
    ASSERT_TRUE(driver.run_until([&] { return driver.loads > cuts; }));
    if (driver.loaded) break;  // too quick for us
    redis_.command({"CLIENT", "KILL", "TYPE", "normal"});
    ++cuts;
  }
  ASSERT_TRUE(driver.run_until_idle());
  EXPECT_GT(cuts, 0);
  EXPECT_EQ(driver.entries.size(), 100'000u);
}

}  // namespace
}  // namespace callboard::broker
