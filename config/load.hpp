// The layers of settings: defaults < TOML file < CALLBOARD_* environment < flags.
//
// load() is a pure function of its sources, so that tests need no process of their own; what reads
// the real file, environment and command line stands beside it. Errors name the place of the
// mistake: file and line, variable or flag. Thread safety: none; used at start-up.
#pragma once

#include "config/table.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace CLI {
class App;
}

namespace callboard::config {

enum class Layer : std::uint8_t { defaults, file, environment, flag };

/// Where a value came from.
struct Origin {
  Layer layer = Layer::defaults;
  std::string place;  ///< "default", "callboard.toml:12", "CALLBOARD_BROKER" or "--broker"
};

/// What load() reads, lowest layer first.
struct Sources {
  std::string file_name;  ///< for messages; empty when there is no file
  std::string file_text;
  std::vector<std::pair<std::string, std::string>> environment;  ///< variable, value
  std::vector<std::pair<std::string, std::string>> flags;        ///< name of the setting, value
};

struct Loaded {
  Settings settings;
  std::vector<Origin> origins;        ///< one for each row of table()
  std::vector<std::string> unknown;   ///< variables CALLBOARD_* that no row and no program reads
};

/// Errc::invalid_option with one line that names the place of the first mistake.
Result<Loaded> load(const Sources& sources);

/// The file to read: `given`, else $CALLBOARD_CONFIG, else the first that exists of
/// $XDG_CONFIG_HOME/callboard/callboard.toml (~/.config) and /etc/callboard/callboard.toml. Empty
/// when there is none.
std::string find_file(const std::string& given);

/// The whole text of a file; Errc::invalid_option when it cannot be read.
Result<std::string> read_file(const std::string& path);

/// All variables of this process that begin with CALLBOARD_.
std::vector<std::pair<std::string, std::string>> environment();

/// Adds one option to `app` for every row of `section`. What the command line gives is appended to
/// `flags`, which must live as long as `app`; load() checks it.
void add_flags(CLI::App& app, std::string_view section,
               std::vector<std::pair<std::string, std::string>>& flags);

/// The commented default file, which config/callboard.toml is.
std::string default_file();

}  // namespace callboard::config
