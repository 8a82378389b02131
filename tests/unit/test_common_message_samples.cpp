// The samples of message_samples.hpp; there are no tests in here.

#include "tests/unit/message_samples.hpp"

#include <msgpack.hpp>

#include <regex>
#include <sstream>
#include <stdexcept>

namespace callboard::wire {

namespace {

CallId call(std::uint64_t session, std::uint64_t seq) { return {SessionId{session}, seq}; }
ActorId actor(std::uint64_t session, std::uint64_t seq) { return {SessionId{session}, seq}; }

Body body(std::string_view bytes) { return {bytes, {}}; }

// Encoded values to put into messages.
constexpr std::string_view kArgs = "\x92\x05\xa1x";           // [5, "x"]
constexpr std::string_view kOptions = "\x81\x01\xcd\x07\xd0"; // {1: 2000}
constexpr std::string_view kInfo = "\x81\xa1k\x01";           // {"k": 1}

const std::string& encoded_error() {
  static const std::string bytes =
      encode({Errc::task_error, "std::out_of_range", "no such row", "", ""});
  return bytes;
}

template <class Message>
Sample plain(std::string name, Type type, Message message) {
  return {std::move(name), type, [message](FrameWriter& out) { write(out, message); },
          [](FrameReader& in, std::uint32_t fields, FrameWriter& out) {
            Message read_back;
            if (!read(in, fields, read_back)) return false;
            write(out, read_back);
            return true;
          }};
}

// A message whose options may be wrong while the message is not.
template <class Message>
Sample with_options(std::string name, Type type, Message message) {
  return {std::move(name), type, [message](FrameWriter& out) { write(out, message); },
          [](FrameReader& in, std::uint32_t fields, FrameWriter& out) {
            Message read_back;
            std::string problem;
            if (!read(in, fields, read_back, problem) || !problem.empty()) return false;
            write(out, read_back);
            return true;
          }};
}

Sample numbered(std::string name, Type type, void (*write_number)(FrameWriter&, std::uint64_t)) {
  return {std::move(name), type, [=](FrameWriter& out) { write_number(out, 11); },
          [=](FrameReader& in, std::uint32_t fields, FrameWriter& out) {
            std::uint64_t number = 0;
            if (!read_number(in, fields, number)) return false;
            write_number(out, number);
            return true;
          }};
}

Hello worker_hello() {
  Hello hello;
  hello.role = Role::worker;
  hello.name = "worker-0";
  hello.host = "box";
  hello.pid = 123;
  hello.session = 9;
  hello.resume = true;
  hello.acked_through = 4;
  hello.timeline = 2;
  hello.commit_no = 50;
  hello.epoch_seen = 7;
  hello.instance = 77;
  hello.supervisor = "box";
  hello.task_slots = 3;
  hello.classes = {{"Counter", Mode::serial, {"add", "get"}, {"int(int)", "int()"}}};
  hello.tasks = {"resize"};
  hello.held_actors = {{actor(5, 1), 6, 2}};
  hello.held_calls = {{31, call(5, 8), 1, actor(5, 1), 6, true}};
  return hello;
}

Hello client_hello() {
  Hello hello;
  hello.name = "example";
  hello.session = 5;
  return hello;
}

Welcome welcome() {
  Welcome m;
  m.epoch = kSampleEpoch;
  m.broker = "broker";
  m.timeline = 2;
  m.commit_no = 51;
  m.heartbeat_ms = 400;
  m.lease_ms = 1900;
  m.shards = {{0, {"tcp://127.0.0.1:7700"}}};
  m.accepted_through = 12;
  m.refused = {10, 11};
  return m;
}

ChildDied child_died() {
  ChildDied m;
  m.worker = "worker-0";
  m.instance = 77;
  m.pid = 123;
  m.signal = 11;
  m.exit_status = -1;
  m.stderr_tail = "Segmentation fault";
  m.begun = {{31, call(5, 8), 1, actor(5, 1), 6, false}};
  m.blamed = call(5, 8);
  return m;
}

ActorOptions actor_options() {
  ActorOptions options;
  options.name = "hits";
  options.max_concurrency = 1;
  return options;
}

void add_connection(std::vector<Sample>& all) {
  all.push_back(plain("hello", Type::hello, client_hello()));
  all.push_back(plain("hello of a worker", Type::hello, worker_hello()));
  all.push_back(plain("welcome", Type::welcome, welcome()));
  all.push_back(plain("goodbye", Type::goodbye, Goodbye{Errc::version_unsupported, "too new"}));
  all.push_back({"who", Type::who, [](FrameWriter& out) { write_who(out); },
                 [](FrameReader& in, std::uint32_t fields, FrameWriter& out) {
                   write_who(out);
                   return in.skip_fields(fields);
                 }});
  all.push_back(numbered("ping", Type::ping, write_ping));
  all.push_back({"pong", Type::pong, [](FrameWriter& out) { write_pong(out, 11, 51); },
                 [](FrameReader& in, std::uint32_t fields, FrameWriter& out) {
                   std::uint64_t number = 0;
                   std::uint64_t commit_no = 0;
                   if (!read_pong(in, fields, number, commit_no)) return false;
                   write_pong(out, number, commit_no);
                   return true;
                 }});
  all.push_back(plain("memory", Type::memory, Memory{"callboard-shm-77-5-1", 300}));
}

void add_client(std::vector<Sample>& all) {
  all.push_back(plain("open", Type::open,
                      Open{3, TargetKind::name, actor(5, 1), "hits", {"add", "get"}}));
  all.push_back(plain("methods", Type::methods, Methods{3, {"reset"}}));
  all.push_back(plain("close", Type::close, Close{3}));
  all.push_back(with_options("create", Type::create,
                             Create{1, 3, "Counter", body(kArgs), actor_options(), {"add"}}));
  all.push_back(plain("submit", Type::submit, Submit{2, 3, 1, body(kArgs), kOptions}));
  all.push_back(plain("submit without options", Type::submit, Submit{2, 3, 1, body(kArgs), {}}));
  all.push_back(plain("submit of a big value", Type::submit, Submit{2, 3, 1, big_body('a'), {}}));
  all.push_back(plain("taken", Type::taken, Taken{{{1, 3}, {5, 1}}}));
  all.push_back(plain("cancel", Type::cancel, Cancel{call(5, 2), true}));
  all.push_back(plain("resume", Type::resume, Resume{3, 2}));
  all.push_back(plain("kill", Type::kill, Kill{21, 3, true}));
  all.push_back(plain("waiting", Type::waiting, Waiting{call(5, 2), call(9, 4), true}));
  all.push_back(plain("admin", Type::admin, Admin{21, "queue.ls", kInfo}));
  all.push_back(plain("opened", Type::opened, Opened{3, Errc::unknown_actor, "no such actor",
                                                     actor(5, 1), "hits", "Counter",
                                                     Durability::durable, WhenFull::block}));
  all.push_back(plain("accepted", Type::accepted, Accepted{12, {{10, 2}}, 51}));
  all.push_back(plain("refused", Type::refused, Refused{2, Errc::queue_full, "full", 100, 16}));
  all.push_back(plain("result", Type::result, CallResult{2, Errc::ok, body("\x0a")}));
  all.push_back(plain("result with an error", Type::result,
                      CallResult{2, Errc::task_error, body(encoded_error())}));
  all.push_back(plain("cancel_answer", Type::cancel_answer,
                      CancelAnswered{call(5, 2), CancelAnswer::too_late}));
  all.push_back(plain("parked", Type::parked, Parked{3, 2}));
  all.push_back(plain("room", Type::room, Room{3, 16}));
  all.push_back(plain("admin_answer", Type::admin_answer, AdminAnswer{21, Errc::timeout, kInfo}));
}

void add_worker(std::vector<Sample>& all) {
  all.push_back(with_options("start", Type::start, Start{2, actor(5, 1), 6, "Counter", "hits",
                                                         body(kArgs), actor_options()}));
  all.push_back(plain("stop", Type::stop, Stop{2, true}));
  all.push_back(plain("method_table", Type::method_table, MethodTable{2, {"add", "get"}}));
  all.push_back(plain("run", Type::run,
                      Run{31, 2, 1, call(5, 8), 3, 1990, body(kArgs), kOptions}));
  all.push_back(plain("forget", Type::forget, Forget{{{31, 2}}}));
  all.push_back(plain("revoke", Type::revoke, Revoke{31, true}));
  all.push_back(plain("go_on", Type::go_on, GoOn{2, true}));
  all.push_back(plain("started", Type::started, Started{2, Errc::bad_arguments, kInfo}));
  all.push_back(plain("done", Type::done, Done{31, Errc::ok, body("\x0a"), false}));
  all.push_back(plain("done with an error", Type::done,
                      Done{31, Errc::task_error, body(encoded_error()), true}));
  all.push_back(plain("done with a big value", Type::done,
                      Done{31, Errc::ok, big_body('b'), false}));
  all.push_back(plain("window", Type::window, Window{2, 1, 64}));
  all.push_back(plain("returned", Type::returned, Returned{31, Errc::cancelled}));
  all.push_back(plain("revoke_answer", Type::revoke_answer,
                      RevokeAnswer{31, CancelAnswer::cancelled_before_start}));
  all.push_back(plain("status", Type::status, Status{kInfo}));
  all.push_back(plain("child_died", Type::child_died, child_died()));
  all.push_back(plain("stopped", Type::stopped, Stopped{2}));
}

}  // namespace

Body big_body(char fill) {
  const Blob blob(std::string(limits::kPartBytesMin, fill));
  return {blob.view(), blob};
}

const std::vector<Sample>& samples() {
  static const std::vector<Sample> all = [] {
    std::vector<Sample> list;
    add_connection(list);
    add_client(list);
    add_worker(list);
    return list;
  }();
  return all;
}

const Sample& sample(const std::string& name) {
  for (const Sample& candidate : samples()) {
    if (candidate.name == name) return candidate;
  }
  throw std::out_of_range("no sample named " + name);
}

Frame frame_of(const Sample& sample) {
  Frame frame;
  FrameWriter out(frame, sample.type == Type::hello ? 0 : kSampleEpoch);
  sample.write(out);
  return frame;
}

std::string text_of(const Frame& frame) {
  std::ostringstream text;
  std::size_t at = 0;
  const auto header = msgpack::unpack(frame.head.data(), frame.head.size(), at);
  while (at < frame.head.size()) {
    text << msgpack::unpack(frame.head.data(), frame.head.size(), at).get();
  }
  static const std::regex binary(R"x("BIN\(size:(\d+)\)")x");
  return std::regex_replace(text.str(), binary, "bin($1)");
}

bool copy_frame(const FrameView& frame, Frame& copy) {
  FrameReader in(frame);
  std::uint64_t version = 0;
  std::uint64_t epoch = 0;
  if (!in.header(version, epoch)) return false;
  FrameWriter out(copy, epoch);
  while (!in.at_end()) {
    std::uint64_t type = 0;
    std::uint32_t fields = 0;
    if (!in.message(type, fields)) return false;
    bool known = false;
    for (const Sample& candidate : samples()) {
      if (static_cast<std::uint64_t>(candidate.type) != type) continue;
      known = true;
      if (!candidate.copy(in, fields, out)) return false;
      break;
    }
    if (!known) return false;
  }
  return in.ok();
}

}  // namespace callboard::wire
