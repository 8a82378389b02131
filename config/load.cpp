#include "config/load.hpp"

#include "config/file.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

extern char** environ;  // NOLINT: POSIX names it so

namespace callboard::config {

namespace {

/// Variables that are no settings: they are needed to find the settings, or the programs, or are of
/// every process, also those of users' own that read no settings.
constexpr std::array<std::string_view, 7> kOtherVariables = {
    "CALLBOARD_CONFIG",        "CALLBOARD_BIN",
    "CALLBOARD_REDIS_SERVER",  "CALLBOARD_READY_FD",
    "CALLBOARD_SHARED_MEMORY", "CALLBOARD_SHARED_MEMORY_DIR",
    "CALLBOARD_BUSY_POLL_US"};

Result<bool> put(Loaded& loaded, int row, const Value& value, Layer layer, std::string place) {
  const auto& setting = table()[static_cast<std::size_t>(row)];
  if (auto done = set(setting, value, loaded.settings); !done) {
    return {done.code(), place + ": " + done.text()};
  }
  loaded.origins[static_cast<std::size_t>(row)] = {layer, std::move(place)};
  return true;
}

Result<bool> put_text(Loaded& loaded, int row, std::string_view text, Layer layer,
                      std::string place) {
  auto value = parse(table()[static_cast<std::size_t>(row)], text);
  if (!value) return {value.code(), place + ": " + value.text()};
  return put(loaded, row, *value, layer, std::move(place));
}

Result<bool> apply_file(const Sources& sources, Loaded& loaded) {
  if (sources.file_name.empty()) return true;
  auto entries = read_toml(sources.file_name, sources.file_text);
  if (!entries) return {entries.code(), entries.text()};
  for (const auto& entry : *entries) {
    const auto place = sources.file_name + ":" + std::to_string(entry.line);
    const int row = find(entry.name);
    if (row < 0) return {Errc::invalid_option, place + ": there is no setting " + entry.name};
    if (auto done = put(loaded, row, entry.value, Layer::file, place); !done) return done;
  }
  return true;
}

/// The row that a variable sets, -1 when none does.
int row_of_variable(std::string_view variable) {
  const auto rows = table();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].environment() == variable || rows[i].alias == variable) return static_cast<int>(i);
  }
  return -1;
}

Result<bool> apply_environment(const Sources& sources, Loaded& loaded) {
  for (const auto& [variable, text] : sources.environment) {
    const int row = row_of_variable(variable);
    if (row >= 0) {
      auto done = put_text(loaded, row, text, Layer::environment, variable);
      if (!done) return done;
    } else if (std::find(kOtherVariables.begin(), kOtherVariables.end(), variable) ==
               kOtherVariables.end()) {
      loaded.unknown.push_back(variable);
    }
  }
  return true;
}

Result<bool> apply_flags(const Sources& sources, Loaded& loaded) {
  for (const auto& [name, text] : sources.flags) {
    const int row = find(name);
    if (row < 0) return {Errc::invalid_option, "there is no setting " + name};
    const auto flag = table()[static_cast<std::size_t>(row)].flag();
    if (auto done = put_text(loaded, row, text, Layer::flag, flag); !done) return done;
  }
  return true;
}

/// What one setting demands of another.
Result<bool> check_relations(const Settings& settings) {
  const auto& broker = settings.broker;
  if (broker.worker_lease_ms >= broker.lease_ms) {
    return {Errc::invalid_option,
            "broker.worker_lease_ms must be below broker.lease_ms: a worker "
            "must stop before the broker gives its calls away"};
  }
  if (broker.heartbeat_ms * 3 >= broker.worker_lease_ms) {
    return {Errc::invalid_option,
            "broker.heartbeat_ms must be below a third of broker.worker_lease_ms: two lost "
            "heartbeats must not end a lease"};
  }
  return true;
}

}  // namespace

Result<Loaded> load(const Sources& sources) {
  Loaded loaded;
  loaded.origins.assign(table().size(), Origin{Layer::defaults, "default"});
  for (const auto& layer : {apply_file, apply_environment, apply_flags}) {
    if (auto done = layer(sources, loaded); !done) return {done.code(), done.text()};
  }
  if (auto done = check_relations(loaded.settings); !done) return {done.code(), done.text()};
  return loaded;
}

std::string find_file(const std::string& given) {
  if (!given.empty()) return given;
  const char* named = std::getenv("CALLBOARD_CONFIG");
  if (named != nullptr && *named != '\0') return named;
  std::vector<std::string> candidates;
  const char* config_home = std::getenv("XDG_CONFIG_HOME");
  const char* home = std::getenv("HOME");
  if (config_home != nullptr && *config_home != '\0') {
    candidates.push_back(std::string(config_home) + "/callboard/callboard.toml");
  } else if (home != nullptr && *home != '\0') {
    candidates.push_back(std::string(home) + "/.config/callboard/callboard.toml");
  }
  candidates.emplace_back("/etc/callboard/callboard.toml");
  for (const auto& path : candidates) {
    std::error_code error;
    if (std::filesystem::is_regular_file(path, error)) return path;
  }
  return {};
}

Result<std::string> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return {Errc::invalid_option, "cannot read " + path};
  return std::string(std::istreambuf_iterator<char>(in), {});
}

std::vector<std::pair<std::string, std::string>> environment() {
  std::vector<std::pair<std::string, std::string>> out;
  for (char** at = environ; *at != nullptr; ++at) {
    const std::string_view line(*at);
    const auto equals = line.find('=');
    if (line.starts_with("CALLBOARD_") && equals != std::string_view::npos) {
      out.emplace_back(line.substr(0, equals), line.substr(equals + 1));
    }
  }
  return out;
}

}  // namespace callboard::config
