// config/callboard.toml, written from the table.
#include "config/load.hpp"

namespace callboard::config {

namespace {

constexpr std::string_view kIntroduction =
    "# Settings of Callboard: the broker, workers and the command line read the same file.\n"
    "#\n"
    "# Found as --config FILE, $CALLBOARD_CONFIG, ~/.config/callboard/callboard.toml or\n"
    "# /etc/callboard/callboard.toml. What stands here goes over the defaults; CALLBOARD_*\n"
    "# variables and flags go over it. `callboard config show --origin` says what holds and why.\n"
    "# Every setting stands here with its default. An unknown one is an error.\n"
    "# Written by `callboard config template`.\n";

}  // namespace

std::string default_file() {
  const Settings defaults;
  std::string out(kIntroduction);
  std::string_view section;
  for (const auto& setting : table()) {
    if (setting.section() != section) {
      section = setting.section();
      out += "\n[" + std::string(section) + "]\n";
    }
    out += "# " + std::string(setting.help) + ".\n";
    out += "# " + setting.environment();
    if (!setting.alias.empty()) out += " or " + std::string(setting.alias);
    out += ", " + setting.flag() + "\n";
    out += "#" + std::string(setting.key()) + " = " + print(get(setting, defaults)) + "\n";
  }
  return out;
}

}  // namespace callboard::config
