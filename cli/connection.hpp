// A connection to the broker as commands use it: it is there or the command ends, and Ctrl-C ends
// every wait. Thread safety: none.
#pragma once

#include "cli/json.hpp"

#include <callboard/client.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace callboard::cli {

class Context;

class Connection {
 public:
  /// Throws Failure (cannot_connect) when no broker answers in client.connect_timeout_ms.
  explicit Connection(const Context& context);
  /// To another broker than the settings say.
  Connection(const Context& context, std::string endpoint);

  Client& client() { return client_; }
  const std::string& endpoint() const { return endpoint_; }

  /// Asks an administrative verb. Throws Error with the broker's code and sentence.
  Json ask(std::string_view verb, const Json& request = Json::object());

  /// The items of a paged list, at most `limit`; 0: all.
  Json list(std::string_view verb, Json request, std::uint64_t limit);

  /// Waits until the future is ready. False when the time was over first. Throws Failure
  /// (interrupted) on Ctrl-C.
  static bool wait(const FutureBase& future, std::optional<std::chrono::milliseconds> timeout = {});

 private:
  void wait_connected(std::int64_t timeout_ms);

  std::string endpoint_;
  Client client_;
};

}  // namespace callboard::cli
