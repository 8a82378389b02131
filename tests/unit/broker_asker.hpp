// Administrative verbs, asked of a broker core in a test.
#pragma once

#include "broker_world.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace callboard::broker {

using nlohmann::json;

inline constexpr std::uint64_t kOperator = 30;

/// Asks a verb as a client of its own and gives the answer.
struct Asker {
  explicit Asker(BrokerWorld& broker_world) : world(broker_world) { world.client(kOperator); }

  Told ask(std::string_view verb, const json& info = json::object()) {
    const auto bytes = json::to_msgpack(info);
    const std::string encoded(bytes.begin(), bytes.end());
    world.told.erase(kOperator);
    world.say(kOperator, wire::Admin{7, verb, encoded});
    return world.told[kOperator].empty() ? Told() : world.last(kOperator, Type::admin_answer);
  }
  json get(std::string_view verb, const json& info = json::object()) {
    const Told answer = ask(verb, info);
    EXPECT_EQ(answer.code, Errc::ok) << verb << ": " << answer.text;
    return json::from_msgpack(answer.text);
  }
  std::string error(std::string_view verb, Errc code, const json& info = json::object()) {
    const Told answer = ask(verb, info);
    EXPECT_EQ(answer.code, code) << verb;
    return answer.code == Errc::ok ? "" : json::from_msgpack(answer.text).get<std::string>();
  }
  /// All items of a list, asked for in pages.
  std::vector<json> all(std::string_view verb, json info, std::size_t limit) {
    std::vector<json> items;
    info["limit"] = limit;
    for (;;) {
      const json page = get(verb, info);
      EXPECT_LE(page["items"].size(), limit);
      items.insert(items.end(), page["items"].begin(), page["items"].end());
      if (page["next"].is_null() || items.size() > 10'000) return items;
      info["after"] = page["next"];
    }
  }

  BrokerWorld& world;
};

}  // namespace callboard::broker
