// The options of an actor or deployment.

#include "common/options_codec.hpp"

#include <functional>
#include <limits>

namespace callboard::wire {

namespace {

constexpr std::int64_t kNumberMax = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kHugeMax = std::numeric_limits<std::int64_t>::max();

template <class Value, class WriteValue>
void write_named(Writer& out, const std::vector<std::pair<std::string, Value>>& values,
                 WriteValue write_value) {
  out.map(values.size());
  for (const auto& [name, value] : values) {
    out.str(name);
    write_value(value);
  }
}

template <class Enum>
std::uint64_t number_of(Enum value) { return static_cast<std::uint64_t>(value); }

// Names every option that is set: entry(key, how to write its value).
template <class Entry>
void visit_identity(Writer& out, const ActorOptions& o, Entry entry) {
  using Key = ActorOptions::Key;
  if (!o.name.empty()) entry(Key::kName, [&] { out.str(o.name); });
  if (!o.name_space.empty()) entry(Key::kNamespace, [&] { out.str(o.name_space); });
  if (o.get_if_exists) entry(Key::kGetIfExists, [&] { out.boolean(true); });
  if (o.lifetime) entry(Key::kLifetime, [&] { out.uint(number_of(*o.lifetime)); });
  if (o.replicas != 0) entry(Key::kReplicas, [&] { out.uint(o.replicas); });
  if (o.dedicated) entry(Key::kDedicated, [&] { out.boolean(true); });
  if (!o.resources.empty()) {
    entry(Key::kResources,
          [&] { write_named(out, o.resources, [&](double amount) { out.f64(amount); }); });
  }
}

template <class Entry>
void visit_lanes(Writer& out, const ActorOptions& o, Entry entry) {
  using Key = ActorOptions::Key;
  if (o.max_concurrency != 0) entry(Key::kMaxConcurrency, [&] { out.uint(o.max_concurrency); });
  if (o.mode != Mode::automatic) entry(Key::kMode, [&] { out.uint(number_of(o.mode)); });
  if (o.max_pending != 0) entry(Key::kMaxPending, [&] { out.uint(o.max_pending); });
  if (o.max_pending_bytes != 0) {
    entry(Key::kMaxPendingBytes, [&] { out.uint(o.max_pending_bytes); });
  }
  if (o.when_full != WhenFull::reject) {
    entry(Key::kWhenFull, [&] { out.uint(number_of(o.when_full)); });
  }
  if (o.ordering != Ordering::actor) {
    entry(Key::kOrdering, [&] { out.uint(number_of(o.ordering)); });
  }
  if (!o.groups.empty()) {
    entry(Key::kGroups,
          [&] { write_named(out, o.groups, [&](std::uint32_t bound) { out.uint(bound); }); });
  }
  if (!o.method_groups.empty()) {
    entry(Key::kMethodGroups, [&] {
      write_named(out, o.method_groups, [&](const std::string& group) { out.str(group); });
    });
  }
  if (o.max_batch_size != 0) entry(Key::kMaxBatchSize, [&] { out.uint(o.max_batch_size); });
  if (o.batch_wait_us != 0) entry(Key::kBatchWait, [&] { out.integer(o.batch_wait_us); });
}

template <class Entry>
void visit_delivery(Writer& out, const ActorOptions& o, Entry entry) {
  using Key = ActorOptions::Key;
  if (o.max_restarts != 0) entry(Key::kMaxRestarts, [&] { out.integer(o.max_restarts); });
  if (o.max_retries != 0) entry(Key::kMaxRetries, [&] { out.integer(o.max_retries); });
  if (o.durability != Durability::durable) {
    entry(Key::kDurability, [&] { out.uint(number_of(o.durability)); });
  }
  if (o.backoff_ms) entry(Key::kBackoff, [&] { write_backoff(out, *o.backoff_ms); });
  if (o.retry_on) entry(Key::kRetryOn, [&] { write_retry_on(out, *o.retry_on); });
  if (o.deadline_ms) entry(Key::kDeadline, [&] { out.integer(*o.deadline_ms); });
}

bool read_lanes_value(OptionReader& in, std::uint64_t key, ActorOptions& o) {
  using Key = ActorOptions::Key;
  switch (key) {
    case Key::kMaxConcurrency:
      return in.number("max_concurrency", 0, limits::kConcurrencyMax, o.max_concurrency);
    case Key::kMode: return in.choice("mode", Mode::batched, o.mode);
    case Key::kMaxPending: return in.number("max_pending", 0, kHugeMax, o.max_pending);
    case Key::kMaxPendingBytes:
      return in.number("max_pending_bytes", 0, kHugeMax, o.max_pending_bytes);
    case Key::kWhenFull: return in.choice("when_full", WhenFull::block, o.when_full);
    case Key::kOrdering: return in.choice("ordering", Ordering::none, o.ordering);
    case Key::kGroups:
      return in.named("groups", limits::kGroupsMax, o.groups, [&](const char* name, auto& bound) {
        return in.number(name, 1, limits::kConcurrencyMax, bound);
      });
    case Key::kMethodGroups:
      return in.named("method_groups", limits::kMethodsMax, o.method_groups,
                      [&](const char* name, auto& group) { return in.text(name, group); });
    case Key::kMaxBatchSize:
      return in.number("max_batch_size", 0, limits::kConcurrencyMax, o.max_batch_size);
    case Key::kBatchWait:
      return in.number("batch_wait", 0, limits::kDurationMsMax, o.batch_wait_us);
    default: return in.unknown(key);
  }
}

bool read_value(OptionReader& in, std::uint64_t key, ActorOptions& o) {
  using Key = ActorOptions::Key;
  switch (key) {
    case Key::kName: return in.text("name", o.name);
    case Key::kNamespace: return in.text("namespace", o.name_space);
    case Key::kGetIfExists: return in.boolean("get_if_exists", o.get_if_exists);
    case Key::kLifetime: return in.choice("lifetime", Lifetime::detached, o.lifetime.emplace());
    case Key::kReplicas: return in.number("replicas", 0, limits::kReplicasMax, o.replicas);
    case Key::kMaxRestarts: return in.number("max_restarts", -1, kNumberMax, o.max_restarts);
    case Key::kMaxRetries: return in.number("max_retries", -1, kNumberMax, o.max_retries);
    case Key::kDedicated: return in.boolean("dedicated", o.dedicated);
    case Key::kDurability: return in.choice("durability", Durability::memory, o.durability);
    case Key::kResources:
      return in.named("resources", limits::kGroupsMax, o.resources,
                      [&](const char* name, auto& amount) { return in.real(name, amount); });
    case Key::kBackoff: return in.backoff("backoff", o.backoff_ms.emplace());
    case Key::kRetryOn: return in.retry_on("retry_on", o.retry_on.emplace());
    case Key::kDeadline:
      return in.number("deadline", 0, limits::kDurationMsMax, o.deadline_ms.emplace());
    default: return read_lanes_value(in, key, o);
  }
}

}  // namespace

void write(Writer& out, const ActorOptions& options) {
  write_options(out, [&](auto entry) {
    visit_identity(out, options, std::ref(entry));
    visit_lanes(out, options, std::ref(entry));
    visit_delivery(out, options, std::ref(entry));
  });
}

bool read(Reader& in, ActorOptions& options, std::string& problem) {
  options = ActorOptions();
  OptionReader values(in, problem);
  return values.read([&](std::uint64_t key) { return read_value(values, key, options); });
}

}  // namespace callboard::wire
