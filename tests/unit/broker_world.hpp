// A broker core with hand-driven peers and a store in memory, for the tests of the core.
//
// Nothing happens by itself: a test sends messages, lets commits happen or not, and looks at what
// each peer was told. The store applies batches exactly; a new broker can be started from it.
#pragma once

#include "broker/core/broker.hpp"
#include "common/messages.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace callboard::broker {

using wire::Type;

/// One message that a peer was told. The fields that a test asks for are decoded on arrival.
struct Told {
  Type type{};
  wire::Welcome welcome;
  wire::Opened opened;
  wire::Accepted accepted;
  std::uint64_t seq = 0;             ///< refused, result
  Errc code = Errc::ok;              ///< refused, result, goodbye, answers
  std::string text;                  ///< refused, goodbye; of a result: its bytes
  std::uint64_t retry_after_ms = 0;  ///< refused
  std::uint64_t room = 0;            ///< refused
  wire::CancelAnswer cancel{};
  CallId call;              ///< run, cancel answer
  std::uint64_t lease = 0;  ///< run, revoke
  std::uint32_t slot = 0;   ///< run, start, stop, go_on
  std::uint32_t method = 0;
  std::uint32_t attempt = 0;
  std::string args;
  std::string options;  ///< run: encoded
  std::uint64_t incarnation = 0;
  ActorId actor;
  bool flag = false;         ///< go_on: hand_back; revoke: running_too; stop: now
  wire::Ranges ranges;       ///< forget
  std::uint64_t number = 0;  ///< room: calls
};

/// The state that the core's batches leave behind.
struct StoreModel {
  std::map<std::string, std::map<std::string, std::string>> keys;

  void apply(const StoreBatch& batch) {
    for (const auto& key : batch.keys()) {
      if (key.drop) keys.erase(std::string(key.name));
      auto& fields = keys[std::string(key.name)];
      for (const auto& [field, value] : key.sets) fields[std::string(field)] = std::string(value);
      for (const auto& field : key.erases) fields.erase(std::string(field));
      if (fields.empty()) keys.erase(std::string(key.name));
    }
  }
  std::size_t depth(const std::string& queue) const {
    const auto found = keys.find("q:" + queue + ":calls");
    return found == keys.end() ? 0 : found->second.size();
  }
};

class BrokerWorld {
 public:
  BrokerWorld() : BrokerWorld(BrokerOptions()) {}
  explicit BrokerWorld(BrokerOptions options, bool journal = false)
      : options_(std::move(options)) {
    if (!journal) options_.journal_ms = 0;  // a test sees at once what is stored
    start();
  }

  /// A broker run on what the store holds.
  void start() {
    reads.clear();
    options_.commit_no = commit_no;
    broker = std::make_unique<Broker>(options_, 42);
    for (const auto& [key, fields] : store.keys) {
      for (const auto& [field, value] : fields) {
        ASSERT_EQ(broker->load(StoreEntry{key, field, value}), "");
      }
    }
    Effects effects;
    broker->loaded(now, effects);
    ASSERT_EQ(effects.fatal, "");
    take(effects);
  }
  /// kill -9 of the broker, then a new run with a higher epoch.
  void restart() {
    ++options_.epoch;
    told.clear();
    start();
  }

  /// A new run after the store was found to have gone back in time.
  void begin_timeline() {
    ++options_.timeline;
    options_.went_back = "a test says so";
    options_.epoch += 10;
    restart();
  }

  /// Answers what the core has asked of the store.
  void answer_reads() {
    while (!reads.empty()) {
      const StoreRead read = std::move(reads.front());
      reads.erase(reads.begin());
      CallsRead answer;
      answer.id = read.id;
      for (const std::uint64_t number : read.numbers) {
        const auto& fields = store.keys[read.key];
        const auto found = fields.find(std::to_string(number));
        found == fields.end() ? answer.add_none() : answer.add(found->second);
      }
      if (store.keys[read.key].empty()) store.keys.erase(read.key);
      step(answer);
    }
  }
  void step(const Event& event) {
    Effects effects;
    broker->step(now, event, effects);
    ASSERT_EQ(effects.fatal, "");
    take(effects);
    if (auto_commit) commit();
    if (auto_read) answer_reads();
  }
  void commit() {
    while (broker->has_batch()) {
      std::uint64_t number = 0;
      const StoreBatch& batch = broker->take_batch(number);
      ASSERT_EQ(number, commit_no + 1);
      store.apply(batch);
      commit_no = number;
      Effects effects;
      broker->step(now, Committed{number}, effects);
      take(effects);
    }
  }
  void pass(std::int64_t ms) {
    for (; ms > 0; ms -= 20) {
      now.mono_us += 20'000;
      now.wall_ms += 20;
      step(Tick{});
    }
  }

  /// Time in which these peers let themselves be heard.
  void pass_with(std::int64_t ms, const std::vector<std::uint64_t>& peers) {
    for (; ms > 0; ms -= 500) {
      pass(std::min<std::int64_t>(ms, 500));
      for (const std::uint64_t peer : peers) {
        send(peer, [](auto& out) { wire::write_pong(out, 1); });
      }
    }
  }

  /// Sends one frame with what `write` writes. `epoch` 0 is right before the welcome only.
  template <class Write>
  void send(std::uint64_t peer, Write write, bool before_welcome = false) {
    wire::Frame frame;
    wire::FrameWriter out(frame, before_welcome ? 0 : options_.epoch);
    write(out);
    step(FrameArrived{PeerId{peer}, wire::FrameView{frame.head, frame.parts}});
  }
  template <class Message>
  void say(std::uint64_t peer, const Message& message) {
    send(peer, [&](auto& out) { wire::write(out, message); });
  }

  void client(std::uint64_t peer, std::uint64_t session = 0, bool resume = false) {
    wire::Hello hello;
    hello.session = session == 0 ? peer : session;
    hello.resume = resume;
    greet(peer, hello);
  }
  void greet(std::uint64_t peer, const wire::Hello& hello) {
    send(peer, [&](auto& out) { wire::write(out, hello); }, true);
  }
  wire::Hello worker_hello(std::uint64_t peer, std::string name) {
    wire::Hello hello;
    hello.role = wire::Role::worker;
    hello.name = std::move(name);
    hello.session = peer;
    hello.instance = peer;
    hello.task_slots = 2;
    hello.classes = {{"Counter", wire::Mode::serial, {"add", "get"}, {}}};
    hello.tasks = {"resize"};
    return hello;
  }
  void worker(std::uint64_t peer, std::string name) {
    const wire::Hello hello = worker_hello(peer, std::move(name));
    greet(peer, hello);
  }
  void supervisor(std::uint64_t peer) {
    wire::Hello hello;
    hello.role = wire::Role::supervisor;
    hello.name = "boss";
    greet(peer, hello);
  }

  void create(std::uint64_t peer, std::uint64_t seq, std::uint32_t handle,
              const wire::ActorOptions& options, const std::string& class_name = "Counter") {
    wire::Create message;
    message.seq = seq;
    message.handle = handle;
    message.class_name = class_name;
    message.args.bytes = "\x90";
    message.options = options;
    message.methods = {"add", "get"};
    say(peer, message);
  }
  void submit(std::uint64_t peer, std::uint64_t seq, std::uint32_t handle,
              const wire::CallOptions& options = {}, std::string_view args = "\x90") {
    std::string encoded;
    wire::Writer out(encoded);
    if (!options.empty()) wire::write(out, options);
    wire::Submit message;
    message.seq = seq;
    message.handle = handle;
    message.args.bytes = args;
    message.options = encoded;
    say(peer, message);
  }
  /// Opens the actor that session 10 created as seq 1, as its handle 1.
  void open_actor(std::uint64_t peer, std::vector<std::string> methods = {"add"}) {
    wire::Open message;
    message.handle = 1;
    message.kind = wire::TargetKind::actor;
    message.actor = ActorId{SessionId{10}, 1};
    message.methods = std::move(methods);
    say(peer, message);
  }
  void open_task(std::uint64_t peer, std::uint32_t handle) {
    wire::Open message;
    message.handle = handle;
    message.kind = wire::TargetKind::task;
    message.name = "resize";
    say(peer, message);
  }
  /// Answers the START that the worker was sent last.
  std::uint32_t started(std::uint64_t peer, std::uint32_t window = 1) {
    const Told start = last(peer, Type::start);
    say(peer, wire::Started{start.slot, Errc::ok, {}});
    say(peer, wire::Window{start.slot, 0, window});
    return start.slot;
  }
  void done(std::uint64_t peer, std::uint64_t lease, std::string_view value = "\x01",
            Errc status = Errc::ok, bool held = false) {
    wire::Done message;
    message.lease = lease;
    message.status = status;
    message.value.bytes = value;
    message.held = held;
    say(peer, message);
  }
  void fail(std::uint64_t peer, std::uint64_t lease, std::string type, bool held = false) {
    ErrorInfo error;
    error.code = Errc::task_error;
    error.type = std::move(type);
    error.message = "it failed";
    done(peer, lease, wire::encode(error), Errc::task_error, held);
  }
  void taken(std::uint64_t peer, std::uint64_t seq) { say(peer, wire::Taken{{{seq, 1}}}); }

  std::vector<Told> all(std::uint64_t peer, Type type) const {
    std::vector<Told> found;
    const auto mine = told.find(peer);
    if (mine == told.end()) return found;
    for (const Told& message : mine->second) {
      if (message.type == type) found.push_back(message);
    }
    return found;
  }
  std::size_t count(std::uint64_t peer, Type type) const { return all(peer, type).size(); }
  Told last(std::uint64_t peer, Type type) const {
    const std::vector<Told> found = all(peer, type);
    EXPECT_FALSE(found.empty()) << "peer " << peer << " was not told " << int(type);
    return found.empty() ? Told() : found.back();
  }
  /// The seqs of the RUNs that the worker was sent, in order.
  std::vector<std::uint64_t> runs(std::uint64_t peer) const {
    std::vector<std::uint64_t> seqs;
    for (const Told& run : all(peer, Type::run)) seqs.push_back(run.call.seq);
    return seqs;
  }
  Told result(std::uint64_t peer, std::uint64_t seq) const {
    Told found;
    std::size_t n = 0;
    for (const Told& message : all(peer, Type::result)) {
      if (message.seq != seq) continue;
      found = message;
      ++n;
    }
    EXPECT_GT(n, 0u) << "no result for " << seq;
    return found;
  }
  bool has_result(std::uint64_t peer, std::uint64_t seq) const {
    for (const Told& message : all(peer, Type::result)) {
      if (message.seq == seq) return true;
    }
    return false;
  }

  std::unique_ptr<Broker> broker;
  StoreModel store;
  std::map<std::uint64_t, std::vector<Told>> told;
  Instant now{1'000'000, 1'700'000'000'000};
  std::uint64_t commit_no = 0;
  bool auto_commit = true;
  bool auto_read = true;
  std::optional<Witness> ahead;  ///< the last that was met
  std::vector<std::string> log;
  std::vector<StoreRead> reads;  ///< not answered yet
  std::size_t reads_made = 0;

 private:
  void take(const Effects& effects) {
    for (const StoreRead& read : effects.reads) {
      reads.push_back(read);
      ++reads_made;
    }
    if (effects.ahead) ahead = effects.ahead;
    for (const auto& [level, text] : effects.log) log.push_back(text);
    for (const auto& [peer, frames] : effects.frames) {
      for (const wire::Frame& frame : frames) {
        wire::FrameReader in(wire::FrameView{frame.head, frame.parts});
        std::uint64_t version = 0;
        std::uint64_t epoch = 0;
        ASSERT_TRUE(in.header(version, epoch));
        const std::uint64_t believed = effects.ahead ? effects.ahead->epoch : 0;
        ASSERT_EQ(epoch, std::max(believed, options_.epoch));
        while (!in.at_end()) {
          std::uint64_t type = 0;
          std::uint32_t fields = 0;
          ASSERT_TRUE(in.message(type, fields));
          Told message;
          message.type = static_cast<Type>(type);
          ASSERT_TRUE(decode(in, fields, message)) << "message " << type;
          told[static_cast<std::uint64_t>(peer)].push_back(std::move(message));
        }
      }
    }
  }

  template <class Message, class Keep>
  static bool with(wire::FrameReader& in, std::uint32_t fields, Keep keep) {
    Message message;
    if (!read(in, fields, message)) return false;
    keep(message);
    return true;
  }

  static bool decode(wire::FrameReader& in, std::uint32_t fields, Told& t) {
    switch (t.type) {
      case Type::welcome:
        return read(in, fields, t.welcome);
      case Type::opened:
        return read(in, fields, t.opened);
      case Type::accepted:
        return read(in, fields, t.accepted);
      case Type::goodbye:
        return with<wire::Goodbye>(in, fields, [&](auto& m) {
          t.code = m.code;
          t.text = m.text;
        });
      case Type::refused:
        return with<wire::Refused>(in, fields, [&](auto& m) {
          t.seq = m.seq;
          t.code = m.code;
          t.text = std::string(m.text);
          t.retry_after_ms = m.retry_after_ms;
          t.room = m.room;
        });
      case Type::result:
        return with<wire::CallResult>(in, fields, [&](auto& m) {
          t.seq = m.seq;
          t.code = m.status;
          t.text = std::string(m.value.bytes);
        });
      case Type::cancel_answer:
        return with<wire::CancelAnswered>(in, fields, [&](auto& m) {
          t.call = m.call;
          t.cancel = m.answer;
        });
      case Type::run:
        return with<wire::Run>(in, fields, [&](auto& m) {
          t.lease = m.lease;
          t.slot = m.slot;
          t.method = m.method;
          t.call = m.call;
          t.attempt = m.attempt;
          t.args = std::string(m.args.bytes);
          t.options = std::string(m.options);
        });
      case Type::start: {
        wire::Start m;
        std::string problem;
        if (!read(in, fields, m, problem)) return false;
        t.slot = m.slot;
        t.actor = m.actor;
        t.incarnation = m.incarnation;
        t.text = std::string(m.name);
        return true;
      }
      case Type::stop:
        return with<wire::Stop>(in, fields, [&](auto& m) {
          t.slot = m.slot;
          t.flag = m.now;
        });
      case Type::revoke:
        return with<wire::Revoke>(in, fields, [&](auto& m) {
          t.lease = m.lease;
          t.flag = m.running_too;
        });
      case Type::go_on:
        return with<wire::GoOn>(in, fields, [&](auto& m) {
          t.slot = m.slot;
          t.flag = m.hand_back;
        });
      case Type::forget:
        return with<wire::Forget>(in, fields, [&](auto& m) { t.ranges = m.leases; });
      case Type::parked:
        return with<wire::Parked>(in, fields, [&](auto& m) { t.seq = m.seq; });
      case Type::room:
        return with<wire::Room>(in, fields, [&](auto& m) { t.number = m.calls; });
      case Type::admin_answer:
        return with<wire::AdminAnswer>(in, fields, [&](auto& m) {
          t.code = m.code;
          t.text = std::string(m.info);
        });
      default:
        return in.skip_fields(fields);
    }
  }

  BrokerOptions options_;
};

/// A world with client 10, worker 20 and a serial actor under handle 1 (created as seq 1).
class OneActor : public BrokerWorld {
 public:
  explicit OneActor(wire::ActorOptions options = {}, std::uint32_t window = 1,
                    bool journal = false)
      : BrokerWorld(BrokerOptions(), journal) {
    worker(20, "w0");
    client(10);
    options.max_concurrency = std::max(options.max_concurrency, 1u);
    create(10, 1, 1, options);
    slot = started(20, window);
  }
  std::uint32_t slot = 0;
};

}  // namespace callboard::broker
