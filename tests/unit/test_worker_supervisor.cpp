// The parts of the supervisor that need no broker: what it tells its children, what it keeps of
// their last words, and what it tells the broker of their deaths.

#include "worker/child_params.hpp"
#include "worker/reports.hpp"
#include "worker/spawn.hpp"
#include "worker/supervisor.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>

namespace callboard::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// --- params ------------------------------------------------------------------------------------

TEST(WorkerParams, AChildIsToldWhatItsSupervisorWrote) {
  ChildParams said;
  said.options.brokers = {"tcp://a:1", "ipc:///b"};
  said.options.name = "worker";
  said.options.load = {"./libapp.so"};
  said.options.loop_warn_ms = 70;
  said.options.drain_timeout_ms = 90;
  said.options.log_level = "debug";
  said.name = "worker-3";
  said.instance = UINT64_MAX;
  said.cores = {1, 4};
  said.task_slots = 5;
  said.flight_fd = 11;
  said.ready_fd = 12;
  said.parent = 99;
  ::setenv(kChildVariable, std::to_string(write_params(said)).c_str(), 1);
  const std::optional<ChildParams> heard = take_params();
  ASSERT_TRUE(heard);
  EXPECT_THAT(heard->options.brokers, ElementsAre("tcp://a:1", "ipc:///b"));
  EXPECT_EQ(heard->options.name, "worker");
  EXPECT_THAT(heard->options.load, ElementsAre("./libapp.so"));
  EXPECT_EQ(heard->options.loop_warn_ms, 70);
  EXPECT_EQ(heard->options.drain_timeout_ms, 90);
  EXPECT_EQ(heard->options.log_level, "debug");
  EXPECT_EQ(heard->name, "worker-3");
  EXPECT_EQ(heard->instance, UINT64_MAX);
  EXPECT_THAT(heard->cores, ElementsAre(1u, 4u));
  EXPECT_EQ(heard->task_slots, 5u);
  EXPECT_EQ(heard->flight_fd, 11);
  EXPECT_EQ(heard->ready_fd, 12);
  EXPECT_EQ(heard->parent, 99u);
  EXPECT_EQ(std::getenv(kChildVariable), nullptr) << "what it starts is no child";
}

TEST(WorkerParams, WithoutTheVariableAProcessIsNoChild) {
  ::unsetenv(kChildVariable);
  EXPECT_FALSE(take_params());
}

TEST(WorkerParams, AVariableThatSomebodyElseSetIsAnError) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  ::setenv(kChildVariable, std::to_string(ends[0]).c_str(), 1);
  EXPECT_THROW(take_params(), std::runtime_error);
  ::close(ends[1]);
}

// --- restarts ----------------------------------------------------------------------------------

TEST(WorkerRestart, TheFirstIsAtOnceAndThePausesDoubleUpToABound) {
  EXPECT_EQ(restart_pause_ms(0), 0);
  EXPECT_EQ(restart_pause_ms(1), 0);
  EXPECT_EQ(restart_pause_ms(2), 100);
  EXPECT_EQ(restart_pause_ms(3), 200);
  EXPECT_EQ(restart_pause_ms(5), 800);
  EXPECT_EQ(restart_pause_ms(50), 10'000);
  EXPECT_EQ(restart_pause_ms(2'000'000'000), 10'000);
}

// --- stderr ------------------------------------------------------------------------------------

class StderrTailTest : public ::testing::Test {
 protected:
  StderrTailTest() {
    EXPECT_EQ(::pipe2(pipe_.data(), O_NONBLOCK), 0);
    EXPECT_EQ(::pipe2(ours_.data(), O_NONBLOCK), 0);
    saved_ = ::dup(STDERR_FILENO);
    ::dup2(ours_[1], STDERR_FILENO);
  }
  ~StderrTailTest() override {
    ::dup2(saved_, STDERR_FILENO);
    for (const int fd : {pipe_[0], pipe_[1], ours_[0], ours_[1], saved_}) {
      if (fd >= 0) ::close(fd);
    }
  }
  void say(const std::string& text) {
    ASSERT_EQ(::write(pipe_[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  bool read() { return tail_.read_from(pipe_[0]); }
  std::string passed_on() {
    std::string text(65'536, '\0');
    const ssize_t n = ::read(ours_[0], text.data(), text.size());
    text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
    return text;
  }

  std::array<int, 2> pipe_{};
  std::array<int, 2> ours_{};
  int saved_ = -1;
  StderrTail tail_;
};

TEST_F(StderrTailTest, WholeLinesArePassedOn) {
  say("one\ntw");
  EXPECT_TRUE(read());
  EXPECT_EQ(passed_on(), "one\n");
  say("o\n");
  EXPECT_TRUE(read());
  EXPECT_EQ(passed_on(), "two\n");
}

TEST_F(StderrTailTest, LastWordsWithoutALineEndAreKeptAndPassedOn) {
  say("terminate called\nwhat():  no");
  read();
  passed_on();
  EXPECT_EQ(tail_.finish(), "terminate called\nwhat():  no");
  EXPECT_EQ(passed_on(), "what():  no\n");
}

TEST_F(StderrTailTest, OnlyTheEndIsKept) {
  for (int i = 0; i < 3; ++i) {
    say(std::string(4000, static_cast<char>('a' + i)) + "\n");
    read();
    passed_on();
  }
  const std::string tail = tail_.finish();
  EXPECT_THAT(tail, SizeIs(limits::kStderrTailBytes));
  EXPECT_TRUE(tail.ends_with("ccc\n"));
}

TEST_F(StderrTailTest, AClosedPipeIsNoticed) {
  ::close(std::exchange(pipe_[1], -1));
  EXPECT_FALSE(read());
}

TEST_F(StderrTailTest, ALineWithoutEndDoesNotGrowForEver) {
  for (int i = 0; i < 10; ++i) {
    say(std::string(8000, 'x'));
    read();
  }
  EXPECT_GT(passed_on().size(), 60'000u);
}

// --- reports -----------------------------------------------------------------------------------

class WorkerReportsTest : public ::testing::Test {
 protected:
  WorkerReportsTest()
      : link_(wire::LinkOptions{}), reports_("worker", link_, [this] { ++heard_; }) {
    std::string name = (std::filesystem::temp_directory_path() / "reports.XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    link_.add(reports_, wire::Side::worker);
    link_.start(now(), out_);
    out_.clear();
  }
  ~WorkerReportsTest() override { std::filesystem::remove_all(directory_); }

  Instant now() const { return {now_ms_ * 1000, now_ms_}; }
  template <class Fill>
  void receive(Fill fill) {
    wire::Frame frame;
    wire::FrameWriter writer(frame, epoch_);
    fill(writer);
    link_.on_frame(now(), {frame.head, frame.parts}, out_);
  }
  void welcome() {
    receive([&](wire::FrameWriter& out) {
      wire::Welcome message;
      message.epoch = epoch_;
      wire::write(out, message);
    });
  }
  void add(std::uint64_t instance) {
    wire::ChildDied report;
    report.worker = "worker-0";
    report.instance = instance;
    reports_.add(std::move(report),
                 FlightFile::create(directory_, {"worker-0", "worker", "", instance}));
  }
  /// Steps the clock; gives the instances that were reported. A ping that left is in ping_.
  std::vector<std::uint64_t> tick(std::int64_t ms) {
    now_ms_ += ms;
    link_.on_tick(now(), out_);
    std::vector<std::uint64_t> reported;
    for (const wire::Frame& frame : out_.frames()) {
      wire::FrameReader in({frame.head, frame.parts});
      std::uint64_t version = 0, epoch = 0, type = 0;
      std::uint32_t fields = 0;
      EXPECT_TRUE(in.header(version, epoch));
      while (!in.at_end() && in.message(type, fields)) {
        wire::ChildDied died;
        if (static_cast<wire::Type>(type) == wire::Type::child_died) {
          EXPECT_TRUE(wire::read(in, fields, died));
          reported.push_back(died.instance);
        } else if (static_cast<wire::Type>(type) == wire::Type::ping) {
          EXPECT_TRUE(wire::read_number(in, fields, ping_));
        } else {
          in.skip_fields(fields);
        }
      }
    }
    out_.clear();
    return reported;
  }
  /// The broker answers the last ping.
  void answer() {
    ASSERT_NE(ping_, 0u);
    receive([&](wire::FrameWriter& out) { wire::write_pong(out, ping_); });
  }
  std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(directory_), {}));
  }

  int heard_ = 0;
  wire::Link link_;
  wire::LinkOut out_;
  Reports reports_;
  std::string directory_;
  std::uint64_t epoch_ = 1;
  std::int64_t now_ms_ = 1000;
  std::uint64_t ping_ = 0;
};

TEST_F(WorkerReportsTest, AReportLeavesAtOnceAndStaysUntilTheBrokerHasAnswered) {
  welcome();
  add(5);
  EXPECT_THAT(tick(1), ElementsAre(5u));
  EXPECT_EQ(reports_.pending(), 1u);
  EXPECT_TRUE(reports_.pending("worker-0"));
  EXPECT_FALSE(reports_.pending("worker-1"));
  EXPECT_THAT(tick(5), IsEmpty()) << "told once";
  answer();  // the ping left with the report: a child is not held back for a heartbeat
  tick(1);
  EXPECT_EQ(reports_.pending(), 0u);
  EXPECT_FALSE(reports_.pending("worker-0"));
  EXPECT_EQ(heard_, 1);
  EXPECT_EQ(files(), 0u);
}

TEST_F(WorkerReportsTest, AnAnswerToAnEarlierPingConfirmsNothing) {
  welcome();
  tick(600);  // the first ping leaves ...
  add(5);
  tick(1);  // ... then the report ...
  answer();
  tick(0);  // ... then the answer to the ping
  EXPECT_EQ(reports_.pending(), 1u);
  EXPECT_EQ(files(), 1u);
  answer();  // to a ping that followed at once
  tick(0);
  EXPECT_EQ(reports_.pending(), 0u);
}

TEST_F(WorkerReportsTest, AReportIsRepeatedAfterEveryWelcomeUntilItIsHeard) {
  add(5);
  EXPECT_THAT(tick(1), IsEmpty()) << "there is no broker yet";
  welcome();
  EXPECT_THAT(tick(1), ElementsAre(5u));
  ++epoch_;
  receive([](wire::FrameWriter& out) { wire::write_who(out); });
  out_.clear();
  welcome();
  EXPECT_THAT(tick(1), ElementsAre(5u));
}

TEST(WorkerChildDied, ASignalAndItsBlameAreToldAndTheCallsWithThem) {
  FlightReport page;
  page.owner = {"worker-0", "worker", "", 5};
  page.pid = 77;
  page.blamed = {SessionId{1}, 2};
  FoundCall& found = page.calls.emplace_back();
  found.call.call = {SessionId{1}, 2};
  found.call.attempt = 3;
  found.call.lease = 9;
  found.ended = true;
  const wire::ChildDied report = child_died(page, SIGSEGV, false, "last words");
  EXPECT_EQ(report.worker, "worker-0");
  EXPECT_EQ(report.instance, 5u);
  EXPECT_EQ(report.pid, 77u);
  EXPECT_EQ(report.signal, SIGSEGV);
  EXPECT_EQ(report.stderr_tail, "last words");
  EXPECT_EQ(report.blamed, (CallId{SessionId{1}, 2}));
  ASSERT_THAT(report.begun, SizeIs(1));
  EXPECT_EQ(report.begun[0].attempt, 3u);
  EXPECT_EQ(report.begun[0].lease, 9u);
  EXPECT_TRUE(report.begun[0].ended);
}

TEST(WorkerChildDied, AKillOfOursIsNobodysFault) {
  FlightReport page;
  page.calls.emplace_back();
  const wire::ChildDied report = child_died(page, SIGKILL, true, {});
  EXPECT_EQ(report.signal, 0);
  EXPECT_EQ(report.exit_status, 137);
  EXPECT_FALSE(report.blamed);
}

}  // namespace
}  // namespace callboard::worker
