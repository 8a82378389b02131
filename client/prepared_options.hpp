// Options of calls and actors as they travel, made from what the API takes.
//
// Thread safety: none needed; prepared options are constant.
#pragma once

#include "client/core/call_table.hpp"
#include "client/future_state.hpp"
#include "common/options.hpp"

#include <callboard/options.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace callboard::client {

struct PreparedOptions {
  wire::CallOptions options;      ///< without deadline, dependencies and parent
  std::string encoded;            ///< of `options`
  std::string encoded_no_result;  ///< of `options` for a call without a result
  std::uint8_t flags = 0;         ///< CallFlags
  std::optional<Milliseconds> deadline;
  bool inherit_deadline = true;
  std::map<std::string, std::string> headers;
  std::vector<StatePtr> after;
  std::optional<Milliseconds> block_timeout;

  /// `encoded` says it all, whenever the call leaves.
  bool constant() const { return !deadline && after.empty(); }
};

/// Throws Error (invalid_option) for what cannot be said on the wire; the broker judges the rest.
PreparedOptions prepare_options(const CallOptions& options);
wire::ActorOptions prepare_options(const ActorOptions& options);

/// Headers as they travel; empty when there are none.
std::string encode_headers(const std::map<std::string, std::string>& headers);

}  // namespace callboard::client
