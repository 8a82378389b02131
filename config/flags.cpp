// The command line's side of the settings: one option for every row of the table.
#include "config/load.hpp"

#include <CLI/CLI.hpp>

namespace callboard::config {

namespace {

std::string help_of(const Setting& setting) {
  static const Settings kDefaults;
  const auto value = print(get(setting, kDefaults));
  std::string text(setting.help);
  return text + " [" + value + "]";
}

}  // namespace

void add_flags(CLI::App& app, std::string_view section,
               std::vector<std::pair<std::string, std::string>>& flags) {
  for (const auto& setting : table()) {
    if (setting.section() != section) continue;
    const std::string name(setting.name);
    if (setting.type() == "flag") {
      app.add_flag_function(
          setting.flag() + ",!--no-" + setting.flag().substr(2),
          [&flags, name](std::int64_t count) {
            flags.emplace_back(name, count > 0 ? "true" : "false");
          },
          help_of(setting));
      continue;
    }
    auto* option = app.add_option_function<std::vector<std::string>>(
        setting.flag(),
        [&flags, name](const std::vector<std::string>& given) {
          std::string text;
          for (const auto& item : given) text += (text.empty() ? "" : ",") + item;
          flags.emplace_back(name, text);
        },
        help_of(setting));
    const bool list = setting.type() == "list";
    option->type_name(list ? "TEXT,..." : setting.type() == "number" ? "NUMBER" : "TEXT");
    option->expected(list ? -1 : 1);
    option->group("Settings");
    if (list) option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->allow_extra_args(false);
  }
}

}  // namespace callboard::config
