#include "tests/sim/observer.hpp"

#include <utility>

namespace callboard::sim {

namespace {

using wire::FrameReader;
using wire::Type;

std::string_view name_of(std::uint64_t type) {
  switch (static_cast<Type>(type)) {
    case Type::hello:
      return "hello";
    case Type::welcome:
      return "welcome";
    case Type::goodbye:
      return "goodbye";
    case Type::who:
      return "who";
    case Type::ping:
      return "ping";
    case Type::pong:
      return "pong";
    case Type::memory:
      return "memory";
    case Type::open:
      return "open";
    case Type::methods:
      return "methods";
    case Type::close:
      return "close";
    case Type::create:
      return "create";
    case Type::submit:
      return "submit";
    case Type::taken:
      return "taken";
    case Type::cancel:
      return "cancel";
    case Type::resume:
      return "resume";
    case Type::kill:
      return "kill";
    case Type::waiting:
      return "waiting";
    case Type::admin:
      return "admin";
    case Type::opened:
      return "opened";
    case Type::accepted:
      return "accepted";
    case Type::refused:
      return "refused";
    case Type::result:
      return "result";
    case Type::cancel_answer:
      return "cancel_answer";
    case Type::parked:
      return "parked";
    case Type::room:
      return "room";
    case Type::admin_answer:
      return "admin_answer";
    case Type::start:
      return "start";
    case Type::stop:
      return "stop";
    case Type::method_table:
      return "method_table";
    case Type::run:
      return "run";
    case Type::forget:
      return "forget";
    case Type::revoke:
      return "revoke";
    case Type::go_on:
      return "go_on";
    case Type::started:
      return "started";
    case Type::done:
      return "done";
    case Type::window:
      return "window";
    case Type::returned:
      return "returned";
    case Type::revoke_answer:
      return "revoke_answer";
    case Type::status:
      return "status";
    case Type::child_died:
      return "child_died";
    case Type::stopped:
      return "stopped";
  }
  return "message";
}

void describe_value(wire::Reader& in, std::string& text) {
  switch (in.peek()) {
    case wire::Kind::nil:
      in.nil();
      text += "nil";
      break;
    case wire::Kind::boolean: {
      bool value = false;
      in.boolean(value);
      text += value ? "true" : "false";
      break;
    }
    case wire::Kind::integer: {
      wire::Reader ahead = in;
      std::int64_t value = 0;
      if (ahead.integer(value)) {
        in = ahead;
        text += std::to_string(value);
      } else {
        std::uint64_t wide = 0;
        in.uint(wide);
        text += std::to_string(wide);
      }
      break;
    }
    case wire::Kind::str: {
      std::string_view value;
      in.str(value);
      text += "\"" + std::string(value.substr(0, 60)) + "\"";
      break;
    }
    case wire::Kind::bin: {
      std::string_view value;
      in.bin(value);
      text += "bin(" + std::to_string(value.size()) + ")";
      break;
    }
    case wire::Kind::array:
    case wire::Kind::map: {
      const bool is_map = in.peek() == wire::Kind::map;
      std::uint32_t n = 0;
      is_map ? in.map(n) : in.array(n);
      text += is_map ? "{" : "[";
      for (std::uint32_t i = 0; i < n && in.ok(); ++i) {
        if (i > 0) text += ", ";
        describe_value(in, text);
        if (!is_map) continue;
        text += ": ";
        describe_value(in, text);
      }
      text += is_map ? "}" : "]";
      break;
    }
    default:
      text += "?";
      in.skip();
      break;
  }
}

std::uint64_t digest_of(Errc status, std::string_view bytes) {
  std::uint64_t hash = 0xCBF2'9CE4'8422'2325ull ^ static_cast<std::uint64_t>(status);
  for (const char byte : bytes)
    hash = (hash ^ static_cast<std::uint8_t>(byte)) * 0x100'0000'01B3ull;
  return hash;
}

wire::FrameView view_of(const wire::Frame& frame) { return {frame.head, frame.parts}; }

}  // namespace

std::string describe(const wire::Frame& frame) {
  FrameReader in(view_of(frame));
  std::uint64_t version = 0, epoch = 0;
  std::string text;
  if (!in.header(version, epoch)) return "not a frame";
  text += "(epoch " + std::to_string(epoch) + ")";
  while (!in.at_end()) {
    std::uint64_t type = 0;
    std::uint32_t fields = 0;
    if (!in.message(type, fields)) return text + " ...broken";
    text += " ";
    text += name_of(type);
    text += "[";
    for (std::uint32_t i = 0; i < fields && in.ok(); ++i) {
      if (i > 0) text += ", ";
      describe_value(in, text);
    }
    text += "]";
  }
  return text;
}

void Observer::introduce(DealerId dealer, const Process& process) {
  Speaker& speaker = speakers_[dealer];
  speaker.name = process.name();
  speaker.process = process.id();
}

void Observer::flush_counts() {
  for (std::size_t type = 0; type < counts_.size(); ++type) {
    if (counts_[type] == 0) continue;
    context_.coverage.hit("message: " + std::string(name_of(type)), counts_[type]);
    counts_[type] = 0;
  }
}

void Observer::from_process(DealerId dealer, const wire::Frame& frame) {
  Speaker& speaker = speakers_[dealer];
  if (context_.tracing) context_.say(speaker.name, "-> " + describe(frame));
}

void Observer::at_broker(PeerId peer, DealerId dealer, const wire::Frame& frame) {
  peers_[peer] = dealer;
  Speaker& speaker = speakers_[dealer];
  if (context_.tracing) {
    context_.say("broker", "<- " + speaker.name + " (peer " +
                               std::to_string(static_cast<std::uint64_t>(peer)) + ") " +
                               describe(frame));
  }
  FrameReader in(view_of(frame));
  std::uint64_t version = 0, epoch = 0;
  if (!in.header(version, epoch)) return;
  while (!in.at_end()) {
    std::uint64_t number = 0;
    std::uint32_t fields = 0;
    if (!in.message(number, fields)) return;
    const auto type = static_cast<Type>(number);
    ++counts_[number & 0xff];
    if (type == Type::hello) {
      on_hello(speaker, in, fields);
    } else if (type == Type::submit) {
      on_submit(speaker, in, fields);
    } else {
      in.skip_fields(fields);
    }
  }
}

void Observer::on_hello(Speaker& speaker, FrameReader& in, std::uint32_t fields) {
  wire::Hello hello;
  if (!wire::read(in, fields, hello)) return;
  if (hello.resume) context_.coverage.hit("situation: session resumed");
  if (!hello.held_calls.empty()) context_.coverage.hit("situation: worker came back with calls");
  if (!hello.held_actors.empty()) context_.coverage.hit("situation: worker came back with actors");
  if (speaker.session == SessionId{hello.session}) return;
  speaker.session = SessionId{hello.session};
  speaker.accepted_through = 0;
  speaker.not_accepted.clear();
}

void Observer::note_deadline(const Speaker& speaker, CallId call, std::string_view options) {
  if (options.empty()) return;
  wire::CallOptions parsed;
  std::string problem;
  wire::Reader in(options);
  if (!wire::read(in, parsed, problem) || !parsed.deadline_ms) return;
  Record record;
  record.what = What::deadline_came;
  record.process = speaker.process;
  record.call = call;
  record.value = static_cast<std::uint64_t>(context_.schedule.now() + *parsed.deadline_ms * 1000);
  context_.note("broker", std::move(record));
}

void Observer::on_submit(const Speaker& speaker, FrameReader& in, std::uint32_t fields) {
  wire::Submit submit;
  if (!wire::read(in, fields, submit)) return;
  const CallId call{speaker.session, submit.seq};
  note_deadline(speaker, call, submit.options);
  if (!arrived_.insert(call).second) {
    context_.coverage.hit("situation: submit came again");
    return;
  }
  Record record;
  record.what = What::arrived;
  record.process = speaker.process;
  record.call = call;
  context_.note("broker", std::move(record));
}

void Observer::from_broker(PeerId peer, const wire::Frame& frame) {
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return;
  const Speaker& speaker = speakers_[found->second];
  if (context_.tracing) {
    context_.say("broker", "-> " + speaker.name + " (peer " +
                               std::to_string(static_cast<std::uint64_t>(peer)) + ") " +
                               describe(frame));
  }
  FrameReader in(view_of(frame));
  std::uint64_t version = 0, epoch = 0;
  if (!in.header(version, epoch)) return context_.verdict.fail("wire", "the broker wrote no frame");
  while (!in.at_end()) {
    std::uint64_t number = 0;
    std::uint32_t fields = 0;
    if (!in.message(number, fields)) {
      return context_.verdict.fail("wire", "the broker wrote a frame that cannot be read");
    }
    if (static_cast<Type>(number) == Type::result) {
      on_result(speaker, in, fields);
    } else if (static_cast<Type>(number) == Type::run) {
      on_run_sent(speaker, in, fields);
    } else {
      in.skip_fields(fields);
    }
  }
}

void Observer::on_run_sent(const Speaker& speaker, FrameReader& in, std::uint32_t fields) {
  wire::Run run;
  if (!wire::read(in, fields, run)) return;
  Record record;
  record.what = What::run_left;
  record.process = speaker.process;
  record.call = run.call;
  record.attempt = run.attempt;
  context_.note("broker", std::move(record));
}

void Observer::on_result(const Speaker& speaker, FrameReader& in, std::uint32_t fields) {
  wire::CallResult result;
  if (!wire::read(in, fields, result)) return;
  Record record;
  record.what = What::told_result;
  record.process = speaker.process;
  record.call = {speaker.session, result.seq};
  record.code = result.status;
  record.value = digest_of(result.status, result.value.bytes);
  context_.note("broker", std::move(record));
}

void Observer::at_process(DealerId dealer, const wire::Frame& frame, const Process& process) {
  Speaker& speaker = speakers_[dealer];
  if (context_.tracing) context_.say(speaker.name, "<- " + describe(frame));
  FrameReader in(view_of(frame));
  std::uint64_t version = 0, epoch = 0;
  if (!in.header(version, epoch)) return;
  while (!in.at_end()) {
    std::uint64_t number = 0;
    std::uint32_t fields = 0;
    if (!in.message(number, fields)) return;
    const auto type = static_cast<Type>(number);
    ++counts_[number & 0xff];
    if (type == Type::accepted) {
      wire::Accepted accepted;
      if (wire::read(in, fields, accepted)) accept_through(speaker, accepted.through);
    } else if (type == Type::refused) {
      wire::Refused refused;
      if (!wire::read(in, fields, refused)) return;
      speaker.not_accepted.insert(refused.seq);
      if (refused.room > 0) note_full(speaker, refused);
      context_.coverage.hit("refused: " + std::string(callboard::name_of(refused.code)));
    } else if (type == Type::parked) {
      wire::Parked parked;
      if (wire::read(in, fields, parked)) speaker.not_accepted.insert(parked.seq);
    } else if (type == Type::welcome) {
      wire::Welcome welcome;
      if (!wire::read(in, fields, welcome)) return;
      // No acknowledgement: what it says has come may still wait for its commit.
      for (const std::uint64_t seq : welcome.refused) speaker.not_accepted.insert(seq);
    } else if (type == Type::run) {
      on_run(speaker, in, fields, process);
    } else {
      in.skip_fields(fields);
    }
  }
}

void Observer::note_full(const Speaker& speaker, const wire::Refused& refused) {
  Record record;
  record.what = What::told_full;
  record.process = speaker.process;
  record.call = {speaker.session, refused.seq};
  record.value = refused.retry_after_ms * kMicrosPerMilli;
  context_.note(speaker.name, std::move(record));
}

void Observer::accept_through(Speaker& speaker, std::uint64_t through) {
  for (std::uint64_t seq = speaker.accepted_through + 1; seq <= through; ++seq) {
    // Numbers that ended before they left never came to the broker.
    if (speaker.not_accepted.contains(seq) || !arrived_.contains({speaker.session, seq})) continue;
    Record record;
    record.what = What::accepted;
    record.process = speaker.process;
    record.call = {speaker.session, seq};
    context_.note(speaker.name, std::move(record));
  }
  if (through > speaker.accepted_through) speaker.accepted_through = through;
}

void Observer::on_run(const Speaker& speaker, FrameReader& in, std::uint32_t fields,
                      const Process& process) {
  wire::Run run;
  if (!wire::read(in, fields, run)) return;
  if (run.attempt > 1) context_.coverage.hit("situation: another attempt");
  if (!runs_seen_.emplace(run.call, run.attempt).second) {
    context_.coverage.hit("situation: attempt sent again");
  }
  Record record;
  record.what = What::run_arrived;
  record.process = process.id();
  record.call = run.call;
  record.attempt = run.attempt;
  if (run.deadline_ms > 0) {
    record.value = static_cast<std::uint64_t>(context_.schedule.now() + run.deadline_ms * 1000);
  }
  context_.note(speaker.name, std::move(record));
}

}  // namespace callboard::sim
