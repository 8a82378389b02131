// bench --compare: what has changed since an earlier run.
#include "cli/bench.hpp"
#include "cli/exit_code.hpp"

#include <fstream>
#include <iterator>

namespace callboard::cli {

namespace {

/// What a run was asked for; figures compare only when all of it is the same.
constexpr const char* kAsked[] = {"bench", "window", "payload", "actors", "durability", "batch"};
constexpr const char* kFigures[] = {"calls_per_s", "p50_us", "p99_us"};

std::string text_of(const Json& figures, const char* name) {
  return figures.contains(name) ? print_json(figures.at(name)) : "nothing";
}

/// Processor time of all that could be seen in both runs.
double cpu_of(const Json& figures, const Json& others) {
  double sum = 0;
  for (const auto& [role, us] : figures.at("cpu_us_per_call").items()) {
    const auto& other = others.at("cpu_us_per_call").at(role);
    if (us.is_number() && other.is_number()) sum += us.get<double>();
  }
  return sum;
}

Json quotient(double now, double then) {
  return then > 0 ? Json(rounded(now / then)) : Json(nullptr);
}

void compare_figures(const Json& then, Json& now) {
  for (const auto* name : kAsked) {
    const std::string asked = text_of(now, name);
    const std::string was = text_of(then, name);
    if (asked != was) {
      fail_usage(std::string("--compare: the earlier run had ") + name + " " + was +
                 ", this one has " + asked);
    }
  }
  Json compared = Json::object();
  for (const auto* name : kFigures) {
    compared[name] = quotient(now.at(name).get<double>(), then.at(name).get<double>());
  }
  compared["cpu_us_per_call"] = quotient(cpu_of(now, then), cpu_of(then, now));
  now["compared"] = compared;
}

}  // namespace

Json read_earlier(const std::string& file) {
  if (file.empty()) return nullptr;
  std::ifstream in(file);
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  Json earlier = Json::parse(text, nullptr, false);
  if (!earlier.is_object() || !(earlier.contains("bench") || earlier.contains("relay"))) {
    fail_usage("--compare: " + file + " is not what callboard bench -o json prints");
  }
  return earlier;
}

void compare_with(const Json& earlier, Json& figures) {
  if (earlier.is_null()) return;
  try {
    if (figures.contains("bench")) compare_figures(earlier, figures);
    if (!figures.contains("relay") || !earlier.contains("relay")) return;
    const Json& relays = earlier.at("relay");
    for (std::size_t i = 0; i < figures["relay"].size() && i < relays.size(); ++i) {
      compare_figures(relays.at(i), figures["relay"][i]);
    }
  } catch (const Json::exception&) {
    fail_usage("--compare: the file is not what callboard bench -o json prints");
  }
}

}  // namespace callboard::cli
