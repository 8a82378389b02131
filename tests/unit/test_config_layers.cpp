// Which layer wins, and what an operator is told about a mistake.
#include "config/load.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace callboard::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Sources file(std::string text) {
  Sources sources;
  sources.file_name = "c.toml";
  sources.file_text = std::move(text);
  return sources;
}

std::string mistake_in(const Sources& sources) {
  const auto loaded = load(sources);
  EXPECT_FALSE(loaded) << "was accepted";
  EXPECT_EQ(loaded.code(), Errc::invalid_option);
  return loaded.text();
}

const Origin& origin_of(const Loaded& loaded, std::string_view name) {
  return loaded.origins.at(static_cast<std::size_t>(find(name)));
}

TEST(ConfigLayers, WithoutAnySourceEverySettingIsItsDefault) {
  const auto loaded = load({});
  ASSERT_TRUE(loaded) << loaded.text();
  const Settings defaults;
  for (const auto& setting : table()) {
    EXPECT_EQ(get(setting, loaded->settings), get(setting, defaults)) << setting.name;
    EXPECT_EQ(origin_of(*loaded, setting.name).layer, Layer::defaults);
    EXPECT_EQ(origin_of(*loaded, setting.name).place, "default");
  }
}

TEST(ConfigLayers, EachLayerGoesOverTheOneBelow) {
  auto sources = file("[broker]\nredis = \"file\"\nname = \"file\"\nevents = \"file\"\n");
  sources.environment = {{"CALLBOARD_BROKER_REDIS", "env"}, {"CALLBOARD_BROKER_NAME", "env"}};
  sources.flags = {{"broker.redis", "flag"}};
  const auto loaded = load(sources);
  ASSERT_TRUE(loaded) << loaded.text();
  EXPECT_EQ(loaded->settings.broker.redis, "flag");
  EXPECT_EQ(loaded->settings.broker.name, "env");
  EXPECT_EQ(loaded->settings.broker.events, "file");
  EXPECT_EQ(origin_of(*loaded, "broker.redis").place, "--redis");
  EXPECT_EQ(origin_of(*loaded, "broker.name").place, "CALLBOARD_BROKER_NAME");
  EXPECT_EQ(origin_of(*loaded, "broker.events").place, "c.toml:4");
  EXPECT_EQ(origin_of(*loaded, "broker.events").layer, Layer::file);
}

TEST(ConfigLayers, BrokerVariableIsShortForTheClientsBroker) {
  Sources sources;
  sources.environment = {{"CALLBOARD_BROKER", "ipc:///tmp/x"}};
  const auto loaded = load(sources);
  ASSERT_TRUE(loaded) << loaded.text();
  EXPECT_EQ(loaded->settings.client.broker, "ipc:///tmp/x");
  EXPECT_EQ(origin_of(*loaded, "client.broker").place, "CALLBOARD_BROKER");
}

TEST(ConfigLayers, EveryRowCanBeSetByItsVariable) {
  for (const auto& setting : table()) {
    Sources sources;
    const auto type = setting.type();
    const std::string text = type == "number"           ? std::to_string(setting.max)
                             : type == "flag"           ? "true"
                             : !setting.choices.empty() ? std::string(setting.choices.back())
                                                        : "some-text";
    sources.environment = {{setting.environment(), text}};
    if (setting.name == "broker.worker_lease_ms" || setting.name == "broker.heartbeat_ms") continue;
    const auto loaded = load(sources);
    ASSERT_TRUE(loaded) << setting.name << ": " << loaded.text();
    EXPECT_EQ(get(setting, loaded->settings), *parse(setting, text)) << setting.name;
    EXPECT_EQ(origin_of(*loaded, setting.name).layer, Layer::environment) << setting.name;
  }
}

TEST(ConfigLayers, ListsComeAsArraysOrSeparatedByCommas) {
  auto sources = file("[broker]\nlisten = [\"tcp://a:1\", \"ipc:///b\"]\n");
  sources.environment = {{"CALLBOARD_WORKER_LOAD", "one.so,two.so"}};
  const auto loaded = load(sources);
  ASSERT_TRUE(loaded) << loaded.text();
  EXPECT_THAT(loaded->settings.broker.listen, ElementsAre("tcp://a:1", "ipc:///b"));
  EXPECT_THAT(loaded->settings.worker.load, ElementsAre("one.so", "two.so"));
}

TEST(ConfigLayers, UnknownKeyIsAnErrorWithItsLine) {
  EXPECT_EQ(mistake_in(file("[broker]\nname = \"b\"\nlissen = \"x\"\n")),
            "c.toml:3: there is no setting broker.lissen");
}

TEST(ConfigLayers, UnknownSectionIsAnErrorWithItsLine) {
  EXPECT_EQ(mistake_in(file("\n[brokr]\nname = \"b\"\n")), "c.toml:2: there is no section [brokr]");
}

TEST(ConfigLayers, KeyOutsideOfASectionIsAnErrorWithItsLine) {
  EXPECT_EQ(mistake_in(file("name = \"b\"\n")), "c.toml:1: there is no setting name");
}

TEST(ConfigLayers, BrokenTomlIsAnErrorWithItsLine) {
  EXPECT_THAT(mistake_in(file("[broker]\nname = \n")), testing::StartsWith("c.toml:2: "));
}

TEST(ConfigLayers, WrongTypeNamesWhatWasExpected) {
  EXPECT_EQ(mistake_in(file("[broker]\nshard = \"one\"\n")),
            "c.toml:2: broker.shard is a number, which \"one\" is not");
  EXPECT_THAT(mistake_in(file("[broker]\nshard = 1.5\n")), HasSubstr("c.toml:2: broker.shard"));
}

TEST(ConfigLayers, BoundsHoldForEveryLayer) {
  EXPECT_THAT(mistake_in(file("[broker]\nshard = 256\n")), HasSubstr("between 0 and 255, not 256"));
  Sources by_variable;
  by_variable.environment = {{"CALLBOARD_BROKER_SHARD", "-1"}};
  EXPECT_THAT(mistake_in(by_variable), testing::StartsWith("CALLBOARD_BROKER_SHARD: broker.shard"));
  Sources by_flag;
  by_flag.flags = {{"broker.shard", "12x"}};
  EXPECT_EQ(mistake_in(by_flag), "--shard: broker.shard is a whole number, not \"12x\"");
}

TEST(ConfigLayers, ChoiceNamesWhatIsAllowed) {
  EXPECT_THAT(mistake_in(file("[log]\nlevel = \"loud\"\n")),
              HasSubstr("must be one of debug, info, warning, error, off, not \"loud\""));
}

TEST(ConfigLayers, LeasesThatContradictEachOtherAreRefused) {
  EXPECT_THAT(mistake_in(file("[broker]\nlease_ms = 2000\nworker_lease_ms = 2000\n")),
              HasSubstr("worker_lease_ms must be below broker.lease_ms"));
  EXPECT_THAT(mistake_in(file("[broker]\nheartbeat_ms = 1000\n")),
              HasSubstr("third of broker.worker_lease_ms"));
}

TEST(ConfigLayers, VariableThatNothingReadsIsNamed) {
  Sources sources;
  sources.environment = {{"CALLBOARD_BROKER_LISSEN", "x"}, {"CALLBOARD_CONFIG", "y"},
                         {"CALLBOARD_BUSY_POLL_US", "0"}};
  const auto loaded = load(sources);
  ASSERT_TRUE(loaded) << loaded.text();
  EXPECT_THAT(loaded->unknown, ElementsAre("CALLBOARD_BROKER_LISSEN"));
}

}  // namespace
}  // namespace callboard::config
