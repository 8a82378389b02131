// Messages between the broker and a worker or its supervisor.

#include "common/call_messages.hpp"
#include "common/fields.hpp"
#include "common/messages.hpp"
#include "common/packed.hpp"

#include <algorithm>

namespace callboard::wire {

// --- broker to worker ------------------------------------------------------------------------

void write(FrameWriter& out, const Start& m) {
  begin(out, Type::start, 8);
  out.uint(m.slot);
  write_id(out, m.actor);
  out.uint(m.incarnation);
  out.str(m.class_name);
  out.str(m.name);
  out.body(m.args);
  write(out, m.options);
}

bool read(FrameReader& in, std::uint32_t fields, Start& m, std::string& problem) {
  problem.clear();
  std::string_view options;
  const bool good = has_fields(in, fields, 8) && read_u32(in, m.slot) && read_id(in, m.actor) &&
                    in.uint(m.incarnation) && read_name(in, m.class_name) &&
                    read_text(in, m.name, kTextBytesMax) && in.body(m.args) && in.raw(options) &&
                    in.skip_fields(fields - 8);
  if (!good) return in.fail();
  Reader encoded(options);
  m.options = ActorOptions();
  read(encoded, m.options, problem);
  return true;
}

void write(FrameWriter& out, const Stop& m) {
  begin(out, Type::stop, 2);
  out.uint(m.slot);
  out.boolean(m.now);
}

bool read(FrameReader& in, std::uint32_t fields, Stop& m) {
  return has_fields(in, fields, 2) && read_u32(in, m.slot) && in.boolean(m.now) &&
         in.skip_fields(fields - 2);
}

void write(FrameWriter& out, const MethodTable& m) {
  begin(out, Type::method_table, 2);
  out.uint(m.slot);
  write_names(out, m.names);
}

bool read(FrameReader& in, std::uint32_t fields, MethodTable& m) {
  return has_fields(in, fields, 2) && read_u32(in, m.slot) &&
         read_names(in, m.names, limits::kMethodsMax) && in.skip_fields(fields - 2);
}

namespace {

/// `args()` writes the arguments.
template <class Args>
[[gnu::always_inline]] inline void pack(PackedAt& head, const Run& m, Args args) {
  head.array(10);
  head.uint(static_cast<std::uint8_t>(Type::run));
  head.uint(m.lease);
  head.uint(m.slot);
  head.uint(m.method);
  head.uint(value_of(m.call.session));
  head.uint(m.call.seq);
  head.uint(m.attempt);
  head.integer(m.deadline_ms);
  args();
  head.encoded(m.options);
}

}  // namespace

void write(FrameWriter& out, const Run& m) {
  Packed head(out, m.args, m.options.size());
  pack(head, m, [&] { head.body(out, m.args); });
}

char* put(char* at, const Run& m) {
  PackedAt head(at);
  pack(head, m, [&] { head.bin(m.args.bytes); });
  return head.end();
}

bool read(FrameReader& in, std::uint32_t fields, Run& m) { return read_run(in, fields, m); }

void write(FrameWriter& out, const Forget& m) {
  begin(out, Type::forget, 1);
  write_ranges(out, m.leases);
}

bool read(FrameReader& in, std::uint32_t fields, Forget& m) {
  return has_fields(in, fields, 1) && read_ranges(in, m.leases) && in.skip_fields(fields - 1);
}

void write(FrameWriter& out, const Revoke& m) {
  begin(out, Type::revoke, 3);
  out.uint(m.lease);
  out.boolean(m.running_too);
  out.uint(static_cast<std::uint64_t>(m.why));
}

bool read(FrameReader& in, std::uint32_t fields, Revoke& m) {
  return has_fields(in, fields, 2) && in.uint(m.lease) && in.boolean(m.running_too) &&
         (fields == 2 || (read_code(in, m.why) && in.skip_fields(fields - 3)));
}

void write(FrameWriter& out, const GoOn& m) {
  begin(out, Type::go_on, 2);
  out.uint(m.slot);
  out.boolean(m.hand_back);
}

bool read(FrameReader& in, std::uint32_t fields, GoOn& m) {
  return has_fields(in, fields, 2) && read_u32(in, m.slot) && in.boolean(m.hand_back) &&
         in.skip_fields(fields - 2);
}

// --- worker to broker ------------------------------------------------------------------------

void write(FrameWriter& out, const Started& m) {
  begin(out, Type::started, 3);
  out.uint(m.slot);
  out.uint(static_cast<std::uint64_t>(m.code));
  out.bin(m.error);
}

bool read(FrameReader& in, std::uint32_t fields, Started& m) {
  return has_fields(in, fields, 3) && read_u32(in, m.slot) && read_code(in, m.code) &&
         in.bin(m.error) && in.skip_fields(fields - 3);
}

void write(FrameWriter& out, const Done& m) {
  Packed head(out, m.value);
  pack_done(head, m.lease, m.status, m.held, [&] { head.body(out, m.value); });
}

bool read(FrameReader& frame, std::uint32_t fields, Done& m) {
  FrameReader in = frame;  // in registers: see Reader
  if (fields < 4 || !in.uint(m.lease) || !read_code(in, m.status) || !in.body(m.value) ||
      !in.boolean(m.held)) {
    return frame.fail();
  }
  frame.go_on_after(in);
  return fields == 4 || frame.skip_fields(fields - 4);
}

void write(FrameWriter& out, const Window& m) {
  begin(out, Type::window, 3);
  out.uint(m.slot);
  out.uint(m.group);
  out.uint(m.calls);
}

bool read(FrameReader& in, std::uint32_t fields, Window& m) {
  return has_fields(in, fields, 3) && read_u32(in, m.slot) &&
         in.uint_max(m.group, limits::kGroupsMax) && read_u32(in, m.calls) &&
         in.skip_fields(fields - 3);
}

void write(FrameWriter& out, const Returned& m) {
  begin(out, Type::returned, 2);
  out.uint(m.lease);
  out.uint(static_cast<std::uint64_t>(m.why));
}

bool read(FrameReader& in, std::uint32_t fields, Returned& m) {
  return has_fields(in, fields, 1) && in.uint(m.lease) &&
         (fields == 1 || (read_code(in, m.why) && in.skip_fields(fields - 2)));
}

void write(FrameWriter& out, const RevokeAnswer& m) {
  begin(out, Type::revoke_answer, 2);
  out.uint(m.lease);
  out.uint(static_cast<std::uint64_t>(m.answer));
}

bool read(FrameReader& in, std::uint32_t fields, RevokeAnswer& m) {
  return has_fields(in, fields, 2) && in.uint(m.lease) &&
         read_enum(in, m.answer, CancelAnswer::needs_consent) && in.skip_fields(fields - 2);
}

void write(FrameWriter& out, const Status& m) {
  begin(out, Type::status, 1);
  write_encoded(out, m.info);
}

bool read(FrameReader& in, std::uint32_t fields, Status& m) {
  return has_fields(in, fields, 1) && read_encoded_map(in, m.info) && in.skip_fields(fields - 1);
}

void write(FrameWriter& out, const ChildDied& m) {
  begin(out, Type::child_died, 9);
  out.str(m.worker);
  out.uint(m.instance);
  out.uint(m.pid);
  out.integer(m.signal);
  out.integer(m.exit_status);
  // What a dying process wrote need not be text: bin. The end says most.
  const std::string_view tail(m.stderr_tail);
  out.bin(tail.substr(tail.size() - std::min(tail.size(), limits::kStderrTailBytes)));
  out.array(m.begun.size());
  for (const HeldCall& held : m.begun) write_held_call(out, held);
  write_id(out, m.blamed);
}

bool read(FrameReader& in, std::uint32_t fields, ChildDied& m) {
  std::string_view tail;
  const bool good = has_fields(in, fields, 9) && read_name(in, m.worker) && in.uint(m.instance) &&
                    in.uint(m.pid) && read_i32(in, m.signal) && read_i32(in, m.exit_status) &&
                    in.bin(tail) && read_held_calls(in, m.begun) && read_id(in, m.blamed) &&
                    in.skip_fields(fields - 9);
  if (!good || tail.size() > limits::kStderrTailBytes) return in.fail();
  m.stderr_tail.assign(tail);
  return true;
}

void write(FrameWriter& out, const Stopped& m) {
  begin(out, Type::stopped, 1);
  out.uint(m.slot);
}

bool read(FrameReader& in, std::uint32_t fields, Stopped& m) {
  return has_fields(in, fields, 1) && read_u32(in, m.slot) && in.skip_fields(fields - 1);
}

}  // namespace callboard::wire
