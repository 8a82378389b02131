// The history, added up by call, execution and incarnation: what the checkers look things up in.
//
// It holds observations only and judges nothing. Thread safety: none.
#pragma once

#include "tests/sim/history.hpp"
#include "tests/sim/spec.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace callboard::sim {

/// One run of one method.
struct Execution {
  std::uint64_t number = 0;
  const CallSpec* call = nullptr;
  std::uint32_t attempt = 0;
  ActorId actor;
  std::uint64_t incarnation = 0;
  ProcessId process{};
  std::int64_t begun_us = 0;
  std::int64_t ended_us = -1;   ///< -1: it runs, or died with its worker
  Errc code = Errc::ok;
  bool died = false;            ///< its worker was killed in the middle
};

/// What was seen of one call.
struct CallFacts {
  const CallSpec* spec = nullptr;
  std::int64_t arrived_us = -1;  ///< at the broker, for the first time
  std::int64_t accepted_us = -1;
  std::int64_t refused_us = -1;
  Errc refused_code = Errc::ok;
  std::int64_t resolved_us = -1;
  Errc code = Errc::ok;
  std::uint64_t execution = 0;  ///< that it resolved with, when ok or task_error
  std::int64_t released_us = -1;
  std::vector<std::uint64_t> begins;  ///< numbers of its executions
  std::uint32_t attempts_sent = 0;    ///< the highest number of an attempt that left the broker
  std::uint32_t charges = 0;    ///< processes that it may have taken down
  bool cancel_asked = false;
  std::optional<std::uint64_t> cancel_answer;
  std::int64_t told_us = -1;    ///< when a result first left the broker
  Errc told_code = Errc::ok;
  std::uint64_t told_digest = 0;

  bool over() const { return refused_us >= 0 || resolved_us >= 0; }
};

/// One life of an actor or replica, as its worker saw it.
struct Life {
  ProcessId process{};
  std::int64_t constructing_us = 0;
  std::int64_t over_us = -1;    ///< destroyed, or its worker died
  bool constructed = false;
};

class Ledger {
 public:
  explicit Ledger(const Specs& specs) : specs_(specs) {}

  void on(const Record& record);

  const Specs& specs() const { return specs_; }
  CallFacts& facts(const CallSpec& spec) { return facts_[spec.index]; }
  const CallFacts& facts(const CallSpec& spec) const { return facts_[spec.index]; }
  /// All calls in the order of submission.
  std::vector<CallFacts>& calls() { return facts_; }
  CallFacts* find(CallId id);
  const Execution* execution(std::uint64_t number) const {
    return number == 0 || number > executions_.size() ? nullptr : &executions_[number - 1];
  }
  const std::vector<Execution>& executions() const { return executions_; }
  const std::map<std::pair<ActorId, std::uint64_t>, Life>& lives() const { return lives_; }
  std::uint64_t faults() const { return faults_; }
  /// Those of them that may keep a worker from being heard.
  std::uint64_t worker_faults() const { return worker_faults_; }
  std::uint64_t broker_deaths() const { return broker_deaths_; }
  bool healed() const { return healed_; }
  /// The client died, or left before the end of the run: nobody waits for its answers.
  bool gone(std::uint32_t client) const { return gone_clients_.contains(client); }
  /// The broker once did not know the session of a client any more.
  bool any_session_refused() const { return !refused_clients_.empty(); }
  bool session_refused(std::uint32_t client) const { return refused_clients_.contains(client); }

 private:
  void begun(const Record& record);
  void worker_died(const Record& record);

  const Specs& specs_;
  std::vector<CallFacts> facts_;
  std::vector<Execution> executions_;
  std::map<std::pair<ActorId, std::uint64_t>, Life> lives_;
  std::uint64_t faults_ = 0;
  std::uint64_t worker_faults_ = 0;
  std::uint64_t broker_deaths_ = 0;
  bool healed_ = false;
  std::set<std::uint32_t> gone_clients_, refused_clients_;
};

}  // namespace callboard::sim
