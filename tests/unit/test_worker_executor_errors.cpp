// What executors of every mode have in common: errors, refusals, deadlines, bad input.

#include "common/clock.hpp"
#include "tests/unit/worker_executor_fixture.hpp"

#include <callboard/context.hpp>

#include <exception>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace callboard::worker {

namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

namespace app {
struct OutOfPaper : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct Strange {};
}  // namespace app

class Printer {
 public:
  int print(int pages) {
    if (pages > 100) throw app::OutOfPaper("needs " + std::to_string(pages) + " sheets");
    return pages;
  }
  void strange() { throw app::Strange{}; }
  void number() { throw 42; }
  void nested() {
    try {
      throw std::out_of_range("tray 7");
    } catch (...) {
      std::throw_with_nested(app::OutOfPaper("no tray"));
    }
  }
  void remote() {
    ErrorInfo inner;
    inner.code = Errc::actor_died;
    inner.message = "the spooler is dead";
    inner.place = "Spooler.take on worker-2 (pid 9)";
    inner.causes = "task_error (std::bad_alloc): std::bad_alloc";
    throw_error(std::move(inner));
  }
  void obey() {
    scene->gate.pass();
    if (!this_call().cancel_requested()) return;
    ErrorInfo info;
    info.code = Errc::cancelled;
    throw Cancelled(std::move(info));
  }

 private:
  friend consteval auto describe(Class<Printer> c) {
    return c.name("Printer").method<&Printer::print>("print").method<&Printer::strange>("strange")
        .method<&Printer::number>("number").method<&Printer::nested>("nested")
        .method<&Printer::remote>("remote").method<&Printer::obey>("obey");
  }
};

class EveryExecutorTest : public ExecutorTest, public ::testing::WithParamInterface<wire::Mode> {
 protected:
  Executor& printer() {
    wire::ActorOptions options;
    options.mode = GetParam();
    if (GetParam() == wire::Mode::threaded) options.max_concurrency = 2;
    return actor<Printer>(options);
  }
};

TEST_P(EveryExecutorTest, UserExceptionBecomesTypeMessageAndPlace) {
  Executor& p = printer();
  const std::uint64_t lease = call(p, "print", 500);
  EXPECT_EQ(outcome(lease).fate, Outcome::Fate::ended);
  const ErrorInfo found = error(lease);
  EXPECT_EQ(found.code, Errc::task_error);
  EXPECT_THAT(found.type, HasSubstr("app::OutOfPaper"));
  EXPECT_EQ(found.message, "needs 500 sheets");
  EXPECT_EQ(found.place, "Printer.print on worker-7 (pid 4711)");
  EXPECT_EQ(result<int>(call(p, "print", 5)), 5) << "the actor goes on";
}

TEST_P(EveryExecutorTest, ThingsThatAreNoExceptionsAreCaughtToo) {
  Executor& p = printer();
  EXPECT_THAT(error(call(p, "strange")).type, HasSubstr("app::Strange"));
  EXPECT_EQ(error(call(p, "number")).type, "int");
  EXPECT_THAT(error(call(p, "number")).message, HasSubstr("not a std::exception"));
}

TEST_P(EveryExecutorTest, NestedExceptionsAreTheCauses) {
  Executor& p = printer();
  const ErrorInfo found = error(call(p, "nested"));
  EXPECT_EQ(found.message, "no tray");
  EXPECT_EQ(found.causes, "std::out_of_range: tray 7");
}

TEST_P(EveryExecutorTest, ErrorOfACallMadeInsideKeepsItsChainOfCauses) {
  Executor& p = printer();
  const ErrorInfo found = error(call(p, "remote"));
  EXPECT_EQ(found.code, Errc::task_error);
  EXPECT_EQ(found.type, "callboard::ActorDied");
  EXPECT_THAT(found.causes, StartsWith("actor_died: the spooler is dead, in Spooler.take on "
                                       "worker-2 (pid 9)\ntask_error (std::bad_alloc)"));
}

TEST_P(EveryExecutorTest, ArgumentsThatDoNotFitAreAnErrorThatNamesBothTypes) {
  Executor& p = printer();
  const std::uint64_t lease = call(p, "print", std::string("ten"));
  EXPECT_EQ(outcome(lease).fate, Outcome::Fate::ended) << "it had begun when they were decoded";
  EXPECT_EQ(error(lease).code, Errc::bad_arguments);
  EXPECT_EQ(error(lease).message, "Printer.print, int(int): argument 1: expected int, got str");
}

TEST_P(EveryExecutorTest, UnknownMethodIsRefusedByName) {
  Executor& p = printer();
  const std::uint64_t lease = call(p, "no_such_method", 1);
  EXPECT_EQ(outcome(lease).fate, Outcome::Fate::refused);
  EXPECT_EQ(outcome(lease).status, Errc::unknown_method);
  EXPECT_EQ(error(lease).message, "this worker has no Printer.no_such_method");
  EXPECT_THAT(begun(), IsEmpty());
}

TEST_P(EveryExecutorTest, MethodNumberBeyondTheTableIsRefused) {
  Executor& p = printer();
  Job made = job("print", 1);
  made.method = UINT32_MAX;
  const std::uint64_t lease = submit(p, std::move(made));
  EXPECT_EQ(outcome(lease).status, Errc::unknown_method);
}

TEST_P(EveryExecutorTest, PassedDeadlineMeansThatItNeverBegins) {
  Executor& p = printer();
  Job made = job("print", 1);
  made.deadline_us = steady_us() - 1;
  const std::uint64_t lease = submit(p, std::move(made));
  EXPECT_EQ(outcome(lease).fate, Outcome::Fate::refused);
  EXPECT_EQ(outcome(lease).status, Errc::expired);
  EXPECT_THAT(begun(), IsEmpty());
}

TEST_P(EveryExecutorTest, UnreadableOptionsAreRefused) {
  Executor& p = printer();
  Job made = job("print", 1);
  made.options = "\x81\x7f\x01";
  const std::uint64_t lease = submit(p, std::move(made));
  EXPECT_EQ(outcome(lease).fate, Outcome::Fate::refused);
  EXPECT_EQ(outcome(lease).status, Errc::invalid_option);
  EXPECT_EQ(result<int>(call(p, "print", 2)), 2);
}

TEST_P(EveryExecutorTest, MethodThatStopsBecauseItWasAskedToIsCancelled) {
  Executor& p = printer();
  const std::uint64_t lease = call(p, "obey");
  ASSERT_TRUE(scene_.gate.wait_inside(1));
  EXPECT_EQ(p.revoke(lease, true), Revoked::stopping);
  scene_.gate.open();
  EXPECT_EQ(outcome(lease).status, Errc::cancelled);
}

TEST_P(EveryExecutorTest, OutcomeCarriesWhatTheHostNeedsToAnswer) {
  Executor& p = printer();
  Job made = job("print", 1);
  made.slot = 6;
  made.attempt = 2;
  const std::uint64_t lease = submit(p, std::move(made));
  const Outcome found = outcome(lease);
  EXPECT_EQ(found.call, (CallId{SessionId{9}, lease}));
  EXPECT_EQ(found.slot, 6u);
  EXPECT_EQ(found.attempt, 2u);
  EXPECT_EQ(found.ticket, lease % 1000 + 1);
  EXPECT_GT(found.began_us, 0);
}

TEST_P(EveryExecutorTest, RevokingWhatIsNotHereSaysSo) {
  Executor& p = printer();
  EXPECT_EQ(p.revoke(99, true), Revoked::unknown);
  outcome(call(p, "print", 1));
  EXPECT_EQ(p.revoke(1, true), Revoked::unknown);
}

TEST_P(EveryExecutorTest, JobsSubmittedBeforeTheConstructorEndedAreNotLost) {
  wire::ActorOptions options;
  options.mode = GetParam();
  Executor& p = actor<Printer>(options);
  for (int i = 0; i < 100; ++i) call(p, "print", i);
  stop(p);
  EXPECT_EQ(host_.outcomes.size(), 100u);
  for (std::uint64_t lease = 1; lease <= 100; ++lease) {
    EXPECT_EQ(outcome(lease).fate, Outcome::Fate::ended);
  }
}

TEST_P(EveryExecutorTest, RevokingWhileCallsRunNeverLosesOrDoublesAnOutcome) {
  Executor& p = printer();
  constexpr std::uint64_t kCalls = 20'000;
  std::size_t returned = 0;
  std::set<std::uint64_t> asked;
  for (std::uint64_t sent = 0; sent < kCalls; sent += 20) {
    std::vector<Job> jobs;
    for (int i = 0; i < 20; ++i) jobs.push_back(job("print", i));
    p.submit(jobs);
    for (std::uint64_t lease = sent + 20; lease > sent; lease -= 4) {
      const Revoked answer = p.revoke(lease, lease % 8 == 0);
      if (answer == Revoked::returned) ++returned;
      if (answer == Revoked::stopping) asked.insert(lease);
    }
  }
  ASSERT_TRUE(host_.wait_for_outcomes(kCalls));
  stop(p);
  std::size_t not_begun = 0;
  std::size_t refused = 0;  // asked to stop between its claim and its beginning
  for (const auto& [lease, ended] : host_.outcomes) {
    if (ended.fate == Outcome::Fate::returned) ++not_begun;
    if (ended.fate != Outcome::Fate::refused) continue;
    ++refused;
    EXPECT_TRUE(asked.contains(lease)) << "another call's request to stop";
  }
  EXPECT_EQ(not_begun, returned);
  EXPECT_EQ(host_.begun.size(), kCalls - returned - refused);
}

TEST_P(EveryExecutorTest, StopNowAmidALoadGivesEveryCallItsOutcome) {
  Executor& p = printer();
  constexpr std::uint64_t kCalls = 5'000;
  std::vector<Job> jobs;
  for (std::uint64_t i = 0; i < kCalls; ++i) jobs.push_back(job("print", 1));
  p.submit(jobs);
  ASSERT_TRUE(host_.wait_for_begun(10));
  stop(p, true);
  EXPECT_EQ(host_.outcomes.size(), kCalls);
}

INSTANTIATE_TEST_SUITE_P(Modes, EveryExecutorTest,
                         ::testing::Values(wire::Mode::serial, wire::Mode::threaded,
                                           wire::Mode::async, wire::Mode::batched),
                         [](const ::testing::TestParamInfo<wire::Mode>& mode) -> std::string {
                           switch (mode.param) {
                             case wire::Mode::threaded: return "Threaded";
                             case wire::Mode::async: return "Async";
                             case wire::Mode::batched: return "Batched";
                             default: return "Serial";
                           }
                         });

}  // namespace

}  // namespace callboard::worker
