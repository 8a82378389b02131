// A client session on its link, with a test in the place of the network and the broker.
//
// Time stands still unless the test moves it. What the session writes is decoded into `sent`; what
// it tells its user is kept in the sink's lists.
#pragma once

#include "client/core/session.hpp"
#include "common/link.hpp"
#include "common/messages.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace callboard::client {

using wire::Type;

/// One message that the client wrote. Which fields are set depends on the type.
struct Sent {
  Type type{};
  std::uint64_t seq = 0;
  std::uint32_t handle = 0;
  std::uint64_t seen = 0;  ///< resume
  std::uint32_t method = 0;
  std::string args;
  wire::CallOptions options;
  wire::Hello hello;
  wire::Open open;
  wire::ActorOptions actor;
  std::string class_name;
  wire::Ranges ranges;
  CallId call;
  CallId other;
  bool flag = false;
  std::uint64_t request = 0;
  std::string verb;
  std::vector<std::string> names;
};

/// What the session told its user.
struct Told final : SessionSink {
  struct Answer {
    Token token = 0;
    Errc status = Errc::ok;
    std::string bytes;
  };
  std::vector<Answer> answers;
  std::vector<Answer> refusals;
  std::vector<std::uint32_t> refused_handles;
  std::map<Token, CallId> ids;
  std::vector<std::pair<std::uint32_t, wire::Opened>> opened;
  std::vector<std::pair<std::uint32_t, bool>> parked;
  std::vector<std::pair<std::uint32_t, FullTold>> full;
  std::vector<std::uint32_t> not_full;
  std::vector<std::pair<std::uint32_t, QueueProgress>> progress;
  std::vector<std::pair<Token, wire::CancelAnswer>> cancels;
  std::vector<Answer> requests;
  std::uint64_t settled = 0;
  bool connected = false;

  void on_numbered(Token token, CallId id) override { ids[token] = id; }
  void on_answer(Token token, Errc status, const wire::Body& value) override {
    answers.push_back({token, status, std::string(value.bytes)});
  }
  void on_refused(Token token, std::uint32_t handle, Errc status, std::string_view error) override {
    refusals.push_back({token, status, std::string(error)});
    refused_handles.push_back(handle);
  }
  void on_settled(std::uint64_t calls, std::uint64_t) override { settled += calls; }
  void on_opened(std::uint32_t handle, const wire::Opened& message) override {
    opened.emplace_back(handle, message);
  }
  void on_parked(std::uint32_t handle, bool is) override { parked.emplace_back(handle, is); }
  void on_full(std::uint32_t handle, const FullTold& told) override {
    full.emplace_back(handle, told);
  }
  void on_not_full(std::uint32_t handle) override { not_full.push_back(handle); }
  void on_progress(std::uint32_t handle, const QueueProgress& now) override {
    progress.emplace_back(handle, now);
  }
  void on_cancel_answer(Token request, wire::CancelAnswer answer) override {
    cancels.emplace_back(request, answer);
  }
  void on_request_answer(Token request, Errc status, std::string_view info) override {
    requests.push_back({request, status, std::string(info)});
  }
  void on_connected(bool is) override { connected = is; }

  /// The status of a call's only answer; internal when it has none or several.
  Errc status_of(Token token) const {
    int found = 0;
    Errc status = Errc::internal;
    for (const auto* list : {&answers, &refusals}) {
      for (const Answer& answer : *list) {
        if (answer.token != token) continue;
        ++found;
        status = answer.status;
      }
    }
    return found == 1 ? status : Errc::internal;
  }
  bool answered(Token token) const {
    for (const auto* list : {&answers, &refusals}) {
      for (const Answer& answer : *list) {
        if (answer.token == token) return true;
      }
    }
    return false;
  }
};

/// A future's value as the session sees it.
struct TestDependency final : Dependency {
  State now = State::pending;
  CallId call;
  std::string value;

  State state() const override { return now; }
  CallId id() const override { return call; }
  std::string_view bytes() const override { return value; }
};

class ClientWorld : public ::testing::Test {
 protected:
  static constexpr std::uint64_t kSession = 77;

  ClientWorld() { make({}); }

  void make(SessionOptions options, std::size_t endpoints = 2) {
    options.id = SessionId{kSession};
    options.name = "test";
    told_ = Told();
    link_ = std::make_unique<wire::Link>(wire::LinkOptions{.endpoints = endpoints});
    session_ = std::make_unique<Session>(std::move(options), told_);
    link_->add(*session_, wire::Side::client);
    out_.clear();
    link_->start(now_, out_);
    collect();
  }
  ClientWorld(const ClientWorld&) = delete;
  ClientWorld& operator=(const ClientWorld&) = delete;

  // --- the broker's side ------------------------------------------------------------------------
  template <class Write>
  void receive(Write write) {
    wire::Frame frame;
    wire::FrameWriter writer(frame, epoch_);
    write(writer);
    link_->on_frame(now_, {frame.head, frame.parts}, out_);
    tick();
  }
  template <class Message>
  void receive_message(const Message& message) {
    receive([&](wire::FrameWriter& out) { write(out, message); });
  }
  void welcome(std::uint64_t accepted_through = 0, std::vector<std::uint64_t> refused = {},
               bool provisional = false) {
    wire::Welcome message;
    message.provisional = provisional;
    message.epoch = epoch_;
    message.accepted_through = accepted_through;
    message.refused = std::move(refused);
    receive_message(message);
  }
  /// The broker asks who we are, and welcomes us again; `next_epoch`: another run of it.
  void reconnect(std::uint64_t accepted_through, std::vector<std::uint64_t> refused = {},
                 bool next_epoch = false) {
    if (next_epoch) ++epoch_;
    receive([](wire::FrameWriter& out) { wire::write_who(out); });
    sent_.clear();
    welcome(accepted_through, std::move(refused));
  }
  /// The broker asks who we are; what is said to that.
  wire::Hello asked_who() {
    sent_.clear();
    receive([](wire::FrameWriter& out) { wire::write_who(out); });
    const auto said = sent_of(wire::Type::hello);
    EXPECT_EQ(said.size(), 1u);
    return said.empty() ? wire::Hello() : said[0].hello;
  }
  void accepted(std::uint64_t through, wire::Ranges again = {}) {
    receive_message(wire::Accepted{through, std::move(again)});
  }
  void refused(std::uint64_t seq, Errc code, std::uint64_t retry_after_ms = 0,
               std::uint64_t room = 0) {
    receive_message(wire::Refused{seq, code, "no", retry_after_ms, room});
  }
  void result(std::uint64_t seq, std::string_view bytes = "\x07") {
    receive_message(wire::CallResult{seq, Errc::ok, {bytes, Blob()}});
  }
  void parked(std::uint32_t handle, std::uint64_t seq) {
    receive_message(wire::Parked{handle, seq});
  }
  void room(std::uint32_t handle, std::uint64_t calls) {
    receive_message(wire::Room{handle, calls});
  }
  void opened(std::uint32_t handle, wire::Durability durability = wire::Durability::durable,
              wire::WhenFull when_full = wire::WhenFull::reject, bool retried = false) {
    wire::Opened message;
    message.handle = handle;
    message.actor = ActorId{SessionId{9}, 1};
    message.queue = "hits";
    message.class_name = "Counter";
    message.durability = durability;
    message.when_full = when_full;
    message.retried = retried;
    receive_message(message);
  }
  void goodbye(Errc code) { receive_message(wire::Goodbye{code, "bye"}); }

  // --- the user's side --------------------------------------------------------------------------
  std::uint32_t open(const std::string& name) {
    return session_->open({wire::TargetKind::name, {}, name}, {"add", "get"});
  }
  /// A handle whose OPENED has come.
  std::uint32_t open_known(const std::string& name,
                           wire::WhenFull when_full = wire::WhenFull::reject) {
    const std::uint32_t handle = open(name);
    tick();
    opened(handle, wire::Durability::durable, when_full);
    return handle;
  }
  /// A call with token `token`; its arguments are the token in text.
  std::uint64_t call(std::uint32_t handle, Token token, std::uint8_t flags = 0,
                     std::unique_ptr<CallExtra> extra = nullptr) {
    std::string bytes;
    wire::Writer out(bytes);
    out.array(1);
    out.str("argument of call " + std::to_string(token));
    NewCall made;
    made.token = token;
    made.handle = handle;
    made.flags = flags;
    made.args = bytes;
    made.extra = std::move(extra);
    const std::uint64_t seq = session_->submit(now_, std::move(made));
    session_->keep(std::move(bytes));
    return seq;
  }
  void tick() {
    link_->on_tick(now_, out_);
    collect();
  }
  void pass(std::int64_t ms) {
    now_.mono_us += ms * 1000;
    now_.wall_ms += ms;
    tick();
  }

  // --- what was written -------------------------------------------------------------------------
  std::vector<std::uint64_t> submitted() const {
    std::vector<std::uint64_t> seqs;
    for (const Sent& message : sent_) {
      if (message.type == Type::submit) seqs.push_back(message.seq);
    }
    return seqs;
  }
  std::vector<Sent> sent_of(Type type) const {
    std::vector<Sent> found;
    for (const Sent& message : sent_) {
      if (message.type == type) found.push_back(message);
    }
    return found;
  }
  std::vector<Type> types() const {
    std::vector<Type> found;
    for (const Sent& message : sent_) {
      if (message.type != Type::ping) found.push_back(message.type);
    }
    return found;
  }

  void collect() {
    if (out_.connect) connects_.push_back(*out_.connect);
    for (const wire::Frame& frame : out_.frames()) {
      wire::FrameReader in({frame.head, frame.parts});
      std::uint64_t version = 0;
      ASSERT_TRUE(in.header(version, sent_epoch_));
      while (!in.at_end()) {
        std::uint64_t type = 0;
        std::uint32_t fields = 0;
        ASSERT_TRUE(in.message(type, fields));
        ASSERT_NO_FATAL_FAILURE(decode(static_cast<Type>(type), fields, in));
      }
    }
    for (const auto& [level, text] : out_.log) log_.push_back(text);
    out_.clear();
  }

  Instant now_{1'000'000, 1'000};
  std::uint64_t epoch_ = 1;
  wire::LinkOut out_;
  Told told_;
  std::unique_ptr<wire::Link> link_;
  std::unique_ptr<Session> session_;
  std::vector<Sent> sent_;
  std::vector<std::size_t> connects_;
  std::vector<std::string> log_;
  std::uint64_t sent_epoch_ = 0;

 private:
  void decode(Type type, std::uint32_t fields, wire::FrameReader& in) {
    Sent message;
    message.type = type;
    bool good = true;
    switch (type) {
      case Type::hello:
        good = read(in, fields, message.hello);
        break;
      case Type::submit:
        good = decode_submit(fields, in, message);
        break;
      case Type::create:
        good = decode_create(fields, in, message);
        break;
      case Type::open:
        good = read(in, fields, message.open);
        message.handle = message.open.handle;
        break;
      case Type::methods: {
        wire::Methods m;
        good = read(in, fields, m);
        message.handle = m.handle;
        message.names = m.names;
        break;
      }
      case Type::close: {
        wire::Close m;
        good = read(in, fields, m);
        message.handle = m.handle;
        break;
      }
      case Type::taken: {
        wire::Taken m;
        good = read(in, fields, m);
        message.ranges = m.seqs;
        break;
      }
      case Type::resume: {
        wire::Resume m;
        good = read(in, fields, m);
        message.handle = m.handle;
        message.seen = m.seen;
        break;
      }
      default:
        good = decode_request(type, fields, in, message);
        break;
    }
    ASSERT_TRUE(good) << "message of type " << static_cast<int>(type);
    sent_.push_back(std::move(message));
  }
  static bool decode_request(Type type, std::uint32_t fields, wire::FrameReader& in,
                             Sent& message) {
    if (type == Type::cancel) {
      wire::Cancel m;
      if (!read(in, fields, m)) return false;
      message.call = m.call;
      message.flag = m.force;
      return true;
    }
    if (type == Type::kill) {
      wire::Kill m;
      if (!read(in, fields, m)) return false;
      message.request = m.request;
      message.handle = m.handle;
      return true;
    }
    if (type == Type::admin) {
      wire::Admin m;
      if (!read(in, fields, m)) return false;
      message.request = m.request;
      message.verb = m.verb;
      return true;
    }
    if (type == Type::waiting) {
      wire::Waiting m;
      if (!read(in, fields, m)) return false;
      message.call = m.self;
      message.other = m.other;
      message.flag = m.begins;
      return true;
    }
    return in.skip_fields(fields);
  }
  static bool decode_submit(std::uint32_t fields, wire::FrameReader& in, Sent& message) {
    wire::Submit m;
    if (!read(in, fields, m)) return false;
    message.seq = m.seq;
    message.handle = m.handle;
    message.method = m.method;
    message.args = m.args.bytes;
    if (m.options.empty()) return true;
    wire::Reader options(m.options);
    std::string problem;
    return read(options, message.options, problem);
  }
  static bool decode_create(std::uint32_t fields, wire::FrameReader& in, Sent& message) {
    wire::Create m;
    std::string problem;
    if (!read(in, fields, m, problem)) return false;
    message.seq = m.seq;
    message.handle = m.handle;
    message.class_name = m.class_name;
    message.args = m.args.bytes;
    message.actor = m.options;
    message.names = m.methods;
    return true;
  }
};

}  // namespace callboard::client
