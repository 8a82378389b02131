#include "cli/bench_file.hpp"

#include "cli/exit_code.hpp"
#include "cli/output.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string_view>
#include <utility>
#include <vector>

namespace callboard::cli {

namespace {

/// Numbers that say what was measured, and not what came out.
constexpr std::array<std::string_view, 10> kAsked = {
    "calls", "window", "payload", "actors", "clients", "work_us", "times", "rounds", "bytes",
    "batch"};

bool is_asked(std::string_view name) {
  return std::find(kAsked.begin(), kAsked.end(), name) != kAsked.end();
}

using Figures = std::vector<std::pair<std::string, double>>;

/// All numbers in `value`, under names that say where they stand.
void collect(const Json& value, const std::string& before, Figures& out) {
  for (const auto& [name, inner] : value.items()) {
    if (inner.is_number()) {
      if (!is_asked(name)) out.emplace_back(before + name, inner.get<double>());
    } else if (inner.is_object()) {
      collect(inner, before + name + " ", out);
    } else if (inner.is_array()) {
      for (const auto& row : inner) {
        if (row.contains("batch")) {
          collect(row, before + "relay, " + cell(row.at("batch")) + " in a frame: ", out);
        } else if (row.contains("bytes")) {
          collect(row, before + cell(row.at("bytes")) + " bytes: ", out);
        }
      }
    }
  }
}

[[noreturn]] void refuse(const std::string& file) {
  fail_usage("--compare: " + file + " is not what callboard bench --json writes");
}

}  // namespace

Json read_earlier(const std::string& file, const Json& asked) {
  if (file.empty()) return nullptr;
  std::ifstream in(file);
  if (!in) fail_usage("--compare: cannot read " + file + ": " + std::strerror(errno));
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  Json earlier = Json::parse(text, nullptr, false);
  if (!earlier.is_object() || !(earlier.contains("bench") || earlier.contains("relay"))) {
    refuse(file);
  }
  // A relay beside another measurement was asked for the same as one on its own.
  const Json& was = asked.contains("bench") || !earlier.contains("relay") ? earlier
                    : earlier.at("relay").is_array() && !earlier.at("relay").empty()
                        ? earlier.at("relay").front()
                        : earlier;
  for (const auto& [name, now] : asked.items()) {
    if (!was.contains(name) && name != "bench") continue;
    const std::string then = was.contains(name) ? cell(was.at(name)) : "relay";
    if (then == cell(now)) continue;
    fail_usage("--compare: the earlier run had " + name + " " + then + ", this one has " +
               cell(now));
  }
  return earlier;
}

Json compared(const Json& then, const Json& now) {
  Figures before, after;
  collect(then, "", before);
  collect(now, "", after);
  Json out = Json::array();
  for (const auto& [name, value] : after) {
    for (const auto& [old_name, old_value] : before) {
      if (name != old_name) continue;
      Json change = nullptr;
      if (old_value != 0) change = std::round((value / old_value - 1) * 1000) / 10;
      out.push_back({{"figure", name}, {"then", old_value}, {"now", value},
                     {"change_percent", change}});
    }
  }
  return out;
}

void write_figures(const std::string& file, const Json& figures) {
  if (file.empty()) return;
  std::ofstream out(file);
  out << print_json(figures) << '\n';
  out.close();
  if (!out) throw Failure(ExitCode::failed, "cannot write " + file + ": " + std::strerror(errno));
}

}  // namespace callboard::cli
