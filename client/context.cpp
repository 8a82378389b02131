#include <callboard/context.hpp>

#include "client/raise.hpp"

#include <callboard/codec.hpp>

#include <algorithm>

namespace callboard {

namespace detail {

namespace {

thread_local RunningCall* running = nullptr;

}  // namespace

// Not inlined: a coroutine may go on in another thread, and a compiler that kept the address of a
// thread's variable across a suspension would read the wrong thread's.
[[gnu::noinline]] RunningCall* current_call() { return running; }

[[gnu::noinline]] RunningCall* set_current_call(RunningCall* call) {
  RunningCall* before = running;
  running = call;
  return before;
}

}  // namespace detail

std::optional<std::chrono::milliseconds> ThisCall::deadline_remaining() const {
  if (call_ == nullptr || call_->deadline_us == INT64_MAX) return std::nullopt;
  using namespace std::chrono;
  const auto now = duration_cast<microseconds>(steady_clock::now().time_since_epoch());
  const auto left = microseconds(call_->deadline_us) - now;
  return std::max(duration_cast<milliseconds>(left), milliseconds(0));
}

std::map<std::string, std::string> ThisCall::headers() const {
  std::map<std::string, std::string> headers;
  if (call_ == nullptr || call_->headers.empty()) return headers;
  wire::Reader in(call_->headers);
  std::uint32_t n = 0;
  if (!in.map(n)) return headers;
  for (; n > 0; --n) {
    std::string key;
    std::string value;
    if (!in.str(key) || !in.str(value)) break;
    headers.insert_or_assign(std::move(key), std::move(value));
  }
  return headers;
}

Client& ThisCall::client() const {
  if (call_ == nullptr || call_->client == nullptr) {
    client::raise(Errc::invalid_option,
                  "this_call().client() is there only inside a call");
  }
  return *call_->client;
}

}  // namespace callboard
