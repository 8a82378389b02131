#include "broker/store/server_facts.hpp"

#include "tests/unit/store_support.hpp"

#include <gmock/gmock.h>

#include <string>

namespace callboard::broker {
namespace {

using ::testing::HasSubstr;

ServerFacts good() {
  ServerFacts facts;
  read_info("# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\n\r\n# Memory\r\nused_memory:1000\r\n"
            "maxmemory:0\r\nmaxmemory_policy:noeviction\r\n# Persistence\r\nloading:0\r\n"
            "aof_enabled:1\r\n# Replication\r\nrole:master\r\n",
            facts);
  read_config(WireReply(bulks({"appendonly", "yes", "appendfsync", "everysec",
                               "no-appendfsync-on-rewrite", "no", "save", ""})),
              facts);
  return facts;
}

TEST(ServerFacts, AreReadFromInfoAndConfig) {
  const ServerFacts facts = good();
  EXPECT_EQ(facts.version, "7.0.15");
  EXPECT_EQ(facts.run_id, "abc");
  EXPECT_EQ(facts.role, "master");
  EXPECT_FALSE(facts.loading);
  EXPECT_EQ(facts.used_memory, 1000u);
  EXPECT_EQ(facts.append_fsync, "everysec");
  EXPECT_EQ(refusal(facts), "");
}

TEST(ServerFacts, OldOrUnknownVersionIsRefusedByName) {
  for (const char* version : {"6.2.14", "5.0.0", "", "next"}) {
    ServerFacts facts = good();
    facts.version = version;
    EXPECT_THAT(refusal(facts), HasSubstr("Redis 7 or newer"));
    EXPECT_THAT(refusal(facts), HasSubstr(version));
  }
  ServerFacts newer = good();
  newer.version = "10.2.1";
  EXPECT_EQ(refusal(newer), "");
}

TEST(ServerFacts, EveryEvictionPolicyButNoneIsRefused) {
  for (const char* policy : {"allkeys-lru", "volatile-ttl", ""}) {
    ServerFacts facts = good();
    facts.eviction_policy = policy;
    EXPECT_THAT(refusal(facts), HasSubstr("maxmemory-policy"));
    EXPECT_THAT(refusal(facts), HasSubstr(policy));
  }
}

TEST(ServerFacts, ForbiddenConfigLeavesWhatInfoTells) {
  ServerFacts facts;
  read_info("redis_version:7.2.4\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\n", facts);
  read_config(WireReply("-NOPERM this user has no permissions\r\n"), facts);
  EXPECT_EQ(refusal(facts), "");
  EXPECT_THAT(durability(facts), HasSubstr("NOPERM"));
  EXPECT_FALSE(survives_power_loss(facts));
}

TEST(ServerFacts, DurabilityNamesThePolicyAndWhatItCanLose) {
  ServerFacts facts = good();
  EXPECT_THAT(durability(facts), HasSubstr("everysec"));
  EXPECT_THAT(durability(facts), HasSubstr("two seconds"));
  EXPECT_FALSE(survives_power_loss(facts));

  facts.append_fsync = "always";
  EXPECT_THAT(durability(facts), HasSubstr("nothing acknowledged is lost"));
  EXPECT_TRUE(survives_power_loss(facts));

  facts.no_fsync_on_rewrite = "yes";
  EXPECT_THAT(durability(facts), HasSubstr("rewrite"));
  EXPECT_FALSE(survives_power_loss(facts));

  facts.append_fsync = "no";
  EXPECT_THAT(durability(facts), HasSubstr("operating system"));

  facts.append_only = "no";
  EXPECT_THAT(durability(facts), HasSubstr("everything is lost"));
  facts.save = "3600 1";
  EXPECT_THAT(durability(facts), HasSubstr("snapshot"));
}

TEST(ServerFacts, RequiredPolicyIsMetByItselfAndByStrongerOnes) {
  ServerFacts facts = good();
  facts.no_fsync_on_rewrite = "no";
  const auto fits = [&](const char* fsync, RequireFsync required) {
    facts.append_fsync = fsync;
    return too_weak(facts, required).empty();
  };
  EXPECT_TRUE(fits("no", RequireFsync::none));
  EXPECT_FALSE(fits("no", RequireFsync::everysec));
  EXPECT_TRUE(fits("everysec", RequireFsync::everysec));
  EXPECT_TRUE(fits("always", RequireFsync::everysec));
  EXPECT_FALSE(fits("everysec", RequireFsync::always));
  EXPECT_TRUE(fits("always", RequireFsync::always));
  facts.no_fsync_on_rewrite = "yes";  // a rewrite would suspend it
  EXPECT_FALSE(fits("always", RequireFsync::always));
  EXPECT_FALSE(fits("everysec", RequireFsync::everysec));
  facts.no_fsync_on_rewrite = "no";
  facts.append_only = "no";
  EXPECT_FALSE(fits("always", RequireFsync::everysec));
  EXPECT_EQ(fsync_policy(facts), "off");
  EXPECT_EQ(fsync_policy(ServerFacts{}), "unknown");
}

TEST(MemoryWatch, SaysFullAtNinetyPercentAndRoomBelowEightyFive) {
  MemoryWatch watch;
  ServerFacts facts = good();
  facts.memory_max = 100'000;
  const auto at = [&](std::uint64_t used) {
    facts.used_memory = used;
    return watch.update(facts);
  };
  EXPECT_FALSE(at(89'000));
  EXPECT_TRUE(at(90'500));
  EXPECT_TRUE(watch.full());
  EXPECT_FALSE(at(120'000));
  EXPECT_FALSE(at(86'500));  // between the marks nothing changes
  EXPECT_TRUE(watch.full());
  EXPECT_TRUE(at(84'000));
  EXPECT_FALSE(watch.full());
  EXPECT_FALSE(at(86'500));
}

TEST(MemoryWatch, WithoutLimitMemoryIsNeverFull) {
  MemoryWatch watch;
  ServerFacts facts = good();
  facts.memory_max = 1000;
  facts.used_memory = 1000;
  EXPECT_TRUE(watch.update(facts));
  facts.memory_max = 0;  // the operator lifted the limit
  facts.used_memory = UINT64_MAX;
  EXPECT_TRUE(watch.update(facts));
  EXPECT_FALSE(watch.full());
}

}  // namespace
}  // namespace callboard::broker
