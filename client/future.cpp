#include <callboard/future.hpp>

#include "client/client_core.hpp"
#include "client/raise.hpp"
#include "common/clock.hpp"

#include <algorithm>
#include <utility>

namespace callboard {

using client::AnyReady;
using client::FutureState;

namespace {

FutureState& checked(const client::StatePtr& state) {
  if (!state) client::raise(Errc::invalid_option, "a future of nothing");
  return *state;
}

std::int64_t until(std::chrono::nanoseconds timeout) {
  return steady_us_after(
      std::chrono::duration_cast<std::chrono::microseconds>(timeout).count());
}

/// The index of one that is ready, beginning the search at `from`.
std::optional<std::size_t> find_ready(std::span<const FutureBase> futures) {
  for (std::size_t i = 0; i < futures.size(); ++i) {
    if (checked(futures[i].state()).ready()) return i;
  }
  return std::nullopt;
}

std::optional<std::size_t> wait_any_until(std::span<const FutureBase> futures,
                                          std::int64_t until_us) {
  if (futures.empty()) client::raise(Errc::invalid_option, "wait_any needs at least one future");
  if (auto found = find_ready(futures)) return found;
  const client::Core* hurried = nullptr;
  for (const FutureBase& future : futures) {
    client::Core* core = future.state()->core().get();
    if (core != nullptr && core != hurried) core->hurry();
    hurried = core;
  }
  std::optional<std::size_t> found;
  const std::uint32_t first = AnyReady::begin();
  for (std::uint32_t seen = first;; seen = AnyReady::now()) {
    found = find_ready(futures);
    if (found || steady_us() >= until_us) break;
    AnyReady::sleep(seen, until_us);
  }
  AnyReady::end();
  return found;
}

}  // namespace

std::string_view name_of(CancelAnswer answer) {
  return wire::name_of(static_cast<wire::CancelAnswer>(answer));
}

// --- FutureBase ---------------------------------------------------------------------------------

bool FutureBase::ready() const { return checked(state_).ready(); }

void FutureBase::wait() const { checked(state_).wait_as_call(INT64_MAX); }

bool FutureBase::wait(std::chrono::nanoseconds timeout) const {
  return checked(state_).wait_as_call(until(timeout));
}

CallId FutureBase::id() const { return checked(state_).id(); }

std::optional<ErrorInfo> FutureBase::error() const {
  const FutureState& state = checked(state_);
  if (!state.ready() || state.status() == Errc::ok) return std::nullopt;
  return state.error();
}

CancelAnswer FutureBase::cancel(bool force) const { return cancel_async(force).get(); }

Future<CancelAnswer> FutureBase::cancel_async(bool force) const {
  FutureState& state = checked(state_);
  const auto answered = [&](CancelAnswer answer) {
    auto made = client::make_state(state.core(), false);
    const std::string bytes = encode(answer);
    made->finish(Errc::ok, {bytes, Blob()});
    return Future<CancelAnswer>(std::move(made));
  };
  if (state.ready()) return answered(CancelAnswer::too_late);
  const CallId call = state.id();
  if (!call || !state.core()) return answered(CancelAnswer::unknown);
  return Future<CancelAnswer>(state.core()->cancel(call, force));
}

// --- what templates need ------------------------------------------------------------------------

namespace detail {

std::string_view value_of(const FutureState* state) { return whole_value_of(state).bytes; }

Value whole_value_of(const FutureState* state) {
  if (state == nullptr) client::raise(Errc::invalid_option, "a future of nothing");
  if (!state->ready()) const_cast<FutureState*>(state)->wait_as_call(INT64_MAX);
  if (state->status() != Errc::ok) throw_error(state->error());
  return {state->bytes(), state->core_now(), &state->owner()};
}

Errc status_of(const FutureState* state) { return state->status(); }

void throw_timeout() { client::raise(Errc::timeout, "the result did not come in time"); }

void throw_bad_result(const std::string& problem) {
  client::raise(Errc::bad_arguments, "the result does not fit: " + problem);
}

void run_when_ready(const client::StatePtr& state, std::function<void()> function) {
  const std::shared_ptr<client::Core>& core = checked(state).core();
  if (!core) return state->follow(std::move(function));
  state->follow([core, function = std::move(function)]() mutable {
    core->callbacks().run(std::move(function));
  });
}

void notify_when_ready(const client::StatePtr& state, std::function<void()> function) {
  checked(state).follow(std::move(function));
}

std::optional<std::size_t> CompletionOrder::next() {
  while (ready_.empty()) {
    if (waiting_.empty()) return std::nullopt;
    wait_any(std::span<const FutureBase>(waiting_));
    // All that are ready by now, in the order in which they were given.
    std::size_t kept = 0;
    for (std::size_t i = 0; i < waiting_.size(); ++i) {
      if (waiting_[i].ready()) {
        ready_.push_back(indexes_[i]);
        continue;
      }
      waiting_[kept] = std::move(waiting_[i]);
      indexes_[kept++] = indexes_[i];
    }
    waiting_.resize(kept);
    indexes_.resize(kept);
    std::reverse(ready_.begin(), ready_.end());
  }
  const std::size_t index = ready_.back();
  ready_.pop_back();
  return index;
}

}  // namespace detail

// --- waiting for many ---------------------------------------------------------------------------

std::size_t wait_any(std::span<const FutureBase> futures) {
  return *wait_any_until(futures, INT64_MAX);
}

std::optional<std::size_t> wait_any(std::span<const FutureBase> futures,
                                    std::chrono::nanoseconds timeout) {
  return wait_any_until(futures, until(timeout));
}

void wait_all(std::span<const FutureBase> futures) {
  for (const FutureBase& future : futures) future.wait();
}

bool wait_all(std::span<const FutureBase> futures, std::chrono::nanoseconds timeout) {
  const std::int64_t until_us = until(timeout);
  for (const FutureBase& future : futures) {
    if (!checked(future.state()).wait_as_call(until_us)) return false;
  }
  return true;
}

}  // namespace callboard
