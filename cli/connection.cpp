#include "cli/connection.hpp"

#include "cli/context.hpp"
#include "cli/exit_code.hpp"
#include "common/clock.hpp"

#include <algorithm>

namespace callboard::cli {

namespace {

constexpr std::chrono::milliseconds kSlice{50};  ///< how long Ctrl-C may go unnoticed
constexpr std::chrono::seconds kAnswerWithin{10};
constexpr std::uint64_t kPage = 500;

ClientOptions options_for(const std::string& endpoints) {
  ClientOptions options;
  for (std::size_t at = 0; at <= endpoints.size();) {
    const auto comma = std::min(endpoints.find(',', at), endpoints.size());
    if (comma > at) options.endpoints.push_back(endpoints.substr(at, comma - at));
    at = comma + 1;
  }
  options.name = "callboard";
  options.close_timeout = std::chrono::seconds(10);
  return options;
}

}  // namespace

Connection::Connection(const Context& context)
    : Connection(context, context.settings().client.broker) {}

Connection::Connection(const Context& context, std::string endpoint)
    : endpoint_(std::move(endpoint)), client_(options_for(endpoint_)) {
  catch_interrupts();
  wait_connected(context.settings().client.connect_timeout_ms);
}

void Connection::wait_connected(std::int64_t timeout_ms) {
  const auto until = clock_now().mono_us + timeout_ms * kMicrosPerMilli;
  while (!client_.wait_connected(kSlice)) {
    throw_if_interrupted();
    if (const auto error = client_.error()) {
      throw Failure(ExitCode::cannot_connect,
                    "the broker at " + endpoint_ + " refused: " + error->message);
    }
    if (clock_now().mono_us > until) {
      throw Failure(ExitCode::cannot_connect, "no broker answers at " + endpoint_ + " (waited " +
                                                  std::to_string(timeout_ms) + " ms)");
    }
  }
}

Json Connection::ask(std::string_view verb, const Json& request) {
  const auto answer = client_.admin(verb, Encoded{msgpack_from_json(request)});
  if (!wait(answer, kAnswerWithin)) {
    throw Failure(ExitCode::timed_out, "the broker did not answer " + std::string(verb));
  }
  return json_from_msgpack(answer.get().bytes);
}

Json Connection::list(std::string_view verb, Json request, std::uint64_t limit) {
  Json items = Json::array();
  for (;;) {
    request["limit"] = limit == 0 ? kPage : std::min(kPage, limit - items.size());
    const Json page = ask(verb, request);
    for (const auto& item : page.at("items")) items.push_back(item);
    if (page.at("next").is_null() || (limit != 0 && items.size() >= limit)) return items;
    request["after"] = page["next"];
  }
}

bool Connection::wait(const FutureBase& future, std::optional<std::chrono::milliseconds> timeout) {
  const auto until = timeout ? clock_now().mono_us + timeout->count() * kMicrosPerMilli : kNever;
  while (!future.wait(kSlice)) {
    throw_if_interrupted();
    if (clock_now().mono_us > until) return false;
  }
  return true;
}

}  // namespace callboard::cli
