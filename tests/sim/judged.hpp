// A checker in a test, and the histories that are put before it.
#pragma once

#include "tests/sim/checker.hpp"
#include "tests/sim/store_model.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

namespace callboard::sim {

/// One checker before a hand-written history.
class Judged : public ::testing::Test {
 protected:
  void judge(std::unique_ptr<Checker> checker) { checker_ = std::move(checker); }

  TargetSpec& target(TargetSpec::Kind kind = TargetSpec::Kind::actor) {
    TargetSpec& target = specs_.targets.emplace_back();
    target.kind = kind;
    target.index = static_cast<std::uint32_t>(specs_.targets.size() - 1);
    target.id = ActorId{SessionId{9}, specs_.targets.size()};
    target.options.max_concurrency = 1;
    specs_.by_actor[target.id] = &target;
    return target;
  }
  CallSpec& refused_here(const TargetSpec& to) { return submit(to, SessionId{0}); }
  CallSpec& submit(const TargetSpec& to, SessionId session = SessionId{9}) {
    CallSpec& spec = specs_.calls.emplace_back();
    spec.index = static_cast<std::uint32_t>(specs_.calls.size() - 1);
    spec.id = CallId{session, 100 + specs_.calls.size()};
    spec.target = to.index;
    specs_.by_id[spec.id] = &spec;
    see(What::submitted, spec);
    return spec;
  }
  Record record(What what, const CallSpec& spec) {
    Record record;
    record.what = what;
    record.at_us = ++now_;
    record.call = spec.id;
    record.process = ProcessId{1};
    return record;
  }
  void add(const Record& record) {
    ledger_.on(record);
    checker_->on(record, ledger_, verdict_);
  }
  void see(What what, const CallSpec& spec, Errc code = Errc::ok, std::uint64_t value = 0) {
    Record r = record(what, spec);
    r.code = code;
    r.value = value;
    add(r);
  }
  std::uint64_t begin(const CallSpec& spec, std::uint32_t attempt = 1,
                      std::uint64_t incarnation = 1) {
    Record r = record(What::begun, spec);
    r.attempt = attempt;
    r.actor = specs_.targets[spec.target].id;
    r.incarnation = incarnation;
    r.value = ++executions_;
    add(r);
    return executions_;
  }
  void end(const CallSpec& spec, std::uint64_t execution, Errc code = Errc::ok) {
    Record r = record(What::ended, spec);
    r.actor = specs_.targets[spec.target].id;
    r.incarnation = 1;
    r.code = code;
    r.value = execution;
    add(r);
  }
  /// It ran well, and a call that takes its result has got it. The execution's number.
  std::uint64_t run_and_splice(const CallSpec& spec) {
    const std::uint64_t execution = begin(spec);
    end(spec, execution);
    see(What::spliced, spec, Errc::ok, execution);
    return execution;
  }
  void construct(const TargetSpec& of, std::uint64_t incarnation) {
    Record r;
    r.what = What::constructing;
    r.at_us = ++now_;
    r.actor = of.id;
    r.incarnation = incarnation;
    add(r);
  }
  void note(What what, std::uint64_t value = 0, std::string text = {}, std::uint32_t attempt = 0) {
    Record r;
    r.what = what;
    r.at_us = ++now_;
    r.value = value;
    r.text = std::move(text);
    r.attempt = attempt;
    add(r);
  }
  void finish() { checker_->at_end(ledger_, store_, verdict_); }
  bool caught() const { return verdict_.failed(); }

  Specs specs_;
  Ledger ledger_{specs_};
  StoreModel store_;
  Verdict verdict_;
  std::unique_ptr<Checker> checker_;
  std::int64_t now_ = 0;
  std::uint64_t executions_ = 0;
};

}  // namespace callboard::sim
