// Every checker catches a history that breaks its promise, and lets the right one pass.
#include "tests/sim/judged.hpp"

namespace callboard::sim {
namespace {

TEST_F(Judged, AttemptsCheckerCatchesASecondStartAtMostOnce) {
  judge(make_attempts_checker());
  const CallSpec& call = submit(target());
  end(call, begin(call), Errc::task_error);
  EXPECT_FALSE(caught());
  begin(call, 2);
  EXPECT_TRUE(caught());
}

TEST_F(Judged, AttemptsCheckerAllowsTheBudgetAndNoMore) {
  judge(make_attempts_checker());
  CallSpec& call = submit(target());
  call.max_retries = 2;
  for (std::uint32_t attempt = 1; attempt <= 3; ++attempt) begin(call, attempt);
  EXPECT_FALSE(caught());
  begin(call, 4);
  EXPECT_TRUE(caught());
}

TEST_F(Judged, AttemptsCheckerCatchesAStartAfterTheOutcome) {
  judge(make_attempts_checker());
  CallSpec& call = submit(target());
  call.max_retries = 3;
  see(What::resolved, call, Errc::actor_died);
  begin(call);
  EXPECT_TRUE(caught());
}

TEST_F(Judged, AttemptsCheckerCatchesAFireAndForgetCallThatNeverRan) {
  judge(make_attempts_checker());
  CallSpec& call = submit(target());
  call.options.no_result = true;
  see(What::accepted, call);
  finish();
  EXPECT_TRUE(caught());
}

TEST_F(Judged, OrderCheckerCatchesOvertakingOnASerialActor) {
  judge(make_order_checker());
  const TargetSpec& actor = target();
  const CallSpec& first = submit(actor);
  const CallSpec& second = submit(actor);
  begin(second);
  EXPECT_FALSE(caught());  // the first may have been refused
  begin(first);
  EXPECT_TRUE(caught());
}

TEST_F(Judged, OrderCheckerCatchesACallSentAheadThatStartsBeforeARetry) {
  judge(make_order_checker());
  const TargetSpec& actor = target();
  CallSpec& first = submit(actor);
  first.max_retries = 3;
  const CallSpec& second = submit(actor);
  end(first, begin(first), Errc::task_error);
  begin(second);
  begin(first, 2);
  EXPECT_TRUE(caught());
}

TEST_F(Judged, OrderCheckerLetsKeysAndGroupsPassEachOther) {
  judge(make_order_checker());
  TargetSpec& actor = target();
  actor.options.ordering = wire::Ordering::key;
  CallSpec& a = submit(actor);
  CallSpec& b = submit(actor);
  a.options.key = "a";
  b.options.key = "b";
  begin(b);
  begin(a);
  EXPECT_FALSE(caught());
}

TEST_F(Judged, ConcurrencyCheckerCatchesTwoAtOnce) {
  judge(make_concurrency_checker());
  const TargetSpec& actor = target();
  const CallSpec& first = submit(actor);
  const CallSpec& second = submit(actor);
  const std::uint64_t execution = begin(first);
  end(first, execution);
  begin(second);
  EXPECT_FALSE(caught());
  begin(submit(actor));
  EXPECT_TRUE(caught());
}

TEST_F(Judged, OutcomeCheckerCatchesAPhantomResult) {
  judge(make_outcome_checker());
  const CallSpec& call = submit(target());
  see(What::resolved, call, Errc::ok, 17);
  EXPECT_TRUE(caught());
}

TEST_F(Judged, OutcomeCheckerCatchesTheResultOfAnotherCall) {
  judge(make_outcome_checker());
  const TargetSpec& actor = target();
  const CallSpec& first = submit(actor);
  const CallSpec& second = submit(actor);
  const std::uint64_t execution = begin(first);
  end(first, execution);
  see(What::resolved, second, Errc::ok, execution);
  EXPECT_TRUE(caught());
}

TEST_F(Judged, OutcomeCheckerCatchesASecondAnswer) {
  judge(make_outcome_checker());
  const CallSpec& call = submit(target());
  const std::uint64_t execution = begin(call);
  end(call, execution);
  see(What::resolved, call, Errc::ok, execution);
  EXPECT_FALSE(caught());
  see(What::resolved, call, Errc::ok, execution);
  EXPECT_TRUE(caught());
}

TEST_F(Judged, OutcomeCheckerCatchesExpiredAfterAStart) {
  judge(make_outcome_checker());
  CallSpec& call = submit(target());
  call.deadline_us = 5;
  begin(call);
  see(What::resolved, call, Errc::expired);
  EXPECT_TRUE(caught());
}

TEST_F(Judged, OutcomeCheckerCatchesMaybeExecutedWhereNothingWasLost) {
  judge(make_outcome_checker());
  const CallSpec& call = submit(target());
  see(What::resolved, call, Errc::maybe_executed);
  EXPECT_TRUE(caught());
}

TEST_F(Judged, OutcomeCheckerCatchesDoubtAboutATaskThatNoWorkerHasBegunWhileAllLived) {
  judge(make_outcome_checker());
  const TargetSpec& task = target(TargetSpec::Kind::task);
  note(What::fault, 0, "broker killed broker-1");
  const CallSpec& begun = submit(task);
  begin(begun);
  see(What::resolved, begun, Errc::maybe_executed);
  see(What::resolved, submit(target()), Errc::maybe_executed);  // an actor's may be killed with it
  EXPECT_FALSE(caught());
  see(What::resolved, submit(task), Errc::maybe_executed);
  EXPECT_TRUE(caught());
}

TEST_F(Judged, OutcomeCheckerAllowsDoubtAboutATaskWhoseWorkerMayBeGone) {
  judge(make_outcome_checker());
  const TargetSpec& task = target(TargetSpec::Kind::task);
  note(What::fault, 0, "worker killed worker-1, nobody reports it");
  see(What::resolved, submit(task), Errc::maybe_executed);
  EXPECT_FALSE(caught());
}

TEST_F(Judged, OutcomeCheckerCatchesARetryThatWasOwed) {
  judge(make_outcome_checker());
  CallSpec& call = submit(target());
  call.max_retries = 2;
  call.errors_retried = true;
  const std::uint64_t execution = begin(call);
  end(call, execution, Errc::task_error);
  see(What::resolved, call, Errc::task_error, execution);
  EXPECT_TRUE(caught());
}

TEST_F(Judged, OutcomeCheckerCatchesPoisonThatIsNotItsOwn) {
  judge(make_outcome_checker());
  CallSpec& call = submit(target());
  call.max_retries = 5;
  for (int i = 0; i < 3; ++i) see(What::charged, call);
  see(What::resolved, call, Errc::poisoned);
  EXPECT_FALSE(caught());
  CallSpec& neighbour = submit(specs_.targets.front());
  neighbour.max_retries = 5;
  for (int i = 0; i < 2; ++i) see(What::charged, neighbour);
  see(What::resolved, neighbour, Errc::poisoned);
  EXPECT_TRUE(caught());
}

TEST_F(Judged, OutcomeCheckerAllowsDeadlockOnlyInItsOwnChain) {
  judge(make_outcome_checker());
  const CallSpec& outer = submit(target());
  CallSpec& inner = submit(specs_.targets.front());
  inner.inside = &outer;
  see(What::resolved, inner, Errc::deadlock);
  EXPECT_FALSE(caught());
  see(What::resolved, submit(specs_.targets.front()), Errc::deadlock);
  EXPECT_TRUE(caught());
}

TEST_F(Judged, DelayCheckerCatchesAStartBeforeItIsDue) {
  judge(make_delay_checker());
  CallSpec& call = submit(target());
  call.delay_us = 100;
  see(What::arrived, call);
  now_ += 100;
  begin(call);
  EXPECT_FALSE(caught());
  CallSpec& early = submit(specs_.targets.front());
  early.delay_us = 100;
  see(What::arrived, early);
  now_ += 50;
  begin(early);
  EXPECT_TRUE(caught());
}

TEST_F(Judged, DelayCheckerCatchesADelayedCallThatHeldUpAnother) {
  judge(make_delay_checker());
  CallSpec& delayed = submit(target());
  delayed.delay_us = 1'000'000;
  see(What::arrived, delayed);
  const CallSpec& other = submit(specs_.targets.front());
  see(What::arrived, other);
  see(What::accepted, other);
  now_ += 2'000'000;
  begin(delayed);
  EXPECT_FALSE(caught());
  begin(other);
  EXPECT_TRUE(caught());
}

TEST_F(Judged, DedupeCheckerCatchesASecondExecutionWithinTheWindow) {
  judge(make_dedupe_checker(1'000));
  CallSpec& first = submit(target());
  CallSpec& second = submit(specs_.targets.front());
  CallSpec& third = submit(specs_.targets.front());
  KeyUse& use = specs_.use_of(first.target, "k");
  for (CallSpec* spec : {&first, &second, &third}) {
    spec->once = &use;
    use.calls.push_back(spec);
  }
  end(first, begin(first));
  now_ += 1'000'000;
  end(second, begin(second));  // the window is over
  EXPECT_FALSE(caught());
  now_ += 500'000;
  begin(third);
  EXPECT_TRUE(caught());
}

TEST_F(Judged, DedupeCheckerCatchesAConflictWithNobody) {
  judge(make_dedupe_checker(1'000));
  CallSpec& first = submit(target());
  CallSpec& second = submit(specs_.targets.front());
  KeyUse& use = specs_.use_of(first.target, "k");
  for (CallSpec* spec : {&first, &second}) {
    spec->once = &use;
    spec->token = std::to_string(spec->index);
    use.calls.push_back(spec);
  }
  see(What::arrived, first);
  see(What::refused, second, Errc::idempotency_conflict);
  EXPECT_FALSE(caught());
  see(What::refused, first, Errc::idempotency_conflict);  // it is refused itself: nobody has it
  EXPECT_TRUE(caught());
}

TEST_F(Judged, StabilityCheckerCatchesAResultThatChanges) {
  judge(make_stability_checker());
  const CallSpec& call = submit(target());
  see(What::told_result, call, Errc::ok, 1);
  see(What::told_result, call, Errc::ok, 1);
  see(What::told_result, call, Errc::maybe_executed, 2);
  EXPECT_FALSE(caught());
  see(What::told_result, call, Errc::ok, 3);
  EXPECT_TRUE(caught());
}

// Its worker was lost with the result: that may still become an outcome that fails the dependent.
TEST_F(Judged, OutcomeCheckerCatchesAFailureForADependencyThatEndsWellAfterAll) {
  judge(make_outcome_checker());
  CallSpec& argument = submit(target());
  CallSpec& call = submit(specs_.targets[0]);
  call.takes = {&argument};
  note(What::fault);
  const std::uint64_t execution = begin(argument);
  end(argument, execution);
  see(What::resolved, call, Errc::dependency_failed);
  EXPECT_FALSE(caught());
  see(What::resolved, argument, Errc::ok, execution);
  EXPECT_TRUE(caught());
}

TEST_F(Judged, OutcomeCheckerAllowsAFailureForADependencyThatIsUncertainInTheEnd) {
  judge(make_outcome_checker());
  CallSpec& argument = submit(target());
  CallSpec& call = submit(specs_.targets[0]);
  call.takes = {&argument};
  note(What::fault);
  end(argument, begin(argument));
  see(What::resolved, call, Errc::dependency_failed);
  see(What::resolved, argument, Errc::maybe_executed);
  EXPECT_FALSE(caught());
}

TEST_F(Judged, OutcomeCheckerAllowsUncertaintyOnlyWhereArgumentsMayBeGone) {
  judge(make_outcome_checker());
  CallSpec& argument = submit(target());
  CallSpec& call = submit(specs_.targets[0]);
  call.max_retries = 2;
  call.takes = {&argument};
  note(What::fault);
  note(What::broker_died);
  begin(call);
  see(What::resolved, call, Errc::maybe_executed);
  EXPECT_FALSE(caught());
  CallSpec& other = submit(specs_.targets[0]);
  other.max_retries = 2;
  begin(other);
  see(What::accepted, other);
  see(What::resolved, other, Errc::maybe_executed);
  EXPECT_TRUE(caught());
}

TEST_F(Judged, StabilityCheckerCatchesADependentThatGotAnotherResult) {
  judge(make_stability_checker());
  const CallSpec& call = submit(target());
  const std::uint64_t first = run_and_splice(call);
  EXPECT_FALSE(caught());
  see(What::resolved, call, Errc::ok, first + 1);
  EXPECT_TRUE(caught());
}

TEST_F(Judged, StabilityCheckerAllowsAnUnknownOutcomeWhenTheMemoryThatHeldItIsGone) {
  judge(make_stability_checker());
  CallSpec& memory = submit(target());
  memory.durable = false;
  run_and_splice(memory);
  note(What::broker_died);
  see(What::resolved, memory, Errc::maybe_executed);
  EXPECT_FALSE(caught());
  CallSpec& durable = submit(specs_.targets[0]);
  durable.durable = true;
  run_and_splice(durable);
  see(What::resolved, durable, Errc::maybe_executed);
  EXPECT_TRUE(caught());
}

TEST_F(Judged, StabilityCheckerCatchesAnUnknownOutcomeWhileItsBrokerLives) {
  judge(make_stability_checker());
  CallSpec& memory = submit(target());
  memory.durable = false;
  run_and_splice(memory);
  see(What::resolved, memory, Errc::maybe_executed);
  EXPECT_TRUE(caught());
}

TEST_F(Judged, DeadlineCheckerCatchesALateStart) {
  judge(make_deadline_checker());
  CallSpec& call = submit(target());
  call.deadline_us = 100;
  Record run = record(What::run_arrived, call);
  run.attempt = 1;
  run.value = static_cast<std::uint64_t>(now_ + 3);
  add(run);
  now_ += 5;
  begin(call);
  EXPECT_TRUE(caught());
}

TEST_F(Judged, DependencyCheckerCatchesAStartBeforeTheDependencyEnded) {
  judge(make_dependency_checker());
  const TargetSpec& actor = target();
  CallSpec& first = submit(actor);
  CallSpec& second = submit(actor);
  second.takes.push_back(&first);
  begin(first);
  begin(second);
  EXPECT_TRUE(caught());
}

TEST_F(Judged, IncarnationCheckerCatchesAnOlderOneThatGoesOn) {
  judge(make_incarnation_checker());
  TargetSpec& actor = target();
  actor.options.max_restarts = 1;
  construct(actor, 1);
  construct(actor, 2);
  begin(submit(actor), 1, 2);
  EXPECT_FALSE(caught());
  begin(submit(actor), 1, 1);
  EXPECT_TRUE(caught());
}

TEST_F(Judged, IncarnationCheckerCatchesNumbersThatFall) {
  judge(make_incarnation_checker());
  const TargetSpec& actor = target();
  construct(actor, 2);
  construct(actor, 1);
  EXPECT_TRUE(caught());
}

TEST_F(Judged, RefusalCheckerCatchesAHoleThatTheClientCouldNotSee) {
  judge(make_refusal_checker());
  const TargetSpec& actor = target();
  const CallSpec& first = submit(actor);
  const CallSpec& second = submit(actor);
  begin(second);
  see(What::refused, first, Errc::queue_full);
  EXPECT_TRUE(caught());
}

// Nothing orders the two: it began while the durable one waited for a commit that never came.
TEST_F(Judged, RefusalCheckerAllowsMemoryToOvertakeADurableTaskThatTheNextBrokerRefuses) {
  judge(make_refusal_checker());
  for (const auto kind : {TargetSpec::Kind::task, TargetSpec::Kind::actor}) {
    const TargetSpec& to = target(kind);
    const CallSpec& durable = submit(to);
    CallSpec& memory = submit(to);
    memory.durable = false;
    begin(memory);
    note(What::broker_died);
    see(What::refused, durable, Errc::store_full);
    EXPECT_EQ(caught(), kind == TargetSpec::Kind::actor) << "one lane has an order";
  }
}

TEST_F(Judged, RefusalCheckerAllowsWhatWasSubmittedAfterResume) {
  judge(make_refusal_checker());
  const TargetSpec& actor = target();
  const CallSpec& first = submit(actor);
  see(What::refused, first, Errc::queue_full);
  note(What::resumed, std::uint64_t{actor.index} << 32 | specs_.calls.size());
  begin(submit(actor));
  EXPECT_FALSE(caught());
}

TEST_F(Judged, PendingCheckerCatchesAQueueBeyondItsBound) {
  judge(make_pending_checker());
  TargetSpec& actor = target();
  actor.options.max_pending = 3;
  note(What::queue_length, 3, actor.queue_name());
  EXPECT_FALSE(caught());
  note(What::queue_length, 4, actor.queue_name());
  EXPECT_TRUE(caught());
}

TEST_F(Judged, PendingCheckerCatchesARefusalWhereThereWasRoom) {
  judge(make_pending_checker());
  TargetSpec& actor = target();
  actor.options.max_pending = 3;
  const CallSpec& call = submit(actor);
  see(What::arrived, call);
  see(What::refused, call, Errc::queue_full);
  EXPECT_TRUE(caught());
}

TEST_F(Judged, PendingCheckerAllowsAClientToRefuseForAsLongAsItWasTold) {
  judge(make_pending_checker());
  TargetSpec& actor = target();
  actor.options.max_pending = 1;
  const CallSpec& first = submit(actor);
  see(What::arrived, first);
  const CallSpec& second = submit(actor);
  see(What::arrived, second);
  see(What::told_full, second, Errc::ok, 100);
  see(What::refused, refused_here(actor), Errc::queue_full, 1);
  now_ += 100;
  const CallSpec& tried = submit(actor);
  see(What::refused, refused_here(actor), Errc::queue_full, 1);
  EXPECT_FALSE(caught());
  for (const CallSpec* call : {&first, &second, &tried}) see(What::accepted, *call);
  see(What::refused, refused_here(actor), Errc::queue_full, 1);
  EXPECT_TRUE(caught());
}

TEST_F(Judged, PendingCheckerCatchesAClientThatRefusesWhatABoundDoesNotConcern) {
  judge(make_pending_checker());
  TargetSpec& actor = target();
  actor.options.max_pending = 1;
  see(What::arrived, submit(actor));
  const CallSpec& second = submit(actor);
  see(What::arrived, second);
  see(What::told_full, second, Errc::ok, 1'000);
  CallSpec& waits = refused_here(actor);
  waits.options.when_full = wire::WhenFull::block;
  see(What::refused, waits, Errc::queue_full, 1);
  EXPECT_TRUE(caught());
}

TEST_F(Judged, LivenessCheckerCatchesACallWithoutAnAnswer) {
  judge(make_liveness_checker());
  submit(target());
  finish();
  EXPECT_TRUE(caught());
}

TEST_F(Judged, BaselineCheckerCatchesWhatIsLeftInTheStore) {
  judge(make_baseline_checker());
  finish();
  EXPECT_FALSE(caught());
  broker::StoreBatch batch;
  batch.set(batch.key(broker::KeyKind::hash, "q:actor0:calls"), "1", "x");
  store_.set_token(1);
  store_.commit(0, 1, 1, batch);
  finish();
  EXPECT_TRUE(caught());
}

}  // namespace
}  // namespace callboard::sim
