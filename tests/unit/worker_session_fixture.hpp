// A worker session with executors that do what the test says, and a broker that is the test.
#pragma once

#include "common/messages.hpp"
#include "worker/core/session.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace callboard::worker::testing {

/// Keeps jobs in lines until the test begins and ends them.
class FakeExecutors final : public Executors {
 public:
  struct Line {
    std::deque<Job> queued;
    std::deque<Job> running;
    std::vector<std::string> methods;
    int go_on = 0;
    int hand_back = 0;
    int stops = 0;
    bool stopped_now = false;
  };
  std::map<std::uint32_t, Line> lines;
  std::vector<std::uint32_t> released;
  std::vector<Outcome> outcomes;  ///< what waits to be handed to the session
  std::int64_t lease_until_us = 0;
  std::uint32_t next_ticket = 1;

  void start(const wire::Start& start) override { lines[start.slot]; }
  void add_methods(std::uint32_t slot, std::span<const std::string> names) override {
    auto& methods = lines[slot].methods;
    methods.insert(methods.end(), names.begin(), names.end());
  }
  void submit(std::span<Job> jobs) override {
    for (Job& job : jobs) {
      std::deque<Job>& queued = lines[job.slot].queued;
      queued.emplace_back();
      std::swap(queued.back(), job);
    }
  }
  Revoked revoke(std::uint32_t slot, std::uint64_t lease, bool running_too) override {
    Line& line = lines[slot];
    const auto is_it = [&](const Job& job) { return job.lease == lease; };
    const auto queued = std::find_if(line.queued.begin(), line.queued.end(), is_it);
    if (queued != line.queued.end()) {
      outcomes.emplace_back(*queued, Outcome::Fate::returned);
      line.queued.erase(queued);
      return Revoked::returned;
    }
    const bool running = std::any_of(line.running.begin(), line.running.end(), is_it);
    if (!running) return Revoked::unknown;
    return running_too ? Revoked::stopping : Revoked::running;
  }
  void go_on(std::uint32_t slot, bool hand_back) override {
    Line& line = lines[slot];
    ++line.go_on;
    if (!hand_back) return;
    ++line.hand_back;
    for (const Job& job : line.queued) outcomes.emplace_back(job, Outcome::Fate::returned);
    line.queued.clear();
  }
  void stop(std::uint32_t slot, bool now) override {
    ++lines[slot].stops;
    lines[slot].stopped_now = now;
  }
  void release(std::span<const std::uint32_t> tickets) override {
    released.insert(released.end(), tickets.begin(), tickets.end());
  }
  void set_lease(std::int64_t until_us) override { lease_until_us = until_us; }

  /// Begins the next job of a slot.
  Job& begin(std::uint32_t slot) {
    Line& line = lines[slot];
    line.running.push_back(std::move(line.queued.front()));
    line.queued.pop_front();
    line.running.back().ticket = next_ticket++;
    return line.running.back();
  }
  /// Ends the job that has been running for the longest.
  void end(std::uint32_t slot, std::string value, Errc status = Errc::ok, bool held = false) {
    Line& line = lines[slot];
    Outcome outcome(line.running.front(), Outcome::Fate::ended);
    outcome.value = Payload(std::move(value));
    outcome.status = status;
    outcome.held = held;
    outcomes.push_back(std::move(outcome));
    line.running.pop_front();
  }
};

/// What the session told the broker in one turn.
struct Told {
  std::vector<wire::Done> dones;
  std::vector<std::string> values;  ///< of the dones
  std::vector<std::uint64_t> returned;
  std::vector<Errc> whys;  ///< of the returned
  std::vector<wire::Window> windows;
  std::vector<std::pair<std::uint32_t, Errc>> started;
  std::vector<std::uint32_t> stopped;
  std::vector<wire::RevokeAnswer> answers;
  std::vector<std::string> statuses;
  std::vector<wire::Type> order;

  /// The last window told for a slot's default group, or -1.
  std::int64_t window(std::uint32_t slot, std::uint32_t group = 0) const {
    std::int64_t calls = -1;
    for (const auto& w : windows) {
      if (w.slot == slot && w.group == group) calls = w.calls;
    }
    return calls;
  }
};

class WorkerSessionTest : public ::testing::Test {
 protected:
  WorkerSessionTest() : link_(wire::LinkOptions{}) {}

  WorkerSession& session() {
    if (!session_) session_ = std::make_unique<WorkerSession>(offer_, executors_, link_);
    return *session_;
  }

  Instant now() const { return {now_us_, now_us_ / 1000}; }
  void pass_ms(std::int64_t ms) { now_us_ += ms * 1000; }

  wire::Hello hello() {
    wire::Hello message;
    session().fill_hello(message);
    std::sort(message.held_calls.begin(), message.held_calls.end(),
              [](const auto& a, const auto& b) { return a.lease < b.lease; });
    return message;
  }
  Told welcome(bool new_epoch = false) {
    wire::Welcome message;
    message.lease_ms = 2000;
    session().on_welcome(now(), message, new_epoch, out_);
    return turn();
  }
  /// Says hello and is welcomed for the first time.
  Told connect() {
    hello();
    return welcome(true);
  }

  /// One message from the broker, written by `fill(FrameWriter&)`. False when it is refused.
  template <class Message>
  bool receive(const Message& message) {
    wire::Frame frame;
    wire::FrameWriter writer(frame, 1);
    wire::write(writer, message);
    return receive_frame(frame);
  }
  bool receive_frame(const wire::Frame& frame) {
    wire::FrameReader in({frame.head, frame.parts});
    std::uint64_t version = 0;
    std::uint64_t epoch = 0;
    EXPECT_TRUE(in.header(version, epoch));
    while (!in.at_end()) {
      std::uint64_t type = 0;
      std::uint32_t fields = 0;
      if (!in.message(type, fields)) return false;
      if (!session().on_message(now(), type, fields, in, out_)) return false;
    }
    return in.ok();
  }

  /// Hands over what the executors reported, ends the turn, and reads what was told.
  Told turn(bool ready = true) {
    session().outcomes(executors_.outcomes);
    executors_.outcomes.clear();
    session().on_tick(now(), ready, out_);
    Told told;
    for (const wire::Frame& frame : out_.frames()) read(frame, told);
    out_.clear();
    return told;
  }

  static void read(const wire::Frame& frame, Told& told) {
    wire::FrameReader in({frame.head, frame.parts});
    std::uint64_t version = 0;
    std::uint64_t epoch = 0;
    ASSERT_TRUE(in.header(version, epoch));
    while (!in.at_end()) {
      std::uint64_t number = 0;
      std::uint32_t fields = 0;
      ASSERT_TRUE(in.message(number, fields));
      const auto type = static_cast<wire::Type>(number);
      told.order.push_back(type);
      ASSERT_TRUE(read_one(type, fields, in, told)) << "type " << number;
    }
  }

  wire::Start start_message(std::uint32_t slot, std::uint64_t actor = 7) {
    wire::Start start;
    start.slot = slot;
    start.actor = {SessionId{5}, actor};
    start.incarnation = 3;
    start.class_name = "Counter";
    start.name = "hits";
    return start;
  }
  /// An actor in `slot` that runs `limit` calls at once, with the methods "a" and "b".
  Told start_actor(std::uint32_t slot, std::uint32_t limit = 1, bool replica = false) {
    wire::Start start = start_message(slot, slot);
    if (replica) start.options.replicas = 2;
    EXPECT_TRUE(receive(start));
    EXPECT_TRUE(receive(wire::MethodTable{slot, {"a", "b"}}));
    session().started(slot, good(), {&limit, 1});
    return turn();
  }
  static ErrorInfo good() {
    ErrorInfo info;
    info.code = Errc::ok;
    return info;
  }
  static ErrorInfo failure(Errc code, std::string message) {
    ErrorInfo info;
    info.code = code;
    info.message = std::move(message);
    return info;
  }

  wire::Run run_message(std::uint64_t lease, std::uint32_t slot) {
    wire::Run run;
    run.lease = lease;
    run.slot = slot;
    run.call = {SessionId{9}, lease + 100};
    run.attempt = 1;
    run.args.bytes = "\x90";
    return run;
  }
  bool run(std::uint64_t lease, std::uint32_t slot) { return receive(run_message(lease, slot)); }
  bool forget(std::uint64_t first, std::uint64_t count = 1) {
    return receive(wire::Forget{{{first, count}}});
  }

  WorkerOffer offer_{.name = "worker-0",
                     .supervisor = "worker",
                     .host = "here",
                     .pid = 12,
                     .instance = 99,
                     .task_slots = 2,
                     .classes = {},
                     .tasks = {"resize", "rotate"}};
  FakeExecutors executors_;
  wire::Link link_;
  wire::LinkOut out_;
  std::int64_t now_us_ = 1'000'000;

 private:
  static bool read_one(wire::Type type, std::uint32_t fields, wire::FrameReader& in, Told& told) {
    switch (type) {
      case wire::Type::done: {
        wire::Done done;
        if (!wire::read(in, fields, done)) return false;
        told.values.emplace_back(done.value.bytes);
        done.value.bytes = {};  // borrowed from the frame
        told.dones.push_back(done);
        return true;
      }
      case wire::Type::returned: {
        wire::Returned returned;
        if (!wire::read(in, fields, returned)) return false;
        told.returned.push_back(returned.lease);
        told.whys.push_back(returned.why);
        return true;
      }
      case wire::Type::window: return wire::read(in, fields, told.windows.emplace_back());
      case wire::Type::started: {
        wire::Started started;
        if (!wire::read(in, fields, started)) return false;
        told.started.emplace_back(started.slot, started.code);
        return true;
      }
      case wire::Type::stopped: {
        wire::Stopped stopped;
        if (!wire::read(in, fields, stopped)) return false;
        told.stopped.push_back(stopped.slot);
        return true;
      }
      case wire::Type::revoke_answer: return wire::read(in, fields, told.answers.emplace_back());
      case wire::Type::status: {
        wire::Status status;
        if (!wire::read(in, fields, status)) return false;
        told.statuses.emplace_back(status.info);
        return true;
      }
      default: return false;
    }
  }

  std::unique_ptr<WorkerSession> session_;
};

}  // namespace callboard::worker::testing
