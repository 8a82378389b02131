#include "broker/core/records.hpp"

#include "common/packed.hpp"

#include <charconv>

namespace callboard::broker {

using wire::Writer;

namespace {

constexpr std::size_t kCallNumbers = 8;  ///< in the record of a call, lengths among them
constexpr std::size_t kActorBytes = 96;  ///< of the record of an actor with few options, about

std::string_view method_name(const Call& call) {
  const auto& methods = call.queue->methods->names;
  return methods.empty() ? std::string_view() : std::string_view(methods[call.method]);
}

}  // namespace

std::size_t call_record_room(const Call& call) {
  const std::size_t bytes =
      method_name(call).size() + call.options_bytes + call.value().size();
  return wire::PackedAt::kNumberBytes * (kCallNumbers + 1) + bytes;
}

char* write_call_record(const Call& call, char* at) {
  wire::PackedAt w(at);
  w.array(7);
  w.uint(kRecordVersion);
  w.uint(value_of(call.session->id));
  w.uint(call.seq);
  w.str(method_name(call));
  w.integer(call.deadline_wall_ms);
  w.encoded(call.options());
  w.bin(call.value());
  return w.end();
}

std::uint64_t number_of(std::string_view text, int base) {
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value, base);
  return value;
}

bool read_call_record(std::string_view bytes, CallRecord& record) {
  wire::Reader in(bytes);
  std::uint32_t n = 0;
  std::uint64_t version = 0;
  std::uint64_t session = 0;
  const bool good = in.array(n) && n >= 7 && in.uint(version) && version == kRecordVersion &&
                    in.uint(session) && in.uint(record.id.seq) && in.str(record.method) &&
                    in.integer(record.deadline_wall_ms) && in.raw(record.options) &&
                    in.bin(record.args);
  record.id.session = SessionId{session};
  if (record.options == "\xc0") record.options = {};  // nil
  return good;
}

std::string sent_record(const Call& call, bool out_now, std::uint64_t worker) {
  std::string out;
  Writer w(out);
  w.array(worker != 0 ? 7 : 6);
  w.uint(kRecordVersion);
  w.boolean(out_now);
  w.uint(call.attempts);
  w.uint(call.extra ? call.extra->crashes : 0u);
  w.uint(call.extra ? call.extra->errors : 0u);
  w.uint(call.extra ? call.extra->redeliveries : 0u);
  if (worker != 0) w.uint(worker);
  return out;
}

bool read_sent_record(std::string_view bytes, SentRecord& record) {
  wire::Reader in(bytes);
  std::uint32_t n = 0;
  std::uint64_t version = 0;
  const bool good = in.array(n) && n >= 6 && in.uint(version) && version == kRecordVersion &&
                    in.boolean(record.out) && in.uint_max(record.attempts, UINT16_MAX) &&
                    in.uint_max(record.crashes, UINT16_MAX) &&
                    in.uint_max(record.errors, UINT16_MAX) &&
                    in.uint_max(record.redeliveries, UINT16_MAX);
  return good && (n < 7 || in.uint(record.worker));
}

std::string delayed_record(const Call& call) {
  std::string out;
  Writer w(out);
  w.array(3);
  w.uint(kRecordVersion);
  w.integer(call.extra->due_wall_ms);
  std::string record(call_record_room(call), '\0');
  record.resize(static_cast<std::size_t>(write_call_record(call, record.data()) - record.data()));
  w.bin(record);
  return out;
}

std::string dead_record(const DeadCall& dead) {
  std::string out;
  Writer w(out);
  w.array(16);
  w.uint(kRecordVersion);
  w.uint(dead.number);
  w.str(dead.method);
  w.raw(dead.options);
  w.bin(dead.args);
  w.uint(static_cast<std::uint64_t>(dead.code));
  w.str(dead.message);
  w.uint(dead.attempts);
  w.uint(dead.crashes);
  w.uint(dead.errors);
  w.uint(dead.redeliveries);
  w.integer(dead.died_wall_ms);
  w.str(dead.worker);
  w.integer(dead.signal);
  w.integer(dead.exit_status);
  w.bin(dead.stderr_tail);
  return out;
}

bool read_dead_record(std::string_view record, DeadCall& dead) {
  wire::Reader in(record);
  std::uint32_t n = 0;
  std::uint64_t version = 0;
  std::uint64_t code = 0;
  std::int64_t signal = 0;
  std::int64_t exit_status = 0;
  std::string_view options, args, tail;
  const bool good = in.array(n) && n >= 16 && in.uint(version) && version == kRecordVersion &&
                    in.uint(dead.number) && in.str(dead.method) && in.raw(options) &&
                    in.bin(args) && in.uint(code) && in.str(dead.message) &&
                    in.uint_max(dead.attempts, UINT32_MAX) &&
                    in.uint_max(dead.crashes, UINT32_MAX) && in.uint_max(dead.errors, UINT32_MAX) &&
                    in.uint_max(dead.redeliveries, UINT32_MAX) && in.integer(dead.died_wall_ms) &&
                    in.str(dead.worker) && in.integer(signal) &&
                    in.integer(exit_status) && in.bin(tail);
  dead.options = options;
  dead.args = args;
  dead.stderr_tail = tail;
  dead.code = static_cast<Errc>(code);
  dead.signal = static_cast<std::int32_t>(signal);
  dead.exit_status = static_cast<std::int32_t>(exit_status);
  return good;
}

std::string keyed_record(const KeyedCalls& keyed) {
  std::string out;
  Writer w(out);
  w.array(7);
  w.uint(kRecordVersion);
  w.uint(value_of(keyed.id.session));
  w.uint(keyed.id.seq);
  w.bin(keyed.digest);
  w.uint(static_cast<std::uint64_t>(keyed.status));
  w.bin(keyed.value);
  w.integer(keyed.bucket);
  return out;
}

bool read_keyed_record(std::string_view record, KeyedCalls& keyed) {
  wire::Reader in(record);
  std::uint32_t n = 0;
  std::uint64_t version = 0;
  std::uint64_t session = 0;
  std::uint64_t status = 0;
  std::string_view digest, value;
  const bool good = in.array(n) && n >= 7 && in.uint(version) && version == kRecordVersion &&
                    in.uint(session) && in.uint(keyed.id.seq) && in.bin(digest) &&
                    in.uint(status) && in.bin(value) && in.integer(keyed.bucket);
  keyed.id.session = SessionId{session};
  keyed.digest = digest;
  keyed.status = static_cast<Errc>(status);
  keyed.value = value;
  return good;
}

std::string result_record(const Call& call) {
  std::string out;
  out.reserve(32 + call.value().size());
  Writer w(out);
  w.array(5);
  w.uint(kRecordVersion);
  w.uint(static_cast<std::uint64_t>(call.status));
  w.boolean(call.taken);
  w.str(call.queue->name());
  w.bin(call.value());
  return out;
}

std::string session_record(const Session& session) {
  std::string out;
  Writer w(out);
  w.array(5);
  w.uint(kRecordVersion);
  w.uint(session.accepted_through);
  w.str(session.name);
  w.integer(session.gone_wall_ms);
  w.array(session.refused.size());
  for (const auto& [seq, refusal] : session.refused) {
    w.array(2);
    w.uint(seq);
    w.boolean(refusal.parked);
  }
  return out;
}

std::string actor_record(const Queue& queue) {
  std::string out;
  out.reserve(kActorBytes + queue.name().size() + queue.class_name().size() +
              queue.constructor_args.view().size());
  Writer w(out);
  w.array(8);
  w.uint(kRecordVersion);
  w.str(queue.name());
  w.uint(static_cast<std::uint64_t>(queue.kind));
  w.str(queue.class_name());
  w.bin(queue.constructor_args.view());
  wire::write(w, queue.options());
  w.uint(value_of(queue.owner));
  w.array(queue.instances.size());
  for (const Instance* instance : queue.instances) {
    w.array(4);
    w.uint(instance->replica);
    w.uint(instance->incarnation);
    w.uint(instance->restarts);
    // One that is recovering lives where an earlier broker run has placed it.
    w.boolean(instance->worker != nullptr || instance->state == InstanceState::recovering);
  }
  return out;
}

std::string watermark_field(const Lane& lane) {
  return "sent." + std::to_string(lane.group) + "." + std::to_string(lane.priority);
}

std::string_view name_of(QueueKind kind) {
  switch (kind) {
    case QueueKind::actor:
      return "actor";
    case QueueKind::deployment:
      return "deployment";
    case QueueKind::task:
      return "task";
  }
  return "actor";
}

}  // namespace callboard::broker
