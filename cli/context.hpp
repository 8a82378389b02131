// What every command gets: settings, the format of its output, and the signal that ends it.
//
// The command line is parsed first; a subcommand then leaves what it will do in `action`, so that
// nothing happens before all of the line is understood. Thread safety: none, except interrupted().
#pragma once

#include "cli/output.hpp"
#include "config/load.hpp"

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace callboard::cli {

class Context {
 public:
  // filled while the command line is parsed
  std::string config_file;
  std::string format_name = "table";
  std::vector<std::pair<std::string, std::string>> flags;
  std::function<int()> action;

  /// Reads file, environment and flags. Throws Failure (usage) at the first mistake.
  void load_settings();

  const config::Settings& settings() const { return loaded_.settings; }
  const config::Loaded& loaded() const { return loaded_; }
  const std::string& file() const { return file_; }
  Format format() const { return format_name == "json" ? Format::json : Format::table; }

  /// Prints one item as a record, or as JSON.
  void show(const Json& item) const;
  /// Prints items as a table, or as JSON.
  void show(const std::vector<Column>& columns, const Json& items) const;

 private:
  config::Loaded loaded_;
  std::string file_;
};

/// From now on Ctrl-C and SIGTERM set a flag instead of ending the program; the second one ends it.
void catch_interrupts();
bool interrupted();
/// Throws Failure (interrupted) when interrupted().
void throw_if_interrupted();

}  // namespace callboard::cli
