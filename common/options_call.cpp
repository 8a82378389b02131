// The options of one call.

#include "common/options_codec.hpp"

#include <functional>
#include <limits>

namespace callboard::wire {

namespace {

constexpr std::int64_t kCountMax = std::numeric_limits<std::int32_t>::max();

// Names every option that is set: entry(key, how to write its value).
template <class Entry>
void visit_scheduling(Writer& out, const CallOptions& o, Entry entry) {
  using Key = CallOptions::Key;
  if (o.deadline_ms) entry(Key::kDeadline, [&] { out.integer(*o.deadline_ms); });
  if (o.priority) entry(Key::kPriority, [&] { out.integer(*o.priority); });
  if (!o.key.empty()) entry(Key::kOrderingKey, [&] { out.str(o.key); });
  if (!o.headers.empty()) entry(Key::kHeaders, [&] { out.raw(o.headers); });
  if (!o.refs.empty()) {
    entry(Key::kRefs, [&] {
      out.array(o.refs.size() * 3);
      for (const Ref& ref : o.refs) {
        out.uint(ref.index);
        write_id(out, ref.call);
      }
    });
  }
  if (!o.after.empty()) {
    entry(Key::kAfter, [&] {
      out.array(o.after.size() * 2);
      for (const CallId& id : o.after) write_id(out, id);
    });
  }
}

template <class Entry>
void visit_delivery(Writer& out, const CallOptions& o, Entry entry) {
  using Key = CallOptions::Key;
  if (o.max_retries) entry(Key::kMaxRetries, [&] { out.integer(*o.max_retries); });
  if (o.retry_on) entry(Key::kRetryOn, [&] { write_retry_on(out, *o.retry_on); });
  if (o.backoff_ms) entry(Key::kBackoff, [&] { write_backoff(out, *o.backoff_ms); });
  if (!o.idempotency_key.empty()) entry(Key::kIdempotencyKey, [&] { out.str(o.idempotency_key); });
  if (o.durability) {
    entry(Key::kDurability, [&] { out.uint(static_cast<std::uint64_t>(*o.durability)); });
  }
  if (o.delay_ms) entry(Key::kDelay, [&] { out.integer(*o.delay_ms); });
  if (o.at_ms) entry(Key::kAt, [&] { out.integer(*o.at_ms); });
  if (!o.group.empty()) entry(Key::kGroup, [&] { out.str(o.group); });
  if (o.no_result) entry(Key::kNoResult, [&] { out.boolean(true); });
  if (o.parent) {
    entry(Key::kParent, [&] {
      out.array(2);
      write_id(out, o.parent);
    });
  }
  if (o.when_full) {
    entry(Key::kWhenFull, [&] { out.uint(static_cast<std::uint64_t>(*o.when_full)); });
  }
}

bool read_value(OptionReader& in, std::uint64_t key, CallOptions& o) {
  using Key = CallOptions::Key;
  switch (key) {
    case Key::kDeadline:
      // 0: none, not even an inherited one. Below 0: it passed on the way.
      return in.number("deadline", -limits::kDurationMsMax, limits::kDurationMsMax,
                       o.deadline_ms.emplace());
    case Key::kPriority:
      return in.number("priority", INT8_MIN, INT8_MAX, o.priority.emplace());
    case Key::kOrderingKey: return in.text("key", o.key);
    case Key::kHeaders: return in.headers("headers", o.headers);
    case Key::kRefs: return in.refs("refs", o.refs);
    case Key::kAfter: return in.ids("after", o.after);
    case Key::kMaxRetries: return in.number("max_retries", -1, kCountMax, o.max_retries.emplace());
    case Key::kRetryOn: return in.retry_on("retry_on", o.retry_on.emplace());
    case Key::kBackoff: return in.backoff("backoff", o.backoff_ms.emplace());
    case Key::kIdempotencyKey: return in.text("idempotency_key", o.idempotency_key);
    case Key::kDurability:
      return in.choice("durability", Durability::memory, o.durability.emplace());
    case Key::kDelay: return in.number("delay", 0, limits::kDurationMsMax, o.delay_ms.emplace());
    case Key::kAt: return in.number("at", 0, limits::kWallMsMax, o.at_ms.emplace());
    case Key::kGroup: return in.text("group", o.group);
    case Key::kNoResult: return in.boolean("no_result", o.no_result);
    case Key::kParent: return in.id("parent", o.parent);
    case Key::kWhenFull: return in.choice("when_full", WhenFull::block, o.when_full.emplace());
    default: return in.unknown(key);
  }
}

}  // namespace

bool CallOptions::empty() const {
  bool none = true;
  std::string unused;
  Writer out(unused);
  const auto found = [&none](std::uint8_t, auto&&) { none = false; };
  visit_scheduling(out, *this, found);
  visit_delivery(out, *this, found);
  return none;
}

void write(Writer& out, const CallOptions& options) {
  write_options(out, [&](auto entry) {
    visit_scheduling(out, options, std::ref(entry));
    visit_delivery(out, options, std::ref(entry));
  });
}

bool read(Reader& in, CallOptions& options, std::string& problem) {
  options = CallOptions();
  OptionReader values(in, problem);
  return values.read([&](std::uint64_t key) { return read_value(values, key, options); });
}

}  // namespace callboard::wire
