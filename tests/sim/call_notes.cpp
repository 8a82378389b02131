#include "tests/sim/call_notes.hpp"

#include "client/core/session.hpp"
#include "tests/sim/executor.hpp"

#include <algorithm>
#include <utility>

namespace callboard::sim {

std::string encode_args(const std::string& token) {
  std::string bytes;
  bytes.reserve(64);  // never in the string itself: the session keeps views into it
  wire::Writer out(bytes);
  out.array(1);
  out.bin(token);
  return bytes;
}

void settle_promises(CallSpec& spec, const TargetSpec& target) {
  const bool task = target.kind == TargetSpec::Kind::task;
  const std::int32_t usual = task ? limits::kTaskRetriesDefault : target.options.max_retries;
  spec.max_retries = spec.options.max_retries.value_or(usual);
  const auto& retry_on = spec.options.retry_on ? spec.options.retry_on : target.options.retry_on;
  spec.errors_retried = retry_on && retry_on->matches(spec.plan.error_type);
  spec.durable =
      spec.options.durability.value_or(target.options.durability) == wire::Durability::durable;
  spec.out_of_line =
      spec.delay_us != 0 || spec.once != nullptr ||
      std::any_of(spec.takes.begin(), spec.takes.end(),
                  [](const CallSpec* other) { return other->out_of_line; });
  spec.group = spec.options.group;
  if (!spec.group.empty()) return;
  for (const auto& [method, group] : target.options.method_groups) {
    if (method == spec.method) spec.group = group;
  }
}

std::uint8_t flags_of(const wire::CallOptions& options) {
  int flags = 0;
  if (options.no_result) flags |= client::kNoResult;
  if (options.durability == wire::Durability::memory) flags |= client::kMemory;
  if (options.durability == wire::Durability::durable) flags |= client::kDurable;
  if (options.max_retries) flags |= *options.max_retries == 0 ? client::kOnce : client::kRetried;
  if (options.when_full == wire::WhenFull::reject) flags |= client::kReject;
  if (options.when_full == wire::WhenFull::block) flags |= client::kBlock;
  const bool apart = !options.idempotency_key.empty() || options.delay_ms || options.at_ms;
  if (apart) flags |= client::kBoundedApart;
  return static_cast<std::uint8_t>(flags);
}

bool is_refusal(Errc code) {
  switch (code) {
    case Errc::queue_full:
    case Errc::refused_before:
    case Errc::store_full:
    case Errc::store_unavailable:
    case Errc::unknown_actor:
    case Errc::unknown_class:
    case Errc::unknown_task:
    case Errc::name_taken:
    case Errc::invalid_option:
    case Errc::idempotency_conflict:
      return true;
    default:
      return false;
  }
}

Record record_of(What what, const Process& process, const CallSpec& spec) {
  Record record;
  record.what = what;
  record.process = process.id();
  record.call = spec.id;
  return record;
}

void note_number(Context& context, const Process& process, CallSpec& spec, CallId id) {
  const bool first = !spec.id;
  if (!first) {
    context.coverage.hit("situation: call got another number");
    context.specs.by_id.erase(spec.id);
  }
  spec.id = id;
  context.specs.by_id[id] = &spec;
  Record record = record_of(first ? What::submitted : What::renumbered, process, spec);
  if (context.tracing) record.text = describe(spec);
  context.note(process.name(), std::move(record));
}

void note_resolved(Context& context, const Process& process, const CallSpec& spec, Errc status,
                   const std::string& bytes) {
  Record record = record_of(What::resolved, process, spec);
  record.code = status;
  if (status == Errc::ok) {
    record.value = execution_of(bytes);
  } else {
    const ErrorInfo error = wire::decode_error(bytes, status);
    record.text = error.message;
    if (error.message.starts_with("execution "))
      record.value = std::stoull(error.message.substr(10));
  }
  context.coverage.hit("outcome: " + std::string(callboard::name_of(status)));
  if (spec.once != nullptr && record.value != 0 &&
      record.value <= context.ledger.executions().size() &&
      context.ledger.execution(record.value)->call != &spec) {
    context.coverage.hit("situation: answered by another call of its key");
  }
  context.note(process.name(), std::move(record));
}

void note_refused(Context& context, const Process& process, const CallSpec& spec, Errc status,
                  const std::string& bytes) {
  Record record = record_of(What::refused, process, spec);
  record.code = status;
  record.text = wire::decode_error(bytes, status).message;
  context.note(process.name(), std::move(record));
}

void note_refused_here(Context& context, const Process& process, CallSpec& spec) {
  note_number(context, process, spec, CallId{SessionId{0}, spec.index + 1});  // no session's
  Record record = record_of(What::refused, process, spec);
  record.code = Errc::queue_full;
  record.value = 1;
  context.coverage.hit("situation: refused by the client itself");
  context.note(process.name(), std::move(record));
}

void note_resumed(Context& context, const Process& process, std::uint32_t client,
                  std::uint32_t target) {
  Record record;
  record.what = What::resumed;
  record.process = process.id();
  record.attempt = client;
  record.value = std::uint64_t{target} << 32 | context.specs.calls.size();
  context.note(process.name(), std::move(record));
}

void note_session_refused(Context& context, const Process& process, std::uint32_t client) {
  Record record;
  record.what = What::session_refused;
  record.process = process.id();
  record.value = client;
  context.coverage.hit("situation: session refused");
  context.note(process.name(), std::move(record));
}

}  // namespace callboard::sim
