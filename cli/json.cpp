#include "cli/json.hpp"

#include "cli/exit_code.hpp"

#include <array>
#include <cstdint>
#include <utility>

namespace callboard::cli {

namespace {

constexpr std::string_view kDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string to_base64(const std::vector<std::uint8_t>& bytes) {
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) group = group << 8 | (k < n ? bytes[i + k] : 0u);
    for (std::size_t k = 0; k < 4; ++k) {
      out += k <= n ? kDigits[group >> (18 - 6 * k) & 63] : '=';
    }
  }
  return out;
}

std::vector<std::uint8_t> from_base64(std::string_view text) {
  std::vector<std::uint8_t> out;
  while (text.ends_with('=')) text.remove_suffix(1);
  std::uint32_t group = 0;
  int bits = 0;
  for (const char c : text) {
    const auto digit = kDigits.find(c);
    if (digit == std::string_view::npos) fail_usage("$bytes is not base64");
    group = group << 6 | static_cast<std::uint32_t>(digit);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    out.push_back(static_cast<std::uint8_t>(group >> bits));
  }
  return out;
}

/// Replaces bytes by the objects that stand for them.
void show_bytes(Json& value) {
  if (value.is_binary()) {
    const auto& bytes = value.get_binary();
    Json shown = Json::object();
    if (bytes.has_subtype()) shown["$ext"] = static_cast<std::int8_t>(bytes.subtype());
    shown["$bytes"] = to_base64(bytes);
    value = std::move(shown);
  } else if (value.is_structured()) {
    for (auto& element : value) show_bytes(element);
  }
}

void hide_bytes(Json& value) {
  if (value.is_object() && value.size() == 1 && value.contains("$bytes")) {
    if (!value["$bytes"].is_string()) fail_usage("$bytes holds a text in base64");
    value = Json::binary(from_base64(value["$bytes"].get<std::string>()));
  } else if (value.is_structured()) {
    for (auto& element : value) hide_bytes(element);
  }
}

}  // namespace

Json json_from_msgpack(std::string_view bytes) {
  try {
    auto value = Json::from_msgpack(bytes.begin(), bytes.end());
    show_bytes(value);
    return value;
  } catch (const Json::exception& error) {
    throw Failure(ExitCode::internal, std::string("the answer cannot be shown: ") + error.what());
  }
}

std::string msgpack_from_json(const Json& value) {
  Json copy = value;
  hide_bytes(copy);
  std::string out;
  Json::to_msgpack(copy, nlohmann::detail::output_adapter<char>(out));
  return out;
}

Json parse_json(const std::string& text) {
  auto value = Json::parse(text, nullptr, false);
  if (value.is_discarded()) {
    fail_usage("not JSON: " + text + " (a text is written '\"" + text + "\"')");
  }
  return value;
}

Json parse_json_list(const std::vector<std::string>& texts) {
  Json list = Json::array();
  for (const auto& text : texts) list.push_back(parse_json(text));
  return list;
}

std::string print_json(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace callboard::cli
