// Every outcome is one of those that the contract allows for this call, and told once.
#include "tests/sim/checker.hpp"

#include "common/limits.hpp"

#include <iterator>
#include <map>
#include <set>

namespace callboard::sim {

namespace {

class OutcomeChecker final : public Checker {
 public:
  /// `lost_time`: the store forgets what was acknowledged. Then a call may be told lost, failed or
  /// uncertain although it went well; but once, and never a result that no execution gave.
  explicit OutcomeChecker(bool lost_time) : Checker("outcome"), lost_time_(lost_time) {}

  void on(const Record& record, Ledger& ledger, Verdict& verdict) override {
    if (record.what != What::resolved && record.what != What::refused) return;
    CallFacts* facts = ledger.find(record.call);
    if (facts == nullptr) {
      return fail(verdict, "an answer to a call that nobody submitted: " + to_string(record.call));
    }
    if (++answers_[record.call] > 1) {
      return fail(verdict, "a second answer: " + describe(*facts->spec));
    }
    settle_suspects(*facts, record.what == What::resolved && facts->code == Errc::ok, verdict);
    if (record.what == What::refused) return;  // that it never begins is the attempts checker's
    const std::string problem =
        lost_time_ ? problem_with_value(*facts, ledger) : problem_with(*facts, ledger);
    if (!problem.empty()) {
      fail(verdict, "resolved as " + std::string(callboard::name_of(facts->code)) + ", but " +
                        problem + ": " + describe(*facts->spec));
    }
    if (facts->code == Errc::dependency_failed && !lost_time_) suspect(*facts->spec, ledger);
  }

 private:
  /// Of a call that failed for one that it takes, where all of those have ended well or did so on a
  /// worker that may be lost with the result: one of the latter must not end well.
  void suspect(const CallSpec& spec, Ledger& ledger) {
    std::set<const CallSpec*> open;
    for (const CallSpec* other : spec.takes) {
      const CallFacts& facts = ledger.facts(*other);
      if (!other->durable && ledger.broker_deaths() > 0) return;  // its result was in memory
      if (facts.resolved_us >= 0 && facts.code == Errc::ok) continue;
      if (facts.refused_us >= 0 || facts.resolved_us >= 0 || !ran_well(facts, ledger)) return;
      open.insert(other);
    }
    if (!open.empty()) suspects_.emplace(&spec, std::move(open));
  }

  static bool ran_well(const CallFacts& facts, const Ledger& ledger) {
    const Execution* last = facts.begins.empty() ? nullptr : ledger.execution(facts.begins.back());
    return last != nullptr && last->ended_us >= 0 && last->code == Errc::ok;
  }

  void settle_suspects(const CallFacts& facts, bool well, Verdict& verdict) {
    for (auto at = suspects_.begin(); at != suspects_.end();) {
      auto& [dependent, open] = *at;
      const bool open_here = open.erase(facts.spec) > 0;
      if (open_here && well && open.empty()) {
        fail(verdict, "all that it takes has ended well, but it failed for one of them: " +
                          describe(*dependent));
      }
      const bool settled = open_here && (!well || open.empty());
      at = settled ? suspects_.erase(at) : std::next(at);
    }
  }

  static std::string problem_with_value(const CallFacts& facts, const Ledger& ledger) {
    const bool has_value = facts.code == Errc::ok || facts.code == Errc::task_error;
    if (!has_value || facts.spec->once != nullptr) return {};
    return problem_with_execution(facts, ledger, facts.code);
  }

  /// Of calls with one idempotency key one runs, and the others end as it did.
  static std::string problem_with(const CallFacts& facts, const Ledger& ledger) {
    const CallSpec& spec = *facts.spec;
    const std::string problem = problem_with_own(facts, ledger);
    if (problem.empty() || spec.once == nullptr || !facts.begins.empty()) return problem;
    for (const CallSpec* twin : spec.once->calls) {
      CallFacts as = ledger.facts(*twin);
      if (twin == &spec || !twin->same_payload(spec)) continue;
      // An attempt may be on record and never have left, when the broker died between the two.
      if (as.attempts_sent == 0 && ledger.broker_deaths() == 0) continue;
      as.code = facts.code;
      as.execution = facts.execution;
      if (problem_with_own(as, ledger).empty()) return {};
    }
    return problem;
  }

  static std::string problem_with_own(const CallFacts& facts, const Ledger& ledger) {
    const CallSpec& spec = *facts.spec;
    const TargetSpec& target = ledger.specs().targets[spec.target];
    const bool begun = !facts.begins.empty();
    const bool trouble = ledger.faults() > 0 || target.killed;
    switch (facts.code) {
      case Errc::ok:
        return problem_with_execution(facts, ledger, Errc::ok);
      case Errc::task_error: {
        const std::string problem = problem_with_execution(facts, ledger, Errc::task_error);
        if (!problem.empty()) return problem;
        const Execution& execution = *ledger.execution(facts.execution);
        // What a cancel asked for is not run again.
        if (spec.errors_retried && !facts.cancel_asked && spec.max_retries > 0 &&
            execution.attempt <= static_cast<std::uint32_t>(spec.max_retries) &&
            !lost_arguments(spec, ledger)) {
          return "attempts were left";
        }
        return {};
      }
      case Errc::expired:
        if (begun) return "it has begun";
        return spec.deadline_us == kNever ? "it had no deadline" : std::string();
      case Errc::deadline_exceeded:
        if (spec.deadline_us == kNever) return "it had no deadline";
        return begun || trouble ? std::string() : "it has never begun";
      case Errc::cancelled:
        return facts.cancel_asked || target.killed ? std::string() : "nobody cancelled it";
      case Errc::dependency_failed:
        return problem_with_dependencies(spec, ledger, begun);
      case Errc::actor_died:
        if (target.kind == TargetSpec::Kind::task) return "it is a task";
        if (begun && spec.max_retries == 0)
          return "it has begun, so nobody may say that it did not";
        return trouble || target.constructor_throws ? std::string() : "nothing killed the actor";
      case Errc::constructor_failed:
        if (begun) return "it has begun";
        return target.constructor_throws ? std::string() : "the constructor does not throw";
      case Errc::maybe_executed:
        if (spec.max_retries != 0 && !spent(facts, ledger) && !lost_arguments(spec, ledger)) {
          return "it may be run again";
        }
        if (never_reached_a_worker(facts, ledger)) return "it never came to a worker";
        return trouble ? std::string() : "nothing was lost";
      case Errc::lost:
        if (spec.durable && facts.accepted_us >= 0) return "it is durable";
        return ledger.broker_deaths() > 0 ? std::string() : "no broker died";
      case Errc::unknown_actor:
      case Errc::stopping:
        return begun ? "it has begun"
                     : (target.killed ? std::string() : "the actor was not killed");
      case Errc::disconnected:
        return {};
      case Errc::deadlock:
        if (begun) return "it has begun";
        return in_own_chain(spec) ? std::string() : "nobody of its chain has that actor";
      case Errc::poisoned:
        if (facts.charges >= static_cast<std::uint32_t>(limits::kPoisonLimit)) return {};
        return "only " + std::to_string(facts.charges) + " ends of processes are its own";
      default:
        return "that is no outcome of a call that was accepted";
    }
  }

  /// A call that it was made inside, at whatever depth, is one of the same actor.
  static bool in_own_chain(const CallSpec& spec) {
    for (const CallSpec* at = spec.inside; at != nullptr; at = at->inside) {
      if (at->target == spec.target) return true;
    }
    return false;
  }

  /// Its attempts are used up, or its session was refused and nobody can say what became of it. An
  /// attempt may be on record and never have left, when the broker died between the two.
  static bool spent(const CallFacts& facts, const Ledger& ledger) {
    if (ledger.session_refused(facts.spec->client)) return true;
    // Nothing was promised for it yet, and whether its queue is durable was not known.
    if (facts.accepted_us < 0 && ledger.broker_deaths() > 0) return true;
    return facts.spec->max_retries > 0 &&
           facts.attempts_sent + ledger.broker_deaths() >
               static_cast<std::uint64_t>(facts.spec->max_retries);
  }

  /// A task that no worker has begun, though all have lived and were heard all the time: none of
  /// them can have been in doubt about it, however often the broker died.
  static bool never_reached_a_worker(const CallFacts& facts, const Ledger& ledger) {
    const CallSpec& spec = *facts.spec;
    const TargetSpec& target = ledger.specs().targets[spec.target];
    return target.kind == TargetSpec::Kind::task && spec.durable && facts.begins.empty() &&
           ledger.worker_faults() == 0 && !lost_arguments(spec, ledger) &&
           !ledger.session_refused(spec.client);
  }

  /// It cannot be run again without what it takes, which its owner may have released meanwhile.
  static bool lost_arguments(const CallSpec& spec, const Ledger& ledger) {
    return !spec.takes.empty() && ledger.broker_deaths() > 0;
  }

  static std::string problem_with_execution(const CallFacts& facts, const Ledger& ledger,
                                            Errc code) {
    const Execution* execution = ledger.execution(facts.execution);
    if (execution == nullptr) return "no execution gave this value";
    if (execution->call != facts.spec) return "the value is another call's";
    if (execution->ended_us < 0) return "that execution has not ended";
    if (execution->code != code) return "that execution ended otherwise";
    return {};
  }

  static std::string problem_with_dependencies(const CallSpec& spec, const Ledger& ledger,
                                               bool begun) {
    if (begun) return "it has begun";
    for (const CallSpec* other : spec.takes) {
      const CallFacts& facts = const_cast<Ledger&>(ledger).facts(*other);
      if (facts.refused_us >= 0) return {};
      if (!other->durable && ledger.broker_deaths() > 0) return {};  // its result was in memory
      if (other->deadline_us != kNever && facts.resolved_us < 0) return {};  // it may be over
      if (facts.resolved_us >= 0 && facts.code != Errc::ok) return {};
      if (facts.resolved_us >= 0) continue;
      // Its failure may not have reached its own client yet; it must not have succeeded, but for a
      // result that was lost with its worker.
      if (!ran_well(facts, ledger)) return {};
      if (facts.told_us < 0 && ledger.faults() > 0) return {};
      if (facts.told_us >= 0 && facts.told_code != Errc::ok) return {};
    }
    return "none of its dependencies failed";
  }

  const bool lost_time_;
  std::map<CallId, int> answers_;
  std::map<const CallSpec*, std::set<const CallSpec*>> suspects_;
};

}  // namespace

std::unique_ptr<Checker> make_outcome_checker(bool lost_time) {
  return std::make_unique<OutcomeChecker>(lost_time);
}

}  // namespace callboard::sim
