// Between MessagePack, which travels, and JSON, which people write and read.
//
// JSON has no bytes: {"$bytes": "BASE64"} stands for them, both ways. Extensions, which only typed
// clients understand, are printed as {"$ext": type, "$bytes": "BASE64"}. Thread safety: pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace callboard::cli {

/// Keeps the order of keys as the broker or the user wrote them.
using Json = nlohmann::ordered_json;

/// Throws Failure (internal) when the bytes are not one MessagePack value.
Json json_from_msgpack(std::string_view bytes);
std::string msgpack_from_json(const Json& value);

/// Reads one argument of the command line. Throws Failure (usage) that says how to quote a text.
Json parse_json(const std::string& text);
/// Reads many into a list.
Json parse_json_list(const std::vector<std::string>& texts);

/// One line.
std::string print_json(const Json& value);

}  // namespace callboard::cli
