// Calls and handles as messages: what is known only when they leave is filled in here.
#include "client/core/session.hpp"

#include <utility>

namespace callboard::client {

// --- handles ------------------------------------------------------------------------------------

/// It leaves with all of its methods.
void Session::note_opened(Handle& to) {
  to.opened_on = connection_;
  to.methods_told = to.methods.size();
  to.methods_due = false;
  ++to.answers_due;
}

void Session::ensure_open(std::uint32_t number, Handle& to, wire::LinkOut& out) {
  if (to.opened_on == connection_) {
    if (!std::exchange(to.methods_due, false)) return;
    const auto first = to.methods.begin() + static_cast<std::ptrdiff_t>(to.methods_told);
    wire::FrameWriter writer = out.message();
    write(writer, wire::Methods{number, {first, to.methods.end()}});
    to.methods_told = to.methods.size();
    return;
  }
  wire::Open open;
  open.handle = number;
  open.kind = to.target.kind;
  open.actor = to.target.actor;
  open.name = to.target.name;
  // A creation that may have found an existing actor: only its name surely leads there.
  if (to.creation != 0 && to.get_if_exists) open.kind = wire::TargetKind::name;
  open.methods = to.methods;
  note_opened(to);
  wire::FrameWriter writer = out.message();
  write(writer, open);
}

void Session::write_close(Instant now, std::uint32_t number, Handle& to, wire::LinkOut& out) {
  const bool failed = to.code != Errc::ok;
  if (to.owned && !failed) ensure_open(number, to, out);
  if (to.opened_on == connection_) {
    wire::FrameWriter writer = out.message();
    write(writer, wire::Close{number});
    if (to.owned && !failed) closed_.push_back({to.target, now.mono_us});
  }
  // The number may soon stand for another queue: a kill of this one is not asked for again.
  for (auto& [token, request] : requests_) {
    if (request.kill && request.handle == number) request.handle_gone = true;
  }
  to.open = false;
  if (to.answers_due == 0) free_handles_.push_back(number);
}

// --- calls --------------------------------------------------------------------------------------

void Session::write_call(Instant now, std::uint64_t seq, CallRecord& record, wire::LinkOut& out) {
  Handle& to = handle(record.handle);
  if (record.extra) {
    if (record.extra->creation) return write_creation(seq, record, to, out);
    if (!encode_extra(now, seq, record)) return;
  }
  ensure_open(record.handle, to, out);
  wire::Submit message;
  message.seq = seq;
  message.handle = record.handle;
  message.method = record.method;
  message.args.bytes = record.args;
  if (record.extra && record.extra->part) message.args.part = record.extra->part;
  message.options = record.options;
  wire::FrameWriter writer = out.message();
  write(writer, message);
  sent(record);
}

void Session::write_creation(std::uint64_t seq, CallRecord& record, Handle& to,
                             wire::LinkOut& out) {
  const Creation& creation = *record.extra->creation;
  wire::Create message;
  message.seq = seq;
  message.handle = record.handle;
  message.class_name = creation.class_name;
  message.args.bytes = creation.args;
  message.options = creation.options;
  message.methods = to.methods;
  note_opened(to);
  wire::FrameWriter writer = out.message();
  write(writer, message);
  sent(record);
}

bool Session::encode_extra(Instant now, std::uint64_t seq, CallRecord& record) {
  CallExtra& extra = *record.extra;
  if (extra.part) record.args = extra.part.view();
  else if (!extra.args.empty()) record.args = extra.args;
  if (!extra.has_options && extra.arguments.empty() && extra.after.empty()) return true;
  wire::CallOptions options = extra.options;
  if (extra.deadline_us != kNever) {
    const std::int64_t left_us = extra.deadline_us - now.mono_us;
    if (left_us <= 0) {
      answer(seq, record, Errc::expired, "its deadline passed before it left");
      return false;
    }
    options.deadline_ms = millis_up(left_us);
  }
  if (!add_dependencies(seq, record, options)) return false;
  extra.encoded_options.clear();
  if (!options.empty()) {
    wire::Writer writer(extra.encoded_options);
    write(writer, options);
  }
  record.options = extra.encoded_options;
  return true;
}

bool Session::add_dependencies(std::uint64_t seq, CallRecord& record,
                               wire::CallOptions& options) {
  CallExtra& extra = *record.extra;
  for (const auto& dependency : extra.after) {
    if (dependency->state() == Dependency::State::failed) {
      return fail_dependent(seq, record, *dependency);
    }
    if (dependency->state() == Dependency::State::value) continue;
    options.after.push_back(dependency->id());
  }
  if (extra.arguments.empty()) return true;
  for (std::uint32_t i = 0; i < extra.arguments.size(); ++i) {
    const auto& dependency = extra.arguments[i].dependency;
    if (!dependency) continue;
    if (dependency->state() == Dependency::State::failed) {
      return fail_dependent(seq, record, *dependency);
    }
    if (dependency->state() == Dependency::State::pending) {
      options.refs.push_back({i, dependency->id()});
    }
  }
  encode_arguments(record, !options.refs.empty());
  return true;
}

void Session::encode_arguments(CallRecord& record, bool separate) {
  // What is known by now travels as a value: the broker may have forgotten it.
  CallExtra& extra = *record.extra;
  std::string list;
  wire::Writer writer(list);
  writer.array(extra.arguments.size());
  for (const Argument& argument : extra.arguments) {
    std::string_view bytes = argument.bytes;
    if (argument.dependency) {
      const bool known = argument.dependency->state() == Dependency::State::value;
      bytes = known ? argument.dependency->bytes() : std::string_view();
    }
    if (separate) writer.bin(bytes);
    else writer.raw(bytes);
  }
  extra.part = Blob();
  extra.args.clear();
  if (list.size() >= limits::kPartBytesMin) {
    extra.part = Blob(std::move(list));
    record.args = extra.part.view();
  } else {
    extra.args = std::move(list);
    record.args = extra.args;
  }
}

bool Session::fail_dependent(std::uint64_t seq, CallRecord& record, const Dependency& dependency) {
  const ErrorInfo cause = wire::decode_error(dependency.bytes(), Errc::internal);
  answer(seq, record, Errc::dependency_failed, "call " + to_string(dependency.id()) + " failed",
         std::string(name_of(cause.code)) + ": " + cause.message + " (call " +
             to_string(dependency.id()) + ")" + (cause.causes.empty() ? "" : "\n" + cause.causes));
  return false;
}


}  // namespace callboard::client
