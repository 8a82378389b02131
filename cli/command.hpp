// The command line as its subcommands see it: a subcommand, its options, what it does.
//
// A thin layer over CLI11, which takes long to compile and so is included in one source only. A
// variable that an option fills must live as long as the command line. Thread safety: none.
#pragma once

#include "cli/output.hpp"

#include <concepts>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace callboard::cli {

class Connection;
class Context;

/// A subcommand, or the program itself. Names that begin with "-" are options, others positional.
/// Copies mean the same subcommand.
class Command {
 public:
  Command(CLI::App& app, Context& context) : app_(&app), context_(&context) {}

  Context& context() const { return *context_; }

  /// A subcommand of this one. With `needs_one`, one of its own subcommands must follow it.
  Command sub(const std::string& name, const std::string& help) const;
  Command& needs_one();
  /// Not in the help.
  Command& hidden();

  Command& text(const std::string& name, std::string& value, const std::string& help,
                const std::string& type = "TEXT");
  /// A text that must be given.
  Command& need_text(const std::string& name, std::string& value, const std::string& help,
                     const std::string& type = "TEXT");
  /// May be repeated.
  Command& texts(const std::string& name, std::vector<std::string>& values, const std::string& help,
                 const std::string& type = "TEXT");
  Command& flag(const std::string& name, bool& value, const std::string& help);
  /// One of a few words.
  Command& choice(const std::string& name, std::string& value,
                  const std::vector<std::string>& words, const std::string& help);
  template <std::integral T>
  Command& number(const std::string& name, T& value, const std::string& help, std::int64_t min = 0,
                  std::int64_t max = kMax<T>) {
    return number_with(
        name, [&value](std::int64_t n) { value = static_cast<T>(n); }, help, min, max);
  }
  template <std::integral T>
  Command& number(const std::string& name, std::optional<T>& value, const std::string& help,
                  std::int64_t min = 0, std::int64_t max = kMax<T>) {
    return number_with(
        name, [&value](std::int64_t n) { value = static_cast<T>(n); }, help, min, max);
  }
  /// One of the names of an enum's values.
  template <class Enum>
  Command& choice(const std::string& name, Enum& value,
                  std::initializer_list<std::pair<const char*, Enum>> names,
                  const std::string& help) {
    std::vector<std::string> words;
    for (const auto& [word, meaning] : names) words.emplace_back(word);
    const std::vector<std::pair<const char*, Enum>> meanings(names);
    return choice_with(
        name,
        [&value, meanings](const std::string& word) {
          for (const auto& [known, meaning] : meanings) {
            if (word == known) value = meaning;
          }
        },
        words, help);
  }
  /// A time such as 500ms, 2s, 5m, 1h, or a bare number of milliseconds.
  Command& duration(const std::string& name, std::int64_t& milliseconds, const std::string& help);
  /// The positional arguments of a call, each one JSON value.
  Command& json_arguments(std::vector<std::string>& texts);
  /// Options for the settings of a section.
  Command& settings(std::string_view section);

  /// What it does; the answer is the exit status.
  Command& run(std::function<int()> action);
  /// What it does with a broker.
  Command& query(std::function<int(Connection&)> action);

 private:
  template <std::integral T>
  static constexpr std::int64_t kMax =
      std::in_range<std::int64_t>(std::numeric_limits<T>::max())
          ? static_cast<std::int64_t>(std::numeric_limits<T>::max())
          : INT64_MAX;

  Command& number_with(const std::string& name, std::function<void(std::int64_t)> set,
                       const std::string& help, std::int64_t min, std::int64_t max);
  Command& choice_with(const std::string& name, std::function<void(const std::string&)> set,
                       const std::vector<std::string>& words, const std::string& help);

  CLI::App* app_;
  Context* context_;
};

/// Adds `ls` for a paged verb without keys of its own.
void add_ls(const Command& parent, const std::string& verb, std::vector<Column> columns);

/// Adds a subcommand with one positional NAME, which asks `verb` with it under `key` and shows the
/// whole answer.
void add_inspect(const Command& parent, const std::string& name, const std::string& help,
                 const std::string& verb, const std::string& key);

/// Adds `explain`: prints the sentences of an explanation, one a line.
void add_explain(const Command& parent, const std::string& verb, const std::string& key);

}  // namespace callboard::cli
