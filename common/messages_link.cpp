// Messages of every connection: hello, welcome, goodbye, who, ping, pong; and errors as values.
//
// Hello and welcome carry a map with string keys behind the few fields that decide whether the two
// sides can talk at all, so that they can grow: a key that is not known is skipped.

#include "common/fields.hpp"
#include "common/messages.hpp"

namespace callboard::wire {

namespace {

/// Writes the map of hello and welcome: only what is not zero or empty, counted in a first pass.
class InfoWriter {
 public:
  /// `visit(info)` names every entry; it runs twice.
  template <class Visit>
  static void write(Writer& out, Visit visit) {
    InfoWriter counting(nullptr);
    visit(counting);
    out.map(counting.count_);
    InfoWriter writing(&out);
    visit(writing);
  }

  void uint(std::string_view key, std::uint64_t value) {
    entry(key, value != 0, [&](Writer& out) { out.uint(value); });
  }
  void boolean(std::string_view key, bool value) {
    entry(key, value, [&](Writer& out) { out.boolean(value); });
  }
  void str(std::string_view key, const std::string& value) {
    entry(key, !value.empty(), [&](Writer& out) { out.str(value); });
  }
  template <class List, class Element>
  void list(std::string_view key, const List& list, Element element) {
    entry(key, !list.empty(), [&](Writer& out) {
      out.array(list.size());
      for (const auto& item : list) element(out, item);
    });
  }

 private:
  explicit InfoWriter(Writer* out) : out_(out) {}

  template <class Value>
  void entry(std::string_view key, bool wanted, Value value) {
    if (!wanted) return;
    ++count_;
    if (out_ == nullptr) return;
    out_->str(key);
    value(*out_);
  }

  Writer* out_;
  std::size_t count_ = 0;
};

void write_offer(Writer& out, const ClassOffer& offer) {
  out.array(4);
  out.str(offer.name);
  out.uint(static_cast<std::uint64_t>(offer.mode));
  write_names(out, offer.methods);
  write_names(out, offer.signatures);
}

bool read_offer(Reader& in, ClassOffer& offer) {
  std::uint32_t n = 0;
  return in.array(n) && n == 4 && read_name(in, offer.name) &&
         read_enum(in, offer.mode, Mode::batched) &&
         read_names(in, offer.methods, limits::kMethodsMax) &&
         read_names(in, offer.signatures, limits::kMethodsMax, kTextBytesMax);
}

void write_held_actor(Writer& out, const HeldActor& held) {
  out.array(4);
  write_id(out, held.id);
  out.uint(held.incarnation);
  out.uint(held.slot);
}

bool read_held_actor(Reader& in, HeldActor& held) {
  std::uint32_t n = 0;
  return in.array(n) && n == 4 && read_id(in, held.id) && in.uint(held.incarnation) &&
         read_u32(in, held.slot);
}

bool read_shard(Reader& in, Shard& shard) {
  std::uint32_t n = 0;
  return in.array(n) && n == 2 && read_u32(in, shard.index) &&
         read_names(in, shard.endpoints, limits::kEndpointsMax, kTextBytesMax);
}

bool read_hello_key(Reader& in, std::string_view key, Hello& m) {
  if (key == "role") return read_enum(in, m.role, Role::supervisor);
  if (key == "name") return read_name(in, m.name);
  if (key == "host") return read_name(in, m.host);
  if (key == "pid") return in.uint(m.pid);
  if (key == "session") return in.uint(m.session);
  if (key == "resume") return in.boolean(m.resume);
  if (key == "acked_through") return in.uint(m.acked_through);
  if (key == "timeline") return in.uint(m.timeline);
  if (key == "commit_no") return in.uint(m.commit_no);
  if (key == "epoch_seen") return in.uint(m.epoch_seen);
  if (key == "run_seen") return in.uint(m.run_seen);
  if (key == "instance") return in.uint(m.instance);
  if (key == "supervisor") return read_name(in, m.supervisor);
  if (key == "task_slots") return in.uint_max(m.task_slots, limits::kConcurrencyMax);
  if (key == "classes") return read_list(in, m.classes, limits::kMethodsMax, read_offer);
  if (key == "tasks") return read_names(in, m.tasks, limits::kMethodsMax);
  if (key == "held_actors") {
    return read_list(in, m.held_actors, limits::kFrameBytesMax, read_held_actor);
  }
  if (key == "held_calls") return read_held_calls(in, m.held_calls);
  return in.skip();
}

bool read_welcome_key(Reader& in, std::string_view key, Welcome& m) {
  if (key == "broker") return read_name(in, m.broker);
  if (key == "run") return in.uint(m.run);
  if (key == "timeline") return in.uint(m.timeline);
  if (key == "commit_no") return in.uint(m.commit_no);
  if (key == "heartbeat_ms") return in.uint_max(m.heartbeat_ms, limits::kDurationMsMax);
  if (key == "lease_ms") return in.uint_max(m.lease_ms, limits::kDurationMsMax);
  if (key == "shards") return read_list(in, m.shards, limits::kShardsMax, read_shard);
  if (key == "accepted_through") return in.uint(m.accepted_through);
  if (key == "provisional") return in.boolean(m.provisional);
  if (key == "refused") {
    return read_list(in, m.refused, limits::kUnackedCallsMax,
                     [](Reader& r, std::uint64_t& seq) { return r.uint(seq); });
  }
  return in.skip();
}

template <class Message, class ReadKey>
bool read_info(Reader& in, Message& m, ReadKey read_key) {
  std::uint32_t n = 0;
  if (!in.map(n)) return false;
  for (; n > 0; --n) {
    std::string_view key;
    if (!in.str(key) || !read_key(in, key, m)) return in.fail();
  }
  return true;
}

}  // namespace

void write(FrameWriter& out, const Hello& m) {
  begin(out, Type::hello, 4);
  out.uint(m.version_min);
  out.uint(m.version_max);
  out.uint(m.features);
  InfoWriter::write(out, [&m](InfoWriter& info) {
    info.uint("role", static_cast<std::uint64_t>(m.role));
    info.str("name", m.name);
    info.str("host", m.host);
    info.uint("pid", m.pid);
    info.uint("session", m.session);
    info.boolean("resume", m.resume);
    info.uint("acked_through", m.acked_through);
    info.uint("timeline", m.timeline);
    info.uint("commit_no", m.commit_no);
    info.uint("epoch_seen", m.epoch_seen);
    info.uint("run_seen", m.run_seen);
    info.uint("instance", m.instance);
    info.str("supervisor", m.supervisor);
    info.uint("task_slots", m.task_slots);
    info.list("classes", m.classes, write_offer);
    info.list("tasks", m.tasks, [](Writer& w, const std::string& name) { w.str(name); });
    info.list("held_actors", m.held_actors, write_held_actor);
    info.list("held_calls", m.held_calls, write_held_call);
  });
}

bool read(FrameReader& in, std::uint32_t fields, Hello& m) {
  m = Hello();
  if (!has_fields(in, fields, 4) || !in.uint(m.version_min) || !in.uint(m.version_max) ||
      !in.uint(m.features)) {
    return false;
  }
  // What follows may have another shape in a version that we do not speak: the answer to it must
  // still be version_unsupported.
  const bool common_version =
      m.version_min <= limits::kProtocolVersionMax && m.version_max >= limits::kProtocolVersionMin;
  if (!common_version || (m.features & ~kFeaturesKnown) != 0) return in.skip_fields(fields - 3);
  return read_info(in, m, read_hello_key) && in.skip_fields(fields - 4);
}

void write(FrameWriter& out, const Welcome& m) {
  begin(out, Type::welcome, 4);
  out.uint(m.version);
  out.uint(m.features);
  out.uint(m.epoch);
  InfoWriter::write(out, [&m](InfoWriter& info) {
    info.str("broker", m.broker);
    info.uint("run", m.run);
    info.uint("timeline", m.timeline);
    info.uint("commit_no", m.commit_no);
    info.uint("heartbeat_ms", static_cast<std::uint64_t>(m.heartbeat_ms));
    info.uint("lease_ms", static_cast<std::uint64_t>(m.lease_ms));
    info.list("shards", m.shards, [](Writer& w, const Shard& shard) {
      w.array(2);
      w.uint(shard.index);
      write_names(w, shard.endpoints);
    });
    info.uint("accepted_through", m.accepted_through);
    info.list("refused", m.refused, [](Writer& w, std::uint64_t seq) { w.uint(seq); });
    info.boolean("provisional", m.provisional);
  });
}

bool read(FrameReader& in, std::uint32_t fields, Welcome& m) {
  m = Welcome();
  return has_fields(in, fields, 4) && in.uint(m.version) && in.uint(m.features) &&
         in.uint(m.epoch) && read_info(in, m, read_welcome_key) && in.skip_fields(fields - 4);
}

void write(FrameWriter& out, const Goodbye& m) {
  begin(out, Type::goodbye, 2);
  out.uint(static_cast<std::uint64_t>(m.code));
  write_text(out, m.text);
}

bool read(FrameReader& in, std::uint32_t fields, Goodbye& m) {
  return has_fields(in, fields, 2) && read_code(in, m.code) &&
         read_text(in, m.text, kTextBytesMax) && in.skip_fields(fields - 2);
}

void write_who(FrameWriter& out) { begin(out, Type::who, 0); }

void write_ping(FrameWriter& out, std::uint64_t number) {
  begin(out, Type::ping, 1);
  out.uint(number);
}

void write_pong(FrameWriter& out, std::uint64_t number, std::uint64_t commit_no) {
  begin(out, Type::pong, 2);
  out.uint(number);
  out.uint(commit_no);
}

void write(FrameWriter& out, const Memory& m) {
  begin(out, Type::memory, 2);
  out.str(m.probe);
  out.uint(m.found);
}

bool read(FrameReader& in, std::uint32_t fields, Memory& m) {
  return has_fields(in, fields, 2) && read_name(in, m.probe) && in.uint(m.found) &&
         in.skip_fields(fields - 2);
}

bool read_pong(FrameReader& in, std::uint32_t fields, std::uint64_t& number,
               std::uint64_t& commit_no) {
  commit_no = 0;
  return has_fields(in, fields, 1) && in.uint(number) && (fields < 2 || in.uint(commit_no)) &&
         in.skip_fields(fields < 2 ? 0 : fields - 2);
}

bool read_number(FrameReader& in, std::uint32_t fields, std::uint64_t& number) {
  return has_fields(in, fields, 1) && in.uint(number) && in.skip_fields(fields - 1);
}

// --- errors as values ------------------------------------------------------------------------

std::string encode(const ErrorInfo& error) {
  std::string bytes;
  Writer out(bytes);
  InfoWriter::write(out, [&error](InfoWriter& info) {
    info.uint("code", static_cast<std::uint64_t>(error.code));
    info.str("type", error.type);
    info.str("message", error.message);
    info.str("place", error.place);
    info.str("causes", error.causes);
    if (error.retry_after_ms > 0) {
      info.uint("retry_after_ms", static_cast<std::uint64_t>(error.retry_after_ms));
    }
  });
  return bytes;
}

ErrorInfo decode_error(std::string_view bytes, Errc fallback) {
  ErrorInfo error;
  error.code = Errc::ok;
  Reader in(bytes);
  const bool good = read_info(in, error, [](Reader& r, std::string_view key, ErrorInfo& e) {
    if (key == "code") return read_code(r, e.code);
    if (key == "type") return r.str(e.type);
    if (key == "message") return r.str(e.message);
    if (key == "place") return r.str(e.place);
    if (key == "causes") return r.str(e.causes);
    if (key == "retry_after_ms") return r.uint_max(e.retry_after_ms, limits::kDurationMsMax);
    return r.skip();
  });
  if (good && in.at_end()) {
    if (error.code == Errc::ok) error.code = fallback;
    return error;
  }
  ErrorInfo unreadable;
  unreadable.code = fallback;
  unreadable.message = "the peer sent an error that cannot be read";
  return unreadable;
}

}  // namespace callboard::wire
