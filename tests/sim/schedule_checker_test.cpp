// The checker of schedules catches what it is there for, and lets the right history pass.
#include "tests/sim/judged.hpp"

namespace callboard::sim {
namespace {

class JudgedSchedule : public Judged {
 protected:
  JudgedSchedule() { judge(make_schedule_checker(true)); }
  TickSpec& schedule(std::int32_t max_retries, bool every = false) {
    return specs_.ticks["nightly"] = {every, max_retries};
  }
  void tick(std::uint64_t due_ms, std::uint64_t call, std::uint32_t attempt = 1) {
    Record record;
    record.what = What::ticked;
    record.text = "nightly";
    record.value = due_ms;
    record.call = CallId{SessionId{1}, call};
    record.attempt = attempt;
    add(record);
  }
};

TEST_F(JudgedSchedule, OneCallForEachTimePasses) {
  schedule(-1, true);
  for (std::uint64_t i = 1; i <= 5; ++i) tick(1000 * i, i);
  tick(5000, 5, 2);
  finish();
  EXPECT_FALSE(caught());
}

TEST_F(JudgedSchedule, CatchesASecondCallForATime) {
  schedule(-1);
  tick(1000, 1);
  tick(1000, 2);
  EXPECT_TRUE(caught());
}

TEST_F(JudgedSchedule, CatchesACallThatBeginsMoreOftenThanItMay) {
  schedule(1);
  tick(1000, 1);
  tick(1000, 1, 2);
  EXPECT_FALSE(caught());
  tick(1000, 1, 3);
  EXPECT_TRUE(caught());
}

TEST_F(JudgedSchedule, CatchesAnAttemptThatBeginsTwice) {
  schedule(-1);
  tick(1000, 1);
  tick(1000, 1);
  EXPECT_TRUE(caught());
}

TEST_F(JudgedSchedule, CatchesATimeThatIsLeftOut) {
  schedule(-1, true);
  tick(1000, 1);
  tick(3000, 3);
  finish();
  EXPECT_TRUE(caught());
}

TEST_F(JudgedSchedule, CatchesASecondThatIsNone) {
  schedule(-1);
  tick(1500, 1);
  EXPECT_TRUE(caught());
}

TEST_F(JudgedSchedule, CatchesACallOfAScheduleThatNobodyMade) {
  tick(1000, 1);
  EXPECT_TRUE(caught());
}

}  // namespace
}  // namespace callboard::sim
