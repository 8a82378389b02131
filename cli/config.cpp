// callboard config show|template
#include "cli/commands.hpp"
#include "cli/context.hpp"

#include <memory>

#include <CLI/CLI.hpp>

namespace callboard::cli {

namespace {

int show(const Context& context, bool with_origin) {
  const auto& loaded = context.loaded();
  if (context.format() == Format::json) {
    Json out = Json::object();
    for (std::size_t i = 0; i < config::table().size(); ++i) {
      const auto& setting = config::table()[i];
      Json value;
      std::visit([&value](const auto& held) { value = held; },
                 config::get(setting, loaded.settings));
      Json entry = {{"value", value}};
      if (with_origin) entry["origin"] = loaded.origins[i].place;
      out[std::string(setting.name)] = with_origin ? entry : value;
    }
    print_line(print_json(out));
    return 0;
  }
  Json items = Json::array();
  for (std::size_t i = 0; i < config::table().size(); ++i) {
    const auto& setting = config::table()[i];
    items.push_back({{"setting", setting.name},
                     {"value", config::print(config::get(setting, loaded.settings))},
                     {"origin", loaded.origins[i].place}});
  }
  std::vector<Column> columns = {{"setting", "SETTING"}, {"value", "VALUE"}};
  if (with_origin) columns.push_back({"origin", "ORIGIN"});
  print(table(columns, items));
  for (const auto& variable : loaded.unknown) print_line("not a setting: " + variable);
  return 0;
}

}  // namespace

void add_config(CLI::App& app, Context& context) {
  CLI::App* config =
      app.add_subcommand("config", "What the settings are, and where they come from");
  config->require_subcommand(1);

  CLI::App* shown = config->add_subcommand("show", "Print every setting as it holds here");
  const auto with_origin = std::make_shared<bool>(false);
  shown->add_flag("--origin", *with_origin,
                  "Say where each value comes from: default, file and line, variable or flag");
  shown->callback([&context, with_origin] {
    context.action = [&context, with_origin] { return show(context, *with_origin); };
  });

  CLI::App* written = config->add_subcommand("template", "Print the default file, with comments");
  written->callback([&context] {
    context.action = [] {
      print(config::default_file());
      return 0;
    };
  });
}

}  // namespace callboard::cli
