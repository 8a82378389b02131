// Calls that share an idempotency key.
#pragma once

#include "broker/core/call.hpp"

#include <callboard/error.hpp>
#include <callboard/ids.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace callboard::broker {

struct KeyedCalls {
  std::string digest;   ///< of the payload; another payload under the same key is an error
  CallSlab::Ref first;  ///< the one that runs
  std::vector<CallSlab::Ref> followers;  ///< end as the first one does
  // once the first has ended
  bool ended = false;
  CallId id;
  Errc status = Errc::ok;
  std::string value;
  std::int64_t bucket = 0;  ///< of its end; outcomes of one bucket expire together
};

/// 16 bytes that stand for a method and its arguments.
std::string payload_digest(std::string_view method, const wire::CallOptions& options,
                           std::string_view args);

}  // namespace callboard::broker
