#include "tests/sim/ledger.hpp"

#include "common/check.hpp"

#include <algorithm>
#include <string_view>

namespace callboard::sim {

namespace {

/// Workers live on, and whoever serves hears them.
bool spares_workers(std::string_view fault) {
  return fault.starts_with("broker ") || fault.starts_with("store ") ||
         fault.starts_with("client ");
}

}  // namespace

CallFacts* Ledger::find(CallId id) {
  const CallSpec* spec = specs_.find(id);
  return spec == nullptr ? nullptr : &facts_[spec->index];
}

void Ledger::on(const Record& record) {
  CallFacts* facts = nullptr;
  if (record.what == What::submitted) {
    facts_.emplace_back().spec = specs_.find(record.call);
    CALLBOARD_CHECK(facts_.back().spec != nullptr);
    CALLBOARD_CHECK(facts_.back().spec->index + 1 == facts_.size());
  } else if (record.call) {
    facts = find(record.call);
  }
  switch (record.what) {
    case What::accepted:
      if (facts != nullptr && facts->accepted_us < 0) facts->accepted_us = record.at_us;
      break;
    case What::refused:
      if (facts == nullptr) break;
      facts->refused_us = record.at_us;
      facts->refused_code = record.code;
      break;
    case What::resolved:
      if (facts == nullptr) break;
      facts->resolved_us = record.at_us;
      facts->code = record.code;
      facts->execution = record.value;
      break;
    case What::released:
      if (facts != nullptr) facts->released_us = record.at_us;
      break;
    case What::charged:
      if (facts != nullptr) ++facts->charges;
      break;
    case What::arrived:
      if (facts != nullptr) facts->arrived_us = record.at_us;
      break;
    case What::cancel_asked:
      if (facts != nullptr) facts->cancel_asked = true;
      break;
    case What::cancel_answered:
      if (facts != nullptr) facts->cancel_answer = record.value;
      break;
    case What::run_left:
      if (facts != nullptr) facts->attempts_sent = std::max(facts->attempts_sent, record.attempt);
      break;
    case What::client_left:
      // At the end of a run they leave with nothing open; a process may also die then.
      if (!healed_ || record.attempt == 1)
        gone_clients_.insert(static_cast<std::uint32_t>(record.value));
      break;
    case What::session_refused:
      refused_clients_.insert(static_cast<std::uint32_t>(record.value));
      break;
    case What::told_result:
      if (facts == nullptr || facts->told_us >= 0) break;
      facts->told_us = record.at_us;
      facts->told_code = record.code;
      facts->told_digest = record.value;
      break;
    case What::begun: begun(record); break;
    case What::ended:
      if (record.value != 0) {
        executions_[record.value - 1].ended_us = record.at_us;
        executions_[record.value - 1].code = record.code;
      }
      break;
    case What::constructing:
      lives_[{record.actor, record.incarnation}] = {record.process, record.at_us, -1, false};
      break;
    case What::constructed:
      lives_[{record.actor, record.incarnation}].constructed = record.code == Errc::ok;
      break;
    case What::destroyed:
      lives_[{record.actor, record.incarnation}].over_us = record.at_us;
      break;
    case What::worker_died: worker_died(record); break;
    case What::broker_died: ++broker_deaths_; break;
    case What::fault:
      ++faults_;
      if (!spares_workers(record.text)) ++worker_faults_;
      break;
    case What::healed: healed_ = true; break;
    default: break;
  }
}

void Ledger::begun(const Record& record) {
  const CallSpec* spec = specs_.find(record.call);
  if (spec == nullptr) return;
  CALLBOARD_CHECK(record.value == executions_.size() + 1);
  Execution& execution = executions_.emplace_back();
  execution.number = record.value;
  execution.call = spec;
  execution.attempt = record.attempt;
  execution.actor = record.actor;
  execution.incarnation = record.incarnation;
  execution.process = record.process;
  execution.begun_us = record.at_us;
  facts_[spec->index].begins.push_back(record.value);
}

void Ledger::worker_died(const Record& record) {
  for (Execution& execution : executions_) {
    if (execution.process == record.process && execution.ended_us < 0) execution.died = true;
  }
  for (auto& [key, life] : lives_) {
    if (life.process == record.process && life.over_us < 0) life.over_us = record.at_us;
  }
}

}  // namespace callboard::sim
