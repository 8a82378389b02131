#include "client/prepared_options.hpp"

#include "client/raise.hpp"
#include "common/messages.hpp"

#include <callboard/future.hpp>

#include <algorithm>
#include <chrono>
#include <map>

namespace callboard::client {

namespace {

template <class To, class From>
constexpr To same(From value) {
  return static_cast<To>(value);
}
static_assert(same<int>(Durability::memory) == same<int>(wire::Durability::memory));
static_assert(same<int>(WhenFull::block) == same<int>(wire::WhenFull::block));
static_assert(same<int>(Mode::batched) == same<int>(wire::Mode::batched));
static_assert(same<int>(Ordering::none) == same<int>(wire::Ordering::none));
static_assert(same<int>(Lifetime::detached) == same<int>(wire::Lifetime::detached));
static_assert(same<int>(CancelAnswer::needs_consent) ==
              same<int>(wire::CancelAnswer::needs_consent));

wire::RetryOn retry_on_of(const RetryOn& retry_on) {
  wire::RetryOn made;
  made.which = retry_on.all             ? wire::RetryOn::Which::all
               : retry_on.types.empty() ? wire::RetryOn::Which::none
                                        : wire::RetryOn::Which::listed;
  if (!retry_on.all) made.types = retry_on.types;
  return made;
}

std::pair<std::int64_t, std::int64_t> backoff_of(const Backoff& backoff) {
  if (backoff.min.count() < 0 || backoff.max < backoff.min) {
    raise(Errc::invalid_option, "backoff must not be negative, and max not below min");
  }
  return {backoff.min.count(), backoff.max.count()};
}

std::int32_t attempts(int count, const char* option) {
  if (count < -1) raise(Errc::invalid_option, std::string(option) + " must be -1 or more");
  return count;
}

void check_time(const std::optional<Milliseconds>& time, const char* option) {
  if (time && time->count() < 0) {
    raise(Errc::invalid_option, std::string(option) + " must not be negative");
  }
}

}  // namespace

std::string encode_headers(const std::map<std::string, std::string>& headers) {
  std::string bytes;
  if (headers.empty()) return bytes;
  wire::Writer out(bytes);
  out.map(headers.size());
  for (const auto& [key, value] : headers) {
    out.str(key);
    out.str(value);
  }
  return bytes;
}

PreparedOptions prepare_options(const CallOptions& options) {
  check_time(options.deadline, "deadline");
  check_time(options.delay, "delay");
  PreparedOptions made;
  wire::CallOptions& wired = made.options;
  wired.priority = options.priority;
  wired.key = options.key;
  wired.headers = encode_headers(options.headers);
  if (options.max_retries) wired.max_retries = attempts(*options.max_retries, "max_retries");
  if (options.retry_on) wired.retry_on = retry_on_of(*options.retry_on);
  if (options.backoff) wired.backoff_ms = backoff_of(*options.backoff);
  wired.idempotency_key = options.idempotency_key;
  if (options.durability) wired.durability = same<wire::Durability>(*options.durability);
  if (options.delay) wired.delay_ms = options.delay->count();
  if (options.at) {
    if (options.delay) raise(Errc::invalid_option, "a call has `delay` or `at`, not both");
    const auto at = std::chrono::ceil<Milliseconds>(options.at->time_since_epoch());
    wired.at_ms = std::max<std::int64_t>(at.count(), 0);
  }
  wired.group = options.group;
  if (options.when_full) wired.when_full = same<wire::WhenFull>(*options.when_full);

  if (options.durability) {
    made.flags |= *options.durability == Durability::memory ? kMemory : kDurable;
  }
  if (options.max_retries) made.flags |= *options.max_retries == 0 ? kOnce : kRetried;
  if (options.when_full) made.flags |= *options.when_full == WhenFull::block ? kBlock : kReject;
  const bool apart = !options.idempotency_key.empty() || options.delay || options.at;
  if (apart) made.flags |= kBoundedApart;
  // 0 on the wire: none, not even the actor's own.
  if (!options.inherit_deadline && !options.deadline) wired.deadline_ms = 0;
  made.deadline = options.deadline;
  made.inherit_deadline = options.inherit_deadline;
  made.headers = options.headers;
  made.block_timeout = options.block_timeout;
  for (const FutureBase& future : options.after) {
    if (!future.valid()) raise(Errc::invalid_option, "`after` holds a future of nothing");
    made.after.push_back(future.state());
  }
  if (!wired.empty()) {
    wire::Writer out(made.encoded);
    write(out, wired);
  }
  wired.no_result = true;
  wire::Writer out(made.encoded_no_result);
  write(out, wired);
  wired.no_result = false;
  return made;
}

wire::ActorOptions prepare_options(const ActorOptions& options) {
  check_time(options.deadline, "deadline");
  wire::ActorOptions made;
  made.name = options.name;
  made.name_space = options.name_space;
  made.get_if_exists = options.get_if_exists;
  if (options.lifetime) made.lifetime = same<wire::Lifetime>(*options.lifetime);
  made.replicas = options.replicas;
  made.max_concurrency = options.max_concurrency;
  made.mode = same<wire::Mode>(options.mode);
  made.max_pending = options.max_pending;
  made.max_pending_bytes = options.max_pending_bytes;
  made.when_full = same<wire::WhenFull>(options.when_full);
  made.ordering = same<wire::Ordering>(options.ordering);
  made.groups.assign(options.groups.begin(), options.groups.end());
  made.method_groups.assign(options.method_groups.begin(), options.method_groups.end());
  made.max_restarts = attempts(options.max_restarts, "max_restarts");
  made.max_retries = attempts(options.max_retries, "max_retries");
  made.dedicated = options.dedicated;
  made.max_batch_size = options.max_batch_size;
  if (options.batch_wait.count() < 0)
    raise(Errc::invalid_option, "batch_wait must not be negative");
  made.batch_wait_us = options.batch_wait.count();
  made.durability = same<wire::Durability>(options.durability);
  made.resources.assign(options.resources.begin(), options.resources.end());
  if (options.backoff) made.backoff_ms = backoff_of(*options.backoff);
  if (options.retry_on) made.retry_on = retry_on_of(*options.retry_on);
  if (options.deadline) made.deadline_ms = options.deadline->count();
  return made;
}

}  // namespace callboard::client
