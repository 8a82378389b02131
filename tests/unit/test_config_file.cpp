// The table of settings agrees with itself, with the default file and with the flags.
#include "config/load.hpp"

#include <fstream>
#include <iterator>
#include <regex>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <CLI/CLI.hpp>

namespace callboard::config {
namespace {

TEST(ConfigTable, NamesVariablesAndFlagsOfASectionAreUnique) {
  std::set<std::string> variables;
  std::set<std::pair<std::string, std::string>> flags;
  for (const auto& setting : table()) {
    EXPECT_TRUE(variables.insert(setting.environment()).second) << setting.name;
    if (!setting.alias.empty()) {
      EXPECT_TRUE(variables.insert(std::string(setting.alias)).second);
    }
    EXPECT_TRUE(flags.emplace(setting.section(), setting.flag()).second) << setting.name;
    EXPECT_EQ(setting.name, std::string(setting.section()) + "." + std::string(setting.key()));
  }
}

TEST(ConfigTable, DefaultsKeepTheirOwnBounds) {
  for (const auto& setting : table()) {
    Settings settings;
    const auto done = set(setting, get(setting, Settings{}), settings);
    EXPECT_TRUE(done) << done.text();
  }
}

TEST(ConfigTable, PrintedValuesCanBeReadBackAsToml) {
  Settings odd;
  odd.broker.name = "a \"quoted\" \\ name\twith\ncontrols";
  odd.broker.listen = {"tcp://a:1", "with,comma"};
  std::string text = "[broker]\n";
  for (const auto* name : {"broker.name", "broker.listen"}) {
    const auto& setting = table()[static_cast<std::size_t>(find(name))];
    text += std::string(setting.key()) + " = " + print(get(setting, odd)) + "\n";
  }
  Sources sources;
  sources.file_name = "c.toml";
  sources.file_text = text;
  const auto loaded = load(sources);
  ASSERT_TRUE(loaded) << loaded.text() << "\n" << text;
  EXPECT_EQ(loaded->settings.broker.name, odd.broker.name);
  EXPECT_EQ(loaded->settings.broker.listen, odd.broker.listen);
}

TEST(ConfigFile, FileInTheTreeIsTheOneThatTheTableWrites) {
  const auto file = read_file(CALLBOARD_SOURCE_DIR "/config/callboard.toml");
  ASSERT_TRUE(file) << file.text();
  EXPECT_EQ(*file, default_file()) << "write it again with: callboard config template";
}

TEST(ConfigFile, WithoutItsCommentsTheDefaultFileSetsTheDefaults) {
  const std::regex commented("(^|\n)#([a-z_]+ = )");
  Sources sources;
  sources.file_name = "c.toml";
  sources.file_text = std::regex_replace(default_file(), commented, "$1$2");
  const auto loaded = load(sources);
  ASSERT_TRUE(loaded) << loaded.text();
  const Settings defaults;
  for (std::size_t i = 0; i < table().size(); ++i) {
    EXPECT_EQ(get(table()[i], loaded->settings), get(table()[i], defaults)) << table()[i].name;
    EXPECT_EQ(loaded->origins[i].layer, Layer::file) << table()[i].name << " is not in the file";
  }
}

TEST(ConfigFile, FileThatIsNotThereIsOneClearLine) {
  const auto file = read_file("/nonexistent/callboard.toml");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.text(), "cannot read /nonexistent/callboard.toml");
}

TEST(ConfigFlags, FlagsOfASectionReachTheirSettings) {
  CLI::App app;
  std::vector<std::pair<std::string, std::string>> flags;
  add_flags(app, "broker", flags);
  app.parse("--redis unix:///r.sock --listen tcp://a:1 --listen tcp://b:2 --max-pending 5", false);
  Sources sources;
  sources.flags = flags;
  const auto loaded = load(sources);
  ASSERT_TRUE(loaded) << loaded.text();
  EXPECT_EQ(loaded->settings.broker.redis, "unix:///r.sock");
  EXPECT_THAT(loaded->settings.broker.listen, testing::ElementsAre("tcp://a:1", "tcp://b:2"));
  EXPECT_EQ(loaded->settings.broker.max_pending, 5);
}

TEST(ConfigFlags, HelpOfEveryFlagNamesItsDefault) {
  CLI::App app;
  std::vector<std::pair<std::string, std::string>> flags;
  for (const auto* section : {"client", "broker", "log"}) {
    CLI::App* sub = app.add_subcommand(section);
    add_flags(*sub, section, flags);
    for (const auto& setting : table()) {
      if (setting.section() != section) continue;
      const auto help = sub->get_option(setting.flag())->get_description();
      EXPECT_THAT(help, testing::HasSubstr("[" + print(get(setting, Settings{})) + "]"));
    }
  }
}

}  // namespace
}  // namespace callboard::config
