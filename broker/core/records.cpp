#include "broker/core/records.hpp"

namespace callboard::broker {

using wire::Writer;

std::string call_record(const Call& call) {
  std::string out;
  out.reserve(64 + call.options_bytes + call.value().size());
  Writer w(out);
  w.array(7);
  w.uint(kRecordVersion);
  w.uint(value_of(call.id.session));
  w.uint(call.id.seq);
  w.str(call.queue->methods.empty() ? std::string_view() : call.queue->methods[call.method]);
  w.integer(call.deadline_wall_ms);
  if (call.options_bytes == 0)
    w.nil();
  else
    w.raw(call.options());
  w.bin(call.value());
  return out;
}

std::string sent_record(const Call& call, bool out_now) {
  std::string out;
  Writer w(out);
  w.array(6);
  w.uint(kRecordVersion);
  w.boolean(out_now);
  w.uint(call.attempts);
  w.uint(call.extra ? call.extra->crashes : 0u);
  w.uint(call.extra ? call.extra->errors : 0u);
  w.uint(call.extra ? call.extra->redeliveries : 0u);
  return out;
}

std::string result_record(const Call& call) {
  std::string out;
  out.reserve(32 + call.value().size());
  Writer w(out);
  w.array(5);
  w.uint(kRecordVersion);
  w.uint(static_cast<std::uint64_t>(call.status));
  w.boolean(call.taken);
  w.str(call.queue->name);
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
  Writer w(out);
  w.array(8);
  w.uint(kRecordVersion);
  w.str(queue.name);
  w.uint(static_cast<std::uint64_t>(queue.kind));
  w.str(queue.class_name);
  w.bin(queue.constructor_args);
  wire::write(w, queue.options);
  w.uint(value_of(queue.owner));
  w.array(queue.instances.size());
  for (const Instance* instance : queue.instances) {
    w.array(4);
    w.uint(instance->replica);
    w.uint(instance->incarnation);
    w.uint(instance->restarts);
    w.boolean(instance->worker != nullptr);
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
