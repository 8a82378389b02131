#include "cli/command.hpp"

#include "cli/connection.hpp"
#include "cli/context.hpp"

#include <memory>

#include <CLI/CLI.hpp>

namespace callboard::cli {

namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : "|") + word;
  return out;
}

}  // namespace

Command Command::sub(const std::string& name, const std::string& help) const {
  return {*app_->add_subcommand(name, help), *context_};
}

Command& Command::needs_one() {
  app_->require_subcommand(1);
  return *this;
}

Command& Command::hidden() {
  app_->group("");
  return *this;
}

Command& Command::text(const std::string& name, std::string& value, const std::string& help,
                       const std::string& type) {
  app_->add_option(name, value, help)->type_name(type);
  return *this;
}

Command& Command::need_text(const std::string& name, std::string& value, const std::string& help,
                            const std::string& type) {
  app_->add_option(name, value, help)->type_name(type)->required();
  return *this;
}

Command& Command::texts(const std::string& name, std::vector<std::string>& values,
                        const std::string& help, const std::string& type) {
  app_->add_option(name, values, help + "; may be repeated")
      ->type_name(type)
      ->allow_extra_args(false);
  return *this;
}

Command& Command::flag(const std::string& name, bool& value, const std::string& help) {
  app_->add_flag(name, value, help);
  return *this;
}

Command& Command::choice(const std::string& name, std::string& value,
                         const std::vector<std::string>& words, const std::string& help) {
  return choice_with(
      name, [&value](const std::string& word) { value = word; }, words, help);
}

Command& Command::choice_with(const std::string& name, std::function<void(const std::string&)> set,
                              const std::vector<std::string>& words, const std::string& help) {
  app_->add_option_function<std::string>(name, set, help)
      ->check(CLI::IsMember(words).description(""))
      ->type_name(joined(words));
  return *this;
}

Command& Command::number_with(const std::string& name, std::function<void(std::int64_t)> set,
                              const std::string& help, std::int64_t min, std::int64_t max) {
  app_->add_option_function<std::int64_t>(name, set, help)
      ->check(CLI::Range(min, max).description(""))
      ->type_name("NUMBER");
  return *this;
}

Command& Command::duration(const std::string& name, std::int64_t& milliseconds,
                           const std::string& help) {
  const std::map<std::string, std::int64_t> units = {
      {"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}};
  app_->add_option(name, milliseconds, help)
      ->transform(CLI::AsNumberWithUnit(units, CLI::AsNumberWithUnit::CASE_SENSITIVE, "TIME"))
      ->check(CLI::NonNegativeNumber.description(""))
      ->type_name("TIME");
  return *this;
}

Command& Command::json_arguments(std::vector<std::string>& texts) {
  app_->add_option("arguments", texts, "The arguments, each one JSON value")
      ->type_name("JSON")
      ->expected(-1);
  return *this;
}

Command& Command::settings(std::string_view section) {
  config::add_flags(*app_, section, context_->flags);
  return *this;
}

Command& Command::run(std::function<int()> action) {
  // A subcommand of this one was asked for, and has been heard before.
  app_->callback([context = context_, action = std::move(action)] {
    if (!context->action) context->action = action;
  });
  return *this;
}

Command& Command::query(std::function<int(Connection&)> action) {
  return run([context = context_, action = std::move(action)] {
    Connection connection(*context);
    return action(connection);
  });
}

void add_ls(const Command& parent, const std::string& verb, std::vector<Column> columns) {
  const auto limit = std::make_shared<std::uint64_t>(0);
  Command ls = parent.sub("ls", "List them");
  ls.number("--limit", *limit, "Show at most so many; 0: all [0]");
  const Context& context = ls.context();
  ls.query([&context, verb, columns = std::move(columns), limit](Connection& broker) {
    context.show(columns, broker.list(verb, Json::object(), *limit));
    return 0;
  });
}

void add_inspect(const Command& parent, const std::string& name, const std::string& help,
                 const std::string& verb, const std::string& key) {
  const auto subject = std::make_shared<std::string>();
  Command inspect = parent.sub(name, help);
  inspect.need_text(key, *subject, "Its name or id", "NAME");
  const Context& context = inspect.context();
  inspect.query([&context, verb, key, subject](Connection& broker) {
    context.show(broker.ask(verb, {{key, *subject}}));
    return 0;
  });
}

void add_explain(const Command& parent, const std::string& verb, const std::string& key) {
  const auto subject = std::make_shared<std::string>();
  Command explain = parent.sub("explain", "Say in words what it waits for");
  explain.need_text(key, *subject, "Its name or id", "NAME");
  const Context& context = explain.context();
  explain.query([&context, verb, key, subject](Connection& broker) {
    const Json answer = broker.ask(verb, {{key, *subject}});
    if (context.format() == Format::json) {
      context.show(answer);
      return 0;
    }
    for (const auto& reason : answer.at("reasons")) {
      print_line(reason.at("text").get<std::string>());
    }
    return 0;
  });
}

}  // namespace callboard::cli
