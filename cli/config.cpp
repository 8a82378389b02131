// callboard config show|template
#include "cli/command.hpp"
#include "cli/commands.hpp"
#include "cli/context.hpp"

#include <memory>

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

void add_config(const Command& program) {
  Command config = program.sub("config", "What the settings are, and where they come from");
  config.needs_one();

  const auto with_origin = std::make_shared<bool>(false);
  Command shown = config.sub("show", "Print every setting as it holds here");
  shown.flag("--origin", *with_origin,
             "Say where each value comes from: default, file and line, variable or flag");
  const Context& context = shown.context();
  shown.run([&context, with_origin] { return show(context, *with_origin); });

  config.sub("template", "Print the default file, with comments").run([] {
    print(config::default_file());
    return 0;
  });
}

}  // namespace callboard::cli
