// A simulated executor: what worker/executors do with threads, done with virtual time.
//
// It follows worker/executor.hpp to the letter (order, groups, deadlines, holding back after an
// error that may be retried, taking back, stopping), and what its methods do is the call's Plan.
// Thread safety: none.
#pragma once

#include "tests/sim/random.hpp"
#include "tests/sim/schedule.hpp"
#include "tests/sim/spec.hpp"
#include "worker/executor.hpp"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace callboard::sim {

/// What an executor needs of the simulated process that it lives in.
class ExecutorSite : public worker::ExecutorHost {
 public:
  /// The process's steady clock.
  virtual std::int64_t clock_us() const = 0;
  /// Runs `action` that much later by the process's clock; never once the process is dead.
  virtual void later(std::int64_t delay_us, std::function<void()> action) = 0;
  /// The constructor of this incarnation begins.
  virtual void constructing(const worker::ActorSpec& spec) = 0;
  /// The object is gone.
  virtual void destroyed(const worker::ActorSpec& spec) = 0;
  /// The method begins to run, with these arguments. Gives the number of the execution and the
  /// plan; a plan that kills the worker does so before this returns false.
  virtual bool entered(const worker::Job& job, const worker::ActorSpec& spec,
                       std::uint64_t& execution, const Plan*& plan) = 0;
  virtual void left(const worker::Job& job, const worker::ActorSpec& spec,
                    std::uint64_t execution, Errc code) = 0;
  /// The method makes the call of its plan. True when it waits for the answer: then `done` is
  /// called, at once or later, unless the process dies before.
  virtual bool call_inside(const worker::Job& job, const worker::ActorSpec& spec,
                           std::function<void()> done) = 0;
  /// What the constructor does.
  virtual const TargetSpec* target_of(const worker::ActorSpec& spec) = 0;
};

/// What a method gives back: the number of its execution, and some bytes that depend on it.
std::string encode_result(std::uint64_t execution, std::size_t padding);
/// The execution number in a result; 0 when it is none of ours.
std::uint64_t execution_of(std::string_view result);

class SimExecutor final : public worker::Executor {
 public:
  SimExecutor(ExecutorSite& site, worker::ActorSpec spec, wire::Mode class_mode, Random random);

  void start(worker::Payload args, std::uint32_t ticket) override;
  void add_methods(std::span<const std::string> names) override;
  void submit(std::span<worker::Job> jobs) override;
  worker::Revoked revoke(std::uint64_t lease, bool running_too) override;
  void go_on(bool hand_back) override;
  void try_again() override;
  void stop(bool now) override;
  void stats(std::vector<worker::GroupStats>& out) const override;

 private:
  struct Group {
    std::string name;
    std::uint32_t limit = 1;
    std::uint32_t running = 0;
    std::deque<worker::Job> queued;
    bool held = false;
    bool waiting = false;  ///< the host said: not now
  };
  struct Running {
    worker::Job job;
    std::size_t group = 0;
    std::uint64_t execution = 0;
    std::uint64_t number = 0;  ///< tells this run from a later one of the same lease
    std::int64_t began_us = 0;
    const Plan* plan = nullptr;
    bool stopping = false;
  };

  std::size_t group_of(const worker::Job& job) const;
  void pump(std::size_t group);
  void begin(std::size_t group, worker::Job job);
  void served(std::uint64_t lease, std::uint64_t number);
  void end(std::uint64_t lease, std::uint64_t number);
  void refuse(const worker::Job& job, Errc code, std::string message);
  void give_back(const worker::Job& job);
  void give_back_all(Group& group);
  bool may_be_retried(const worker::Job& job, const std::string& error_type) const;
  void report(worker::Outcome outcome);
  void finish_when_empty();

  ExecutorSite& site_;
  worker::ActorSpec spec_;
  Random random_;
  std::vector<std::string> methods_;
  std::vector<Group> groups_;
  std::deque<std::size_t> held_;            ///< groups, by age of the outcome that held them
  std::map<std::uint64_t, Running> running_;  ///< by lease
  std::uint64_t next_number_ = 1;
  bool constructed_ = false;
  bool broken_ = false;
  bool stopping_ = false;
  bool stopped_ = false;
};

}  // namespace callboard::sim
