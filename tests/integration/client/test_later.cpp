// The C++ client and calls for later: at a time, and again and again.

#include "app.hpp"
#include "system.hpp"

#include <callboard/error.hpp>

#include <signal.h>

#include <chrono>
#include <optional>
#include <string>
#include <thread>

namespace client_app {
namespace {

using namespace std::chrono_literals;
using callboard::Errc;
using std::chrono::system_clock;

template <class Action>
Errc code_of(Action action) {
  try {
    action();
    return Errc::ok;
  } catch (const callboard::Error& error) {
    return error.code();
  }
}

class ClientLater : public WithSystem {
 protected:
  static int count(const callboard::Actor<Counter>& hits) {
    return hits.call<&Counter::get>().get(kPatience);
  }
};

TEST_F(ClientLater, CallForATimeBeginsThenAndHoldsUpNobody) {
  const auto hits = client_.actor<Counter>({}, 0);
  EXPECT_EQ(count(hits), 0);
  const auto at = system_clock::now() + 700ms;
  const auto later = hits.with({.at = at}).call<&Counter::add>(10);
  EXPECT_EQ(hits.call<&Counter::add>(1).get(kPatience), 1) << "it has not begun";
  EXPECT_EQ(later.get(kPatience), 11);
  EXPECT_GE(system_clock::now(), at);
}

TEST_F(ClientLater, TimeThatHasPassedIsNow) {
  const auto hits = client_.actor<Counter>({}, 0);
  const auto at = system_clock::now() - std::chrono::hours(24 * 365 * 100);
  EXPECT_EQ(hits.with({.at = at}).call<&Counter::add>(1).get(kPatience), 1);
}

TEST_F(ClientLater, TaskForATimeThatIsCancelledNeverRuns) {
  const auto later = client_.call({.at = system_clock::now() + 1h}, twice_task, 2);
  EXPECT_EQ(later.cancel(), callboard::CancelAnswer::cancelled_before_start);
  EXPECT_THROW(later.get(kPatience), callboard::Cancelled);
}

TEST_F(ClientLater, DelayAndTimeTogetherAreRefused) {
  const auto hits = client_.actor<Counter>({}, 0);
  EXPECT_EQ(code_of([&] {
              hits.with({.delay = 1s, .at = system_clock::now()}).call<&Counter::add>(1).get();
            }),
            Errc::invalid_option);
}

TEST_F(ClientLater, CallForATimeOutlivesTheBroker) {
  const auto hits = client_.actor<Counter>({}, 0);
  const auto at = system_clock::now() + 1500ms;
  const auto later = hits.with({.at = at}).call<&Counter::add>(1);
  EXPECT_EQ(count(hits), 0);
  ::kill(system_->processes().broker, SIGKILL);
  EXPECT_EQ(later.get(kPatience), 1);
  EXPECT_GE(system_clock::now(), at);
  EXPECT_EQ(count(hits), 1);
}

TEST_F(ClientLater, ScheduleCallsAMethodUntilItIsPausedOrRemoved) {
  const auto hits = client_.actor<Counter>({}, 0);  // found by its id
  hits.schedule<&Counter::add>({.name = "each-second", .cron = "* * * * * *"}, 1);
  EXPECT_TRUE(eventually([&] { return count(hits) >= 2; }));
  client_.pause_schedule("each-second");
  std::this_thread::sleep_for(100ms);  // what was made before may be on its way
  const int paused = count(hits);
  std::this_thread::sleep_for(1200ms);
  EXPECT_EQ(count(hits), paused);
  client_.resume_schedule("each-second");
  EXPECT_TRUE(eventually([&] { return count(hits) > paused; }));
  client_.remove_schedule("each-second");
  std::this_thread::sleep_for(100ms);
  const int removed = count(hits);
  std::this_thread::sleep_for(1200ms);
  EXPECT_EQ(count(hits), removed);
  EXPECT_EQ(code_of([&] { client_.remove_schedule("each-second"); }), Errc::unknown_actor);
}

TEST_F(ClientLater, TheSameScheduleAgainIsNoErrorAndAnotherReplacesItWhenAsked) {
  const auto hits = client_.actor<Counter>({.name = "scheduled-hits"}, 0);
  callboard::ScheduleOptions schedule{.name = "yearly", .cron = "@yearly"};
  const auto make = [&] { hits.schedule<&Counter::add>(schedule, 1); };
  EXPECT_EQ(code_of(make), Errc::ok);
  EXPECT_EQ(code_of(make), Errc::ok);
  schedule.zone = "Europe/Berlin";
  EXPECT_EQ(code_of(make), Errc::name_taken);
  schedule.replace = true;
  EXPECT_EQ(code_of(make), Errc::ok);
  client_.remove_schedule("yearly");
  hits.kill().get(kPatience);
}

TEST_F(ClientLater, ScheduleOfATaskCarriesTheOptionsOfItsCalls) {
  callboard::ScheduleOptions schedule{.name = "sums", .cron = "* * * * * *"};
  schedule.call.deadline = 10s;
  schedule.call.max_retries = 1;
  schedule.call.headers = {{"colour", "blue"}};
  client_.schedule(schedule, sum_task, 20, 22);
  // What the broker knows of it, as MessagePack: "made" comes right before its number.
  const auto made = [&] {
    const callboard::Encoded asked{"\x81\xa8schedule\xa4sums"};
    const std::string info = client_.admin("schedule.inspect", asked).get(kPatience).bytes;
    const auto at = info.find("\xa4" "made");
    return at == std::string::npos ? -1 : static_cast<int>(info[at + 5]);
  };
  EXPECT_TRUE(eventually([&] { return made() >= 1; }));
  client_.remove_schedule("sums");
}

TEST_F(ClientLater, ScheduleThatMakesNoSenseIsRefusedWithItsReason) {
  const auto hits = client_.actor<Counter>({}, 0);
  const auto make = [&](const callboard::ScheduleOptions& schedule) {
    return code_of([&] { hits.schedule<&Counter::add>(schedule, 1); });
  };
  EXPECT_EQ(make({.name = "s", .cron = "61 * * * *"}), Errc::invalid_option);
  EXPECT_EQ(make({.name = "s", .cron = "@daily", .zone = "Mars/Olympus"}), Errc::invalid_option);
  EXPECT_EQ(make({.name = "a b", .cron = "@daily"}), Errc::invalid_option);
  EXPECT_EQ(make({.name = "s", .cron = "@daily", .call = {.delay = 1s}}), Errc::invalid_option);
  EXPECT_EQ(make({.name = "s", .cron = "@daily", .call = {.idempotency_key = "k"}}),
            Errc::invalid_option);
}

}  // namespace
}  // namespace client_app
